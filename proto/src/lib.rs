//! What crosses the wire between the control plane and its fleet: the node agents and the front.
//!
//! The generated code of `fleet.proto`. Read that file: it is the documentation of the wire.

#![forbid(unsafe_code)]

pub use generated::*;

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    clippy::wildcard_enum_match_arm,
    reason = "generated; fleet.proto is the documentation"
)]
mod generated {
    tonic::include_proto!("minikube_ish.fleet.v1");
}
