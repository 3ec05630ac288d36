//! What the front has seen: counters that only rise, and latencies in log-linear buckets.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

#[cfg(test)]
mod tests;

/// A moment's view of everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Client connections that are open.
    pub connections: usize,
    /// Requests that wait for an endpoint.
    pub held: usize,
    /// By key.
    pub backends: Vec<BackendStats>,
}

/// One backend. Its totals over all endpoints only rise, also when endpoints leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendStats {
    /// Its key in the table.
    pub key: String,
    /// Its endpoints, those that left most recently included. One row without an address sums up what no
    /// endpoint answers for: requests that found none, and endpoints that left long ago.
    pub endpoints: Vec<EndpointStats>,
}

/// One endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointStats {
    /// None: see [`BackendStats::endpoints`].
    pub address: Option<SocketAddr>,
    /// The owner's name for it.
    pub target: String,
    /// Requests (or connections) whose end it answers for, good or bad.
    pub requests: u64,
    /// Of these, those that a user saw fail: 5xx, of its own or in its stead, and answers that broke off.
    pub failures: u64,
    /// Tries that failed here and went elsewhere; no user saw them.
    pub retries: u64,
    /// Requests (or connections) it has now.
    pub in_flight: u32,
    /// Half of the answers began within this time.
    pub latency_us_p50: u64,
    /// All but a hundredth of the answers began within this time.
    pub latency_us_p99: u64,
}

/// The counters behind one row.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) latency: Histogram,
}

impl Counters {
    /// A request ended here.
    pub(crate) fn finished(&self, failed: bool) {
        self.requests.fetch_add(1, Relaxed);
        self.failures.fetch_add(u64::from(failed), Relaxed);
    }

    /// A try ended here and went elsewhere.
    pub(crate) fn retried(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    /// Takes over the counts of one that nobody counts in any more.
    pub(crate) fn absorb(&self, other: &Counters) {
        self.requests.fetch_add(other.requests.load(Relaxed), Relaxed);
        self.failures.fetch_add(other.failures.load(Relaxed), Relaxed);
        self.retries.fetch_add(other.retries.load(Relaxed), Relaxed);
        self.latency.absorb(&other.latency);
    }

    /// As a row.
    pub(crate) fn row(&self, address: Option<SocketAddr>, target: &str, in_flight: u32) -> EndpointStats {
        EndpointStats {
            address,
            target: target.to_owned(),
            requests: self.requests.load(Relaxed),
            failures: self.failures.load(Relaxed),
            retries: self.retries.load(Relaxed),
            in_flight,
            latency_us_p50: self.latency.quantile_us(50),
            latency_us_p99: self.latency.quantile_us(99),
        }
    }
}

// Each power of two is cut in 2^SUB_BITS equal parts: a bucket is at most 1/8 wider than its lower end.
const SUB_BITS: u32 = 3;
const SUB: u64 = 1 << SUB_BITS;
// Up to 2^30 µs, about 18 minutes; what is longer counts in the last bucket.
const OCTAVES: u32 = 30;
const BUCKETS: usize = ((OCTAVES - SUB_BITS + 1) as usize) << SUB_BITS;

/// Times from 1 µs to 18 min, each known to an eighth.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { buckets: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Histogram {
    pub(crate) fn record(&self, time: Duration) {
        let time_us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(time_us)].fetch_add(1, Relaxed);
    }

    fn absorb(&self, other: &Histogram) {
        for (mine, theirs) in self.buckets.iter().zip(&other.buckets) {
            mine.fetch_add(theirs.load(Relaxed), Relaxed);
        }
    }

    /// The upper end of the bucket that the quantile falls in; 0 of nothing.
    pub(crate) fn quantile_us(&self, percent: u64) -> u64 {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        let rank = (counts.iter().sum::<u64>() * percent).div_ceil(100);
        let mut seen = 0;
        let bucket = counts.iter().position(|count| {
            seen += count;
            *count > 0 && seen >= rank
        });
        bucket.map_or(0, |bucket| lower_end(bucket + 1) - 1)
    }
}

fn bucket_of(time_us: u64) -> usize {
    let octave = time_us.max(SUB).ilog2() - SUB_BITS;
    let within = time_us >> octave;
    let bucket = u64::from(octave) * SUB + within;
    usize::try_from(bucket).map_or(BUCKETS - 1, |bucket| bucket.min(BUCKETS - 1))
}

fn lower_end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * SUB {
        return bucket;
    }
    let octave = bucket / SUB - 1;
    (SUB + bucket % SUB) << octave
}
