//! What happened, in order: as one number over all of it, and as the last lines for whoever looks for the cause.

use std::collections::VecDeque;
use std::fmt::Arguments;

use jiff::Timestamp;

/// Lines that are kept for the report of a broken invariant.
const LINES_MAX: usize = 60;

/// The trace of one run.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    lines: VecDeque<String>,
    is_loud: bool,
}

impl Trace {
    /// An empty trace. With `TRACE=1` it is printed as it grows.
    pub(crate) fn new() -> Self {
        let is_loud = std::env::var_os("TRACE").is_some();
        Self { hash: 0xcbf2_9ce4_8422_2325, lines: VecDeque::new(), is_loud }
    }

    /// Adds a line.
    #[expect(clippy::print_stdout, reason = "a loud trace is asked for by who replays a seed")]
    pub(crate) fn add(&mut self, at: Timestamp, what: Arguments<'_>) {
        let line = format!("{at} {what}");
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.is_loud {
            println!("{line}");
        }
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// One number for all of it.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// The end of it.
    pub(crate) fn last_lines(&self) -> String {
        self.lines.iter().map(|line| format!("  {line}\n")).collect()
    }
}
