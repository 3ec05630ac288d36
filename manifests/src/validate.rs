//! What is wrong with an object: its shape against the schema, then what its values mean. Every error at once.
//!
//! Works on the JSON, so that a mistake in one place hides none elsewhere. What depends on other objects (does the
//! Secret exist, is the name taken) is not known here. Source: Kubernetes `pkg/apis/*/validation`.

use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::object::Object;

mod container;
mod data;
mod metadata;
mod network;
mod pod;
mod shape;
mod update;
mod view;
mod volume;
mod workload;

pub use update::check_update;
use view::Root;

/// Everything that is wrong with an object, in the order of its fields as checked; empty if it can be stored.
///
/// Expects defaults to be set ([`crate::default::set_defaults`]); without them it may miss mistakes, but invents none.
/// An object of a kind that is not served gets one error, at `kind`.
pub fn check(object: &Object) -> Vec<FieldError> {
    let Some(kind) = object.kind() else { return vec![unknown_kind(object)] };
    let mut errors = shape::check_shape(kind, object);
    errors.extend(check_meaning(kind, object));
    errors
}

/// [`check`] of an object that has no defaults yet: its shape as written, its meaning with defaults.
pub fn check_as_written(object: &Object) -> Vec<FieldError> {
    let Some(kind) = object.kind() else { return vec![unknown_kind(object)] };
    let mut defaulted = object.clone();
    crate::default::set_defaults(&mut defaulted);
    let mut errors = shape::check_shape(kind, object);
    errors.extend(check_meaning(kind, &defaulted));
    errors.dedup();
    errors
}

/// Unknown fields and values of the wrong type only: what a decoder would complain about.
pub fn check_shape(object: &Object) -> Vec<FieldError> {
    match object.kind() {
        Some(kind) => shape::check_shape(kind, object),
        None => vec![unknown_kind(object)],
    }
}

/// What the values mean, once they have the right shape.
fn check_meaning(kind: Kind, object: &Object) -> Vec<FieldError> {
    let root = Root(object);
    let mut errors = Vec::new();
    metadata::check(kind, root, &mut errors);
    let spec = root.field("spec");
    match kind {
        Kind::Pod => pod::check_pod(root, &mut errors),
        Kind::Deployment => workload::check_deployment(&spec, &mut errors),
        Kind::ReplicaSet => workload::check_replica_set(&spec, &mut errors),
        Kind::Service => network::check_service(&spec, &mut errors),
        Kind::Ingress => network::check_ingress(&spec, &mut errors),
        Kind::EndpointSlice => network::check_endpoint_slice(root, &mut errors),
        Kind::ConfigMap => data::check_config_map(root, &mut errors),
        Kind::Secret => data::check_secret(root, &mut errors),
        Kind::Node => pod::check_taints(&spec.field("taints"), &mut errors),
        Kind::Namespace | Kind::ServiceAccount | Kind::Event | Kind::Lease => {}
    }
    errors
}

fn unknown_kind(object: &Object) -> FieldError {
    let (api_version, kind) = (object.api_version(), object.kind_name());
    if kind.is_empty() {
        return FieldError::required(FieldPath::new("kind"), "say which kind of object this is");
    }
    if api_version.is_empty() {
        return FieldError::required(FieldPath::new("apiVersion"), "say which API version this is of");
    }
    match Kind::ALL.into_iter().find(|known| known.info().kind == kind) {
        Some(known) => {
            FieldError::not_supported(FieldPath::new("apiVersion"), api_version, &[&known.api_version()])
        }
        None => {
            let kinds: Vec<&str> = Kind::ALL.iter().map(|known| known.info().kind).collect();
            FieldError::not_supported(FieldPath::new("kind"), kind, &kinds)
        }
    }
}

#[cfg(test)]
mod tests;
