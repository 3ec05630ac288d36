//! Container logs in the CRI format: read, filtered, followed over rotation.
//!
//! A line of the file is `TIME STREAM TAG CONTENT`, where the tag says whether the line is whole (`F`) or goes on
//! (`P`). Older files lie beside the current one as `PATH.1`, `PATH.2`, …; who writes them is the runtime's business.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// How many older files are looked for.
const ROTATED_MAX: u32 = 16;
/// The longest line that is kept whole; the runtime cuts lines long before.
const LINE_MAX_BYTES: usize = 1024 * 1024;

/// Which lines are wanted, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only the last so many.
    pub tail: Option<usize>,
    /// Only those since.
    pub since: Option<Timestamp>,
    /// With their times.
    pub timestamps: bool,
}

/// Which of its streams a process wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// One line of a log file, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// When it was written, as in the file.
    pub time: &'a str,
    /// To what.
    pub stream: Stream,
    /// Whether it ends here.
    pub whole: bool,
    /// Its bytes, without the line's end.
    pub content: &'a [u8],
}

impl<'a> Line<'a> {
    /// Takes a line apart; `None` if it is none.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let mut fields = line.splitn(4, |byte| *byte == b' ');
        let time = std::str::from_utf8(fields.next()?).ok()?;
        let stream = match fields.next()? {
            b"stdout" => Stream::Stdout,
            b"stderr" => Stream::Stderr,
            _ => return None,
        };
        let tag = fields.next()?;
        let whole = match tag.split(|byte| *byte == b':').next()? {
            b"F" => true,
            b"P" => false,
            _ => return None,
        };
        Some(Self { time, stream, whole, content: fields.next().unwrap_or_default() })
    }

    /// As the user sees it; `None` if the user does not want it.
    #[must_use]
    pub fn shown(&self, filter: &Filter) -> Option<Vec<u8>> {
        if let Some(since) = filter.since
            && self.time.parse::<Timestamp>().is_ok_and(|time| time < since)
        {
            return None;
        }
        let mut out = Vec::with_capacity(self.time.len() + self.content.len() + 2);
        if filter.timestamps {
            out.extend_from_slice(self.time.as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(self.content);
        if self.whole {
            out.push(b'\n');
        }
        Some(out)
    }
}

/// Reads one container's log, file after file.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    /// Files that are still to be read to their end, the oldest first; the last is the current one.
    files: VecDeque<(u64, BufReader<File>)>,
    pending: Vec<u8>,
}

impl Reader {
    /// Opens the files that are there now, so that rotation takes none of them away.
    ///
    /// # Errors
    /// When a file is there and cannot be opened.
    pub async fn open(path: &Path) -> io::Result<Self> {
        let mut reader = Self { path: path.to_owned(), files: VecDeque::new(), pending: Vec::new() };
        let mut paths: Vec<PathBuf> = (1..=ROTATED_MAX).rev().map(|number| rotated(path, number)).collect();
        paths.push(path.to_owned());
        for path in paths {
            reader.add(&path).await?;
        }
        Ok(reader)
    }

    /// The next line, or nothing for now.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let Some((_, file)) = self.files.front_mut() else {
                // The file had not been made yet, or has just been renamed.
                if !self.add(&self.path.clone()).await? {
                    return Ok(None);
                }
                continue;
            };
            file.read_until(b'\n', &mut self.pending).await?;
            if self.pending.ends_with(b"\n") || self.pending.len() > LINE_MAX_BYTES {
                return Ok(Some(std::mem::take(&mut self.pending)));
            }
            if self.files.len() == 1 && !self.was_rotated().await? {
                return Ok(None);
            }
            self.files.pop_front();
        }
    }

    /// Whether there is a newer file than the one that is read; it is then opened.
    async fn was_rotated(&mut self) -> io::Result<bool> {
        let reading = self.files.back().map(|(inode, _)| *inode);
        match tokio::fs::metadata(&self.path).await {
            Ok(metadata) if Some(metadata.ino()) != reading => self.add(&self.path.clone()).await,
            Ok(_) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn add(&mut self, path: &Path) -> io::Result<bool> {
        match File::open(path).await {
            Ok(file) => {
                let inode = file.metadata().await?.ino();
                if self.files.iter().any(|(known, _)| *known == inode) {
                    return Ok(false);
                }
                self.files.push_back((inode, BufReader::new(file)));
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn rotated(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
