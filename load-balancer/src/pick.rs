//! Whom to ask. Pure.
//!
//! Power of two choices (Mitzenmacher 2001): of two drawn at random, the one with fewer requests in flight;
//! between equals, the one that has been answering much faster. Who is ill is left out, unless all are: then the
//! fault is more likely ours or common to all, and everyone is asked (panic mode).

use std::cmp::Ordering;

use rand::{Rng, RngExt};

#[cfg(test)]
mod tests;

/// Latencies below it are the machine's noise: replicas do not differ by them.
const LATENCY_NOISE_US: u64 = 1000;
/// So many times slower is slower; less is what equal replicas differ by. Without it, at low load, the one that is
/// the fastest by a hair would get everything.
const SLOWER_TIMES: u64 = 2;

/// What is known of one endpoint at the moment of a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Requests or connections that it has now.
    pub in_flight: u32,
    /// Smoothed time to the head of its answers.
    pub latency_us: u64,
    /// Not put aside.
    pub well: bool,
    /// This request has failed on it already.
    pub tried: bool,
}

/// Chooses one of `count` endpoints; none if the request has tried them all.
pub fn pick<R: Rng>(count: usize, load: impl Fn(usize) -> Load, rng: &mut R) -> Option<usize> {
    let untried = |index: &usize| !load(*index).tried;
    let well = |index: &usize| untried(index) && load(*index).well;
    choose(count, &load, well, rng).or_else(|| choose(count, &load, untried, rng))
}

fn choose<R: Rng>(
    count: usize,
    load: &impl Fn(usize) -> Load,
    eligible: impl Fn(&usize) -> bool,
    rng: &mut R,
) -> Option<usize> {
    let (first, second) = two_of(count, rng)?;
    if eligible(&first) && eligible(&second) {
        return Some(lighter(first, second, load));
    }
    let (first, second) = two_of((0..count).filter(&eligible).count(), rng)?;
    let nth = |n| (0..count).filter(&eligible).nth(n);
    Some(lighter(nth(first)?, nth(second)?, load))
}

/// Two different numbers below `count`; twice the same if there is only one.
fn two_of<R: Rng>(count: usize, rng: &mut R) -> Option<(usize, usize)> {
    match count {
        0 => None,
        1 => Some((0, 0)),
        _ => {
            let first = rng.random_range(0..count);
            let step = rng.random_range(1..count);
            Some((first, (first + step) % count))
        }
    }
}

/// The first unless the second is clearly lighter: they were drawn in random order.
fn lighter(first: usize, second: usize, load: &impl Fn(usize) -> Load) -> usize {
    let (one, other) = (load(first), load(second));
    let second_is_lighter = match other.in_flight.cmp(&one.in_flight) {
        Ordering::Less => true,
        Ordering::Equal => is_much_faster(other.latency_us, one.latency_us),
        Ordering::Greater => false,
    };
    if second_is_lighter { second } else { first }
}

fn is_much_faster(latency_us: u64, than_us: u64) -> bool {
    latency_us.max(LATENCY_NOISE_US).saturating_mul(SLOWER_TIMES) < than_us
}
