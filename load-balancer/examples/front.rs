//! The front by itself, with one fixed table: every request to one of the given endpoints. For `bench/proxies.sh`.
//!
//! Usage: `front LISTEN ENDPOINT…`, e.g. `front 127.0.0.1:8080 127.0.0.1:9001 127.0.0.1:9002`

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use load_balancer::{BackendSpec, Config, EndpointSpec, HttpRoute, Limits, LoadBalancer, Table};

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let addresses: Vec<SocketAddr> =
        std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let [listen, endpoints @ ..] = &addresses[..] else {
        return Err("usage: front LISTEN ENDPOINT…".into());
    };
    let handle = LoadBalancer::start(Config { http: *listen, limits: Limits::default() })?;
    let everything =
        HttpRoute { host: String::new(), path: "/".into(), exact: false, backend: "bench".into() };
    let endpoints = endpoints.iter().map(|address| EndpointSpec {
        address: *address,
        ready: true,
        target: address.to_string(),
    });
    let backend = BackendSpec { key: "bench".into(), endpoints: endpoints.collect() };
    handle.apply(&Table {
        generation: 1,
        http: vec![everything],
        ports: Vec::new(),
        backends: vec![backend],
    });
    tokio::signal::ctrl_c().await?;
    handle.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
