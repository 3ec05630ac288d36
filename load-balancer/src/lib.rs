//! The front: who exists, who is well, whom to pick, and the wires.
//!
//! It knows addresses, not pods, and nobody that it is told them by. An owner starts it, hands it whole
//! [`Table`]s, and reads its [`Stats`]; everything else it decides by itself:
//!
//! | file | what | kind |
//! |---|---|---|
//! | `table`, `limits` | what the owner says | data |
//! | `routes` | host and path to a backend | pure |
//! | `endpoints` | what a new table changes in a backend | pure |
//! | `pick`, `health`, `latency`, `retry` | whom to ask, whom to leave alone, whether to ask again | pure |
//! | `stats` | counters and latency histograms | data |
//! | `endpoint`, `backend`, `front` | the living state of these: leases, holding, draining | shell |
//! | `http`, `tcp`, `listener`, `balancer` | sockets | shell |
//!
//! The promise: a request that may be repeated does not fail because an endpoint went away. It goes to
//! another one, or waits for one, within limits that have names ([`Limits`]).

#![forbid(unsafe_code)]

mod backend;
mod balancer;
mod clock;
mod endpoint;
mod endpoints;
mod front;
mod health;
mod http;
mod latency;
mod limits;
mod listener;
mod pick;
mod retry;
mod routes;
mod stats;
mod table;
mod tcp;

pub use balancer::{Applied, Config, Drain, Handle, LoadBalancer, StartError};
pub use limits::Limits;
pub use pick::{Load, pick};
pub use routes::Routes;
pub use stats::{BackendStats, EndpointStats, Stats};
pub use table::{BackendSpec, EndpointSpec, HttpRoute, PortRoute, Protocol, Table};
