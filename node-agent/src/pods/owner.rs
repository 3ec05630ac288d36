//! Who is on this node: one worker per pod, started, told, and forgotten here.
//!
//! The owner knows which pods there are and whom an event concerns; what a pod needs is its worker's to know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proto::PodRef;
use runtime::client::Client;
use runtime::protocol::Event as LauncherEvent;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::assignment::Assignment;
use crate::pods::checkpoint;
use crate::pods::host::{Host, v4};
use crate::pods::images;
use crate::pods::launcher::LauncherError;
use crate::pods::paths::{LOGS, PODS};
use crate::pods::sandbox;
use crate::pods::start::parse_container_id;
use crate::pods::state::{Fact, PodState};
use crate::pods::worker::reconcile::process_end;
use crate::pods::worker::{Event, Mailbox, Worker};

/// Commands that may wait.
const COMMANDS_MAX: usize = 256;
/// Events of the launcher that may wait; beyond it the launcher's socket fills.
const LAUNCHER_EVENTS_MAX: usize = 1024;
/// The pause before a launcher that cannot be reached is tried again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// What the node's pods are told.
#[derive(Debug)]
pub enum Command {
    /// A pod to keep, whole.
    Assign(Box<Assignment>),
    /// End it without grace.
    Forget(PodRef),
    /// The control plane begins to say all assignments anew.
    Restart,
    /// It has said all: pods that it did not name are to go.
    Complete,
}

/// The handle of a node's pods. When the last one is dropped, the workers end and the containers run on.
#[derive(Clone, Debug)]
pub struct Pods {
    commands: mpsc::Sender<Command>,
}

impl Pods {
    /// Takes over what an earlier agent left, connects to the launcher (starting one if none answers), and from
    /// then on does what it is told.
    pub(crate) async fn start(host: Arc<Host>) -> Result<Self, LauncherError> {
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let mut owner =
            Owner { host, workers: BTreeMap::new(), tasks: JoinSet::new(), named: BTreeSet::new() };
        let left = checkpoint::load_all(&owner.host.memory_dir);
        // Addresses first: a new pod must not get one that is taken.
        for (assignment, state) in &left {
            owner.adopt_address(assignment, state).await;
        }
        let news = owner.connect().await?;
        owner.remove_strays(&left).await;
        for (assignment, state) in left {
            let uid = assignment.pod.metadata.uid.clone().unwrap_or_default();
            owner.start_worker(uid, assignment, Some(state)).await;
        }
        tokio::spawn(owner.run(inbox, news));
        Ok(Self { commands })
    }

    /// Tells the pods something; waits while too much is waiting already.
    pub async fn tell(&self, command: Command) {
        // Nobody is left to be told only when the agent ends.
        let _ = self.commands.send(command).await;
    }
}

struct Owner {
    host: Arc<Host>,
    workers: BTreeMap<String, Mailbox>,
    tasks: JoinSet<String>,
    /// The pods that were assigned since the last restart of the control plane's word.
    named: BTreeSet<String>,
}

impl Owner {
    async fn run(mut self, mut inbox: mpsc::Receiver<Command>, mut news: mpsc::Receiver<LauncherEvent>) {
        let (changed, mut images) = mpsc::channel(1);
        let root = self.host.images.root().to_owned();
        tokio::spawn(async move {
            if let Err(error) = images::watch(&root, changed).await {
                tracing::warn!(error = crate::chain(&error), "pods see new images only at their next try");
            }
        });
        loop {
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                event = news.recv() => match event {
                    Some(event) => self.pass_on(event).await,
                    None => news = self.reconnect().await,
                },
                Some(()) = images.recv() => self.tell_all(|| Event::Fact(Fact::ImagesChanged)).await,
                Some(ended) = self.tasks.join_next() => self.reap(ended),
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Assign(assignment) => self.assign(*assignment).await,
            Command::Forget(pod) => self.forget(&pod.uid).await,
            Command::Restart => self.named.clear(),
            Command::Complete => {
                let strange: Vec<String> =
                    self.workers.keys().filter(|uid| !self.named.contains(*uid)).cloned().collect();
                for uid in strange {
                    tracing::info!(uid, "no longer assigned to this node");
                    self.forget(&uid).await;
                }
            }
        }
    }

    async fn assign(&mut self, assignment: Assignment) {
        let uid = assignment.pod.metadata.uid.clone().unwrap_or_default();
        self.named.insert(uid.clone());
        let Some(mailbox) = self.workers.get(&uid) else {
            return self.start_worker(uid, assignment, None).await;
        };
        if let Err(mpsc::error::SendError(Event::Assigned(assignment))) =
            mailbox.send(Event::Assigned(Box::new(assignment))).await
        {
            // Its worker has just ended: the pod is gone, and this asks for it anew.
            self.workers.remove(&uid);
            self.start_worker(uid, *assignment, None).await;
        }
    }

    async fn forget(&mut self, uid: &str) {
        if let Some(mailbox) = self.workers.get(uid) {
            let _ = mailbox.send(Event::Forgotten).await;
        }
    }

    /// A pod that an earlier agent left begins with a look: even when nothing of it was written down, something
    /// of it may run.
    async fn start_worker(&mut self, uid: String, assignment: Assignment, left: Option<PodState>) {
        let adopted = left.is_some();
        let (worker, mailbox) = Worker::new(Arc::clone(&self.host), assignment, left.unwrap_or_default());
        if adopted {
            let _ = mailbox.send(Event::Look).await;
        }
        self.workers.insert(uid, mailbox);
        self.tasks.spawn(worker.run());
    }

    fn reap(&mut self, ended: Result<String, tokio::task::JoinError>) {
        match ended {
            Ok(uid) => {
                // A pod of the same uid may have been assigned anew meanwhile.
                if self.workers.get(&uid).is_some_and(mpsc::Sender::is_closed) {
                    self.workers.remove(&uid);
                }
            }
            Err(error) => tracing::error!(%error, "a pod's worker failed"),
        }
    }

    async fn tell_all(&mut self, event: impl Fn() -> Event) {
        for mailbox in self.workers.values() {
            let _ = mailbox.send(event()).await;
        }
    }

    // ------------------------------------------------------------------ launcher

    async fn connect(&self) -> Result<mpsc::Receiver<LauncherEvent>, LauncherError> {
        let (sender, news) = mpsc::channel(LAUNCHER_EVENTS_MAX);
        self.host.launcher.subscribe(sender).await?;
        Ok(news)
    }

    /// Until it answers: without a launcher nothing can be done. The containers run on meanwhile.
    async fn reconnect(&mut self) -> mpsc::Receiver<LauncherEvent> {
        loop {
            match self.connect().await {
                Ok(news) => {
                    self.tell_all(|| Event::Look).await;
                    return news;
                }
                Err(error) => tracing::error!(error = crate::chain(&error), "no launcher"),
            }
            sleep(RECONNECT_PAUSE).await;
        }
    }

    async fn pass_on(&mut self, event: LauncherEvent) {
        let (uid, event) = match &event {
            LauncherEvent::Exited { id, exit } => {
                let Some((uid, container, attempt)) = parse_container_id(id) else { return };
                let end = process_end(exit);
                (uid, Event::Fact(Fact::Exited { container: container.to_owned(), attempt, end }))
            }
            // It may have been replaced since, under the same id: who is concerned sees for itself.
            LauncherEvent::SandboxDied { id } => (id.as_str(), Event::Look),
        };
        if let Some(mailbox) = self.workers.get(uid) {
            let _ = mailbox.send(event).await;
        }
    }

    // ------------------------------------------------------------------ what an earlier agent left

    async fn adopt_address(&self, assignment: &Assignment, state: &PodState) {
        let uid = assignment.pod.metadata.uid.as_deref().unwrap_or_default();
        if sandbox::is_host_network(&assignment.pod) {
            return;
        }
        let Some(ip) = state.ip().and_then(v4) else { return };
        if let Err(error) = self.host.net.adopt(uid, ip).await {
            tracing::warn!(uid, %ip, error = crate::chain(&error), "a pod's address is not taken over");
        }
    }

    /// Sandboxes that no checkpoint knows are of no use to anyone.
    async fn remove_strays(&self, left: &[(Assignment, PodState)]) {
        let known: BTreeSet<&str> =
            left.iter().filter_map(|(assignment, _)| assignment.pod.metadata.uid.as_deref()).collect();
        self.remove_stray_folders(&known);
        let listing = match self.host.launcher.ask(Client::list).await {
            Ok(listing) => listing,
            Err(error) => return tracing::warn!(error = crate::chain(&error), "the launcher is not heard"),
        };
        for stray in listing.sandboxes.iter().filter(|sandbox| !known.contains(sandbox.id.as_str())) {
            if let Err(error) = sandbox::remove(&self.host, &stray.id).await {
                tracing::warn!(
                    id = stray.id,
                    error = crate::chain(&error),
                    "a sandbox of nobody is not removed"
                );
            }
        }
    }

    /// After a reboot nothing in memory says whose these were.
    fn remove_stray_folders(&self, known: &BTreeSet<&str>) {
        for root in [PODS, LOGS] {
            let entries = std::fs::read_dir(self.host.state_dir.join(root)).into_iter().flatten();
            for entry in entries.filter_map(Result::ok) {
                let name = entry.file_name().to_string_lossy().into_owned();
                // Folders of logs are called NAMESPACE_NAME_UID.
                let uid = name.rsplit('_').next().unwrap_or_default();
                if known.contains(uid) {
                    continue;
                }
                if let Err(error) = std::fs::remove_dir_all(entry.path()) {
                    tracing::warn!(folder = name, %error, "what a pod of an earlier time left is not removed");
                }
            }
        }
    }
}
