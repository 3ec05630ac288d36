//! What all connections of one front share: where things go, and how much there may be of them.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backend::Backend;
use crate::limits::Limits;
use crate::routes::Routes;
use crate::stats::Stats;
use crate::table::{Protocol, Table};

#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) limits: Arc<Limits>,
    /// A place for each client connection.
    pub(crate) connections: Arc<Semaphore>,
    /// A place for each request that waits for an endpoint.
    pub(crate) hold: Arc<Semaphore>,
    /// Every connection and tunnel.
    pub(crate) tasks: TaskTracker,
    /// Finish what you have.
    pub(crate) stopping: CancellationToken,
    /// End now.
    pub(crate) ending: CancellationToken,
    routing: watch::Sender<Option<Arc<Routing>>>,
}

/// One table, with living backends.
#[derive(Debug, Default)]
pub(crate) struct Routing {
    pub(crate) backends: BTreeMap<String, Arc<Backend>>,
    /// Those that earlier tables had, as long as a request waits for one: should its key come back, it is served.
    left: BTreeMap<String, Weak<Backend>>,
    http: Routes<Arc<Backend>>,
    ports: HashMap<SocketAddr, (Protocol, Arc<Backend>)>,
}

/// The listener that something came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// Shared by all HTTP routes.
    Shared,
    /// Of one port route, by its address in the table.
    Port(SocketAddr),
}

impl Routing {
    /// From a table, keeping the backends that `before` has too.
    pub(crate) fn new(table: &Table, before: &Routing) -> Self {
        let named = table.backends.iter().map(|backend| &backend.key);
        let routed = table.http.iter().map(|route| &route.backend);
        let ported = table.ports.iter().map(|route| &route.backend);
        let living = |key: &String| before.living(key).unwrap_or_else(|| Backend::new(key));
        let keys = named.chain(routed).chain(ported);
        let backends: BTreeMap<_, _> = keys.map(|key| (key.clone(), living(key))).collect();
        let to = |key: &String| backends[key].clone();
        let http = table.http.iter().map(|it| (it.host.clone(), it.path.clone(), it.exact, to(&it.backend)));
        let ports = table.ports.iter().map(|it| (it.listen, (it.protocol, to(&it.backend))));
        let mut left = before.left.clone();
        left.extend(before.backends.iter().map(|(key, backend)| (key.clone(), Arc::downgrade(backend))));
        left.retain(|key, backend| backend.strong_count() > 0 && !backends.contains_key(key));
        Routing { http: Routes::new(http), ports: ports.collect(), backends, left }
    }

    fn living(&self, key: &str) -> Option<Arc<Backend>> {
        self.backends.get(key).cloned().or_else(|| self.left.get(key)?.upgrade())
    }

    pub(crate) fn port(&self, listen: SocketAddr) -> Option<&(Protocol, Arc<Backend>)> {
        self.ports.get(&listen)
    }

    fn find(&self, entrance: Entrance, host: &str, path: &str) -> Option<Arc<Backend>> {
        match entrance {
            Entrance::Shared => self.http.find(host, path).cloned(),
            Entrance::Port(listen) => self.port(listen).map(|(_, backend)| backend.clone()),
        }
    }
}

impl Front {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Front {
            connections: Arc::new(Semaphore::new(limits.connections_max)),
            hold: Arc::new(Semaphore::new(limits.held_max)),
            limits: Arc::new(limits),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            ending: CancellationToken::new(),
            routing: watch::Sender::new(None),
        })
    }

    pub(crate) fn set_routing(&self, routing: Arc<Routing>) {
        self.routing.send_replace(Some(routing));
    }

    /// The routing in force; none before the first table.
    pub(crate) fn routing(&self) -> Option<Arc<Routing>> {
        self.routing.borrow().clone()
    }

    /// Where a request goes. Before the first table it waits for it: a front that has just started does not
    /// know yet what it does not serve.
    pub(crate) async fn find(&self, entrance: Entrance, host: &str, path: &str) -> Option<Arc<Backend>> {
        if let Some(routing) = &*self.routing.borrow() {
            return routing.find(entrance, host, path);
        }
        let mut changes = self.routing.subscribe();
        let first = changes.wait_for(Option::is_some);
        let routing = timeout(self.limits.hold_timeout, first).await.ok()?.ok()?.clone();
        routing?.find(entrance, host, path)
    }

    pub(crate) fn stats(&self) -> Stats {
        let backends = self.routing().map(|routing| routing.backends.values().map(|it| it.stats()).collect());
        Stats {
            connections: self.limits.connections_max - self.connections.available_permits(),
            held: self.limits.held_max - self.hold.available_permits(),
            backends: backends.unwrap_or_default(),
        }
    }
}
