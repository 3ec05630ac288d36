//! The one owner of who is connected and of what they have been told.
//!
//! A member has a bounded queue. One that does not empty it loses its stream and gets everything anew when it
//! dials again, so that a slow member costs nobody else anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use proto::front_command::Command as ToFront;
use proto::node_command::Command as ToNode;
use proto::{FrontCommand, NodeCommand};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::news::{Changed, Ledger, News};
use crate::snapshot::Snapshot;
use crate::store::{self, Store, Watch};

/// How many commands may wait for a member.
pub(super) const QUEUE_MAX: usize = 4096;
const REQUESTS_MAX: usize = 256;
/// How many changes are looked at together.
const BATCH_MAX: usize = 512;

/// The way to the dispatcher. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Dispatcher {
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
enum Request {
    Node { name: String, stream: Stream<NodeCommand> },
    NodeGone { name: String, id: u64, was_current: oneshot::Sender<bool> },
    Front { stream: Stream<FrontCommand> },
    Say { node: String, command: ToNode, said: oneshot::Sender<bool> },
}

/// A member's stream; a later one of the same member replaces it.
#[derive(Debug)]
pub(super) struct Stream<T> {
    /// Told apart from other streams of the same member by this.
    pub(super) id: u64,
    /// Where its commands go.
    pub(super) queue: mpsc::Sender<T>,
}

impl Dispatcher {
    pub(super) fn start(store: Store, shutdown: CancellationToken) -> Self {
        let (requests, received) = mpsc::channel(REQUESTS_MAX);
        tokio::spawn(async move {
            tokio::select! {
                () = Desk::run(store, received) => {}
                () = shutdown.cancelled() => {}
            }
        });
        Self { requests }
    }

    /// A node has a stream now; it is told everything, and from now on what changes.
    pub(super) async fn node(&self, name: String, stream: Stream<NodeCommand>) {
        self.request(Request::Node { name, stream }).await;
    }

    /// That stream of the node is over; false if a later one had replaced it.
    pub(super) async fn node_gone(&self, name: String, id: u64) -> bool {
        let (was_current, answer) = oneshot::channel();
        self.request(Request::NodeGone { name, id, was_current }).await;
        answer.await.unwrap_or(false)
    }

    /// A front has a stream now.
    pub(super) async fn front(&self, stream: Stream<FrontCommand>) {
        self.request(Request::Front { stream }).await;
    }

    /// Says something to one node; false if it is not there.
    pub(super) async fn say(&self, node: String, command: ToNode) -> bool {
        let (said, answer) = oneshot::channel();
        self.request(Request::Say { node, command, said }).await;
        answer.await.unwrap_or(false)
    }

    async fn request(&self, request: Request) {
        // The dispatcher ends only when the whole control plane does.
        let _ = self.requests.send(request).await;
    }
}

struct Desk {
    store: Store,
    snapshot: Snapshot,
    ledger: Ledger,
    nodes: BTreeMap<String, Stream<NodeCommand>>,
    fronts: Vec<Stream<FrontCommand>>,
}

impl Desk {
    async fn run(store: Store, mut requests: mpsc::Receiver<Request>) {
        let snapshot = store.snapshot();
        let ledger = Ledger::of(&snapshot);
        let mut watch = store.watch(snapshot.revision()).ok();
        let mut desk = Self { store, snapshot, ledger, nodes: BTreeMap::new(), fronts: Vec::new() };
        loop {
            tokio::select! {
                changes = next_batch(&mut watch) => match changes {
                    Some(changes) => desk.tell(&changes),
                    None => watch = desk.start_over(),
                },
                request = requests.recv() => match request {
                    Some(request) => desk.serve(request),
                    None => return,
                },
            }
        }
    }

    /// We fell so far behind that changes are forgotten: everybody is told everything.
    fn start_over(&mut self) -> Option<Watch> {
        self.snapshot = self.store.snapshot();
        self.ledger = Ledger::of(&self.snapshot);
        self.nodes.clear();
        self.fronts.clear();
        self.store.watch(self.snapshot.revision()).ok()
    }

    fn tell(&mut self, changes: &[Arc<store::Event>]) {
        self.snapshot = self.store.snapshot();
        let changed =
            changes.iter().map(|event| Changed { old: event.old.as_deref(), new: event.new.as_deref() });
        for news in self.ledger.news(&self.snapshot, changed) {
            match news {
                News::Node(node, command) => drop(self.say(&node, command)),
                News::Nodes(command) => self.say_all(&command),
                News::Fronts(routes) => self.say_fronts(&routes),
            }
        }
    }

    fn serve(&mut self, request: Request) {
        match request {
            Request::Node { name, stream } => {
                self.nodes.insert(name.clone(), stream);
                for command in self.ledger.everything_for(&self.snapshot, &name) {
                    self.say(&name, command);
                }
            }
            Request::NodeGone { name, id, was_current } => {
                // A node without a stream was given up by us: nothing has replaced it.
                let current = self.nodes.get(&name).is_none_or(|stream| stream.id == id);
                if current {
                    self.nodes.remove(&name);
                }
                let _ = was_current.send(current);
            }
            Request::Front { stream } => {
                self.fronts.push(stream);
                self.say_fronts(&self.ledger.routes().clone());
            }
            Request::Say { node, command, said } => {
                let _ = said.send(self.say(&node, command));
            }
        }
    }

    fn say(&mut self, node: &str, command: ToNode) -> bool {
        let Some(stream) = self.nodes.get(node) else { return false };
        let sent = stream.queue.try_send(NodeCommand { command: Some(command) }).is_ok();
        if !sent {
            tracing::warn!(node, "the node does not keep up; its stream is ended");
            self.nodes.remove(node);
        }
        sent
    }

    fn say_all(&mut self, command: &ToNode) {
        let names: Vec<String> = self.nodes.keys().cloned().collect();
        for name in names {
            self.say(&name, command.clone());
        }
    }

    fn say_fronts(&mut self, routes: &proto::RouteTable) {
        self.fronts.retain(|stream| {
            let command = FrontCommand { command: Some(ToFront::Routes(routes.clone())) };
            stream.queue.try_send(command).is_ok()
        });
    }
}

/// The next changes, at least one; `None` if some were forgotten before we saw them.
async fn next_batch(watch: &mut Option<Watch>) -> Option<Vec<Arc<store::Event>>> {
    let watch = watch.as_mut()?;
    let mut batch = vec![watch.next().await.ok()?];
    while batch.len() < BATCH_MAX {
        match watch.next().now_or_never() {
            Some(event) => batch.push(event.ok()?),
            None => break,
        }
    }
    Some(batch)
}
