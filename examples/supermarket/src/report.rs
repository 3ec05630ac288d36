//! What the customers say when they come home. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::customers::{Attempt, CustomersConfig};

/// Failures that are shown one by one.
const EXAMPLES_MAX: usize = 10;

/// Whether every purchase happened exactly once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Receipts that the shop knows nothing of.
    pub lost: u64,
    /// Receipts that differ from what the shop has under the key.
    pub doubled: u64,
    /// Purchases that happened although the customer got no answer: allowed, for they have a key.
    pub unanswered: u64,
    /// Goods that are gone beyond what was bought (or, below zero, that should be gone).
    pub stock_difference: i64,
    /// Purchases that could not be looked up.
    pub unchecked: usize,
}

impl Verdict {
    /// Nothing lost, nothing doubled, everything looked up.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.stock_difference == 0 && self.unchecked == 0
    }
}

/// In milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Half were faster.
    pub p50: f64,
    /// Nine of ten were faster.
    pub p90: f64,
    /// 99 of 100 were faster.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
}

/// A failed purchase.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Of the purchase.
    pub key: String,
    /// Since the first customer came.
    pub at_seconds: f64,
    /// In few words.
    pub reason: String,
}

/// Everything.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The front.
    pub url: String,
    /// The host that was asked for.
    pub host: Option<String>,
    /// How long it took.
    pub seconds: f64,
    /// Purchases that were tried.
    pub purchases: usize,
    /// Those without a receipt.
    pub failed: usize,
    /// Why, and how often.
    pub reasons: BTreeMap<String, usize>,
    /// The first of them.
    pub failures: Vec<Failure>,
    /// Of those with a receipt.
    pub latency_ms: Latency,
    /// How many purchases each register took.
    pub registers: BTreeMap<String, usize>,
    /// What the books say.
    pub verdict: Verdict,
}

impl Report {
    /// Sums up.
    #[must_use]
    pub fn new(config: &CustomersConfig, elapsed: Duration, attempts: &[Attempt], verdict: Verdict) -> Self {
        let mut reasons = BTreeMap::new();
        let mut registers = BTreeMap::new();
        let mut failures = Vec::new();
        let mut latencies = Vec::new();
        for attempt in attempts {
            match &attempt.outcome {
                Ok(purchase) => {
                    latencies.push(attempt.latency);
                    *registers.entry(purchase.register.clone()).or_default() += 1;
                }
                Err(reason) => {
                    *reasons.entry(reason.clone()).or_default() += 1;
                    let at_seconds = attempt.at.as_secs_f64();
                    failures.push(Failure { key: attempt.key.clone(), at_seconds, reason: reason.clone() });
                }
            }
        }
        let failed = failures.len();
        failures.sort_by(|left, right| left.at_seconds.total_cmp(&right.at_seconds));
        failures.truncate(EXAMPLES_MAX);
        Self {
            url: config.url.clone(),
            host: config.host.clone(),
            seconds: elapsed.as_secs_f64(),
            purchases: attempts.len(),
            failed,
            reasons,
            failures,
            latency_ms: Latency::of(latencies),
            registers,
            verdict,
        }
    }

    /// Somebody bought something, nothing failed, and the books are in order.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.purchases > 0 && self.failed == 0 && self.verdict.is_good()
    }

    /// For people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let host = self.host.as_ref().map(|host| format!(" ({host})")).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "shopped for {:.1} s at {}{host}\n", self.seconds, self.url);
        let Latency { p50, p90, p99, max } = self.latency_ms;
        #[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
        let per_second = self.purchases as f64 / self.seconds.max(f64::MIN_POSITIVE);
        let _ = writeln!(text, "PURCHASES   FAILED   PER SECOND   P50       P90       P99       MAX");
        let milliseconds = [p50, p90, p99, max].map(|value| format!("{:<10}", format!("{value:.1}ms")));
        let row =
            format!("{:<12}{:<9}{per_second:<13.1}{}", self.purchases, self.failed, milliseconds.concat());
        let _ = writeln!(text, "{}\n", row.trim_end());
        let Verdict { lost, doubled, unanswered, stock_difference, unchecked } = self.verdict;
        let _ = writeln!(text, "LOST   DOUBLED   UNANSWERED   STOCK DIFFERENCE   UNCHECKED");
        let row = format!("{lost:<7}{doubled:<10}{unanswered:<13}{stock_difference:<19}{unchecked}");
        let _ = writeln!(text, "{row}\n");
        let width = self.registers.keys().map(String::len).max().unwrap_or(0).max("REGISTER".len());
        let _ = writeln!(text, "{:<width$}   PURCHASES", "REGISTER");
        for (register, purchases) in &self.registers {
            let _ = writeln!(text, "{register:<width$}   {purchases}");
        }
        for (reason, count) in &self.reasons {
            let _ = writeln!(text, "\nfailed {count} times: {reason}");
        }
        for Failure { key, at_seconds, reason } in &self.failures {
            let _ = writeln!(text, "  {key} after {at_seconds:.3} s: {reason}");
        }
        text
    }
}

impl Latency {
    fn of(mut latencies: Vec<Duration>) -> Self {
        latencies.sort();
        let at = |per_thousand: usize| {
            let index = (latencies.len() * per_thousand).div_ceil(1000).saturating_sub(1);
            latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
        };
        Self { p50: at(500), p90: at(900), p99: at(990), max: at(1000) }
    }
}

#[cfg(test)]
mod tests;
