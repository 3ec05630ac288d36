//! Watching pods heal, and saying so as it happens.

use std::time::{Duration, Instant};

use anyhow::Context;
use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::healing::Healing;
use super::now;

/// How long the API may take to list the pods.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

/// Pods, as the API tells of them.
pub(super) struct Watching {
    pub(super) healing: Healing,
    /// Cancelled by Ctrl-C: stop, and report what there is.
    pub(super) interrupt: CancellationToken,
    started: Instant,
    events: BoxStream<'static, Result<watcher::Event<Pod>, watcher::Error>>,
}

impl Watching {
    /// Starts, and returns once all pods have been seen. Of all namespaces, unless one is named.
    ///
    /// # Errors
    /// When the API does not list them in time.
    pub(super) async fn start(
        client: Client,
        namespace: Option<&str>,
        selector: &str,
    ) -> anyhow::Result<Self> {
        let pods = match namespace {
            Some(namespace) => Api::<Pod>::namespaced(client, namespace),
            None => Api::all(client),
        };
        let events = watcher(pods, watcher::Config::default().labels(selector)).boxed();
        let mut watching =
            Self { healing: Healing::default(), interrupt: on_interrupt(), started: now(), events };
        let listed = async {
            while !watching.healing.is_complete() {
                watching.see().await?;
            }
            anyhow::Ok(())
        };
        timeout(LIST_TIMEOUT, listed).await.context("the API did not list the pods in time")??;
        Ok(watching)
    }

    /// Takes in what comes next, and says what has healed. Also returns at Ctrl-C.
    ///
    /// # Errors
    /// When the watch has ended for good.
    pub(super) async fn see(&mut self) -> anyhow::Result<()> {
        let event = tokio::select! {
            event = self.events.next() => event.context("the watch of pods ended")?,
            () = self.interrupt.cancelled() => return Ok(()),
        };
        match event {
            Ok(event) => {
                for healed in self.healing.see(event, now()) {
                    let took = healed.took.as_secs_f64() * 1000.0;
                    self.say(format_args!("{} is Ready after {took:.0} ms", healed.by));
                }
            }
            // The watcher connects again by itself.
            Err(error) => self.say(format_args!("cannot watch pods: {error}")),
        }
        Ok(())
    }

    /// Waits until every kill has healed, but no longer than until `end`.
    ///
    /// # Errors
    /// When the watch has ended for good.
    pub(super) async fn until_healed(&mut self, end: Instant) -> anyhow::Result<()> {
        while self.healing.open() > 0 && now() < end && !self.interrupt.is_cancelled() {
            tokio::select! {
                seen = self.see() => seen?,
                () = sleep_until(end.into()) => {}
            }
        }
        Ok(())
    }

    /// A line of progress. It goes beside the report, so that `-o json` stays JSON.
    pub(super) fn say(&self, what: std::fmt::Arguments<'_>) {
        let at = now().duration_since(self.started).as_secs_f64();
        eprintln!("{at:>7.3}s  {what}");
    }
}

fn on_interrupt() -> CancellationToken {
    let interrupt = CancellationToken::new();
    let cancel = interrupt.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            cancel.cancel();
        }
    });
    interrupt
}
