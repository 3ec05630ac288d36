//! What crosses the wire between the control plane and its fleet: the node agents and the front.
//!
//! The generated code of `fleet.proto`. Read that file: it is the documentation of the wire.

#![forbid(unsafe_code)]
#![expect(missing_docs, reason = "generated; fleet.proto is the documentation")]
#![allow(clippy::all, unreachable_pub, reason = "generated")]

tonic::include_proto!("minikube_ish.fleet.v1");
