//! How fast an endpoint has been answering, as a hint for the next choice. Pure.
//!
//! An exponential average that is forgotten with time: an endpoint that was slow and is therefore not chosen has no
//! other way to show that it is well again (the idea of Finagle's Peak EWMA).

use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// A sample weighs an eighth.
const WEIGHT_SHIFT: u32 = 3;
/// After so long without a sample half of the average is forgotten.
const HALF_LIFE: Duration = Duration::from_secs(1);

/// The average of the last answers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Latency {
    average_us: u64,
    sampled_at: Option<Instant>,
}

impl Latency {
    /// The average in microseconds, as far as it is not forgotten.
    pub(crate) fn at(&self, now: Instant) -> u64 {
        let Some(sampled_at) = self.sampled_at else { return 0 };
        let lives = now.saturating_duration_since(sampled_at).as_millis() / HALF_LIFE.as_millis();
        u32::try_from(lives).ok().and_then(|lives| self.average_us.checked_shr(lives)).unwrap_or(0)
    }

    /// Takes in one more answer.
    pub(crate) fn sample(&mut self, latency: Duration, now: Instant) {
        let sample = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let before = self.at(now);
        self.average_us = match self.sampled_at {
            None => sample,
            Some(_) => before - (before >> WEIGHT_SHIFT) + (sample >> WEIGHT_SHIFT),
        };
        self.sampled_at = Some(now);
    }
}
