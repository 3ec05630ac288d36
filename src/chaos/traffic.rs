//! What users noticed: the front's counters, and their difference.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use kube::Client;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// The front reports each second: after so long everything that ended before has been reported.
const SETTLING: Duration = Duration::from_millis(1500);

/// The front's counters at one moment, by service and endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    rows: BTreeMap<(String, String), Row>,
}

#[derive(Debug, Deserialize)]
struct Front {
    #[serde(default)]
    endpoints: Vec<Row>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Row {
    service: String,
    endpoint: String,
    requests: u64,
    failures: u64,
    retries: u64,
}

/// What went through the front between two moments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Noticed {
    pub(super) requests: u64,
    /// That users saw.
    pub(super) failures: u64,
    /// That went to another endpoint, unseen.
    pub(super) retries: u64,
}

impl Traffic {
    /// The counters now; none while no front is connected.
    pub(super) async fn read(client: &Client) -> anyhow::Result<Self> {
        let request = http::Request::get("/minikube-ish/v1/front").body(Vec::new())?;
        let front: Option<Front> =
            client.request(request).await.context("the API does not say what the front counts")?;
        Ok(Self::of(front.map(|front| front.endpoints).unwrap_or_default()))
    }

    /// The counters once everything up to now is in them.
    pub(super) async fn settled(client: &Client) -> anyhow::Result<Self> {
        tokio::time::sleep(SETTLING).await;
        Self::read(client).await
    }

    fn of(rows: Vec<Row>) -> Self {
        Self {
            rows: rows.into_iter().map(|row| ((row.service.clone(), row.endpoint.clone()), row)).collect(),
        }
    }

    /// What came on top of `before`. Totals of a service only rise; an endpoint's row may have been folded into the
    /// service's own, so that the difference is the services'.
    pub(super) fn since(&self, before: &Traffic) -> Noticed {
        let before = before.by_service();
        let mut noticed = Noticed::default();
        for (service, now) in self.by_service() {
            let was = before.get(service).copied().unwrap_or_default();
            noticed.requests += now.requests.saturating_sub(was.requests);
            noticed.failures += now.failures.saturating_sub(was.failures);
            noticed.retries += now.retries.saturating_sub(was.retries);
        }
        noticed
    }

    fn by_service(&self) -> BTreeMap<&str, Noticed> {
        let mut services: BTreeMap<&str, Noticed> = BTreeMap::new();
        for row in self.rows.values() {
            let sum = services.entry(&row.service).or_default();
            sum.requests += row.requests;
            sum.failures += row.failures;
            sum.retries += row.retries;
        }
        services
    }
}
