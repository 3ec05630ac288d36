use super::*;

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 65, 1, 9);

fn padded(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = attribute(kind, value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn tuple(kind: u16, source: Ipv4Addr, source_port: u16, destination: Ipv4Addr, protocol: u8) -> Vec<u8> {
    let ip = [padded(CTA_IP_V4_SRC, &source.octets()), padded(CTA_IP_V4_DST, &destination.octets())].concat();
    let proto =
        [padded(CTA_PROTO_NUM, &[protocol]), padded(CTA_PROTO_SRC_PORT, &source_port.to_be_bytes())].concat();
    padded(kind, &[padded(CTA_TUPLE_IP, &ip), padded(CTA_TUPLE_PROTO, &proto)].concat())
}

fn flow(to: Ipv4Addr, answered_by: SocketAddrV4, protocol: u8) -> Vec<u8> {
    let mut bytes = vec![0; ATTRIBUTES_AT];
    bytes.extend(tuple(CTA_TUPLE_ORIG, CLIENT, 5000, to, protocol));
    bytes.extend(tuple(CTA_TUPLE_REPLY, *answered_by.ip(), answered_by.port(), CLIENT, protocol));
    bytes
}

fn gone() -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 65, 1, 2), 8080)
}

#[test]
fn only_translated_udp_flows_to_the_endpoint_are_forgotten() {
    let service = Ipv4Addr::new(10, 66, 0, 20);
    let endpoints = BTreeSet::from([gone()]);
    let found = |bytes: &[u8]| tuple_to_forget(bytes, &endpoints).is_some();
    assert!(found(&flow(service, gone(), IPPROTO_UDP)));
    assert!(!found(&flow(service, gone(), 6)), "TCP ends by itself");
    assert!(!found(&flow(*gone().ip(), gone(), IPPROTO_UDP)), "the client dialled the pod itself");
    let alive = SocketAddrV4::new(Ipv4Addr::new(10, 65, 1, 3), 8080);
    assert!(!found(&flow(service, alive, IPPROTO_UDP)));
}

#[test]
fn a_message_that_is_cut_off_is_passed_over() {
    let whole = flow(Ipv4Addr::new(10, 66, 0, 20), gone(), IPPROTO_UDP);
    for length in 0..whole.len() - 8 {
        assert_eq!(tuple_to_forget(&whole[..length], &BTreeSet::from([gone()])), None);
    }
}
