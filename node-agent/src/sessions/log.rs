//! A container's log, once or as it is written.

use std::collections::VecDeque;
use std::os::fd::AsFd as _;
use std::path::Path;

use bytes::Bytes;
use jiff::SignedDuration;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use proto::session_frame::Frame;
use proto::{ExecRequest, LogRequest, PodRef};

use super::{FRAME_MAX_BYTES, Outbound, Refusal, Sessions};
use crate::clock;
use crate::logs::{Filter, Line, Reader, Stream};
use crate::pods::directory::find;
use crate::wait::waitable;

impl Sessions {
    pub(super) async fn log(
        &self,
        pod: &PodRef,
        request: &LogRequest,
        outbound: &Outbound,
    ) -> Result<(), Refusal> {
        let (container, entry) = self.container(pod, &request.container)?;
        let path = if request.previous {
            entry.previous_log.ok_or(Refusal::NoPrevious { container: container.clone() })?
        } else {
            entry.log.ok_or(Refusal::NoLog { container: container.clone() })?
        };
        let reader = Reader::open(&path).await.map_err(|error| Refusal::failed(&error))?;
        let limit = request.limit_bytes.and_then(|limit| usize::try_from(limit).ok());
        let mut log = Log { reader, filter: filter(request)?, left: limit, split: false, outbound };
        if !log.existing().await? || !request.follow || request.previous {
            return Ok(());
        }
        self.follow(&mut log, pod, &container, &path).await
    }

    /// Joins the output of a container's own process, as its log has it, from now on.
    pub(super) async fn attach(
        &self,
        pod: &PodRef,
        request: &ExecRequest,
        outbound: &Outbound,
    ) -> Result<(), Refusal> {
        if request.stdin {
            return Err(Refusal::BadRequest { what: "attach cannot write to a container; use exec" });
        }
        let (container, entry) = self.container(pod, &request.container)?;
        let path = entry.log.ok_or(Refusal::NotRunning { container: container.clone() })?;
        let reader = Reader::open(&path).await.map_err(|error| Refusal::failed(&error))?;
        let filter = Filter { tail: Some(0), ..Filter::default() };
        let mut log = Log { reader, filter, left: None, split: true, outbound };
        log.existing().await?;
        self.follow(&mut log, pod, &container, &path).await
    }

    /// Goes on until the container has ended and everything that it wrote is said.
    async fn follow(
        &self,
        log: &mut Log<'_>,
        pod: &PodRef,
        container: &str,
        path: &Path,
    ) -> Result<(), Refusal> {
        let folder = path.parent().unwrap_or(path);
        let written = Written::watch(folder).map_err(|error| Refusal::failed(&error))?;
        let mut pods = self.directory.watch();
        loop {
            // Before reading: what is written between the two is not missed.
            let ended = !is_written(&pods.borrow_and_update(), pod, container, path);
            if !log.rest().await? || ended {
                return Ok(());
            }
            tokio::select! {
                changed = written.changed() => changed.map_err(|error| Refusal::failed(&error))?,
                changed = pods.changed() => if changed.is_err() { return Ok(()) },
            }
        }
    }
}

/// Whether the container's current run still writes to this file.
fn is_written(pods: &crate::pods::directory::Entries, pod: &PodRef, container: &str, path: &Path) -> bool {
    let entry = find(pods, pod).and_then(|(_, entry)| entry.containers.get(container));
    entry.is_some_and(|entry| entry.running_id.is_some() && entry.log.as_deref() == Some(path))
}

fn filter(request: &LogRequest) -> Result<Filter, Refusal> {
    let bad = |what| Refusal::BadRequest { what };
    let tail = request
        .tail_lines
        .map(|lines| usize::try_from(lines).map_err(|_| bad("tailLines must not be negative")));
    let since = match (request.since_seconds, request.since_time.as_str()) {
        (Some(seconds), _) => clock::now().checked_sub(SignedDuration::from_secs(seconds)).ok(),
        (None, "") => None,
        (None, text) => Some(text.parse().map_err(|_| bad("sinceTime must be an RFC 3339 time"))?),
    };
    Ok(Filter { tail: tail.transpose()?, since, timestamps: request.timestamps })
}

/// A log on its way to a user.
struct Log<'a> {
    reader: Reader,
    filter: Filter,
    /// Bytes that may still be said.
    left: Option<usize>,
    /// Whether the two streams are told apart.
    split: bool,
    outbound: &'a Outbound,
}

impl Log<'_> {
    /// Says what is there; false when no more is wanted.
    async fn existing(&mut self) -> Result<bool, Refusal> {
        let Some(tail) = self.filter.tail else { return self.rest().await };
        // The files are limited in size and number, and so is this.
        let mut last = VecDeque::new();
        while let Some(line) = self.next().await? {
            last.push_back(line);
            if last.len() > tail {
                last.pop_front();
            }
        }
        let mut batch = Batch::default();
        for (stream, shown) in last {
            if !self.add(&mut batch, stream, &shown).await? {
                return Ok(false);
            }
        }
        self.flush(&mut batch).await
    }

    /// Says what has been written since; false when no more is wanted.
    async fn rest(&mut self) -> Result<bool, Refusal> {
        let mut batch = Batch::default();
        while let Some((stream, shown)) = self.next().await? {
            if !self.add(&mut batch, stream, &shown).await? {
                return Ok(false);
            }
        }
        self.flush(&mut batch).await
    }

    async fn next(&mut self) -> Result<Option<(Stream, Vec<u8>)>, Refusal> {
        while let Some(line) = self.reader.next_line().await.map_err(|error| Refusal::failed(&error))? {
            let Some(line) = Line::parse(&line) else { continue };
            if let Some(shown) = line.shown(&self.filter) {
                return Ok(Some((line.stream, shown)));
            }
        }
        Ok(None)
    }

    async fn add(&mut self, batch: &mut Batch, stream: Stream, shown: &[u8]) -> Result<bool, Refusal> {
        let wanted = self.left.map_or(shown.len(), |left| left.min(shown.len()));
        let stream = if self.split { stream } else { Stream::Stdout };
        if batch.stream != Some(stream) || batch.bytes.len() + wanted > FRAME_MAX_BYTES {
            if !self.flush(batch).await? {
                return Ok(false);
            }
            batch.stream = Some(stream);
        }
        batch.bytes.extend_from_slice(&shown[..wanted]);
        if let Some(left) = &mut self.left {
            *left -= wanted;
            if *left == 0 {
                self.flush(batch).await?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn flush(&mut self, batch: &mut Batch) -> Result<bool, Refusal> {
        if batch.bytes.is_empty() {
            return Ok(true);
        }
        let bytes = Bytes::from(std::mem::take(&mut batch.bytes));
        let frame = match batch.stream {
            Some(Stream::Stderr) => Frame::Stderr(bytes),
            Some(Stream::Stdout) | None => Frame::Stdout(bytes),
        };
        Ok(self.outbound.send(frame).await.is_ok())
    }
}

/// Lines that go out together.
#[derive(Default)]
struct Batch {
    stream: Option<Stream>,
    bytes: Vec<u8>,
}

/// Tells when something in a log folder changed.
struct Written {
    inotify: Inotify,
    readable: tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>,
}

impl Written {
    fn watch(folder: &Path) -> std::io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        inotify.add_watch(
            folder,
            AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVE,
        )?;
        let readable = waitable(inotify.as_fd())?;
        Ok(Self { inotify, readable })
    }

    async fn changed(&self) -> std::io::Result<()> {
        loop {
            let mut ready = self.readable.readable().await?;
            match self.inotify.read_events() {
                Ok(_) => return Ok(()),
                Err(Errno::EAGAIN) => ready.clear_ready(),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}
