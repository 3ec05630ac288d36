//! What a log says.

use std::io::Write as _;

use super::*;

fn line(text: &str) -> Line<'_> {
    Line::parse(text.as_bytes()).expect("a line")
}

async fn read_all(reader: &mut Reader) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(line) = reader.next_line().await.expect("readable") {
        lines.push(String::from_utf8(line).expect("text"));
    }
    lines
}

#[test]
fn a_line_is_time_stream_tag_and_content() {
    let line = line("2026-01-02T03:04:05.6Z stderr F hello  world\n");
    assert_eq!(line.stream, Stream::Stderr);
    assert_eq!(line.shown(&Filter::default()).as_deref(), Some(b"hello  world\n".as_slice()));
}

#[test]
fn a_part_of_a_line_does_not_end_it() {
    let line = line("2026-01-02T03:04:05Z stdout P half\n");
    assert_eq!(line.shown(&Filter::default()).as_deref(), Some(b"half".as_slice()));
}

#[test]
fn what_is_no_line_is_none() {
    for text in ["", "x", "time nowhere F x", "time stdout Q x"] {
        assert_eq!(Line::parse(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn lines_before_the_wanted_time_are_left_out() {
    let filter = Filter { since: "2026-01-01T00:00:00Z".parse().ok(), ..Filter::default() };
    assert_eq!(line("2025-12-31T23:59:59.9Z stdout F old").shown(&filter), None);
    assert!(line("2026-01-01T00:00:00Z stdout F new").shown(&filter).is_some());
}

#[test]
fn times_are_shown_when_they_are_wanted() {
    let filter = Filter { timestamps: true, ..Filter::default() };
    let shown = line("2026-01-01T00:00:00Z stdout F x").shown(&filter);
    assert_eq!(shown.as_deref(), Some(b"2026-01-01T00:00:00Z x\n".as_slice()));
}

#[tokio::test]
async fn rotated_files_are_read_first_and_rotation_loses_no_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("0.log");
    std::fs::write(rotated(&path, 1), "one\n").expect("a file");
    std::fs::write(&path, "two\n").expect("a file");
    let mut reader = Reader::open(&path).await.expect("readable");
    assert_eq!(read_all(&mut reader).await, ["one\n", "two\n"]);
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).expect("a file");
    file.write_all(b"three\n").expect("writable");
    std::fs::rename(rotated(&path, 1), rotated(&path, 2)).expect("renamed");
    std::fs::rename(&path, rotated(&path, 1)).expect("renamed");
    std::fs::write(&path, "four\n").expect("a file");
    assert_eq!(read_all(&mut reader).await, ["three\n", "four\n"]);
}

#[tokio::test]
async fn a_line_that_is_still_being_written_is_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("0.log");
    let mut reader = Reader::open(&path).await.expect("nothing is there yet");
    assert_eq!(read_all(&mut reader).await, Vec::<String>::new());
    std::fs::write(&path, "ha").expect("a file");
    assert_eq!(read_all(&mut reader).await, Vec::<String>::new());
    std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(b"lf\n"))
        .expect("a file");
    assert_eq!(read_all(&mut reader).await, ["half\n"]);
}
