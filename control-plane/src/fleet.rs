//! The fleet: the node agents and fronts that dial in, what they are told and what they report.
//!
//! It never decides what runs where; it carries. [`dispatcher`] is the one owner of who is connected and of what
//! they have been told; [`service`] is the gRPC face, one task per stream; [`health`] remembers who was heard of,
//! in memory only; everything else in here is a pure function.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use ipnet::Ipv4Net;
use proto::fleet_server::FleetServer;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Identity as TlsIdentity, Server, ServerTlsConfig};

use crate::api::sessions::{Session, SessionRequest, Sessions};
use crate::pki::{Authority, Identity};
use crate::registry::Status;
use crate::store::Store;

mod assignments;
mod dispatcher;
mod fronts;
mod guard;
pub mod health;
mod identity;
mod news;
mod nodes;
mod registration;
mod reports;
mod routes;
mod service;
mod services;
mod sessions;
#[cfg(test)]
mod testing;

use dispatcher::Dispatcher;
use health::Health;

/// How long a caller may take to greet.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a quiet connection is asked whether it still is one, and how long the answer may take.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the fleet is told at its start.
#[derive(Debug, Clone)]
pub struct FleetConfig {
    /// Pods of the whole cluster.
    pub pod_cidr: Ipv4Net,
    /// Service addresses.
    pub service_cidr: Ipv4Net,
    /// Where each node answers the cluster's names.
    pub cluster_dns: std::net::Ipv4Addr,
    /// The domain of the cluster's names, e.g. `cluster.local`.
    pub cluster_domain: String,
    /// How often a node says that it lives, in milliseconds.
    pub heartbeat_interval_ms: u64,
    /// After how long without a word a node's pods may be given to others, in milliseconds.
    pub lease_duration_ms: u64,
}

/// The fleet. Cheap to clone.
#[derive(Clone)]
pub struct Fleet {
    shared: Arc<Shared>,
}

struct Shared {
    config: FleetConfig,
    store: Store,
    authority: Arc<Authority>,
    health: Health,
    dispatcher: Dispatcher,
    waiting: sessions::Waiting,
    front: watch::Sender<serde_json::Value>,
    registering: Mutex<()>,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

/// Why the fleet cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// TLS or HTTP/2 could not be set up, or the listener broke.
    #[error("cannot serve the fleet's gRPC")]
    Serve(#[source] tonic::transport::Error),
}

impl Fleet {
    /// A fleet without members; its dispatcher runs until `shutdown`.
    #[must_use]
    pub fn start(
        config: FleetConfig,
        store: Store,
        authority: Arc<Authority>,
        shutdown: CancellationToken,
    ) -> Self {
        let dispatcher = Dispatcher::start(store.clone(), shutdown);
        let health = Health::default();
        let (front, _) = watch::channel(serde_json::Value::Null);
        let waiting = sessions::Waiting::default();
        Self {
            shared: Arc::new(Shared {
                config,
                store,
                authority,
                health,
                dispatcher,
                waiting,
                front,
                registering: Mutex::default(),
            }),
        }
    }

    /// When each node was last heard of.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.shared.health
    }

    /// What the front last said: where it is reached, what it could not serve, its counters. `null` before.
    #[must_use]
    pub fn front(&self) -> watch::Receiver<serde_json::Value> {
        self.shared.front.subscribe()
    }

    /// Serves the fleet's gRPC until `shutdown`.
    ///
    /// # Errors
    /// When TLS cannot be set up or the listener breaks.
    pub async fn serve(
        self,
        listener: TcpListener,
        identity: Identity,
        shutdown: CancellationToken,
    ) -> Result<(), FleetError> {
        let tls = ServerTlsConfig::new()
            .identity(TlsIdentity::from_pem(identity.certificate_pem, identity.key_pem))
            .client_ca_root(Certificate::from_pem(self.shared.authority.ca_pem()))
            // Whoever joins has no certificate yet; every other call asks for one.
            .client_auth_optional(true)
            .timeout(HANDSHAKE_TIMEOUT);
        Server::builder()
            .tls_config(tls)
            .map_err(FleetError::Serve)?
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .add_service(FleetServer::new(service::Service::new(self)))
            .serve_with_incoming_shutdown(guard::accept(listener), shutdown.cancelled_owned())
            .await
            .map_err(FleetError::Serve)
    }
}

impl Sessions for Fleet {
    fn open(&self, request: SessionRequest) -> BoxFuture<'_, Result<Session, Status>> {
        Box::pin(nodes::open_session(self, request))
    }
}
