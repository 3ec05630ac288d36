//! A front's stream: routes down; where it listens, what it could not serve and its counters up.

use std::sync::atomic::{AtomicU64, Ordering};

use proto::front_report::Report;
use proto::{EndpointCounters, FrontCommand, FrontReport};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tonic::Streaming;

use super::Fleet;
use super::dispatcher::Stream;

static STREAMS: AtomicU64 = AtomicU64::new(1);

/// How many tables of routes may wait for a front.
const QUEUE_MAX: usize = 64;

/// Takes a front's stream and serves it until it ends.
pub(super) async fn open(
    fleet: &Fleet,
    name: String,
    incoming: Streaming<FrontReport>,
) -> mpsc::Receiver<FrontCommand> {
    let (queue, commands) = mpsc::channel(QUEUE_MAX);
    tracing::info!(front = name, "the front is connected");
    let id = STREAMS.fetch_add(1, Ordering::Relaxed);
    fleet.shared.dispatcher.front(Stream { id, queue }).await;
    tokio::spawn(serve(fleet.clone(), name, id, incoming));
    commands
}

async fn serve(fleet: Fleet, name: String, id: u64, mut incoming: Streaming<FrontReport>) {
    let front = &fleet.shared.front;
    front.send_replace(json!({"name": name, "stream": id, "connected": true}));
    while let Some(Ok(FrontReport { report: Some(report) })) = incoming.next().await {
        front.send_if_modified(|state| {
            // Counters rise all the time; nobody has to wake up for them.
            let is_news = !matches!(report, Report::Counters(_));
            if state["stream"] == id {
                take(state, report);
            }
            is_news
        });
    }
    front.send_if_modified(|state| {
        // A front that dialled again has a later stream already.
        let is_ours = state["stream"] == id;
        if is_ours {
            state["connected"] = json!(false);
        }
        is_ours
    });
    tracing::warn!(front = name, "the front's stream ended");
}

fn take(state: &mut Value, report: Report) {
    match report {
        Report::Hello(hello) => state["httpAddress"] = json!(hello.http_address),
        Report::Applied(applied) => {
            state["generation"] = json!(applied.generation);
            state["problems"] = json!(applied.problems);
        }
        Report::Counters(counters) => {
            state["endpoints"] = counters.endpoints.iter().map(endpoint).collect();
        }
    }
}

fn endpoint(counters: &EndpointCounters) -> Value {
    json!({
        "service": counters.service,
        "endpoint": counters.endpoint,
        "target": counters.target,
        "requests": counters.requests,
        "failures": counters.failures,
        "retries": counters.retries,
        "inFlight": counters.in_flight,
        "latencyMicrosecondsP50": counters.latency_us_p50,
        "latencyMicrosecondsP99": counters.latency_us_p99,
    })
}
