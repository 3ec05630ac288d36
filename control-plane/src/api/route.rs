//! What a URL's path means. Pure.

use manifests::Kind;

use crate::registry::{Reason, Status};
use crate::snapshot::Key;

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Healthz,
    Version,
    ApiVersions,
    Groups,
    Group(String),
    Resources { group: String, version: String },
    OpenApiV2,
    Front,
    Review(Review),
    Resource(Resource),
}

/// Something about an object, or many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resource {
    Collection(Place),
    Object(Key),
    Status(Key),
    Scale(Key),
    Binding(Key),
    Log(Key),
    Exec(Key),
    Attach(Key),
    PortForward(Key),
}

/// Some of the objects of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) kind: Kind,
    /// `None`: in all namespaces, or of a kind that has none.
    pub(super) namespace: Option<String>,
    /// `None`: of any name.
    pub(super) name: Option<String>,
}

impl Place {
    /// The place of a single object.
    pub(super) fn one(key: Key) -> Self {
        let namespace = key.kind.info().namespaced.then(|| key.namespace.to_string());
        Self { kind: key.kind, namespace, name: Some(key.name.to_string()) }
    }
}

/// A question about the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Review {
    Access,
    Rules,
    Identity,
}

/// Reads a path; slashes at its end are tolerated.
pub(super) fn parse(path: &str) -> Result<Route, Status> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["healthz" | "livez" | "readyz", ..] => Ok(Route::Healthz),
        ["version"] => Ok(Route::Version),
        ["api"] => Ok(Route::ApiVersions),
        ["apis"] => Ok(Route::Groups),
        ["openapi", "v2"] => Ok(Route::OpenApiV2),
        ["minikube-ish", "v1", "front"] => Ok(Route::Front),
        ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"] => {
            Ok(Route::Review(Review::Access))
        }
        ["apis", "authorization.k8s.io", "v1", "selfsubjectrulesreviews"] => Ok(Route::Review(Review::Rules)),
        ["apis", "authentication.k8s.io", "v1", "selfsubjectreviews"] => Ok(Route::Review(Review::Identity)),
        ["api", version] if serves("", version) => resources("", version),
        ["api", version, rest @ ..] => resource("", version, rest).map(Route::Resource),
        ["apis", group] if Kind::ALL.iter().any(|kind| kind.info().group == *group) => {
            Ok(Route::Group((*group).to_owned()))
        }
        ["apis", group, version] if serves(group, version) => resources(group, version),
        ["apis", group, version, rest @ ..] => resource(group, version, rest).map(Route::Resource),
        _ => Err(unknown_path()),
    }
}

/// The refusal of a path that leads nowhere; it names no object, so that nobody takes it for one that is gone.
pub(super) fn unknown_path() -> Status {
    Status::new(Reason::NotFound, "the server could not find the requested resource")
}

fn serves(group: &str, version: &str) -> bool {
    Kind::ALL.iter().any(|kind| kind.info().group == group && kind.info().version == version)
}

#[expect(clippy::unnecessary_wraps, reason = "an arm of `parse`")]
fn resources(group: &str, version: &str) -> Result<Route, Status> {
    Ok(Route::Resources { group: group.to_owned(), version: version.to_owned() })
}

fn resource(group: &str, version: &str, parts: &[&str]) -> Result<Resource, Status> {
    let find = |plural: &str| Kind::at(group, version, plural).ok_or_else(unknown_path);
    match parts {
        ["namespaces", namespace, plural, rest @ ..] if !is_of_a_namespace(plural) => {
            let kind = find(plural)?;
            if !kind.info().namespaced {
                return Err(unknown_path());
            }
            below(kind, namespace, rest)
        }
        [plural, rest @ ..] => {
            let kind = find(plural)?;
            match rest {
                [] => Ok(Resource::Collection(Place { kind, namespace: None, name: None })),
                _ if kind.info().namespaced => Err(unknown_path()),
                _ => below(kind, "", rest),
            }
        }
        [] => Err(unknown_path()),
    }
}

/// `/namespaces/N/status` is about the namespace itself, not about something in it.
fn is_of_a_namespace(word: &str) -> bool {
    matches!(word, "status" | "finalize")
}

fn below(kind: Kind, namespace: &str, rest: &[&str]) -> Result<Resource, Status> {
    let info = kind.info();
    let key = |name: &str| Key::new(kind, namespace, name);
    match rest {
        [] => Ok(Resource::Collection(Place { kind, namespace: Some(namespace.to_owned()), name: None })),
        [name] => Ok(Resource::Object(key(name))),
        [name, "status"] if info.status => Ok(Resource::Status(key(name))),
        [name, "scale"] if info.scale => Ok(Resource::Scale(key(name))),
        [name, "binding"] if kind == Kind::Pod => Ok(Resource::Binding(key(name))),
        [name, "log"] if kind == Kind::Pod => Ok(Resource::Log(key(name))),
        [name, "exec"] if kind == Kind::Pod => Ok(Resource::Exec(key(name))),
        [name, "attach"] if kind == Kind::Pod => Ok(Resource::Attach(key(name))),
        [name, "portforward"] if kind == Kind::Pod => Ok(Resource::PortForward(key(name))),
        _ => Err(unknown_path()),
    }
}

#[cfg(test)]
mod tests;
