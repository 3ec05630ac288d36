//! The life of a control plane process: founds or opens what it keeps, starts its rooms, serves, ends them.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::Ipv4Net;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::api::{Api, Authenticator};
use crate::clock;
use crate::controllers::node::LEASE_DURATION;
use crate::fleet::{Fleet, FleetConfig, FleetError};
use crate::kubeconfig::kubeconfig;
use crate::manager::Manager;
use crate::pki::{Authority, Identity, MASTERS, PkiError, Subject, write_private};
use crate::registry::{Reason, Settings, Status, founding};
use crate::store::{Store, StoreError};

/// The name by which nodes and fronts know the control plane's certificate.
const SERVER_NAME: &str = "control-plane";
const CLUSTER_DOMAIN: &str = "cluster.local";
/// The address of the cluster's DNS is the tenth of the services' range, as Kubernetes has it.
const DNS_INDEX: u32 = 10;
const HEARTBEAT_INTERVAL_MS: u64 = 250;

/// All that a control plane is told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the store and the keys live; made if missing, 0700.
    pub state_dir: PathBuf,
    /// Where users reach the API, HTTPS.
    pub api_address: SocketAddr,
    /// Where nodes and fronts dial in, gRPC over TLS.
    pub fleet_address: SocketAddr,
    /// Further names and addresses for the server's certificate.
    pub names: Vec<String>,
    /// Addresses of pods; each node gets a /24 of it.
    pub pod_cidr: Ipv4Net,
    /// Addresses of services.
    pub service_cidr: Ipv4Net,
    /// Where to write the administrator's kubeconfig, 0600.
    pub kubeconfig: Option<PathBuf>,
}

/// Why a control plane could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ControlPlaneError {
    /// The keys.
    #[error("cannot open the cluster's authority")]
    Pki(#[from] PkiError),
    /// The store.
    #[error("cannot open the store")]
    Store(#[from] StoreError),
    /// The first objects.
    #[error("cannot make the first namespaces")]
    Namespaces(#[source] Status),
    /// An address to listen at.
    #[error("cannot listen at {address}{}", if source.kind() == io::ErrorKind::AddrInUse { ": another process does; choose another port" } else { "" })]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// TLS.
    #[error("cannot set up TLS")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The kubeconfig.
    #[error("cannot write {path}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The fleet.
    #[error("the fleet's server ended")]
    Fleet(#[from] FleetError),
}

/// Runs a control plane until `shutdown`; calls `ready` once everybody can dial in.
///
/// # Errors
/// When something that it needs cannot be had.
pub async fn run(
    config: Config,
    shutdown: CancellationToken,
    ready: impl FnOnce(),
) -> Result<(), ControlPlaneError> {
    let api_listener = listen(config.api_address).await?;
    let fleet_listener = listen(config.fleet_address).await?;
    let authority = Arc::new(Authority::open(&config.state_dir.join("pki"), clock::now(), &mut rand::rng())?);
    let server = authority.issue_server(&server_names(&config), clock::now())?;
    write_kubeconfig(&config, &authority)?;
    let settings = Settings { service_cidr: config.service_cidr, ..Settings::default() };
    let store_dir = config.state_dir.join("store");
    let store = tokio::task::spawn_blocking(move || Store::open(&store_dir, settings))
        .await
        .expect("opening the store does not panic")?;
    found_namespaces(&store).await?;
    let fleet = Fleet::start(fleet_config(&config), store.clone(), Arc::clone(&authority), shutdown.clone());
    let manager = Manager::start(store.clone(), fleet.health(), fleet.front(), shutdown.clone());
    let api = Api {
        store: store.clone(),
        authenticator: Arc::new(Authenticator::new()),
        sessions: Arc::new(fleet.clone()),
        front: fleet.front(),
    };
    let api = crate::api::serve(api_listener, api_tls(&authority, &server)?, api, shutdown.clone());
    let fleet = fleet.serve(fleet_listener, server, shutdown.clone());
    ready();
    let ((), served) = tokio::join!(api, fleet);
    manager.join().await;
    store.close().await;
    Ok(served?)
}

/// The namespaces that every cluster has; after the first start they are there already.
async fn found_namespaces(store: &Store) -> Result<(), ControlPlaneError> {
    let created = store.submit_all(founding()).await;
    let refused = created.and_then(|outcomes| {
        let serious = |status: &Status| status.reason != Reason::AlreadyExists;
        outcomes.into_iter().filter_map(Result::err).find(serious).map_or(Ok(()), Err)
    });
    refused.map_err(ControlPlaneError::Namespaces)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ControlPlaneError> {
    TcpListener::bind(address).await.map_err(|source| ControlPlaneError::Listen { address, source })
}

fn server_names(config: &Config) -> Vec<String> {
    let addresses = [config.api_address.ip(), config.fleet_address.ip()];
    let addresses = addresses.into_iter().filter(|address| !address.is_unspecified());
    let usual = [SERVER_NAME, "localhost", "127.0.0.1", "kubernetes", "kubernetes.default"];
    let mut names: Vec<String> = usual.iter().map(|&name| name.to_owned()).collect();
    names.extend(addresses.map(|address: IpAddr| address.to_string()));
    names.extend(config.names.iter().cloned());
    names.sort();
    names.dedup();
    names
}

fn fleet_config(config: &Config) -> FleetConfig {
    let dns = config.service_cidr.network().to_bits() + DNS_INDEX;
    FleetConfig {
        pod_cidr: config.pod_cidr,
        service_cidr: config.service_cidr,
        cluster_dns: dns.into(),
        cluster_domain: CLUSTER_DOMAIN.to_owned(),
        heartbeat_interval_ms: HEARTBEAT_INTERVAL_MS,
        lease_duration_ms: u64::try_from(LEASE_DURATION.as_millis()).expect("a short time"),
    }
}

fn write_kubeconfig(config: &Config, authority: &Authority) -> Result<(), ControlPlaneError> {
    let Some(path) = &config.kubeconfig else { return Ok(()) };
    let admin = Subject { common_name: "admin".to_owned(), organisation: MASTERS };
    let identity = authority.issue_client(&admin, clock::now())?;
    let text = kubeconfig(config.api_address, authority.ca_pem(), &identity);
    let failed = |source| ControlPlaneError::Kubeconfig { path: path.clone(), source };
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).map_err(failed)?;
    write_private(path, &text).map_err(failed)
}

/// Client certificates are asked for, not demanded: a caller may have a token instead, and health is for all.
fn api_tls(authority: &Authority, server: &Identity) -> Result<Arc<ServerConfig>, ControlPlaneError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.ca_pem().as_bytes()) {
        roots.add(certificate.map_err(tls_error)?).map_err(tls_error)?;
    }
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(tls_error)?;
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(server.certificate_pem.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(server.key_pem.as_bytes()).map_err(tls_error)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls_error)?
        .with_client_cert_verifier(clients)
        .with_single_cert(certificates.map_err(tls_error)?, key)
        .map_err(tls_error)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn tls_error(error: impl std::error::Error + Send + Sync + 'static) -> ControlPlaneError {
    ControlPlaneError::Tls(Box::new(error))
}
