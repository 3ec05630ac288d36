//! The node's network for real: two nodes and their pods, each in a network namespace, joined by a bridge in a
//! third. Nothing of it touches the machine's own namespace.

mod world;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::str::FromStr;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

use super::*;
use world::World;

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
    let neighbour_ip = neighbour.ip;
    let by_node = world.on_node(0, move || greeting((neighbour_ip, 8080))).expect("from the node");
    assert_eq!(by_node, format!("{} to {}", world.config(0).gateway(), neighbour.ip));
}

#[test]
fn what_bears_another_pods_address_is_dropped() {
    let Some(mut world) = World::new("forge") else { return };
    let (forger, victim, target) = (world.pod(0), world.pod(0), world.pod(0));
    let socket = target.run(|| UdpSocket::bind(("0.0.0.0", 9000))).expect("can listen");
    socket.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    let (forged, to) = (victim.ip, (target.ip, 9000));
    forger.run(|| world::ip(&format!("addr add {forged}/32 dev eth0")));
    for source in [forged, forger.ip] {
        let from = forger.run(|| UdpSocket::bind((source, 0))).expect("it has the address");
        from.send_to(b"x", to).expect("sent");
    }
    let (_, seen) = socket.recv_from(&mut [0; 8]).expect("what is honest arrives");
    assert_eq!(seen.ip(), forger.ip, "the forged one was sent first");
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

const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 166, 0, 20);

/// A service over the pods' port 8080, at port 80 and node port 30080.
fn shop(pods: &[&world::Pod], protocol: &str) -> proto::Service {
    let endpoints = pods.iter().map(|pod| endpoint(pod.ip, 8080)).collect();
    service("shop", &SERVICE.to_string(), vec![port(80, 30080, protocol, endpoints)])
}

fn apply(world: &World, table: &proto::ServiceTable) {
    for node in 0..2 {
        let generation = world.block_on(world.net(node).apply_services(table.clone())).expect("applied");
        assert_eq!(generation, table.generation);
    }
}

/// Who answers at the service, over so many connections that none of a few is missed by chance.
fn answering(pod: &world::Pod) -> BTreeSet<String> {
    let ask = || greeting((SERVICE, 80)).expect("answered");
    let said = (0..40).map(|_| pod.run(ask));
    said.map(|said| said.rsplit_once(' ').expect("WHO to WHOM").1.to_owned()).collect()
}

fn names(pods: &[&world::Pod]) -> BTreeSet<String> {
    pods.iter().map(|pod| pod.ip.to_string()).collect()
}

#[test]
fn a_service_address_leads_to_every_ready_endpoint_and_to_no_other() {
    let Some(mut world) = World::new("balance") else { return };
    let (client, near, far) = (world.pod(0), world.pod(0), world.pod(1));
    for pod in [&near, &far] {
        world.greet(pod, 8080, "tcp");
    }
    apply(&world, &table(1, true, vec![shop(&[&near, &far], "TCP")]));
    assert_eq!(answering(&client), names(&[&near, &far]));
    let ruleset = world.ruleset(0);
    for rule in [
        "ip daddr . meta l4proto . th dport vmap @services",
        "10.166.0.20 . tcp . 80 : goto service-10.166.0.20-tcp-80",
        "to numgen random mod 2 map { 0 : 10.165.0.3 . 8080, 1 : 10.165.1.2 . 8080 } comment \"default/shop\"",
        "fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @node-ports",
    ] {
        assert!(ruleset.contains(rule), "no {rule} in {ruleset}");
    }
    apply(&world, &table(2, false, vec![shop(&[&far], "TCP")]));
    assert_eq!(answering(&client), names(&[&far]));
    apply(&world, &table(3, false, vec![shop(&[&far, &near], "TCP")]));
    assert_eq!(answering(&client), names(&[&near, &far]));
    world.block_on(world.net(0).local_endpoint_down(near.ip)).expect("taken out");
    assert_eq!(answering(&client), names(&[&far]));
    world.block_on(world.net(0).local_endpoint_up(near.ip)).expect("put back");
    assert_eq!(answering(&client), names(&[&near, &far]));
    apply(&world, &table(4, false, vec![shop(&[], "TCP")]));
    let refused = client.run(|| greeting((SERVICE, 80))).expect_err("nobody is ready");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let gone =
        proto::ServiceTable { generation: 5, removed: vec!["default/shop".to_owned()], ..Default::default() };
    apply(&world, &gone);
    let ruleset = world.ruleset(0);
    assert!(!ruleset.contains("shop") && !ruleset.contains("10.166.0.20"), "{ruleset}");
    let unknown = client.run(|| greeting((SERVICE, 80))).expect_err("there is no such service");
    assert_eq!(unknown.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_service_over_udp_is_balanced_too() {
    let Some(mut world) = World::new("udp") else { return };
    let (client, near, far) = (world.pod(0), world.pod(0), world.pod(1));
    for pod in [&near, &far] {
        world.greet(pod, 8080, "udp");
    }
    apply(&world, &table(1, true, vec![shop(&[&near, &far], "UDP")]));
    let said: BTreeSet<Vec<u8>> =
        (0..40).map(|_| client.run(|| echo((SERVICE, 80), b"who?")).expect("answered")).collect();
    assert_eq!(said.len(), 2);
    apply(&world, &table(2, false, vec![shop(&[], "UDP")]));
    assert!(client.run(|| echo((SERVICE, 80), b"who?")).is_err());
}

#[test]
fn a_udp_client_that_keeps_talking_is_led_away_from_an_endpoint_that_is_gone() {
    let Some(mut world) = World::new("udpflow") else { return };
    let (client, first, second) = (world.pod(0), world.pod(0), world.pod(1));
    for pod in [&first, &second] {
        world.greet(pod, 8080, "udp");
    }
    apply(&world, &table(1, true, vec![shop(&[&first], "UDP")]));
    let socket = client.run(|| UdpSocket::bind("0.0.0.0:5000")).expect("binds");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    socket.connect((SERVICE, 80)).expect("connects");
    let ask = || {
        socket.send(b"who?").expect("sent");
        let mut said = [0; 64];
        let length = socket.recv(&mut said).expect("answered");
        String::from_utf8_lossy(&said[..length]).into_owned()
    };
    assert!(ask().ends_with(&first.ip.to_string()));
    apply(&world, &table(2, false, vec![shop(&[&second], "UDP")]));
    assert!(ask().ends_with(&second.ip.to_string()), "the flow must not stick to what is gone");
}

#[test]
fn a_pod_reaches_itself_through_its_own_service() {
    let Some(mut world) = World::new("hairpin") else { return };
    let pod = world.pod(0);
    world.greet(&pod, 8080, "tcp");
    apply(&world, &table(1, true, vec![shop(&[&pod], "TCP")]));
    let said = pod.run(|| greeting((SERVICE, 80))).expect("answered");
    assert_eq!(said, format!("{} to {}", world.config(0).gateway(), pod.ip));
}

#[test]
fn a_node_reaches_services_and_a_node_port_leads_in_from_outside() {
    let Some(mut world) = World::new("nodeport") else { return };
    let far = world.pod(1);
    world.greet(&far, 8080, "tcp");
    apply(&world, &table(1, true, vec![shop(&[&far], "TCP")]));
    let node = world.config(0).node_ip;
    let said = world.on_node(0, || greeting((SERVICE, 80))).expect("the node itself");
    assert_eq!(said, format!("{node} to {}", far.ip));
    let said = world.outside(move || greeting((node, 30080))).expect("from outside");
    assert_eq!(said, format!("{node} to {}", far.ip), "translated, for the answer must come back this way");
    let own = world.config(1).node_ip;
    let said = world.outside(move || greeting((own, 30080))).expect("from outside");
    assert_eq!(said, format!("10.164.0.1 to {}", far.ip), "its own node shows who is asking");
}

#[test]
fn what_leaves_the_cluster_bears_the_nodes_address() {
    let Some(mut world) = World::new("leave") else { return };
    world.restart(1);
    world.block_on(world.net(1).set_peers(Vec::new())).expect("no peers any more");
    let pod = world.pod(1);
    world.outside(|| world::ip("addr add 203.0.113.1/32 dev br0"));
    let listener = world.outside(|| TcpListener::bind("203.0.113.1:80")).expect("listens");
    let seen = std::thread::spawn(move || listener.accept().expect("accepted").1.ip().to_string());
    pod.run(|| TcpStream::connect_timeout(&"203.0.113.1:80".parse().expect("an address"), PATIENCE))
        .expect("reached");
    assert_eq!(seen.join().expect("accepted"), world.config(1).node_ip.to_string());
}

#[test]
fn the_next_agent_leaves_the_tables_in_force_until_it_is_told_otherwise() {
    let Some(mut world) = World::new("adopt") else { return };
    let (client, server) = (world.pod(0), world.pod(0));
    world.greet(&server, 8080, "tcp");
    apply(&world, &table(1, true, vec![shop(&[&server], "TCP")]));
    world.restart(0);
    assert_eq!(answering(&client), names(&[&server]));
    world.block_on(world.net(0).adopt(&client.owner, client.ip)).expect("adopted");
    world.block_on(world.net(0).adopt(&server.owner, server.ip)).expect("adopted");
    let newcomer = world.pod(0);
    assert!(newcomer.ip != client.ip && newcomer.ip != server.ip);
    apply(&world, &table(2, true, vec![]));
    assert!(client.run(|| greeting((SERVICE, 80))).is_err(), "the complete table no longer has it");
}

#[test]
fn thousands_of_services_are_one_transaction_and_one_change_is_quick() {
    let Some(world) = World::new("many") else { return };
    let many = |index: u32| {
        let ip = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 166, 1, 0)) + index);
        let endpoints = (2..6).map(|last| endpoint(Ipv4Addr::new(10, 165, 1, last), 8080)).collect();
        service(&format!("service-{index}"), &ip.to_string(), vec![port(80, 0, "TCP", endpoints)])
    };
    let net = world.net(0);
    world.block_on(net.apply_services(table(1, true, (0..2000).map(many).collect()))).expect("applied");
    #[expect(clippy::disallowed_methods, reason = "a stopwatch")]
    let start = std::time::Instant::now();
    for generation in 2..12 {
        let mut changed = many(7);
        changed.ports[0].endpoints.truncate(1 + usize::from(generation % 2 == 0));
        world.block_on(net.apply_services(table(generation, false, vec![changed]))).expect("applied");
    }
    let each = start.elapsed() / 10;
    println!("one change among 2,000 services: {each:?}");
    assert!(each < Duration::from_millis(200), "{each:?}");
}

/// Asks the cluster's DNS from inside a pod.
fn lookup(pod: &world::Pod, name: &str, kind: RecordType, tcp: bool) -> Message {
    let mut question = Message::new(4711, MessageType::Query, OpCode::Query);
    question.add_query(Query::query(Name::from_str(name).expect("a name"), kind));
    let bytes = question.to_vec().expect("encodes");
    let server = SocketAddr::from(([10, 166, 0, 10], 53));
    let answer = pod.run(move || if tcp { ask_tcp(server, &bytes) } else { echo(server, &bytes) });
    let answer = Message::from_vec(&answer.expect("answered")).expect("decodes");
    assert_eq!(answer.metadata.id, 4711);
    answer
}

fn ask_tcp(server: SocketAddr, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    let length = u16::try_from(question.len()).expect("short");
    stream.write_all(&[&length.to_be_bytes(), question].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

#[test]
fn pods_find_services_by_name_over_udp_and_tcp() {
    let Some(mut world) = World::new("dns") else { return };
    let pod = world.pod(0);
    apply(&world, &table(1, true, vec![shop(&[&pod], "TCP")]));
    for tcp in [false, true] {
        let answer = lookup(&pod, "shop.default.svc.cluster.local.", RecordType::A, tcp);
        let addresses: Vec<_> = answer.answers.iter().map(|record| &record.data).collect();
        assert_eq!(addresses, [&RData::A(SERVICE.into())]);
        let none = lookup(&pod, "shop.default.svc.cluster.local.", RecordType::AAAA, tcp);
        assert_eq!((none.metadata.response_code, none.answers.len()), (ResponseCode::NoError, 0));
        let unknown = lookup(&pod, "shop.elsewhere.svc.cluster.local.", RecordType::A, tcp);
        assert_eq!(unknown.metadata.response_code, ResponseCode::NXDomain);
        assert!(!unknown.authorities.is_empty(), "clients need the SOA to remember that there is none");
        let foreign = lookup(&pod, "example.com.", RecordType::A, tcp);
        assert_eq!(foreign.metadata.response_code, ResponseCode::ServFail, "there is no resolver to ask");
    }
}

#[test]
fn a_node_that_leaves_takes_its_side_down() {
    let Some(mut world) = World::new("remove") else { return };
    let _pod = world.pod(0);
    apply(&world, &table(1, true, vec![]));
    world.block_on(world.net(0).remove()).expect("removed");
    assert_eq!(world.ruleset(0), "");
    let left = world.on_node(0, || {
        let mut socket = netlink::Socket::open(netlink::Family::Route).expect("netlink");
        let links = link::links(&mut socket).expect("links").into_iter().map(|link| link.name);
        let ours = link::routes(&mut socket).expect("routes").into_iter().filter(|route| route.ours);
        links.chain(ours.map(|route| route.destination.to_string())).collect::<Vec<_>>()
    });
    assert_eq!(left, ["lo", "eth0", "0.0.0.0/0"], "the default route was there before");
}
