//! One more process in a running container.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use runtime::client::{ExecStdio, Execution};
use runtime::protocol::{ExecSpec, ExecUser, Failure, WindowSize};

use crate::Test;
use crate::house::{House, is_alive, wait_for};

pub(crate) const TESTS: &[Test] = &[
    (
        "an_executed_program_is_inside_and_its_streams_and_code_come_back",
        an_executed_program_is_inside_and_its_streams_and_code_come_back,
    ),
    ("an_executed_program_is_confined_as_its_container", an_executed_program_is_confined_as_its_container),
    ("a_terminal_is_a_terminal_of_its_size", a_terminal_is_a_terminal_of_its_size),
    ("an_executed_program_ends_with_its_asker", an_executed_program_ends_with_its_asker),
    (
        "executing_what_is_not_there_or_where_nothing_runs_is_refused",
        executing_what_is_not_there_or_where_nothing_runs_is_refused,
    ),
];

fn sleeping() -> House {
    let mut house = House::new();
    house.client.start(house.command("a", &["sleep", "1000"])).expect("starts");
    house
}

fn exec(script: &str) -> ExecSpec {
    ExecSpec {
        container: "a".into(),
        argv: ["sh", "-c", script].map(String::from).to_vec(),
        ..ExecSpec::default()
    }
}

fn pipe() -> (File, OwnedFd) {
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC).expect("can be made");
    (read.into(), write)
}

/// Runs `spec` with its output in a pipe; gives its exit code and what it said.
fn run(house: &mut House, spec: &ExecSpec) -> (i32, String) {
    let (mut stdout, write) = pipe();
    let stdio = ExecStdio {
        stderr: Some(write.try_clone().expect("can be copied")),
        stdout: Some(write),
        stdin: None,
    };
    let execution = house.client.exec(spec, &stdio).expect("it starts");
    drop(stdio);
    let mut said = String::new();
    stdout.read_to_string(&mut said).expect("is text");
    (execution.wait().expect("it ends").code, said)
}

fn an_executed_program_is_inside_and_its_streams_and_code_come_back() {
    let mut house = sleeping();
    let (mut stdout, write) = pipe();
    let (read, stdin) = pipe();
    let stdio = ExecStdio { stdin: Some(read.into()), stdout: Some(write), stderr: None };
    let spec =
        ExecSpec { env: vec!["SHOP=open".into()], ..exec("cat; echo $SHOP; cat /proc/1/comm; exit 9") };
    let execution = house.client.exec(&spec, &stdio).expect("it starts");
    drop(stdio);
    let mut stdin = File::from(stdin);
    stdin.write_all(b"milk\n").expect("it reads");
    drop(stdin);
    let mut said = String::new();
    stdout.read_to_string(&mut said).expect("is text");
    assert_eq!(said, "milk\nopen\nsleep\n");
    assert_eq!(execution.wait().expect("it ends").code, 9);
    house.end();
}

fn an_executed_program_is_confined_as_its_container() {
    let mut house = sleeping();
    let (_, said) = run(
        &mut house,
        &exec("cat /proc/self/status; ls /proc/self/fd; readlink /proc/self/ns/pid /proc/1/ns/pid"),
    );
    assert!(said.contains("CapEff:\t00000000a80425fb") && said.contains("Seccomp:\t2"), "{said}");
    assert!(said.contains("NoNewPrivs:\t1"), "{said}");
    let namespaces: Vec<&str> = said.lines().filter(|line| line.starts_with("pid:")).collect();
    assert_eq!(namespaces[0], namespaces[1]);
    let user = Some(ExecUser { uid: 1234, gid: 1235, additional_gids: vec![77] });
    let (code, said) =
        run(&mut house, &ExecSpec { user, cwd: Some("/tmp".into()), ..exec("id; readlink /proc/self/cwd") });
    assert_eq!(code, 0);
    assert!(said.contains("uid=1234(shop) gid=1235(shop)") && said.ends_with("/tmp\n"), "{said}");
    let inside = house.client.stats("a").expect("it runs").pids;
    let (_, said) = run(
        &mut house,
        &exec("cat /sys/fs/cgroup/pids/pids.current /sys/fs/cgroup/pids.current 2>/dev/null"),
    );
    assert!(
        said.trim().parse::<u64>().expect("is a number") > inside,
        "it counts towards the container's limits"
    );
    house.end();
}

fn a_terminal_is_a_terminal_of_its_size() {
    let mut house = sleeping();
    let size = Some(WindowSize { columns: 100, rows: 30 });
    let spec = ExecSpec { terminal: size, ..exec("tty; stty size; read word; echo got $word") };
    let mut execution = house.client.exec(&spec, &ExecStdio::default()).expect("it starts");
    let mut terminal = File::from(execution.terminal.take().expect("it has one"));
    terminal.write_all(b"apples\n").expect("it reads");
    let said = read_terminal(&mut terminal);
    assert!(said.contains("/dev/pts/") && said.contains("30 100") && said.contains("got apples"), "{said}");
    assert_eq!(execution.wait().expect("it ends").code, 0);
    // A container may have one, too; its output is its log.
    let mut spec = house.shell("b", "tty; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && ls -l /dev/console");
    spec.spec.process_mut().as_mut().expect("has one").set_terminal(Some(true));
    let (exit, output) = house.run_spec(spec);
    assert_eq!(exit.code, 0, "{output}");
    assert!(output.contains("/dev/pts/0") || output.contains("/dev/console"), "{output}");
    house.end();
}

/// A terminal's master says EIO when the last one inside has gone.
fn read_terminal(terminal: &mut File) -> String {
    let mut said = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = terminal.read(&mut buffer) {
        said.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8_lossy(&said).into_owned()
}

fn an_executed_program_ends_with_its_asker() {
    let mut house = sleeping();
    let execution: Execution =
        house.client.exec(&exec("exec sleep 1000"), &ExecStdio::default()).expect("starts");
    let pid = execution.pid;
    assert!(is_alive(pid));
    drop(execution);
    wait_for("the program to be ended", || (!is_alive(pid)).then_some(()));
    house.end();
}

fn executing_what_is_not_there_or_where_nothing_runs_is_refused() {
    let mut house = sleeping();
    let spec = ExecSpec { argv: vec!["no-such-program".into()], ..exec("") };
    let refused = house.client.exec(&spec, &ExecStdio::default()).expect_err("it is missing");
    assert!(matches!(refused.failure(), Some(Failure::CommandNotFound { .. })), "{refused}");
    let refused =
        house.client.exec(&ExecSpec { container: "x".into(), ..exec("true") }, &ExecStdio::default());
    assert!(matches!(refused.expect_err("no such").failure(), Some(Failure::NotFound { .. })));
    house.client.signal("a", libc::SIGKILL).expect("it runs");
    house.await_exit("a");
    let refused = house.client.exec(&exec("true"), &ExecStdio::default()).expect_err("it has ended");
    assert!(matches!(refused.failure(), Some(Failure::NotRunning { .. })), "{refused}");
    house.end();
}
