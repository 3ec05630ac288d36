//! Requests to the API, one function each. Knows paths, bodies and streams; what an answer means is the commands'.

use std::time::Duration;

use futures::{AsyncBufRead, Stream, StreamExt};
use http::{Method, Request};
use kube::core::WatchEvent;
use manifests::{Kind, Object};
use serde_json::{Value, json};

/// Who we are to the server, in `managedFields` and logs.
const FIELD_MANAGER: &str = "minikube-ish";
/// How long a server may be silent before it counts as gone. Watches and logs may be silent for longer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Before a watch that ended is begun anew.
const REWATCH_PAUSE: Duration = Duration::from_millis(100);

const JSON: &str = "application/json";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/// An open way to one cluster, in one namespace.
pub(super) struct Session {
    client: kube::Client,
    namespace: String,
}

/// What is asked of a collection.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    /// A label selector.
    pub(super) labels: Option<String>,
    /// A field selector.
    pub(super) fields: Option<String>,
}

/// Where objects of a kind are looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) kind: Kind,
    /// None: in all namespaces, or the kind has none.
    pub(super) namespace: Option<&'a str>,
}

/// In which form objects are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Objects,
    Table,
}

/// A kind of PATCH.
#[derive(Debug, Clone, Copy)]
pub(super) enum Patch {
    Merge,
}

impl<'a> Place<'a> {
    fn path(self, name: &str, subresource: &str) -> String {
        let info = self.kind.info();
        let mut path = if info.group.is_empty() {
            format!("/api/{}", info.version)
        } else {
            format!("/apis/{}/{}", info.group, info.version)
        };
        if let Some(namespace) = self.namespace.filter(|_| info.namespaced) {
            path.push_str(&format!("/namespaces/{}", encode(namespace)));
        }
        path.push('/');
        path.push_str(info.plural);
        for part in [name, subresource].into_iter().filter(|part| !part.is_empty()) {
            path.push('/');
            path.push_str(&encode(part));
        }
        path
    }
}

impl Query {
    /// The object of this name.
    pub(super) fn named(name: &str) -> Query {
        Query { fields: Some(format!("metadata.name={name}")), labels: None }
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let labels = self.labels.clone().map(|labels| ("labelSelector", labels));
        let fields = self.fields.clone().map(|fields| ("fieldSelector", fields));
        labels.into_iter().chain(fields).collect()
    }
}

impl Session {
    pub(super) fn open(mut config: kube::Config, namespace: Option<&str>) -> anyhow::Result<Session> {
        // Two providers may be compiled in; the first one installed wins, and it does not matter which.
        let _ = rustls::crypto::ring::default_provider().install_default();
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // Watches and followed logs are silent for as long as nothing happens.
        config.read_timeout = None;
        let namespace = namespace.unwrap_or(&config.default_namespace).to_owned();
        Ok(Session { client: kube::Client::try_from(config)?, namespace })
    }

    pub(super) fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// The namespace that commands work in.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Where the session's objects of a kind are.
    pub(super) fn place(&self, kind: Kind) -> Place<'_> {
        Place { kind, namespace: kind.info().namespaced.then_some(&self.namespace) }
    }

    /// One object.
    pub(super) async fn get(&self, place: Place<'_>, name: &str) -> Result<Object, kube::Error> {
        self.ask(Method::GET, &place.path(name, ""), &[], JSON, None).await
    }

    /// One object, or nothing if it is not there.
    pub(super) async fn find(&self, place: Place<'_>, name: &str) -> Result<Option<Object>, kube::Error> {
        match self.get(place, name).await {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if status.code == 404 && status.reason == "NotFound" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One object, or a collection, as the server would have it shown.
    pub(super) async fn table(
        &self,
        place: Place<'_>,
        name: Option<&str>,
        query: &Query,
    ) -> Result<Value, kube::Error> {
        self.ask(Method::GET, &place.path(name.unwrap_or_default(), ""), &query.parameters(), TABLE, None)
            .await
    }

    /// The objects of a collection, and the revision that they were read at.
    pub(super) async fn list(
        &self,
        place: Place<'_>,
        query: &Query,
    ) -> Result<(Vec<Object>, String), kube::Error> {
        let mut list: Value =
            self.ask(Method::GET, &place.path("", ""), &query.parameters(), JSON, None).await?;
        let revision = list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        let items = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let objects = items.into_iter().filter_map(|item| Object::from_value(item).ok());
        // Items of a list may leave out what the list says for all of them.
        let complete = |mut object: Object| {
            object.set(&["apiVersion"], place.kind.api_version());
            object.set(&["kind"], place.kind.info().kind);
            object
        };
        Ok((objects.map(complete).collect(), revision))
    }

    pub(super) async fn create(
        &self,
        place: Place<'_>,
        object: &Object,
        dry: bool,
    ) -> Result<Object, kube::Error> {
        self.ask(Method::POST, &place.path("", ""), &writing(dry), JSON, Some((JSON, object.to_json()))).await
    }

    pub(super) async fn replace(
        &self,
        place: Place<'_>,
        object: &Object,
        dry: bool,
    ) -> Result<Object, kube::Error> {
        let path = place.path(object.name(), "");
        self.ask(Method::PUT, &path, &writing(dry), JSON, Some((JSON, object.to_json()))).await
    }

    pub(super) async fn patch(
        &self,
        place: Place<'_>,
        name: &str,
        subresource: &str,
        (kind, patch): (Patch, &Value),
    ) -> Result<Object, kube::Error> {
        let content_type = match kind {
            Patch::Merge => "application/merge-patch+json",
        };
        let body = Some((content_type, patch.to_string().into_bytes()));
        self.ask(Method::PATCH, &place.path(name, subresource), &writing(false), JSON, body).await
    }

    /// Asks an object to go. The answer is the object, if it takes time, or a `Status`.
    pub(super) async fn delete(
        &self,
        place: Place<'_>,
        name: &str,
        grace_seconds: Option<u32>,
    ) -> Result<Value, kube::Error> {
        let mut options =
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        if let Some(seconds) = grace_seconds {
            options["gracePeriodSeconds"] = seconds.into();
        }
        let body = Some((JSON, options.to_string().into_bytes()));
        self.ask(Method::DELETE, &place.path(name, ""), &[], JSON, body).await
    }

    /// What happens in a collection after a revision; ends when the server has it end.
    pub(super) async fn watch(
        &self,
        place: Place<'_>,
        query: &Query,
        revision: &str,
        form: Form,
    ) -> Result<impl Stream<Item = Result<WatchEvent<Value>, kube::Error>> + use<>, kube::Error> {
        let mut parameters = query.parameters();
        parameters.push(("watch", "true".to_owned()));
        parameters.push(("resourceVersion", revision.to_owned()));
        let accept = match form {
            Form::Objects => JSON,
            Form::Table => TABLE,
        };
        let request = request(Method::GET, &place.path("", ""), &parameters, accept, None)?;
        self.client.request_events::<Value>(request).await
    }

    /// A pod's log, as it comes.
    pub(super) async fn log(
        &self,
        place: Place<'_>,
        pod: &str,
        parameters: &[(&'static str, String)],
    ) -> Result<impl AsyncBufRead + use<>, kube::Error> {
        let request = request(Method::GET, &place.path(pod, "log"), parameters, "*/*", None)?;
        self.client.request_stream(request).await
    }

    /// Follows one object, which may be absent, until `judge` has a verdict about it.
    pub(super) async fn follow<T>(
        &self,
        place: Place<'_>,
        name: &str,
        mut judge: impl FnMut(Option<&Object>) -> Option<T>,
    ) -> Result<T, kube::Error> {
        let query = Query::named(name);
        loop {
            let (objects, revision) = self.list(place, &query).await?;
            if let Some(verdict) = judge(objects.first()) {
                return Ok(verdict);
            }
            let mut events = std::pin::pin!(self.watch(place, &query, &revision, Form::Objects).await?);
            while let Some(event) = events.next().await {
                let seen = match event? {
                    WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                        Object::from_value(object).ok()
                    }
                    WatchEvent::Deleted(_) => None,
                    WatchEvent::Bookmark(_) => continue,
                    // Most likely the revision is too old by now: the list above begins anew.
                    WatchEvent::Error(_) => break,
                };
                if let Some(verdict) = judge(seen.as_ref()) {
                    return Ok(verdict);
                }
            }
            tokio::time::sleep(REWATCH_PAUSE).await;
        }
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        parameters: &[(&'static str, String)],
        accept: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<T, kube::Error> {
        self.client.request(request(method, path, parameters, accept, body)?).await
    }
}

fn writing(dry: bool) -> Vec<(&'static str, String)> {
    let mut parameters = vec![("fieldManager", FIELD_MANAGER.to_owned())];
    if dry {
        parameters.push(("dryRun", "All".to_owned()));
    }
    parameters
}

fn request(
    method: Method,
    path: &str,
    parameters: &[(&'static str, String)],
    accept: &str,
    body: Option<(&str, Vec<u8>)>,
) -> Result<Request<Vec<u8>>, kube::Error> {
    let pairs: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let uri = if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) };
    let mut builder = Request::builder().method(method).uri(uri).header(http::header::ACCEPT, accept);
    if let Some((content_type, _)) = &body {
        builder = builder.header(http::header::CONTENT_TYPE, *content_type);
    }
    builder.body(body.map(|(_, bytes)| bytes).unwrap_or_default()).map_err(kube::Error::HttpError)
}

/// Percent-encodes all but what a URI takes everywhere.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
