//! The Kubernetes REST API, a documented subset, over TLS.

pub mod patch;
pub mod sessions;
