//! A container's output, on its way into files: lines framed as the CRI log format has them, files rotated by size.
//! A disk that is full costs lines, which are counted and told, and nothing else.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::protocol::LogSpec;

#[cfg(test)]
mod tests;

/// A longer line is split into parts marked `P`, as containerd does it.
pub(crate) const LINE_MAX_BYTES: usize = 16 * 1024;

/// Which stream a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Turns the bytes of one stream into records `<rfc3339nano> <stream> F|P <line>`.
#[derive(Debug)]
pub(crate) struct Framer {
    stream: Stream,
    pending: Vec<u8>,
}

impl Framer {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, pending: Vec::new() }
    }

    /// Takes `bytes` that arrived at `now`; appends the records that they complete to `records`.
    pub(crate) fn push(&mut self, bytes: &[u8], now: Timestamp, records: &mut Vec<u8>) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(end) => {
                    self.add(end, now, records);
                    self.emit('F', now, records);
                }
                None => self.add(piece, now, records),
            }
        }
    }

    /// The stream has ended: what is pending is a line without its newline.
    pub(crate) fn finish(&mut self, now: Timestamp, records: &mut Vec<u8>) {
        if !self.pending.is_empty() {
            self.emit('F', now, records);
        }
    }

    /// Adds to the pending line; what is over the limit leaves in parts.
    fn add(&mut self, mut bytes: &[u8], now: Timestamp, records: &mut Vec<u8>) {
        while self.pending.len() + bytes.len() > LINE_MAX_BYTES {
            let (fits, rest) = bytes.split_at(LINE_MAX_BYTES - self.pending.len());
            self.pending.extend_from_slice(fits);
            self.emit('P', now, records);
            bytes = rest;
        }
        self.pending.extend_from_slice(bytes);
    }

    fn emit(&mut self, tag: char, now: Timestamp, records: &mut Vec<u8>) {
        records.extend_from_slice(format!("{now:.9} {} {tag} ", self.stream.name()).as_bytes());
        records.append(&mut self.pending);
        records.push(b'\n');
    }
}

/// The files of one log.
#[derive(Debug)]
pub(crate) struct Files {
    spec: LogSpec,
    current: Option<File>,
    size_bytes: u64,
    lost_bytes: u64,
}

impl Files {
    /// Goes on at the end of the current file.
    pub(crate) fn open(spec: LogSpec) -> Self {
        let mut files = Self { spec, current: None, size_bytes: 0, lost_bytes: 0 };
        files.reopen();
        files
    }

    /// Writes whole records. What cannot be written is counted, and told when writing works again.
    pub(crate) fn write(&mut self, records: &[u8], now: Timestamp) {
        if records.is_empty() {
            return;
        }
        if self.size_bytes > 0 && self.size_bytes + records.len() as u64 > self.spec.size_max_bytes {
            self.rotate();
        }
        if self.lost_bytes > 0 {
            let lost = format!("{now:.9} stderr F [{} bytes of log lost: disk full]\n", self.lost_bytes);
            if self.append(lost.as_bytes()) {
                self.lost_bytes = 0;
            }
        }
        if self.lost_bytes > 0 || !self.append(records) {
            self.lost_bytes += records.len() as u64;
        }
    }

    /// Appends all of `records` or none.
    fn append(&mut self, records: &[u8]) -> bool {
        if self.current.is_none() {
            self.reopen();
        }
        let Some(file) = &mut self.current else { return false };
        if file.write_all(records).is_ok() {
            self.size_bytes += records.len() as u64;
            return true;
        }
        // Half a record would spoil the next one.
        let _ = file.set_len(self.size_bytes);
        false
    }

    fn reopen(&mut self) {
        self.current = OpenOptions::new().create(true).append(true).open(&self.spec.path).ok();
        let length = self.current.as_ref().and_then(|file| file.metadata().ok()).map(|data| data.len());
        self.size_bytes = length.unwrap_or(0);
    }

    /// `log` becomes `log.1`, `log.1` becomes `log.2`, and so on; the oldest goes.
    fn rotate(&mut self) {
        self.current = None;
        let oldest = self.spec.files_max.max(1) - 1;
        if oldest == 0 {
            let _ = fs::remove_file(&self.spec.path);
        }
        for number in (0..oldest).rev() {
            let _ = fs::rename(self.numbered(number), self.numbered(number + 1));
        }
        self.reopen();
    }

    fn numbered(&self, number: u32) -> PathBuf {
        if number == 0 {
            return self.spec.path.clone();
        }
        let mut path = self.spec.path.clone().into_os_string();
        path.push(format!(".{number}"));
        path.into()
    }
}
