//! One node's stream: its hello, its reports, its end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
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

const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// How many reports are committed together.
const BATCH_MAX: usize = 256;

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

async fn make_known(fleet: &Fleet, name: &str, hello: &[u8]) -> Result<String, Status> {
    let store = &fleet.shared.store;
    let registration = register(&store.snapshot(), name, hello, fleet.shared.config.pod_cidr)
        .map_err(|error| Status::failed_precondition(error.to_string()))?;
    for change in registration.changes {
        store.submit(change).await.map_err(|status| Status::internal(status.to_string()))?;
    }
    Ok(registration.pod_cidr)
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

/// Reads until the stream ends, falls silent, or the dispatcher has given it up. What arrives while one batch is
/// being committed makes up the next.
async fn serve(
    fleet: Fleet,
    name: String,
    id: u64,
    incoming: Streaming<NodeReport>,
    queue: mpsc::WeakSender<NodeCommand>,
) {
    let lease = Duration::from_millis(fleet.shared.config.lease_duration_ms);
    let mut batches = incoming.ready_chunks(BATCH_MAX);
    while let Ok(Some(batch)) = tokio::time::timeout(lease, batches.next()).await {
        let Some(queue) = queue.upgrade() else { break };
        fleet.shared.health.heard(&name, clock::now());
        let failed = batch.iter().any(Result::is_err);
        let reports = batch.into_iter().filter_map(|report| report.ok()?.report).collect();
        if !take(&fleet, &name, reports, &queue).await || failed {
            break;
        }
    }
    if fleet.shared.dispatcher.node_gone(name.clone(), id).await {
        fleet.shared.health.lost(&name, clock::now());
    }
    tracing::warn!(node = name, "the node's stream ended");
}

/// False if reports were lost.
async fn take(fleet: &Fleet, name: &str, batch: Vec<Report>, queue: &mpsc::Sender<NodeCommand>) -> bool {
    let snapshot = fleet.shared.store.snapshot();
    let mut changes: Vec<Change> = Vec::new();
    for report in batch {
        match report {
            Report::Heartbeat(beat) => {
                let ack = Command::HeartbeatAck(HeartbeatAck { sequence: beat.sequence });
                // A full queue is the dispatcher's to judge; the next beat asks again.
                let _ = queue.try_send(NodeCommand { command: Some(ack) });
            }
            report => changes.extend(reports::change(&snapshot, name, report)),
        }
    }
    if changes.is_empty() {
        return true;
    }
    match fleet.shared.store.submit_all(changes).await {
        Ok(outcomes) => {
            for refused in outcomes.into_iter().filter_map(Result::err) {
                tracing::debug!(node = name, %refused, "a report was not taken");
            }
        }
        // The stream ends with it, so that the node says everything again when it has dialled anew.
        Err(error) => {
            tracing::warn!(node = name, %error, "the store takes no reports");
            return false;
        }
    }
    true
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
