//! From start to removal: output, exits, signals, failures.

use std::fs;
use std::io::{Read, Write};

use runtime::protocol::{ContainerState, Event, Failure, LogSpec, SandboxSpec, Writable};

use crate::Test;
use crate::house::{House, sandbox_spec, wait_for};

/// More than are ever started in one breath by an agent.
const MANY: usize = 60;

pub(crate) const TESTS: &[Test] = &[
    (
        "a_container_runs_says_its_lines_and_exits_with_its_code",
        a_container_runs_says_its_lines_and_exits_with_its_code,
    ),
    ("a_missing_program_is_said_to_be_missing", a_missing_program_is_said_to_be_missing),
    ("a_file_that_is_no_program_is_said_to_be_none", a_file_that_is_no_program_is_said_to_be_none),
    (
        "a_missing_layer_and_a_missing_mount_source_are_named",
        a_missing_layer_and_a_missing_mount_source_are_named,
    ),
    ("a_signal_ends_a_container_and_is_told", a_signal_ends_a_container_and_is_told),
    ("killing_the_first_process_ends_all_of_them", killing_the_first_process_ends_all_of_them),
    ("an_exit_is_published_to_who_listens", an_exit_is_published_to_who_listens),
    ("no_line_of_a_flood_is_lost", no_line_of_a_flood_is_lost),
    ("a_log_on_a_full_disk_does_not_stop_the_container", a_log_on_a_full_disk_does_not_stop_the_container),
    (
        "a_removed_container_leaves_nothing_and_its_id_is_free",
        a_removed_container_leaves_nothing_and_its_id_is_free,
    ),
    ("an_id_is_used_once_and_a_used_sandbox_stays", an_id_is_used_once_and_a_used_sandbox_stays),
    (
        "many_containers_at_once_start_and_end_each_for_itself",
        many_containers_at_once_start_and_end_each_for_itself,
    ),
    ("nonsense_on_the_socket_costs_only_its_sender", nonsense_on_the_socket_costs_only_its_sender),
    (
        "a_writable_layer_may_be_memory_and_stdin_may_stay_open",
        a_writable_layer_may_be_memory_and_stdin_may_stay_open,
    ),
    (
        "a_sandbox_may_have_the_hosts_network_and_parameters_of_its_own",
        a_sandbox_may_have_the_hosts_network_and_parameters_of_its_own,
    ),
];

fn a_container_runs_says_its_lines_and_exits_with_its_code() {
    let mut house = House::new();
    let (exit, output) = house.run("a", "echo hello; echo world >&2; exit 7");
    assert_eq!((exit.code, exit.signal, exit.oom_killed), (7, None, false));
    let log = fs::read_to_string(house.log_path("a")).expect("there is a log");
    assert!(log.contains(" stdout F hello\n") && log.contains(" stderr F world\n"), "{log}");
    assert!(output.contains("hello"));
    house.end();
}

fn a_missing_program_is_said_to_be_missing() {
    let mut house = House::new();
    let refused = house.client.start(house.command("a", &["no-such-program"])).expect_err("it is missing");
    let wanted = Failure::CommandNotFound { command: "no-such-program".into() };
    assert_eq!(refused.failure(), Some(&wanted));
    assert_eq!(house.state("a"), Some(ContainerState::Failed(wanted)));
    house.end();
}

fn a_file_that_is_no_program_is_said_to_be_none() {
    let mut house = House::new();
    let refused = house.client.start(house.command("a", &["/etc/passwd"])).expect_err("it is no program");
    assert!(
        matches!(refused.failure(), Some(Failure::CommandNotExecutable { errno: libc::EACCES, .. })),
        "{refused}"
    );
    house.end();
}

fn a_missing_layer_and_a_missing_mount_source_are_named() {
    let mut house = House::new();
    let mut spec = house.shell("a", "true");
    spec.lower_dirs = vec!["/no/such/layer".into()];
    let refused = house.client.start(spec).expect_err("it is missing");
    assert!(matches!(refused.failure(), Some(Failure::LayerMissing { .. })), "{refused}");
    let mut spec = house.shell("b", "true");
    let mut mount = oci_spec::runtime::Mount::default();
    mount.set_destination("/data".into()).set_source(Some("/no/such/source".into()));
    mount.set_typ(Some("bind".into())).set_options(Some(vec!["rbind".into()]));
    spec.spec.mounts_mut().as_mut().expect("has some").push(mount);
    let refused = house.client.start(spec).expect_err("it is missing");
    assert!(matches!(refused.failure(), Some(Failure::MountSourceMissing { .. })), "{refused}");
    house.end();
}

fn a_signal_ends_a_container_and_is_told() {
    let mut house = House::new();
    house
        .client
        .start(house.shell("a", "trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done"))
        .expect("starts");
    wait_for("the trap to be set", || house.output("a").contains("up").then_some(()));
    house.client.signal("a", libc::SIGTERM).expect("it runs");
    assert_eq!(house.await_exit("a").code, 3);
    house.client.start(house.command("b", &["sleep", "1000"])).expect("starts");
    house.client.signal("b", libc::SIGKILL).expect("it runs");
    let exit = house.await_exit("b");
    assert_eq!((exit.code, exit.signal), (137, Some(libc::SIGKILL)));
    let refused = house.client.signal("b", libc::SIGKILL).expect_err("it has ended");
    assert!(matches!(refused.failure(), Some(Failure::NotRunning { .. })));
    house.end();
}

fn killing_the_first_process_ends_all_of_them() {
    let mut house = House::new();
    let script = "for i in 1 2 3 4 5; do (trap '' TERM; sleep 1000) & done; echo up; wait";
    house.client.start(house.shell("a", script)).expect("starts");
    wait_for("six processes", || (house.client.stats("a").ok()?.pids >= 6).then_some(()));
    house.client.signal("a", libc::SIGKILL).expect("it runs");
    house.await_exit("a");
    house.end();
}

fn an_exit_is_published_to_who_listens() {
    let mut house = House::new();
    let mut events = house.events();
    house.client.start(house.shell("a", "exit 5")).expect("starts");
    let Event::Exited { id, exit } = events.next_event().expect("is told") else { panic!("is an exit") };
    assert_eq!((id.as_str(), exit.code), ("a", 5));
    house.end();
}

fn no_line_of_a_flood_is_lost() {
    let mut house = House::new();
    let mut spec = house.shell("a", "seq 1 200000");
    spec.log = Some(LogSpec { path: house.log_path("a"), size_max_bytes: 2 << 20, files_max: 20 });
    let (exit, _) = house.run_spec(spec);
    assert_eq!(exit.code, 0);
    let mut lines = Vec::new();
    for number in (0..20).rev() {
        let name = if number == 0 { "a.log".into() } else { format!("a.log.{number}") };
        let text = fs::read_to_string(house.folder.path().join(name)).unwrap_or_default();
        lines.extend(text.lines().map(|line| line.rsplit(' ').next().unwrap_or_default().to_owned()));
    }
    assert_eq!(lines.len(), 200_000);
    assert!(lines.iter().enumerate().all(|(index, line)| *line == (index + 1).to_string()), "in order");
    house.end();
}

fn a_log_on_a_full_disk_does_not_stop_the_container() {
    let mut house = House::new();
    let mut spec = house.shell("a", "seq 1 100000; exit 4");
    spec.log = Some(LogSpec { path: "/dev/full".into(), size_max_bytes: 1 << 20, files_max: 1 });
    let (exit, _) = house.run_spec(spec);
    assert_eq!(exit.code, 4);
    house.end();
}

fn a_removed_container_leaves_nothing_and_its_id_is_free() {
    let mut house = House::new();
    for _ in 0..2 {
        let (_, output) = house.run("a", "cat /mark 2>/dev/null; echo fresh > /mark; cat /mark");
        assert!(
            output.ends_with("fresh") && output.matches("fresh").count() == output.lines().count(),
            "{output}"
        );
        assert!(house.folder.path().join("layer-a/upper/mark").try_exists().expect("can be looked at"));
        house.client.remove("a").expect("it has ended");
        assert_eq!(house.state("a"), None);
        assert!(!house.folder.path().join("layer-a").try_exists().expect("can be looked at"));
        let left = house
            .cgroup_directories()
            .iter()
            .any(|cgroup| cgroup.join("pod/a").try_exists().unwrap_or(false));
        assert!(!left, "its cgroup is gone");
        fs::remove_file(house.log_path("a")).expect("the log stays");
    }
    house.client.remove_sandbox("pod").expect("it is empty");
    assert!(house.client.list().expect("answers").sandboxes.is_empty());
    house.end();
}

fn an_id_is_used_once_and_a_used_sandbox_stays() {
    let mut house = House::new();
    house.client.start(house.command("a", &["sleep", "1000"])).expect("starts");
    let refused = house.client.start(house.command("a", &["true"])).expect_err("the id is taken");
    assert!(matches!(refused.failure(), Some(Failure::AlreadyExists { .. })));
    let refused = house.client.remove_sandbox("pod").expect_err("it has a container");
    assert!(matches!(refused.failure(), Some(Failure::InUse { .. })));
    let refused = house.client.remove("a").expect_err("it runs");
    assert!(matches!(refused.failure(), Some(Failure::InUse { .. })));
    let refused = house.client.create_sandbox(&sandbox_spec("pod")).expect_err("the id is taken");
    assert!(matches!(refused.failure(), Some(Failure::AlreadyExists { .. })));
    house.end();
}

fn many_containers_at_once_start_and_end_each_for_itself() {
    let mut house = House::new();
    let specs: Vec<_> =
        (0..MANY).map(|number| house.shell(&format!("m{number}"), &format!("exit {number}"))).collect();
    let socket = &house.socket();
    std::thread::scope(|scope| {
        for share in specs.chunks(MANY / 6) {
            scope.spawn(move || {
                let mut client = runtime::client::Client::connect(socket).expect("it listens");
                for spec in share {
                    client.start(spec.clone()).expect("starts");
                }
            });
        }
    });
    for number in 0..MANY {
        assert_eq!(house.await_exit(&format!("m{number}")).code, i32::try_from(number).expect("is small"));
    }
    std::thread::scope(|scope| {
        for share in specs.chunks(MANY / 6) {
            scope.spawn(move || {
                let mut client = runtime::client::Client::connect(socket).expect("it listens");
                share.iter().for_each(|spec| client.remove(&spec.id).expect("it has ended"));
            });
        }
    });
    assert!(house.client.list().expect("answers").containers.is_empty());
    house.end();
}

fn nonsense_on_the_socket_costs_only_its_sender() {
    let mut house = House::new();
    for nonsense in [&b"\xff\xff\xff\xffhuge"[..], b"\x04\x00\x00\x00nope", b"\x10\x00\x00\x00cut"] {
        let mut stream = std::os::unix::net::UnixStream::connect(house.socket()).expect("it listens");
        stream.write_all(nonsense).expect("it is open");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty(), "it is hung up on");
    }
    let mut spec = house.shell("a", "true");
    spec.id = "../../etc".into();
    let refused = house.client.start(spec).expect_err("an id is no path");
    assert!(matches!(refused.failure(), Some(Failure::BadSpec { .. })), "{refused}");
    assert_eq!(house.run("b", "exit 0").0.code, 0);
    house.end();
}

fn a_writable_layer_may_be_memory_and_stdin_may_stay_open() {
    let mut house = House::new();
    let mut spec =
        house.shell("a", "echo x > /x && cat /x; dd if=/dev/zero of=/big bs=1M count=8; echo code $?");
    spec.writable = Writable::Memory { limit_bytes: Some(4 << 20) };
    let (_, output) = house.run_spec(spec);
    assert!(
        output.contains('x') && output.contains("No space left") && output.contains("code 1"),
        "{output}"
    );
    let mut spec = house.command("b", &["cat"]);
    spec.stdin = true;
    house.client.start(spec).expect("starts");
    assert_eq!(house.run_spec(house.command("c", &["cat"])).0.code, 0, "/dev/null ends at once");
    assert!(matches!(house.state("b"), Some(ContainerState::Running(_))), "an open stdin does not");
    house.end();
}

fn a_sandbox_may_have_the_hosts_network_and_parameters_of_its_own() {
    let mut house = House::new();
    let mut tuned = sandbox_spec("tuned");
    tuned.sysctls.insert("net.core.somaxconn".into(), "77".into());
    let tuned = house.client.create_sandbox(&tuned).expect("can be made");
    let host = SandboxSpec { host_network: true, ..sandbox_spec("host") };
    let host = house.client.create_sandbox(&host).expect("can be made");
    let own = fs::read_link("/proc/self/ns/net").expect("is there");
    assert_eq!(fs::read_link(host.netns_path()).expect("it lives"), own);
    assert_ne!(fs::read_link(tuned.netns_path()).expect("it lives"), own);
    let mut spec = house.shell("a", "cat /proc/sys/net/core/somaxconn");
    spec.sandbox = "tuned".into();
    assert_eq!(house.run_spec(spec).1, "77");
    let mut spec = house.shell("b", "readlink /proc/self/ns/net");
    spec.sandbox = "host".into();
    assert_eq!(house.run_spec(spec).1, own.to_str().expect("is text"));
    house.end();
}
