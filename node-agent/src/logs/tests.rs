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

/// As the runtime does it: the older ones move on, then the current one, then there is a new one.
fn rotate(path: &Path, kept: u32, text: &str) {
    for number in (0..kept).rev() {
        let _ = std::fs::rename(rotated(path, number), rotated(path, number + 1));
    }
    std::fs::write(path, text).expect("a file");
}

#[tokio::test]
async fn no_file_is_skipped_when_the_log_was_rotated_twice_between_two_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("0.log");
    std::fs::write(&path, "one\n").expect("a file");
    let mut reader = Reader::open(&path).await.expect("readable");
    assert_eq!(read_all(&mut reader).await, ["one\n"]);
    rotate(&path, 3, "two\n");
    rotate(&path, 3, "three\n");
    assert_eq!(read_all(&mut reader).await, ["two\n", "three\n"]);
}

#[tokio::test]
async fn a_line_that_broke_off_is_not_joined_to_the_next_files_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("0.log");
    std::fs::write(&path, "ha").expect("a file");
    let mut reader = Reader::open(&path).await.expect("readable");
    assert_eq!(read_all(&mut reader).await, Vec::<String>::new());
    rotate(&path, 3, "next\n");
    assert_eq!(read_all(&mut reader).await, ["ha", "next\n"]);
}

#[tokio::test]
async fn a_reader_beside_a_writer_that_rotates_all_the_time_misses_no_line() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    const LINES: u32 = 3000;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("0.log");
    std::fs::write(&path, "").expect("a file");
    let read = Arc::new(AtomicU32::new(0));
    let (seen, target) = (Arc::clone(&read), path.clone());
    let writer = std::thread::spawn(move || {
        for number in 0..LINES {
            // So that nothing is removed that was not read yet.
            while number - seen.load(Ordering::Relaxed) > 20 {
                std::thread::yield_now();
            }
            if number % 5 == 0 {
                rotate(&target, 8, "");
            }
            let mut file = std::fs::OpenOptions::new().append(true).open(&target).expect("a file");
            writeln!(file, "{number}").expect("writable");
        }
    });
    let mut reader = Reader::open(&path).await.expect("readable");
    for number in 0..LINES {
        let line = loop {
            match reader.next_line().await.expect("readable") {
                Some(line) => break line,
                None => tokio::task::yield_now().await,
            }
        };
        assert_eq!(line, format!("{number}\n").into_bytes());
        read.store(number + 1, Ordering::Relaxed);
    }
    writer.join().expect("it wrote everything");
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
