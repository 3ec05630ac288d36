use std::str::FromStr;
use std::sync::RwLock;

use hickory_proto::rr::{Name, RecordType};
use proptest::prelude::*;

use super::super::zone::Zone;
use super::*;

fn resolver() -> Resolver {
    let ranges = ["10.65.0.0/16", "10.66.0.0/16"].map(|range| range.parse().expect("a range"));
    let mut zone = Zone::new("cluster.local", ranges);
    let endpoints = (0..200).map(|last| proto::Endpoint {
        ip: format!("10.65.1.{last}"),
        port: 80,
        ready: true,
        ..Default::default()
    });
    let service = proto::Service {
        namespace: "default".to_owned(),
        name: "crowd".to_owned(),
        ports: vec![proto::ServicePort { port: 80, endpoints: endpoints.collect(), ..Default::default() }],
        ..Default::default()
    };
    zone.set("default/crowd", Some(&service), |_| false);
    Resolver {
        zone: Arc::new(RwLock::new(zone)),
        upstream: Upstream::new(std::path::Path::new("/dev/null"), Ipv4Addr::new(10, 66, 0, 10)),
        forwarded: Semaphore::new(FORWARDED_MAX),
    }
}

fn question(name: &str) -> Vec<u8> {
    let mut message = Message::new(9, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_str(name).expect("a name"), RecordType::A));
    message.to_vec().expect("encodes")
}

fn answer(bytes: &[u8], transport: Transport) -> Message {
    let Step::Reply(reply) = resolver().step(bytes) else { panic!("answered from memory") };
    Message::from_vec(&encode(&reply, bytes, transport).expect("encodes")).expect("decodes")
}

#[test]
fn an_answer_that_is_too_long_for_udp_is_cut_and_whole_over_tcp() {
    let bytes = question("crowd.default.svc.cluster.local.");
    let cut = answer(&bytes, Transport::Udp);
    assert!(cut.metadata.truncation && cut.answers.is_empty());
    let whole = answer(&bytes, Transport::Tcp);
    assert!(!whole.metadata.truncation);
    assert_eq!(whole.answers.len(), 200);
}

#[test]
fn what_is_no_question_gets_a_format_error_or_nothing() {
    let mut garbled = question("crowd.default.svc.cluster.local.");
    garbled.truncate(20);
    let Step::Reply(reply) = resolver().step(&garbled) else { panic!("its number can be read") };
    assert_eq!((reply.metadata.id, reply.metadata.response_code), (9, ResponseCode::FormErr));
    assert!(matches!(resolver().step(&garbled[..11]), Step::Ignore));
    let mut echo = question("crowd.default.svc.cluster.local.");
    echo[2] |= 0x80;
    assert!(
        matches!(resolver().step(&echo), Step::Ignore),
        "two servers must not talk to each other for ever"
    );
}

#[test]
fn other_names_are_passed_on() {
    assert!(matches!(resolver().step(&question("example.com.")), Step::Forward));
}

#[tokio::test]
async fn too_many_questions_at_once_are_told_so() {
    let resolver = Resolver { forwarded: Semaphore::new(0), ..resolver() };
    let bytes = question("example.com.");
    let answer = resolver.finish(Step::Forward, &bytes, Transport::Udp).await.expect("answered");
    let answer = Message::from_vec(&answer).expect("decodes");
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
}

proptest! {
    #[test]
    fn nothing_that_arrives_can_hurt(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let resolver = resolver();
        if let Step::Reply(reply) = resolver.step(&bytes) {
            encode(&reply, &bytes, Transport::Udp);
        }
    }

    #[test]
    fn nor_can_a_question_with_wrong_bytes(at in 0usize..50, value: u8) {
        let mut bytes = question("crowd.default.svc.cluster.local.");
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        resolver().step(&bytes);
    }
}
