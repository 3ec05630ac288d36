//! What a user may say: kinds, manifests in YAML and JSON, defaults, validation, selectors, quantities.
//!
//! Everything here is a function of its arguments: no IO, no clock, no randomness. The API server, the node agents
//! and the client commands share it, so that all of them mean the same by the same words. It knows none of them.

#![forbid(unsafe_code)]

pub mod default;
pub mod effect;
pub mod field;
pub mod kind;
pub mod merge;
pub mod name;
pub mod object;
pub mod pod;
pub mod quantity;
pub mod read;
pub mod schema;
pub mod selector;
pub mod validate;

pub use kind::Kind;
pub use object::Object;
