//! The front from outside: real sockets on loopback, endpoints that can be killed.

use std::time::Duration;

use super::*;
use crate::table::{BackendSpec, EndpointSpec, HttpRoute, PortRoute, Protocol};

mod client;
mod endpoint;
mod hostile;
mod load;
mod repeats;
mod serving;
mod waiting;

/// Far beyond what anything here takes.
const SOON: Duration = Duration::from_secs(20);

fn start(limits: Limits) -> Handle {
    LoadBalancer::start(Config { http: ([127, 0, 0, 1], 0).into(), limits }).expect("any free port")
}

fn impatient() -> Limits {
    Limits { hold_timeout: Duration::from_millis(100), ..Limits::default() }
}

/// All hosts and paths to one backend of these endpoints.
fn table(endpoints: &[(SocketAddr, bool)]) -> Table {
    let endpoints = endpoints.iter().map(|(address, ready)| EndpointSpec {
        address: *address,
        ready: *ready,
        target: address.to_string(),
    });
    Table {
        generation: 1,
        http: vec![route("", "/", "default/shop:80")],
        ports: Vec::new(),
        backends: vec![BackendSpec { key: "default/shop:80".to_owned(), endpoints: endpoints.collect() }],
    }
}

fn route(host: &str, path: &str, backend: &str) -> HttpRoute {
    HttpRoute { host: host.to_owned(), path: path.to_owned(), exact: false, backend: backend.to_owned() }
}

fn totals(handle: &Handle) -> (u64, u64, u64) {
    let stats = handle.stats();
    let rows = stats.backends.iter().flat_map(|backend| &backend.endpoints);
    rows.fold((0, 0, 0), |sum, row| (sum.0 + row.requests, sum.1 + row.failures, sum.2 + row.retries))
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}
