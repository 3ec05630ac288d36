//! What came of it: how many kills, how long until Ready again, what users noticed.

use std::time::Duration;

use serde::Serialize;

use super::healing::Healing;
use super::traffic::Noticed;

#[cfg(test)]
mod tests;

/// The verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// Of the choice of victims, where there was one.
    seed: Option<u64>,
    killed: usize,
    /// Ready again in place.
    restarted: usize,
    /// Ready again as another pod.
    replaced: usize,
    /// Still not Ready at the end.
    not_ready: usize,
    /// From the kill to Ready, as a client of the API sees it; absent without any.
    time_to_ready: Option<Times>,
    /// Through the front, meanwhile.
    front: Noticed,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Times {
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl Report {
    pub(super) fn new(seed: Option<u64>, healing: &Healing, front: Noticed) -> Self {
        let healed = healing.healed();
        let replaced = healed.iter().filter(|healed| healed.replaced).count();
        Self {
            seed,
            killed: healed.len() + healing.open(),
            restarted: healed.len() - replaced,
            replaced,
            not_ready: healing.open(),
            time_to_ready: Times::of(healed.iter().map(|healed| healed.took).collect()),
            front,
        }
    }

    /// Everything healed, and no user noticed.
    pub(super) fn is_good(&self) -> bool {
        self.not_ready == 0 && self.front.failures == 0
    }

    pub(super) fn print(&self, output: &str) -> anyhow::Result<()> {
        match output {
            "json" => println!("{}", serde_json::to_string_pretty(self)?),
            _ => print!("{}", self.text()),
        }
        Ok(())
    }

    fn text(&self) -> String {
        let Noticed { requests, failures, retries } = self.front;
        let times = self.time_to_ready.map_or_else(
            || "nothing was Ready again".to_owned(),
            |Times { p50_ms, p99_ms, max_ms }| {
                format!("p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms, max {max_ms:.1} ms")
            },
        );
        format!(
            "\nkilled          {}\nreplaced        {} ({} restarted in place, {} by another pod), {} not Ready\n\
             time to Ready   {times}\nrequests        {requests} through the front meanwhile\n\
             failed          {failures}\nretried         {retries}, unseen by users\n",
            self.killed,
            self.restarted + self.replaced,
            self.restarted,
            self.replaced,
            self.not_ready,
        )
    }
}

impl Times {
    /// By nearest rank.
    fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let rank = |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1));
        let ms = |time: &Duration| time.as_secs_f64() * 1000.0;
        Some(Self { p50_ms: ms(rank(50)?), p99_ms: ms(rank(99)?), max_ms: ms(times.last()?) })
    }
}
