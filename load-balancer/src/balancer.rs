//! The front as its owner sees it: start, apply tables, read stats, shut down.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::runtime;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::endpoint::Endpoint;
use crate::front::{Entrance, Front, Routing};
use crate::limits::Limits;
use crate::listener;
use crate::stats::Stats;
use crate::table::Table;

#[cfg(test)]
mod tests;

/// How a front is to be.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where HTTP routes are served. Port 0: any that is free, see [`Handle::http_address`].
    pub http: SocketAddr,
    /// What it never exceeds.
    pub limits: Limits,
}

/// Why a front did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address of the HTTP listener cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the kernel says.
        #[source]
        source: std::io::Error,
    },
}

/// The tiny load balancer. See [`LoadBalancer::start`].
#[derive(Debug)]
pub struct LoadBalancer;

impl LoadBalancer {
    /// Starts a front on the current tokio runtime. It serves nothing before the first [`Handle::apply`]:
    /// requests that come earlier wait for it.
    ///
    /// # Errors
    /// [`StartError::Listen`], e.g. because the port is taken.
    pub fn start(config: Config) -> Result<Handle, StartError> {
        let Config { http: address, limits } = config;
        let listen_error = |source| StartError::Listen { address, source };
        let listener = listener::bind(address).map_err(listen_error)?;
        let http_address = listener.local_addr().map_err(listen_error)?;
        let front = Front::new(limits);
        tokio::spawn(listener::accept(front.clone(), Entrance::Shared, listener, front.stopping.clone()));
        info!(%http_address, "the front is open");
        Ok(Handle { front, http_address, runtime: runtime::Handle::current(), doors: Mutex::default() })
    }
}

/// A running front. Dropping it does not stop it: [`Handle::shutdown`] does.
#[derive(Debug)]
pub struct Handle {
    front: Arc<Front>,
    http_address: SocketAddr,
    runtime: runtime::Handle,
    doors: Mutex<BTreeMap<SocketAddr, Door>>,
}

/// The listener of a port route.
#[derive(Debug)]
struct Door {
    close: CancellationToken,
}

/// What came of a table.
#[derive(Debug)]
pub struct Applied {
    /// The table's.
    pub generation: u64,
    /// What could not be served, each in a sentence; everything else is. Applying the table again tries again.
    pub problems: Vec<String>,
    /// Those that this table took away from the front: they get nothing new from now on.
    pub drain: Drain,
}

/// Endpoints that get nothing new and may still have something to finish.
#[derive(Debug, Default)]
pub struct Drain {
    leaving: Vec<Arc<Endpoint>>,
}

impl Drain {
    /// Their addresses.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.leaving.iter().map(|endpoint| endpoint.address).collect()
    }

    /// Waits until they have finished everything. False: the deadline passed first.
    pub async fn wait(&self, deadline: Duration) -> bool {
        timeout(deadline, join_all(self.leaving.iter().map(|endpoint| endpoint.wait_drained()))).await.is_ok()
    }
}

impl Handle {
    /// Where HTTP routes are served.
    pub fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// Serves this table from now on. What did not change is not disturbed; no connection is dropped.
    pub fn apply(&self, table: &Table) -> Applied {
        // Also keeps two tables from being applied at once.
        let mut doors = self.doors();
        let before = self.front.routing().unwrap_or_default();
        let routing = Arc::new(Routing::new(table, &before));
        let mut leaving = Vec::new();
        for backend in &table.backends {
            leaving.extend(routing.backends[&backend.key].apply(&backend.endpoints));
        }
        // A backend that is only routed to, or no longer at all, has no endpoints.
        let with_endpoints: BTreeSet<&String> = table.backends.iter().map(|backend| &backend.key).collect();
        let bare = before.backends.iter().filter(|(key, _)| !with_endpoints.contains(key));
        leaving.extend(bare.flat_map(|(_, backend)| backend.apply(&[])));
        self.front.set_routing(routing);
        let problems = self.open_doors(&mut doors, table);
        Applied { generation: table.generation, problems, drain: Drain { leaving } }
    }

    /// What it has seen so far.
    pub fn stats(&self) -> Stats {
        self.front.stats()
    }

    /// Accepts nothing more, lets everything finish, and ends what has not by the deadline. True: all finished.
    pub async fn shutdown(self, deadline: Duration) -> bool {
        self.front.stopping.cancel();
        self.doors().values().for_each(|door| door.close.cancel());
        self.front.tasks.close();
        let finished = timeout(deadline, self.front.tasks.wait()).await.is_ok();
        self.front.ending.cancel();
        self.front.tasks.wait().await;
        finished
    }

    fn open_doors(&self, doors: &mut BTreeMap<SocketAddr, Door>, table: &Table) -> Vec<String> {
        let _in_runtime = self.runtime.enter();
        let wanted: BTreeSet<SocketAddr> = table.ports.iter().map(|route| route.listen).collect();
        for (_, door) in doors.extract_if(.., |address, _| !wanted.contains(address)) {
            door.close.cancel();
        }
        let mut problems = Vec::new();
        for route in &table.ports {
            if doors.contains_key(&route.listen) {
                continue;
            }
            match listener::bind(route.listen) {
                Ok(listener) => {
                    let close = CancellationToken::new();
                    let entrance = Entrance::Port(route.listen);
                    tokio::spawn(listener::accept(self.front.clone(), entrance, listener, close.clone()));
                    doors.insert(route.listen, Door { close });
                }
                Err(error) => {
                    problems.push(format!("{}: cannot listen on {}: {error}", route.backend, route.listen));
                }
            }
        }
        problems
    }

    fn doors(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Door>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
