use super::*;

#[test]
fn requests_ask_for_an_answer_and_end_on_four_bytes() {
    let mut requests = Requests::new();
    let range = Ipv4Net::new_assert(Ipv4Addr::new(10, 65, 1, 0), 24);
    requests.set_up(1).set_route(range, Via::Unreachable).delete_route(range);
    for bytes in &requests.batch {
        let flags = u16::from_ne_bytes([bytes[6], bytes[7]]);
        assert_eq!(flags & (NLM_F_REQUEST | NLM_F_ACK), NLM_F_REQUEST | NLM_F_ACK);
        assert_eq!(bytes.len() % 4, 0);
    }
}

#[test]
fn a_route_of_ours_is_recognised_when_the_kernel_lists_it() {
    let range = Ipv4Net::new_assert(Ipv4Addr::new(10, 65, 2, 0), 24);
    let gateway = Ipv4Addr::new(10, 64, 1, 2);
    let listed = RouteNetlinkMessage::NewRoute(route_message(range, Via::GatewayOnDevice(gateway, 7)));
    let expected = Route { destination: range, gateway: Some(gateway), device: Some(7), ours: true };
    assert_eq!(read_route(listed), Some(expected.clone()));
    assert!(!expected.is_ours_to_nowhere(range));
    let nowhere = read_route(RouteNetlinkMessage::NewRoute(route_message(range, Via::Unreachable)));
    assert!(nowhere.expect("a route").is_ours_to_nowhere(range));
}
