//! Real pods on a real node: the agent without a control plane, the launcher, the kernel.
//!
//! The tests feed commands and read reports. They bring their own `main`, because the same executable is also the
//! launcher (which must be a process without threads) and the program that runs in the containers. Everything
//! happens in a network and a mount namespace of their own.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test's output")]

mod pods {
    pub(crate) mod adoption;
    pub(crate) mod lifecycle;
    pub(crate) mod program;
    pub(crate) mod sessions;
    pub(crate) mod world;
}

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use pods::{adoption, lifecycle, program, sessions};

type Test = (&'static str, fn());

const TESTS: &[Test] = &[
    ("a_pod_runs_and_is_ready", lifecycle::a_pod_runs_and_is_ready),
    ("a_killed_container_is_running_again_within_milliseconds", lifecycle::a_killed_container_restarts),
    ("a_crash_loop_backs_off_and_says_so", lifecycle::a_crash_loop_backs_off),
    ("a_command_that_does_not_exist_is_a_start_error", lifecycle::a_missing_command),
    ("an_absent_image_is_said_and_the_pod_starts_when_it_comes", lifecycle::an_absent_image),
    ("a_pod_waits_for_its_config_map", lifecycle::a_pod_waits_for_its_config_map),
    ("volumes_hold_what_they_should_and_follow_changes", lifecycle::volumes),
    ("readiness_and_liveness_are_asked", lifecycle::probes),
    ("init_containers_run_first_and_a_job_succeeds", lifecycle::init_containers),
    ("a_pod_that_ignores_sigterm_dies_after_its_grace", lifecycle::ignores_sigterm),
    ("running_out_of_memory_is_said", lifecycle::out_of_memory),
    ("a_forgotten_pod_is_gone_at_once", lifecycle::forgotten),
    ("a_command_in_a_container_speaks_and_exits", sessions::exec),
    ("a_command_on_a_terminal_knows_its_size", sessions::terminal),
    ("a_log_is_read_and_followed_to_its_end", sessions::logs),
    ("a_port_of_a_pod_is_reached_through_the_node", sessions::port_forward),
    ("what_is_not_there_is_refused", sessions::refused),
    ("a_container_cannot_write_to_the_nodes_files", lifecycle::read_only_files),
    ("what_belongs_to_pods_is_for_nobody_else_to_see", lifecycle::private_folders),
    ("a_probe_that_cannot_be_sent_is_said_and_skipped", lifecycle::skipped_probe),
    ("the_next_agent_adopts_everything", adoption::the_next_agent_adopts_everything),
    ("a_run_that_the_last_agent_did_not_write_down_is_not_repeated", adoption::unwritten_run),
    ("a_pod_of_which_only_the_assignment_is_left_ends_whole", adoption::unwritten_pod),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("launcher") => return launcher(&arguments[1..]),
        Some("program") => return program::run(&arguments[1..]),
        Some("--list") => {
            TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
            return ExitCode::SUCCESS;
        }
        Some(_) | None => {}
    }
    if !nix::unistd::geteuid().is_root() {
        println!("SKIPPED: real pods need root");
        return ExitCode::SUCCESS;
    }
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("root may make namespaces");
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).expect("our own mounts stay our own");
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let mut failed = Vec::new();
    for (name, test) in
        TESTS.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|part| name.contains(*part)))
    {
        let passed = catch_unwind(AssertUnwindSafe(test)).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed.extend((!passed).then_some(*name));
    }
    pods::world::end();
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn launcher(arguments: &[String]) -> ExitCode {
    let [socket, state_dir, cgroup_root] = arguments else { return ExitCode::FAILURE };
    let config = runtime::launcher::Config {
        socket: PathBuf::from(socket),
        state_dir: PathBuf::from(state_dir),
        cgroup_root: cgroup_root.clone(),
    };
    match runtime::launcher::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("launcher: {error:?}");
            ExitCode::FAILURE
        }
    }
}
