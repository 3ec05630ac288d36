//! The underlay for real, on a machine that is a network namespace of the test's own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

/// Runs the test on a machine of its own; without root it says so instead.
fn on_a_machine(name: &str, test: impl FnOnce(&str) + Send) {
    if !nix::unistd::geteuid().is_root() {
        println!("SKIPPED: needs root");
        return;
    }
    let cluster = format!("test-{name}-{}", std::process::id());
    std::thread::scope(|scope| {
        let machine = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a namespace of our own");
            let mut socket = Socket::open(Family::Route).expect("netlink");
            let mut requests = Requests::new();
            requests.set_up(LOOPBACK_INDEX);
            requests.send(&mut socket).expect("loopback is up");
            sysctl::write(sysctl::IP_FORWARD, "0").expect("a setting of our own");
            test(&cluster);
        });
        machine.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

fn config(nodes: u16) -> ClusterConfig {
    ClusterConfig { nodes, cluster_cidr: "10.180.0.0/14".parse().expect("a range"), ..Default::default() }
}

fn underlay(cluster: &str) -> Underlay {
    Underlay::open(Names::new(cluster)).expect("netlink")
}

fn in_node<T: Send>(cluster: &str, node: &str, work: impl FnOnce() -> T + Send) -> T {
    let netns = namespace::open(&Names::new(cluster).netns(node)).expect("the node is there");
    in_netns(netns.as_fd(), work).expect("the node can be entered")
}

/// Says to the first who asks from which address it saw him.
fn mirror(listener: TcpListener) {
    std::thread::spawn(move || {
        if let Ok((mut stream, client)) = listener.accept() {
            drop(write!(stream, "{}", client.ip()));
        }
    });
}

fn ask(address: Ipv4Addr, port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((address, port)), PATIENCE)?;
    let mut seen = String::new();
    stream.read_to_string(&mut seen)?;
    Ok(seen)
}

/// All that `destroy` must not leave.
fn remains(cluster: &str) -> Vec<String> {
    let names = Names::new(cluster);
    let mut socket = Socket::open(Family::Route).expect("netlink");
    let links = link::links(&mut socket).expect("links").into_iter().map(|link| link.name);
    let routes =
        link::routes(&mut socket).expect("routes").into_iter().map(|route| route.destination.to_string());
    let spaces = namespace::list().expect("a folder").into_iter().filter(|name| names.is_our_netns(name));
    let tables = Command::new("nft").args(["list", "tables"]).output().expect("nft runs").stdout;
    let tables = String::from_utf8(tables).expect("text").lines().map(str::to_owned).collect::<Vec<_>>();
    links.filter(|name| name != "lo").chain(routes).chain(spaces).chain(tables).collect()
}

#[test]
fn nodes_reach_each_other_and_the_machine() {
    on_a_machine("reach", |cluster| {
        let config = config(2);
        underlay(cluster).create(&config).expect("made");
        let second = config.node_list()[1].address;
        mirror(in_node(cluster, "node-2", || TcpListener::bind("0.0.0.0:80")).expect("listens"));
        let seen = in_node(cluster, "node-1", move || ask(second, 80)).expect("node to node");
        assert_eq!(seen, config.node_list()[0].address.to_string());
        mirror(TcpListener::bind((config.host_address(), 81)).expect("listens"));
        let host = config.host_address();
        in_node(cluster, "node-1", move || ask(host, 81)).expect("node to machine");
        underlay(cluster).destroy(config.cluster_cidr).expect("taken down");
        assert_eq!(remains(cluster), Vec::<String>::new());
    });
}

#[test]
fn making_it_twice_changes_nothing_and_destroying_it_twice_is_no_error() {
    on_a_machine("twice", |cluster| {
        let config = config(1);
        underlay(cluster).create(&config).expect("made");
        let first = remains(cluster);
        underlay(cluster).create(&config).expect("made again");
        assert_eq!(remains(cluster), first);
        assert_eq!(sysctl::read(sysctl::IP_FORWARD).expect("read"), "1");
        underlay(cluster).destroy(config.cluster_cidr).expect("taken down");
        underlay(cluster).destroy(config.cluster_cidr).expect("taken down again");
        assert_eq!(sysctl::read(sysctl::IP_FORWARD).expect("read"), "0", "as it was before");
    });
}

#[test]
fn what_a_killed_run_left_is_completed() {
    on_a_machine("killed", |cluster| {
        let config = config(2);
        let names = Names::new(cluster);
        underlay(cluster).create(&config).expect("made");
        // The namespace is gone, the pair's end on the machine may still be there; the other is an empty file.
        namespace::remove(&names.netns("node-1")).expect("removed");
        File::create(format!("/run/netns/{}", names.netns("node-1"))).expect("an empty file");
        underlay(cluster).create(&config).expect("completed");
        let first = config.node_list()[0].address;
        mirror(in_node(cluster, "node-1", || TcpListener::bind("0.0.0.0:80")).expect("listens"));
        in_node(cluster, "node-2", move || ask(first, 80)).expect("reached");
        underlay(cluster).destroy(config.cluster_cidr).expect("taken down");
        assert_eq!(remains(cluster), Vec::<String>::new());
    });
}

#[test]
fn what_leaves_the_machine_bears_its_address_and_neighbours_cannot_come_in() {
    on_a_machine("outside", |cluster| {
        let config = config(1);
        let world = format!("mki-{cluster}-world");
        let outside = namespace::create(&world).expect("the world outside");
        let ip = |arguments: &str| {
            let done = Command::new("ip").args(arguments.split(' ')).status().expect("ip runs");
            assert!(done.success(), "ip {arguments}");
        };
        ip(&format!("link add out0 type veth peer name eth0 netns {world}"));
        ip("addr add 203.0.113.2/24 dev out0");
        ip("link set out0 up");
        ip("route add default via 203.0.113.1");
        ip(&format!("-n {world} addr add 203.0.113.1/24 dev eth0"));
        ip(&format!("-n {world} link set eth0 up"));
        ip(&format!("-n {world} route add 10.180.0.0/14 via 203.0.113.2"));
        underlay(cluster).create(&config).expect("made");
        let listener = in_netns(outside.as_fd(), || TcpListener::bind("0.0.0.0:80")).expect("entered");
        mirror(listener.expect("listens"));
        let seen = in_node(cluster, "node-1", || ask(Ipv4Addr::new(203, 0, 113, 1), 80)).expect("reached");
        assert_eq!(seen, "203.0.113.2");
        let node = config.node_list()[0].address;
        mirror(in_node(cluster, "node-1", || TcpListener::bind("0.0.0.0:80")).expect("listens"));
        let intruder = in_netns(outside.as_fd(), move || {
            TcpStream::connect_timeout(&SocketAddr::from((node, 80)), Duration::from_millis(300))
        });
        assert!(intruder.expect("entered").is_err(), "a neighbour must not reach a node");
        underlay(cluster).destroy(config.cluster_cidr).expect("taken down");
        namespace::remove(&world).expect("removed");
    });
}

#[test]
fn a_child_started_in_a_node_has_the_nodes_network() {
    on_a_machine("child", |cluster| {
        let config = config(1);
        underlay(cluster).create(&config).expect("made");
        let mut command = Command::new("ip");
        command.args(["-4", "-o", "addr", "show", "eth0"]).stdout(std::process::Stdio::piped());
        let output = spawn_in(cluster, "node-1", command).expect("starts").wait_with_output().expect("ends");
        let shown = String::from_utf8(output.stdout).expect("text");
        assert!(shown.contains(&config.node_list()[0].address.to_string()), "{shown}");
        assert!(spawn_in(cluster, "node-2", Command::new("true")).is_err(), "there is no such node");
        underlay(cluster).destroy(config.cluster_cidr).expect("taken down");
    });
}
