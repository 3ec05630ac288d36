use proptest::prelude::*;

use super::*;

fn decoded(bytes: &[u8]) -> Result<Option<FromClient>, SpdyError> {
    Codec::default().decode(&mut BytesMut::from(bytes))
}

#[test]
fn data_is_cut_into_frames_of_a_stream() {
    let mut bytes = BytesMut::new();
    let large = Bytes::from(vec![7; DATA_MAX_BYTES + 1]);
    Codec::default()
        .encode(ToClient::Data { stream: 5, bytes: large, fin: true }, &mut bytes)
        .expect("encoded");
    let mut codec = Codec::default();
    let first = codec.decode(&mut bytes).expect("a frame").expect("whole");
    assert!(
        matches!(first, FromClient::Data { stream: 5, fin: false, bytes } if bytes.len() == DATA_MAX_BYTES)
    );
    let last = codec.decode(&mut bytes).expect("a frame").expect("whole");
    assert!(matches!(last, FromClient::Data { stream: 5, fin: true, bytes } if bytes.len() == 1));
}

#[test]
fn a_frame_is_read_when_it_is_whole() {
    let ping = [0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 9];
    assert!(decoded(&ping[..11]).expect("not yet").is_none());
    assert_eq!(decoded(&ping).expect("a frame"), Some(FromClient::Ping(9)));
}

#[test]
fn a_frame_beyond_the_limit_is_refused_before_it_is_read() {
    assert!(matches!(decoded(&[0, 0, 0, 1, 0, 0xff, 0xff, 0xff]), Err(SpdyError::TooLarge(_))));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), kind in 1_u8..10) {
        let _either = decoded(&bytes);
        let length = u8::try_from(bytes.len()).expect("short");
        let _either = decoded(&[&[0x80, 3, 0, kind, 0, 0, 0, length], &bytes[..]].concat());
    }
}
