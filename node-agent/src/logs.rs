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
/// How often the files are looked through again because they were rotated meanwhile.
const SCANS_MAX: u32 = 8;
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

/// Open files with their inodes.
type Files = VecDeque<(u64, BufReader<File>)>;

/// Reads one container's log, file after file.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    /// Files that are still to be read to their end, the oldest first; the last is the current one.
    files: Files,
    pending: Vec<u8>,
}

impl Reader {
    /// Opens the files that are there now, so that rotation takes none of them away.
    ///
    /// # Errors
    /// When a file is there and cannot be opened.
    pub async fn open(path: &Path) -> io::Result<Self> {
        let mut reader = Self { path: path.to_owned(), files: Files::new(), pending: Vec::new() };
        reader.add_newer().await?;
        Ok(reader)
    }

    /// The next line, or nothing for now.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if self.files.is_empty() && !self.add_newer().await? {
                return Ok(None);
            }
            if let Some(line) = self.read_line().await? {
                return Ok(Some(line));
            }
            if self.files.len() == 1 && !self.was_rotated().await? {
                return Ok(None);
            }
            // Only now is it certain that nobody writes to this file any more: what was written between the look
            // at its end and the rotation is still to be read.
            if let Some(line) = self.read_line().await? {
                return Ok(Some(line));
            }
            self.files.pop_front();
            // A line that broke off here does not go on in the next file.
            if !self.pending.is_empty() {
                return Ok(Some(std::mem::take(&mut self.pending)));
            }
        }
    }

    /// The next line of the oldest file, if all of it is there.
    async fn read_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some((_, file)) = self.files.front_mut() else { return Ok(None) };
        file.read_until(b'\n', &mut self.pending).await?;
        let whole = self.pending.ends_with(b"\n") || self.pending.len() > LINE_MAX_BYTES;
        Ok(whole.then(|| std::mem::take(&mut self.pending)))
    }

    /// Whether there is a newer file than the one that is read; all that are newer are then opened.
    async fn was_rotated(&mut self) -> io::Result<bool> {
        let reading = self.files.back().map(|(inode, _)| *inode);
        match inode(&self.path).await? {
            Some(current) if Some(current) != reading => self.add_newer().await,
            Some(_) | None => Ok(false),
        }
    }

    /// Opens what is newer than the newest file that is open; false if there is nothing, for now.
    async fn add_newer(&mut self) -> io::Result<bool> {
        let reading = self.files.back().map(|(inode, _)| *inode);
        for _ in 0..SCANS_MAX {
            let (current, mut newer) = scan(&self.path, reading).await?;
            // Files that moved meanwhile may have been met in the wrong order.
            let moved = inode(&self.path).await? != current;
            if moved || (current.is_none() && reading.is_some()) {
                continue;
            }
            let found = !newer.is_empty();
            self.files.append(&mut newer);
            return Ok(found);
        }
        Ok(false)
    }
}

/// The current file's inode, and all files that are newer than `reading`, the oldest first.
async fn scan(path: &Path, reading: Option<u64>) -> io::Result<(Option<u64>, Files)> {
    let (mut current, mut newer) = (None, Files::new());
    for number in 0..=ROTATED_MAX {
        let Some((inode, file)) = open(&rotated(path, number)).await? else { continue };
        if number == 0 {
            current = Some(inode);
        }
        if Some(inode) == reading {
            break;
        }
        newer.push_front((inode, file));
    }
    Ok((current, newer))
}

async fn inode(path: &Path) -> io::Result<Option<u64>> {
    match tokio::fs::metadata(path).await {
        Ok(metadata) => Ok(Some(metadata.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// `None` if there is no such file.
async fn open(path: &Path) -> io::Result<Option<(u64, BufReader<File>)>> {
    match File::open(path).await {
        Ok(file) => {
            let inode = file.metadata().await?.ino();
            Ok(Some((inode, BufReader::new(file))))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The file of this number; 0 is the current one.
fn rotated(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
