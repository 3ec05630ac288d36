//! The whole control plane, simulated: the real store state, registry, controllers and scheduler, and the agents'
//! real decisions, on virtual time, from one seed. Nodes and agents crash, messages come late, twice or not at all,
//! users scale, apply and delete. After every step the named invariants hold, and once the faults stop everything
//! becomes as it was asked for.
//!
//! A run that breaks an invariant prints its seed, the step, the invariant, the last steps before it and the command
//! that replays it. `SEED=n` runs one seed, `SEEDS=n` runs more of them.
//!
//! - `simulation`: the events and the one loop that takes them in order.
//! - `control`: the control plane, and what it tells the nodes.
//! - `node`: a machine, its containers and its agent.
//! - `users`, `faults`: who makes trouble.
//! - `invariants`: what must hold.
//! - `trace`: what happened, as one number and as the last lines.

mod control;
mod faults;
mod invariants;
mod node;
mod simulation;
mod trace;
mod users;

use std::sync::atomic::{AtomicU64, Ordering};

use simulation::{Outcome, Simulation};

/// Seeds that every run of the tests goes through.
const SEEDS: u64 = 200;
/// Seeds that are run twice, to see that they give the same.
const SEEDS_TWICE: u64 = 6;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs a seed; a broken invariant is told with the way to see it again.
fn run(seed: u64) -> Result<Outcome, String> {
    Simulation::new(seed).run().map_err(|broken| {
        format!(
            "seed {seed}, step {}, {}: invariant broken: {}\n{}\nreplay: SEED={seed} cargo test --test simulation",
            broken.step, broken.at, broken.what, broken.last_lines
        )
    })
}

#[cfg(test)]
mod laws {
    use super::*;

    #[test]
    fn every_seed_keeps_every_invariant_and_ends_as_asked_for() {
        if let Some(seed) = number("SEED") {
            let outcome = run(seed).unwrap_or_else(|broken| panic!("{broken}"));
            println!("seed {seed}: {outcome:?}");
            return;
        }
        let seeds = number("SEEDS").unwrap_or(SEEDS);
        let next = AtomicU64::new(0);
        let steps = AtomicU64::new(0);
        let work = || {
            let mut broken = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds {
                    return broken;
                }
                match run(seed) {
                    Ok(outcome) => drop(steps.fetch_add(outcome.steps, Ordering::Relaxed)),
                    Err(what) => broken.push(what),
                }
            }
        };
        let broken: Vec<String> = std::thread::scope(|scope| {
            let threads = std::thread::available_parallelism().map_or(2, usize::from);
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers
                .into_iter()
                .flat_map(|worker| worker.join().expect("a seed panicked; see above"))
                .collect()
        });
        println!("{seeds} seeds, {} steps", steps.into_inner());
        let heads: Vec<&str> = broken.iter().filter_map(|what| what.lines().next()).collect();
        assert!(
            broken.is_empty(),
            "{} of {seeds} seeds failed:\n{}\n\n{}",
            broken.len(),
            heads.join("\n"),
            broken[0]
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_trace() {
        for seed in 0..SEEDS_TWICE {
            let once = run(seed).unwrap_or_else(|broken| panic!("{broken}"));
            let again = run(seed).unwrap_or_else(|broken| panic!("{broken}"));
            assert_eq!(once, again, "seed {seed}");
        }
    }
}
