//! One node's stream: its hello, its reports, its end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proto::node_command::Command;
use proto::node_report::Report;
use proto::{HeartbeatAck, NodeCommand, NodeReport, Welcome};
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::dispatcher::{QUEUE_MAX, Stream};
use super::registration::register;
use super::sessions::OPEN_TIMEOUT;
use super::{Fleet, reports};
use crate::api::sessions::{Session, SessionRequest};
use crate::change::Change;
use crate::clock;
use crate::registry::{Reason, Status as ApiStatus};
use crate::store::Store;

const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// How many reports are committed together.
const BATCH_MAX: usize = 256;
/// How many reports of a node may wait to be committed.
const REPORTS_MAX: usize = 4096;
/// How long a report that the store did not take waits.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// How often a registration is tried against others' changes of the same Node.
const REGISTER_TRIES: usize = 5;

static STREAMS: AtomicU64 = AtomicU64::new(0);

/// Takes a node's stream: waits for its hello, makes it known, and serves it until it ends.
pub(super) async fn open(
    fleet: &Fleet,
    name: String,
    mut incoming: Streaming<NodeReport>,
) -> Result<mpsc::Receiver<NodeCommand>, Status> {
    let hello = tokio::time::timeout(HELLO_TIMEOUT, incoming.message()).await;
    let Ok(Ok(Some(NodeReport { report: Some(Report::Hello(hello)) }))) = hello else {
        return Err(Status::invalid_argument("the first report of a node must be its hello"));
    };
    let pod_cidr = make_known(fleet, &name, &hello.node).await?;
    let id = STREAMS.fetch_add(1, Ordering::Relaxed);
    let (queue, commands) = mpsc::channel(QUEUE_MAX);
    let welcome = Command::Welcome(welcome(fleet, pod_cidr));
    queue.try_send(NodeCommand { command: Some(welcome) }).expect("a new queue has room");
    fleet.shared.health.heard(&name, clock::now());
    fleet.shared.dispatcher.node(name.clone(), Stream { id, queue: queue.clone() }).await;
    tracing::info!(node = name, "the node is connected");
    tokio::spawn(serve(fleet.clone(), name, id, incoming, queue.downgrade()));
    Ok(commands)
}

/// Writes the node down, one at a time: two that come at once must not get the same pod range.
async fn make_known(fleet: &Fleet, name: &str, hello: &[u8]) -> Result<String, Status> {
    let store = &fleet.shared.store;
    let _one_at_a_time = fleet.shared.registering.lock().await;
    let mut tries = 0;
    loop {
        let registration = register(&store.snapshot(), name, hello, fleet.shared.config.pod_cidr)
            .map_err(|error| Status::failed_precondition(error.to_string()))?;
        tries += 1;
        match submit_in_order(store, registration.changes).await {
            Ok(()) => return Ok(registration.pod_cidr),
            Err(status) if status.reason == Reason::Conflict && tries < REGISTER_TRIES => {}
            Err(status) => return Err(Status::unavailable(status.to_string())),
        }
    }
}

async fn submit_in_order(store: &Store, changes: Vec<Change>) -> Result<(), ApiStatus> {
    for change in changes {
        store.submit(change).await?;
    }
    Ok(())
}

fn welcome(fleet: &Fleet, pod_cidr: String) -> Welcome {
    let config = &fleet.shared.config;
    Welcome {
        heartbeat_interval_ms: config.heartbeat_interval_ms,
        lease_duration_ms: config.lease_duration_ms,
        pod_cidr,
        cluster_pod_cidr: config.pod_cidr.to_string(),
        service_cidr: config.service_cidr.to_string(),
        cluster_dns: config.cluster_dns.to_string(),
        cluster_domain: config.cluster_domain.clone(),
    }
}

/// Reads until the stream ends, falls silent, or the dispatcher has given it up. What is read is committed by a task
/// of its own, so that a slow disk is never taken for a silent node.
async fn serve(
    fleet: Fleet,
    name: String,
    id: u64,
    mut incoming: Streaming<NodeReport>,
    queue: mpsc::WeakSender<NodeCommand>,
) {
    let lease = Duration::from_millis(fleet.shared.config.lease_duration_ms);
    let (reports, read) = mpsc::channel(REPORTS_MAX);
    tokio::spawn(commit(fleet.clone(), name.clone(), read));
    while let Ok(Ok(Some(report))) = tokio::time::timeout(lease, incoming.message()).await {
        let Some(queue) = queue.upgrade() else { break };
        fleet.shared.health.heard(&name, clock::now());
        match report.report {
            None => {}
            Some(Report::Heartbeat(beat)) => acknowledge(&queue, beat.sequence),
            // It ends only with the runtime.
            Some(report) => drop(reports.send(report).await),
        }
    }
    if fleet.shared.dispatcher.node_gone(name.clone(), id).await {
        fleet.shared.health.lost(&name, clock::now());
    }
    tracing::warn!(node = name, "the node's stream ended");
}

fn acknowledge(queue: &mpsc::Sender<NodeCommand>, sequence: u64) {
    let ack = Command::HeartbeatAck(HeartbeatAck { sequence });
    // A full queue is the dispatcher's to judge; the next beat asks again.
    let _ = queue.try_send(NodeCommand { command: Some(ack) });
}

/// Commits what one stream reports, in order. What arrives while one batch is being committed makes up the next; what
/// the store could not take for want of a disk or of room is tried again, since the node will not say it again.
async fn commit(fleet: Fleet, name: String, mut reports: mpsc::Receiver<Report>) {
    let mut changes: Vec<Change> = Vec::new();
    loop {
        let mut batch = Vec::new();
        if changes.is_empty() {
            if reports.recv_many(&mut batch, BATCH_MAX).await == 0 {
                return;
            }
        } else {
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        let snapshot = fleet.shared.store.snapshot();
        changes.extend(batch.into_iter().filter_map(|report| reports::change(&snapshot, &name, report)));
        changes = not_taken(&fleet, &name, changes).await;
    }
}

/// Submits changes; returns those that are to be tried again.
async fn not_taken(fleet: &Fleet, name: &str, changes: Vec<Change>) -> Vec<Change> {
    if changes.is_empty() {
        return changes;
    }
    let outcomes = match fleet.shared.store.submit_all(changes.clone()).await {
        Ok(outcomes) => outcomes,
        Err(error) => {
            tracing::warn!(node = name, %error, "the store takes no reports; they wait");
            return changes;
        }
    };
    let refused =
        changes.into_iter().zip(outcomes).filter_map(|(change, outcome)| Some((change, outcome.err()?)));
    let (again, never): (Vec<_>, Vec<_>) = refused.partition(|(_, status)| is_passing(status.reason));
    for (_, status) in &never {
        tracing::debug!(node = name, %status, "a report was not taken");
    }
    if let Some((_, status)) = again.first() {
        tracing::warn!(node = name, %status, waiting = again.len(), "reports wait for the store");
    }
    again.into_iter().map(|(change, _)| change).collect()
}

/// Whether the same change may be taken later.
fn is_passing(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::ServiceUnavailable | Reason::TooManyRequests | Reason::Timeout | Reason::InternalError
    )
}

/// Asks a node to open a session, and waits for it.
pub(super) async fn open_session(fleet: &Fleet, request: SessionRequest) -> Result<Session, ApiStatus> {
    let shared = &fleet.shared;
    let expected = shared.waiting.expect(&request.node, &mut rand::rng());
    let Some((session_id, arrival)) = expected else {
        return Err(ApiStatus::new(Reason::TooManyRequests, "too many sessions wait for their nodes"));
    };
    let open = proto::OpenSession { session_id: session_id.clone(), ..request.open };
    if !shared.dispatcher.say(request.node.clone(), Command::OpenSession(open)).await {
        shared.waiting.give_up(&session_id);
        let message = format!("node {} is not connected", request.node);
        return Err(ApiStatus::new(Reason::ServiceUnavailable, message));
    }
    let session = tokio::time::timeout(OPEN_TIMEOUT, arrival).await;
    shared.waiting.give_up(&session_id);
    session.ok().and_then(Result::ok).ok_or_else(|| {
        ApiStatus::new(Reason::Timeout, format!("node {} did not open the session", request.node))
    })
}
