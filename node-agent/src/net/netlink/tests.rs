use super::*;

fn message(kind: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER_BYTES + payload.len()).expect("small");
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(0u16.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[test]
fn a_datagram_is_cut_into_its_messages() {
    let datagram = [message(NLMSG_ERROR, 7, &(-17i32).to_ne_bytes()), message(16, 8, b"abc")].concat();
    let replies = split(&datagram).expect("well formed");
    assert_eq!(replies.len(), 2);
    assert_eq!(replies[0].errno().expect("has a code"), 17);
    assert_eq!(replies[1].bytes.len(), HEADER_BYTES + 3);
}

#[test]
fn a_message_longer_than_its_datagram_is_refused() {
    let mut datagram = message(16, 1, b"abcd");
    datagram.truncate(18);
    assert!(split(&datagram).is_err());
    assert!(split(&[0; HEADER_BYTES]).is_err(), "a message of no length would never end");
}

#[test]
fn an_answer_to_an_earlier_batch_is_not_ours() {
    let reply = Reply { kind: NLMSG_ERROR, sequence: 4, bytes: Vec::new() };
    assert_eq!(reply.index_after(5, 3), None);
    assert_eq!(reply.index_after(2, 3), Some(2));
    let around = Reply { kind: NLMSG_ERROR, sequence: 1, bytes: Vec::new() };
    assert_eq!(around.index_after(u32::MAX, 5), Some(2), "sequence numbers wrap around");
}
