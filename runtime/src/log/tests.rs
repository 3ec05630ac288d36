use std::fs;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::new(second, 5).expect("is in range")
}

fn framed(pieces: &[&[u8]]) -> String {
    let mut framer = Framer::new(Stream::Stdout);
    let mut records = Vec::new();
    pieces.iter().for_each(|piece| framer.push(piece, at(0), &mut records));
    framer.finish(at(0), &mut records);
    String::from_utf8(records).expect("is text")
}

#[test]
fn a_line_in_pieces_is_one_record() {
    assert_eq!(framed(&[b"he", b"llo\n"]), "1970-01-01T00:00:00.000000005Z stdout F hello\n");
}

#[test]
fn a_line_without_its_newline_is_kept_at_the_end() {
    assert_eq!(framed(&[b"a\nb"]).lines().count(), 2);
    assert!(framed(&[b"a\nb"]).ends_with(" stdout F b\n"));
}

#[test]
fn an_empty_line_is_a_record() {
    assert_eq!(framed(&[b"\n"]), "1970-01-01T00:00:00.000000005Z stdout F \n");
}

#[test]
fn a_long_line_is_split_into_parts_and_nothing_is_lost() {
    let long = vec![b'x'; LINE_MAX_BYTES * 2 + 7];
    let text = framed(&[&long, b"\n"]);
    let tags: Vec<&str> = text.lines().map(|line| line.split(' ').nth(2).expect("has a tag")).collect();
    assert_eq!(tags, ["P", "P", "F"]);
    assert_eq!(text.matches('x').count(), long.len());
}

#[test]
fn a_full_file_is_rotated_and_the_oldest_goes() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("log");
    let mut files = Files::open(LogSpec { path: path.clone(), size_max_bytes: 10, files_max: 3 });
    for number in 0..5 {
        files.write(format!("record {number}\n").as_bytes(), at(number));
    }
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("is there");
    assert_eq!(
        (read("log"), read("log.1"), read("log.2")),
        ("record 4\n".into(), "record 3\n".into(), "record 2\n".into())
    );
    assert_eq!(fs::read_dir(folder.path()).expect("is there").count(), 3);
}

#[test]
fn a_disk_that_is_full_costs_lines_and_says_so() {
    // /dev/full refuses every write as a full disk does.
    let spec = LogSpec { path: "/dev/full".into(), size_max_bytes: 1 << 20, files_max: 1 };
    let mut files = Files::open(spec);
    files.write(b"lost\n", at(0));
    assert_eq!(files.lost_bytes, 5);
    let folder = tempfile::tempdir().expect("a folder can be made");
    files.spec.path = folder.path().join("log");
    files.current = None;
    files.write(b"kept\n", at(1));
    let text = fs::read_to_string(&files.spec.path).expect("is there");
    assert!(text.contains("5 bytes of log lost") && text.ends_with("kept\n"), "{text}");
}

proptest::proptest! {
    #[test]
    fn whatever_arrives_in_whatever_pieces_comes_out_again(
        pieces in proptest::collection::vec((0..LINE_MAX_BYTES * 2, 0u8..=255), 0..12),
    ) {
        // One byte repeated, then another one: newlines alone, in rows, and at every distance from the limit.
        let pieces: Vec<Vec<u8>> =
            pieces.into_iter().map(|(length, byte)| [vec![b'x'; length], vec![byte % 12; 2]].concat()).collect();
        let mut framer = Framer::new(Stream::Stderr);
        let mut records = Vec::new();
        pieces.iter().for_each(|piece| framer.push(piece, at(0), &mut records));
        framer.finish(at(0), &mut records);
        let mut said = Vec::new();
        for record in records.split_inclusive(|&byte| byte == b'\n') {
            let header = b"1970-01-01T00:00:00.000000005Z stderr ".len();
            let (tag, line) = (record[header], &record[header + 2..record.len() - 1]);
            proptest::prop_assert!(line.len() <= LINE_MAX_BYTES && (tag == b'F' || tag == b'P'));
            said.extend_from_slice(line);
            if tag == b'F' {
                said.push(b'\n');
            }
        }
        let mut wanted = pieces.concat();
        if wanted.last().is_some_and(|&last| last != b'\n') {
            wanted.push(b'\n');
        }
        proptest::prop_assert_eq!(said, wanted);
    }
}
