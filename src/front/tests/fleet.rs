//! A control plane's fleet, reached through a wire that can be cut without a word.

use std::net::SocketAddr;

use control_plane::fleet::{Fleet, FleetConfig};
use control_plane::pki::Authority;
use control_plane::registry::Settings;
use control_plane::store::Store;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::*;

type Seen = watch::Receiver<serde_json::Value>;

pub(super) struct TestFleet {
    fleet: Fleet,
    authority: Arc<Authority>,
    address: SocketAddr,
    /// How often the wire was cut.
    cuts: watch::Sender<u32>,
    _end: tokio_util::sync::DropGuard,
}

pub(super) async fn start(dir: &TempDir) -> TestFleet {
    let end = CancellationToken::new();
    #[expect(clippy::disallowed_methods, reason = "certificates are valid from now on")]
    let now = jiff::Timestamp::now();
    let authority = Authority::open(&dir.path().join("pki"), now, &mut rand::rng()).expect("an authority");
    let authority = Arc::new(authority);
    let store = Store::open(&dir.path().join("store"), Settings::default()).expect("a store");
    let fleet = Fleet::start(config(), store, Arc::clone(&authority), end.clone());
    let identity = authority.issue_server(&["control-plane".to_owned()], now).expect("a certificate");
    let behind = TcpListener::bind(("127.0.0.1", 0)).await.expect("any free port");
    let wire = TcpListener::bind(("127.0.0.1", 0)).await.expect("any free port");
    let (behind_address, address) = (local(&behind), local(&wire));
    tokio::spawn(fleet.clone().serve(behind, identity, end.clone()));
    let cuts = watch::Sender::new(0);
    tokio::spawn(end.clone().run_until_cancelled_owned(carry(wire, behind_address, cuts.clone())));
    TestFleet { fleet, authority, address, cuts, _end: end.drop_guard() }
}

impl TestFleet {
    pub(super) fn link(&self, dir: &TempDir) -> LinkConfig {
        LinkConfig {
            control_plane: format!("https://{}", self.address),
            ca_pem: self.authority.ca_pem().to_owned(),
            join_token: self.authority.join_token().to_owned(),
            identity_dir: dir.path().join("front"),
            name: "front".to_owned(),
        }
    }

    /// What the front has said.
    pub(super) fn seen(&self) -> Seen {
        self.fleet.front()
    }

    /// Nothing passes any more on the connections that there are.
    pub(super) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

/// The number of the stream, other than `before`, that a table was applied on.
pub(super) async fn table_taken(seen: &mut Seen, before: u64) -> u64 {
    let taken = |state: &serde_json::Value| {
        state["generation"].is_u64() && state["stream"].as_u64().is_some_and(|stream| stream != before)
    };
    let state = seen.wait_for(taken).await.expect("the fleet lives");
    state["stream"].as_u64().expect("a number")
}

fn config() -> FleetConfig {
    FleetConfig {
        pod_cidr: "10.65.0.0/16".parse().expect("a range"),
        service_cidr: "10.66.0.0/16".parse().expect("a range"),
        cluster_dns: [10, 66, 0, 10].into(),
        cluster_domain: "cluster.local".to_owned(),
        heartbeat_interval_ms: 250,
        lease_duration_ms: 1000,
    }
}

fn local(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("it listens")
}

async fn carry(wire: TcpListener, behind: SocketAddr, cuts: watch::Sender<u32>) {
    // They end with this.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((mut client, _)) = wire.accept().await {
        let mut cut = cuts.subscribe();
        connections.spawn(async move {
            let mut server = TcpStream::connect(behind).await.expect("the fleet listens");
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => {}
                // Both ends stay open.
                _ = cut.changed() => std::future::pending().await,
            }
        });
    }
}
