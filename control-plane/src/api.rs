//! The Kubernetes REST API, a documented subset, served over TLS to kubectl, client libraries and our own commands.
//!
//! Owns the users' wire: who calls, what they ask for, how it is answered. Reads come from the store's snapshot,
//! writes become a [`Change`](crate::change::Change); what these mean is the registry's business. It must not know
//! controllers, the scheduler, or how a node is reached ([`sessions`] is the door).
//!
//!     server ─▶ auth ─▶ route ─▶ read │ watch │ write │ scale │ pods (log, exec) │ discovery │ openapi
//!
//! Reference: <https://kubernetes.io/docs/reference/using-api/api-concepts/>.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::Value;
use tokio::sync::watch;

use crate::registry::{Reason, Status};
use crate::store::Store;

mod answer;
pub mod auth;
mod body;
mod discovery;
mod openapi;
mod patch;
mod pods;
mod query;
mod read;
mod reviews;
mod route;
mod scale;
mod server;
pub mod sessions;
mod table;
mod watching;
mod write;

pub use auth::Authenticator;
pub use server::{CONNECTIONS_MAX, serve};
pub use sessions::{Session, SessionRequest, Sessions};

use answer::Answer;
use auth::{Caller, Identity};
use route::{Resource, Route};

/// Everything that the API answers from.
#[derive(Clone)]
pub struct Api {
    /// What is, and where changes go.
    pub store: Store,
    /// Who may call.
    pub authenticator: Arc<Authenticator>,
    /// The way to the pods' nodes.
    pub sessions: Arc<dyn Sessions>,
    /// What the front last reported, as `status` and the chaos report read it.
    pub front: watch::Receiver<Value>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("store", &self.store).finish_non_exhaustive()
    }
}

/// One request, read whole, understood as far as its URL and headers go.
#[derive(Debug)]
struct Call {
    api: Api,
    identity: Identity,
    head: http::request::Parts,
    body: Bytes,
    query: query::Query,
    accept: query::Accept,
}

impl Api {
    /// Answers one request. Never fails: a refusal is an answer.
    async fn answer(self, caller: Caller, request: Request<Body>) -> Response<Body> {
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let response = match self.respond(caller, request).await {
            Ok(response) => response,
            Err(status) => answer::refusal(&status),
        };
        tracing::debug!(%method, path, code = response.status().as_u16(), "answered");
        response
    }

    async fn respond(self, caller: Caller, request: Request<Body>) -> Result<Response<Body>, Status> {
        let route = route::parse(request.uri().path())?;
        if let Some(response) = open_to_all(&route) {
            return Ok(response);
        }
        let identity = self.authenticator.identify(&caller, request.headers())?;
        let query = query::Query::parse(request.uri())?;
        let accept = query::Accept::parse(request.headers());
        let (head, body) = request.into_parts();
        let body = body::read(body).await?;
        let call = Call { api: self, identity, head, body, query, accept };
        call.respond(route).await
    }
}

/// What anybody may ask.
fn open_to_all(route: &Route) -> Option<Response<Body>> {
    match route {
        Route::Healthz => Some(answer::text("ok")),
        Route::Version => Some(Answer::json(&discovery::version())),
        Route::ApiVersions
        | Route::Groups
        | Route::Group(_)
        | Route::Resources { .. }
        | Route::OpenApiV2
        | Route::Front
        | Route::Review(_)
        | Route::Resource(_) => None,
    }
}

impl Call {
    async fn respond(self, route: Route) -> Result<Response<Body>, Status> {
        match route {
            Route::Healthz | Route::Version => Err(Status::internal("answered before")),
            Route::ApiVersions => self.get(|| Answer::json(&discovery::api_versions())),
            Route::Groups => self.get(|| Answer::json(&discovery::groups())),
            Route::Group(group) => self.get(|| Answer::json(&discovery::group(&group))),
            Route::Resources { group, version } => {
                self.get(|| Answer::json(&discovery::resources(&group, &version)))
            }
            Route::OpenApiV2 => self.get(|| openapi::v2(&self.head.headers)),
            Route::Front => {
                let front = self.api.front.borrow().clone();
                self.get(|| Answer::json(&front))
            }
            Route::Review(review) => reviews::answer(self, review).await,
            Route::Resource(resource) => self.resource(resource).await,
        }
    }

    /// Answers what can only be read.
    fn get(&self, response: impl FnOnce() -> Response<Body>) -> Result<Response<Body>, Status> {
        match self.head.method {
            Method::GET | Method::HEAD => Ok(response()),
            _ => Err(self.method_not_allowed()),
        }
    }

    async fn resource(self, resource: Resource) -> Result<Response<Body>, Status> {
        let method = self.head.method.clone();
        match (method, resource) {
            (Method::GET | Method::HEAD, Resource::Collection(at)) if self.query.watch => {
                watching::watch(&self, at)
            }
            (Method::GET | Method::HEAD, Resource::Collection(at)) => read::list(&self, &at),
            (Method::POST, Resource::Collection(at)) => write::create(self, at).await,
            (Method::DELETE, Resource::Collection(at)) => write::delete_collection(self, at).await,
            (Method::GET | Method::HEAD, Resource::Object(key)) if self.query.watch => {
                watching::watch(&self, route::Place::one(key))
            }
            (Method::GET | Method::HEAD, Resource::Object(key) | Resource::Status(key)) => {
                read::get(&self, &key)
            }
            (Method::PUT, Resource::Object(key)) => write::replace(self, key, write::Part::Whole).await,
            (Method::PATCH, Resource::Object(key)) => write::patch(self, key, write::Part::Whole).await,
            (Method::DELETE, Resource::Object(key)) => write::delete(self, key).await,
            (Method::PUT, Resource::Status(key)) => write::replace(self, key, write::Part::Status).await,
            (Method::PATCH, Resource::Status(key)) => write::patch(self, key, write::Part::Status).await,
            (_, Resource::Scale(key)) => scale::answer(self, key).await,
            (Method::POST, Resource::Binding(key)) => write::bind(self, key).await,
            (_, Resource::Log(key)) => pods::log(self, key).await,
            (_, Resource::Exec(key)) => pods::exec(self, key, false).await,
            (_, Resource::Attach(key)) => pods::exec(self, key, true).await,
            (_, Resource::PortForward(key)) => pods::port_forward(self, key).await,
            _ => Err(self.method_not_allowed()),
        }
    }

    fn method_not_allowed(&self) -> Status {
        Status::new(
            Reason::MethodNotAllowed,
            "the server does not allow this method on the requested resource",
        )
    }
}
