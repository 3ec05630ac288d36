//! Real containers by a real launcher, as a client sees them and as the container itself sees itself. Needs root.
//!
//! No test harness of its own threads: this program is its own launcher (`containers launcher …`), and a launcher
//! must be a process with one thread. Arguments that are no options choose tests by a part of their names.

#![expect(clippy::print_stdout, reason = "what it prints is its report")]

use std::process::ExitCode;
use std::time::Instant;

#[path = "containers/adoption.rs"]
mod adoption;
#[path = "containers/confinement.rs"]
mod confinement;
#[path = "containers/execution.rs"]
mod execution;
#[path = "containers/house.rs"]
mod house;
#[path = "containers/latency.rs"]
mod latency;
#[path = "containers/life.rs"]
mod life;
#[path = "containers/limits.rs"]
mod limits;

type Test = (&'static str, fn());

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == "launcher") {
        return house::become_launcher(&arguments[1..]);
    }
    if !nix::unistd::geteuid().is_root() {
        println!("SKIPPED: real containers need root");
        return ExitCode::SUCCESS;
    }
    let chosen = |name: &str| {
        let mut patterns = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
        patterns.peek().is_none() || patterns.any(|pattern| name.contains(pattern.as_str()))
    };
    let all =
        [life::TESTS, confinement::TESTS, limits::TESTS, execution::TESTS, adoption::TESTS, latency::TESTS];
    let tests: Vec<&Test> = all.into_iter().flatten().filter(|(name, _)| chosen(name)).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    run(&tests)
}

#[expect(clippy::disallowed_methods, reason = "tells how long each test took")]
fn run(tests: &[&Test]) -> ExitCode {
    let mut failed = Vec::new();
    for (name, test) in tests {
        let began = Instant::now();
        let outcome = std::panic::catch_unwind(test);
        println!("test {name} ... {} ({:?})", if outcome.is_ok() { "ok" } else { "FAILED" }, began.elapsed());
        if outcome.is_err() {
            failed.push(*name);
        }
    }
    house::remove_image();
    println!("\n{} passed, {} failed: {failed:?}", tests.len() - failed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
