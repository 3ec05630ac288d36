//! How long a start takes here, printed; and a bound so generous that only a mistake breaks it.

use std::time::{Duration, Instant};

use crate::Test;
use crate::house::{House, sandbox_spec};

pub(crate) const TESTS: &[Test] = &[("starting_takes_milliseconds", starting_takes_milliseconds)];

const ROUNDS: usize = 30;

#[expect(clippy::disallowed_methods, reason = "a measurement needs a clock")]
fn starting_takes_milliseconds() {
    let mut house = House::new();
    let (mut sandboxes, mut starts, mut removals) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let began = Instant::now();
        house.client.create_sandbox(&sandbox_spec(&format!("s{round}"))).expect("can be made");
        sandboxes.push(began.elapsed());
        let mut spec = house.command(&format!("c{round}"), &["sleep", "1000"]);
        spec.sandbox = format!("s{round}");
        let began = Instant::now();
        house.client.start(spec).expect("starts");
        starts.push(began.elapsed());
    }
    for round in 0..ROUNDS {
        let began = Instant::now();
        house.client.signal(&format!("c{round}"), libc::SIGKILL).expect("it runs");
        house.await_exit(&format!("c{round}"));
        house.client.remove(&format!("c{round}")).expect("it has ended");
        house.client.remove_sandbox(&format!("s{round}")).expect("it is empty");
        removals.push(began.elapsed());
    }
    let mut again = Vec::new();
    for round in 0..ROUNDS {
        let id = format!("again{round}");
        let began = Instant::now();
        house.client.start(house.command(&id, &["sleep", "1000"])).expect("starts");
        again.push(began.elapsed());
        house.client.signal(&id, libc::SIGKILL).expect("it runs");
        house.await_exit(&id);
        house.client.remove(&id).expect("it has ended");
    }
    for (what, times) in [
        ("sandbox", &mut sandboxes),
        ("first start", &mut starts),
        ("start again in its sandbox", &mut again),
        ("kill and remove", &mut removals),
    ] {
        times.sort();
        let (median, worst) = (times[ROUNDS / 2], times[ROUNDS - 1]);
        println!("    {what}: median {median:?}, worst of {ROUNDS} {worst:?}");
        assert!(median < Duration::from_secs(2), "{what}");
    }
    house.end();
}
