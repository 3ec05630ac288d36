//! A front's stream: routes down; where it listens, what it could not serve and its counters up.

use proto::front_report::Report;
use proto::{EndpointCounters, FrontCommand, FrontReport};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tonic::Streaming;

use super::Fleet;
use super::dispatcher::Stream;

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
    fleet.shared.dispatcher.front(Stream { id: 0, queue }).await;
    tokio::spawn(serve(fleet.clone(), name, incoming));
    commands
}

async fn serve(fleet: Fleet, name: String, mut incoming: Streaming<FrontReport>) {
    let front = &fleet.shared.front;
    front.send_replace(json!({"name": name, "connected": true}));
    while let Some(Ok(report)) = incoming.next().await {
        if let Some(report) = report.report {
            front.send_modify(|state| take(state, report));
        }
    }
    front.send_modify(|state| state["connected"] = json!(false));
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
