//! Nodes and pods as network namespaces, made with `ip` and taken down when the world ends.

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;
use nix::sched::{CloneFlags, setns};
use nix::unistd::geteuid;

use super::super::netlink::in_netns;
use super::super::{Net, NetConfig, Peer};

/// Two nodes, started, that know of each other.
pub(super) struct World {
    name: String,
    runtime: tokio::runtime::Runtime,
    nodes: Vec<Node>,
    namespaces: Vec<String>,
    home: File,
    pods: usize,
}

struct Node {
    netns: File,
    net: Option<Net>,
}

/// A pod's namespace, attached.
pub(super) struct Pod {
    netns: File,
    pub(super) owner: String,
    pub(super) ip: Ipv4Addr,
}

impl Pod {
    /// Runs `work` inside the pod.
    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        in_netns(self.netns.as_fd(), work).expect("the pod's namespace can be entered")
    }
}

impl World {
    /// `None`, and a word about it, without root.
    pub(super) fn new(name: &str) -> Option<Self> {
        if !geteuid().is_root() {
            println!("SKIPPED: needs root");
            return None;
        }
        let name = format!("mkitest-{name}-{}", std::process::id());
        // What is waited for runs in the test's thread, and opens its sockets in the namespace that this is in.
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime");
        let home = File::open("/proc/thread-self/ns/net").expect("our own namespace");
        let mut world = Self { name, runtime, nodes: Vec::new(), namespaces: Vec::new(), home, pods: 0 };
        let switch = world.add_netns("switch");
        ip(&format!("-n {switch} link add br0 type bridge"));
        ip(&format!("-n {switch} addr add 10.164.0.1/16 dev br0"));
        ip(&format!("-n {switch} link set br0 up"));
        for index in 0..2 {
            world.add_node(&switch, index);
        }
        world.introduce();
        Some(world)
    }

    pub(super) fn config(&self, node: usize) -> &NetConfig {
        self.net(node).config()
    }

    pub(super) fn net(&self, node: usize) -> &Net {
        self.nodes[node].net.as_ref().expect("the node's network runs")
    }

    pub(super) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Runs `work` on a node, outside its pods.
    pub(super) fn on_node<T: Send>(&self, node: usize, work: impl FnOnce() -> T + Send) -> T {
        in_netns(self.nodes[node].netns.as_fd(), work).expect("the node's namespace can be entered")
    }

    /// Runs `work` outside the nodes, on the network that joins them.
    pub(super) fn outside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let switch = open_netns(&self.namespaces[0]);
        in_netns(switch.as_fd(), work).expect("the switch can be entered")
    }

    /// A new pod on a node.
    pub(super) fn pod(&mut self, node: usize) -> Pod {
        self.pods += 1;
        let owner = format!("pod-{}", self.pods);
        let netns = open_netns(&self.add_netns(&owner));
        let handle = netns.try_clone().expect("a second descriptor").into();
        let attached = self.block_on(self.net(node).attach(&owner, handle)).expect("attached");
        Pod { netns, owner, ip: attached.ip }
    }

    pub(super) fn detach(&self, node: usize, pod: &Pod) {
        self.block_on(self.net(node).detach(&pod.owner)).expect("detached");
    }

    /// Starts a server in the pod that says who asks and who it is; it ends with the test's process.
    pub(super) fn greet(&self, pod: &Pod, port: u16, protocol: &str) {
        let ip = pod.ip;
        if protocol == "tcp" {
            let listener = pod.run(|| TcpListener::bind(("0.0.0.0", port))).expect("can listen");
            std::thread::spawn(move || {
                while let Ok((mut stream, client)) = listener.accept() {
                    drop(write!(stream, "{} to {ip}", client.ip()));
                }
            });
        } else {
            let socket = pod.run(|| UdpSocket::bind(("0.0.0.0", port))).expect("can listen");
            std::thread::spawn(move || {
                let mut word = [0; 512];
                while let Ok((_, client)) = socket.recv_from(&mut word) {
                    drop(socket.send_to(format!("{} to {ip}", client.ip()).as_bytes(), client));
                }
            });
        }
    }

    /// `nft list ruleset` on a node.
    pub(super) fn ruleset(&self, node: usize) -> String {
        let shown = self.on_node(node, || Command::new("nft").args(["list", "ruleset"]).output());
        String::from_utf8(shown.expect("nft runs").stdout).expect("text")
    }

    fn add_netns(&mut self, label: &str) -> String {
        let name = format!("{}-{label}", self.name);
        ip(&format!("netns add {name}"));
        self.namespaces.push(name.clone());
        name
    }

    fn add_node(&mut self, switch: &str, index: u8) {
        let name = self.add_netns(&format!("node{index}"));
        ip(&format!("-n {name} link add eth0 type veth peer name port{index} netns {switch}"));
        ip(&format!("-n {switch} link set port{index} master br0 up"));
        ip(&format!("-n {name} addr add 10.164.1.{index}/16 dev eth0"));
        ip(&format!("-n {name} link set eth0 up"));
        ip(&format!("-n {name} link set lo up"));
        // With our mark, as the underlay of a local cluster sets it.
        ip(&format!("-n {name} route add default via 10.164.0.1 proto 77"));
        let netns = open_netns(&name);
        let net = self.start(&netns, config(index));
        self.nodes.push(Node { netns, net: Some(net) });
    }

    /// What the network opens, and the threads it starts, belong to the namespace of the thread that starts it.
    fn start(&self, netns: &File, config: NetConfig) -> Net {
        setns(netns.as_fd(), CloneFlags::CLONE_NEWNET).expect("the node's namespace");
        let net = self.block_on(Net::start(config)).expect("the network starts");
        setns(self.home.as_fd(), CloneFlags::CLONE_NEWNET).expect("back home");
        net
    }

    /// Ends a node's network without a word, as a crash would, and starts it once more.
    pub(super) fn restart(&mut self, node: usize) {
        let config = self.config(node).clone();
        drop(self.nodes[node].net.take());
        let dns = config.cluster_dns;
        eventually("the DNS address is free", || {
            self.on_node(node, || UdpSocket::bind((dns, 53)).is_ok() && TcpListener::bind((dns, 53)).is_ok())
        });
        let net = self.start(&self.nodes[node].netns, config);
        self.nodes[node].net = Some(net);
    }

    fn introduce(&self) {
        let peers: Vec<Peer> = (0..2u8)
            .map(|index| {
                let config = config(index);
                Peer { name: format!("node{index}"), address: config.node_ip, pod_cidr: config.pod_cidr }
            })
            .collect();
        for node in 0..2 {
            self.block_on(self.net(node).set_peers(peers.clone())).expect("routed");
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for name in &self.namespaces {
            ip(&format!("netns delete {name}"));
        }
    }
}

/// Waits until `check` holds.
fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    #[expect(clippy::disallowed_methods, reason = "a test's deadline")]
    let deadline = Instant::now() + Duration::from_secs(5);
    while !check() {
        #[expect(clippy::disallowed_methods, reason = "a test's deadline")]
        let now = Instant::now();
        assert!(now < deadline, "not in time: {what}");
        std::thread::yield_now();
    }
}

fn config(index: u8) -> NetConfig {
    let net = |a, b, c, d, length| Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length);
    NetConfig {
        node_ip: Ipv4Addr::new(10, 164, 1, index),
        pod_cidr: net(10, 165, index, 0, 24),
        cluster_pod_cidr: net(10, 165, 0, 0, 16),
        service_cidr: net(10, 166, 0, 0, 16),
        cluster_dns: Ipv4Addr::new(10, 166, 0, 10),
        cluster_domain: "cluster.local".to_owned(),
        mtu: None,
        resolv_conf: PathBuf::from("/dev/null"),
    }
}

fn open_netns(name: &str) -> File {
    File::open(format!("/run/netns/{name}")).expect("the namespace has just been made")
}

pub(super) fn ip(arguments: &str) {
    let done = Command::new("ip").args(arguments.split(' ')).output().expect("ip runs");
    assert!(done.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&done.stderr));
}
