//! Whoever dies, the containers go on, and no exit and no line is lost.

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use runtime::client::Events;
use runtime::protocol::{ContainerState, Event, Failure};

use crate::Test;
use crate::house::{House, connect, is_alive, wait_for};

pub(crate) const TESTS: &[Test] = &[
    ("a_client_that_comes_back_finds_everything", a_client_that_comes_back_finds_everything),
    ("a_killed_launcher_disturbs_no_container", a_killed_launcher_disturbs_no_container),
    ("an_exit_while_no_launcher_lives_is_told_later", an_exit_while_no_launcher_lives_is_told_later),
    ("a_killed_monitor_ends_its_container_and_is_told", a_killed_monitor_ends_its_container_and_is_told),
    ("a_dead_sandbox_is_told_and_can_be_removed", a_dead_sandbox_is_told_and_can_be_removed),
    (
        "a_start_that_fails_after_its_launcher_died_is_told_as_an_end",
        a_start_that_fails_after_its_launcher_died_is_told_as_an_end,
    ),
    (
        "a_start_that_fails_after_its_asker_went_is_told_as_an_end",
        a_start_that_fails_after_its_asker_went_is_told_as_an_end,
    ),
    ("a_second_launcher_on_the_same_state_is_refused", a_second_launcher_on_the_same_state_is_refused),
];

fn a_client_that_comes_back_finds_everything() {
    let mut house = House::new();
    house.client.start(house.command("a", &["sleep", "1000"])).expect("starts");
    house.run("b", "exit 6");
    house.client = connect(house.folder.path());
    let listing = house.client.list().expect("answers");
    assert_eq!(listing.sandboxes.len(), 1);
    assert_eq!(listing.containers.len(), 2);
    assert!(matches!(listing.containers[0].state, ContainerState::Running(_)));
    assert!(matches!(&listing.containers[1].state, ContainerState::Exited(exit) if exit.code == 6));
    assert_eq!(listing.containers[1].labels.get("name").map(String::as_str), Some("b"));
    house.end();
}

fn a_killed_launcher_disturbs_no_container() {
    let mut house = House::new();
    let gate = house.folder.path().join("gate");
    fs::create_dir_all(&gate).expect("can be made");
    let mut spec =
        house.shell("a", "echo before; while ! [ -e /gate/open ]; do sleep 0.01; done; echo after; exit 8");
    let mut mount = oci_spec::runtime::Mount::default();
    mount.set_destination("/gate".into()).set_source(Some(gate.clone())).set_typ(Some("bind".into()));
    mount.set_options(Some(vec!["bind".into()]));
    spec.spec.mounts_mut().as_mut().expect("has some").push(mount);
    let started = house.client.start(spec).expect("starts");
    house.restart_launcher();
    assert!(is_alive(started.pid));
    assert_eq!(house.state("a"), Some(ContainerState::Running(started)));
    assert!(house.client.list().expect("answers").sandboxes[0].alive);
    let mut events = house.events();
    fs::write(gate.join("open"), "").expect("can be written");
    let Event::Exited { exit, .. } = events.next_event().expect("is told") else { panic!("is an exit") };
    assert_eq!(exit.code, 8);
    assert_eq!(house.output("a"), "before\nafter");
    // The adopted sandbox takes new containers.
    assert_eq!(house.run("b", "hostname").1, "web-0");
    house.client.remove("a").expect("it has ended");
    house.end();
}

fn an_exit_while_no_launcher_lives_is_told_later() {
    let mut house = House::new();
    let started =
        house.client.start(house.shell("a", "trap 'exit 4' TERM; echo up; while :; do sleep 0.01; done"));
    let pid = started.expect("starts").pid;
    wait_for("the trap to be set", || house.output("a").contains("up").then_some(()));
    house.restart_launcher_after(|| {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM)
            .expect("it lives");
        wait_for("it to end", || (!is_alive(pid)).then_some(()));
    });
    assert_eq!(house.await_exit("a").code, 4);
    house.end();
}

fn a_killed_monitor_ends_its_container_and_is_told() {
    let mut house = House::new();
    let started = house.client.start(house.command("a", &["sleep", "1000"])).expect("starts");
    let stat = fs::read_to_string(format!("/proc/{}/stat", started.pid)).expect("it lives");
    let monitor: i32 = stat
        .rsplit(") ")
        .next()
        .expect("has a name")
        .split(' ')
        .nth(1)
        .expect("has a parent")
        .parse()
        .expect("is a number");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(monitor), nix::sys::signal::Signal::SIGKILL)
        .expect("it lives");
    let exit = house.await_exit("a");
    assert!(exit.unobserved && exit.code == 137);
    wait_for("the container to be ended", || (!is_alive(started.pid)).then_some(()));
    house.client.remove("a").expect("it has ended");
    house.end();
}

fn a_dead_sandbox_is_told_and_can_be_removed() {
    let mut house = House::new();
    let mut events = house.events();
    let pid = nix::unistd::Pid::from_raw(house.sandbox.pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("it lives");
    assert_eq!(events.next_event().expect("is told"), Event::SandboxDied { id: "pod".into() });
    assert!(!house.client.list().expect("answers").sandboxes[0].alive);
    house.client.start(house.command("a", &["true"])).expect_err("its sandbox is dead");
    house.client.remove_sandbox("pod").expect("it is empty");
    house.end();
}

fn a_start_that_fails_after_its_launcher_died_is_told_as_an_end() {
    let mut house = House::new();
    let (_asker, layer) = ask_for_a_start_that_waits(&mut house, "a");
    house.restart_launcher();
    let mut events = house.events();
    assert_eq!(house.state("a"), Some(ContainerState::Starting));
    drop(layer);
    expect_failed_end(&mut house, &mut events, "a");
    house.end();
}

fn a_start_that_fails_after_its_asker_went_is_told_as_an_end() {
    let mut house = House::new();
    let mut events = house.events();
    let (asker, layer) = ask_for_a_start_that_waits(&mut house, "a");
    drop((asker, layer));
    expect_failed_end(&mut house, &mut events, "a");
    house.end();
}

/// Asks for a start that waits in its middle, until the lock on its layer is let go, and then fails.
fn ask_for_a_start_that_waits(house: &mut House, id: &str) -> (UnixStream, fs::File) {
    let layer = house.folder.path().join("held");
    fs::create_dir_all(&layer).expect("can be made");
    let lock = fs::File::open(&layer).expect("is there");
    lock.lock().expect("nobody else has it");
    let mut spec = house.command(id, &["no-such-program"]);
    spec.lower_dirs.insert(0, layer);
    // By hand: the client itself waits for the answer.
    let request = serde_json::to_vec(&serde_json::json!({ "Start": spec })).expect("is plain data");
    let mut asker = UnixStream::connect(house.socket()).expect("it listens");
    let length = u32::try_from(request.len()).expect("is small");
    asker.write_all(&length.to_le_bytes()).and_then(|()| asker.write_all(&request)).expect("it reads");
    let record = house.folder.path().join("state/containers").join(id).join("state.json");
    wait_for("the start to be under way", || record.try_exists().ok()?.then_some(()));
    (asker, lock)
}

fn expect_failed_end(house: &mut House, events: &mut Events, id: &str) {
    wait_for("an event", || {
        let mut waiting = [PollFd::new(events.as_fd(), PollFlags::POLLIN)];
        poll(&mut waiting, PollTimeout::ZERO).is_ok_and(|ready| ready == 1).then_some(())
    });
    let Event::Exited { id: told, exit } = events.next_event().expect("is told") else { panic!("is an end") };
    assert_eq!((told.as_str(), exit.code), (id, 128));
    assert!(matches!(house.state(id), Some(ContainerState::Failed(Failure::CommandNotFound { .. }))));
}

fn a_second_launcher_on_the_same_state_is_refused() {
    let mut house = House::new();
    assert!(!house.second_launcher().success());
    house.client.list().expect("the first one still listens");
    house.end();
}
