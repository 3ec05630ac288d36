//! The node's network for real: two nodes and their pods, each in a network namespace, joined by a bridge in a
//! third. Nothing of it touches the machine's own namespace.

mod world;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use super::*;
use world::{World, eventually};

const PATIENCE: Duration = Duration::from_secs(5);

fn endpoint(ip: Ipv4Addr, port: u32) -> proto::Endpoint {
    proto::Endpoint { ip: ip.to_string(), port, ready: true, ..Default::default() }
}

fn service(name: &str, cluster_ip: &str, ports: Vec<proto::ServicePort>) -> proto::Service {
    proto::Service {
        namespace: "default".to_owned(),
        name: name.to_owned(),
        cluster_ip: cluster_ip.to_owned(),
        ports,
        r#type: "ClusterIP".to_owned(),
        external_name: String::new(),
    }
}

fn port(number: u32, node_port: u32, protocol: &str, endpoints: Vec<proto::Endpoint>) -> proto::ServicePort {
    proto::ServicePort {
        name: "http".to_owned(),
        protocol: protocol.to_owned(),
        port: number,
        node_port,
        endpoints,
    }
}

fn table(generation: u64, complete: bool, changed: Vec<proto::Service>) -> proto::ServiceTable {
    proto::ServiceTable { generation, complete, changed, removed: Vec::new() }
}

/// What a greeting server at `address` says.
fn greeting(address: impl Into<SocketAddr>) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address.into(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    Ok(said)
}

fn echo(address: impl Into<SocketAddr>, word: &[u8]) -> std::io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(address.into())?;
    socket.send(word)?;
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer)?;
    Ok(buffer[..length].to_vec())
}

#[test]
fn pods_reach_each_other_on_a_node_and_across_nodes() {
    let Some(mut world) = World::new("reach") else { return };
    let here = world.pod(0);
    let neighbour = world.pod(0);
    let far = world.pod(1);
    for pod in [&neighbour, &far] {
        world.greet(pod, 8080, "tcp");
    }
    let from = |ip: Ipv4Addr| here.run(move || greeting((ip, 8080)));
    assert_eq!(from(neighbour.ip).expect("same node"), format!("{} to {}", here.ip, neighbour.ip));
    assert_eq!(from(far.ip).expect("other node"), format!("{} to {}", here.ip, far.ip));
    let by_node = world.on_node(0, || greeting((here_ip(&neighbour), 8080))).expect("from the node");
    assert_eq!(by_node, format!("{} to {}", world.config(0).gateway(), neighbour.ip));
}

fn here_ip(pod: &world::Pod) -> Ipv4Addr {
    pod.ip
}

#[test]
fn an_address_that_no_pod_has_is_refused_at_once() {
    let Some(mut world) = World::new("nobody") else { return };
    let pod = world.pod(0);
    let nobody = Ipv4Addr::from(u32::from(pod.ip) + 40);
    let error = pod.run(move || greeting((nobody, 80))).expect_err("nobody is there");
    assert_eq!(error.raw_os_error(), Some(nix::errno::Errno::EHOSTUNREACH as i32), "{error}");
}

#[test]
fn a_detached_pod_is_no_longer_routed_and_its_address_rests() {
    let Some(mut world) = World::new("detach") else { return };
    let first = world.pod(0);
    world.detach(0, &first);
    let second = world.pod(0);
    assert_ne!(first.ip, second.ip);
    let ip = first.ip;
    assert!(second.run(move || greeting((ip, 80))).is_err());
}
