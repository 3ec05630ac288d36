use super::*;

/// A batch's last message, without the header.
fn last(batch: &Batch<'_>) -> Vec<u8> {
    batch.messages.last().expect("not empty")[HEADER_BYTES..].to_vec()
}

#[test]
fn an_empty_batch_is_known_as_such() {
    let mut batch = Batch::new("t");
    assert!(batch.is_empty());
    batch.add_elements("set", &[]);
    assert!(batch.is_empty(), "no elements are no message");
    assert!(!batch.add_table().is_empty());
}

#[test]
fn a_table_is_named_after_the_family() {
    let mut batch = Batch::new("t");
    batch.add_table();
    let expected =
        [&[NFPROTO_IPV4, 0, 0, 0][..], &[6, 0, 1, 0, b't', 0, 0, 0], &[8, 0, 2, 0, 0, 0, 0, 0]].concat();
    assert_eq!(last(&batch), expected);
}

#[test]
fn a_verdict_element_names_its_chain() {
    let mut batch = Batch::new("t");
    let element = Element {
        key: key_of(&[&[6], &80u16.to_be_bytes()]),
        value: ElementValue::Verdict(Verdict::Goto("c".to_owned())),
    };
    batch.add_elements("m", &[element]);
    let bytes = last(&batch);
    let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(has(&[6, 0, 0, 0, 0, 80, 0, 0]), "the key, each field filled to 4 bytes");
    assert!(has(&[0xff, 0xff, 0xff, 0xfc]), "NFT_GOTO");
}

#[test]
fn many_elements_take_several_messages_each_below_the_limit() {
    let mut batch = Batch::new("t");
    let goto = || Verdict::Goto("x".repeat(200));
    let element =
        |number: u32| Element { key: number.to_be_bytes().to_vec(), value: ElementValue::Verdict(goto()) };
    batch.add_elements("m", &(0..1000).map(element).collect::<Vec<_>>());
    assert_eq!(batch.messages.len(), 1 + 5);
    assert!(batch.messages.iter().all(|message| message.len() < usize::from(u16::MAX)));
}

#[test]
fn types_of_concatenations_are_as_nft_reads_them() {
    assert_eq!(type_of(&[Field::Ipv4]), 7);
    assert_eq!(type_of(&[Field::Ipv4, Field::Protocol, Field::Port]), (7 << 12) | (12 << 6) | 13);
    assert_eq!((length_of(&[Field::Port]), length_of(&[Field::Ipv4, Field::Port])), (2, 8));
}

#[test]
fn long_comments_are_cut_between_characters() {
    assert_eq!(comment_data(""), None);
    assert_eq!(comment_data("ab"), Some(vec![0, 3, b'a', b'b', 0]));
    let long = comment_data(&"é".repeat(100)).expect("a comment");
    assert!(long.len() <= COMMENT_BYTES_MAX + 3);
    assert!(std::str::from_utf8(&long[2..long.len() - 1]).is_ok());
}
