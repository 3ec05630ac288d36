//! Reading a container's output until there is no more, in one thread, without ever making another container wait.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::clock;
use crate::log::{Files, Framer, Stream};
use crate::protocol::LogSpec;

/// How much is read at once: what a pipe holds by default.
const READ_BYTES: usize = 64 * 1024;

/// How often an ended container's pipe is read: the largest pipe an unprivileged process can have is 1 MiB. Should
/// somebody outside still hold the other end and write, that must not go on for ever.
const DRAIN_READS_MAX: usize = 32;

/// The streams of a container and the files they go to.
#[derive(Debug)]
pub(crate) struct Output {
    sources: Vec<Source>,
    files: Option<Files>,
    _stdin: Option<OwnedFd>,
}

#[derive(Debug)]
struct Source {
    fd: OwnedFd,
    framer: Framer,
}

impl Output {
    /// `stdout` may be a terminal's master, which carries both streams.
    pub(crate) fn new(
        log: Option<LogSpec>,
        stdout: Option<OwnedFd>,
        stderr: Option<OwnedFd>,
        stdin: Option<OwnedFd>,
    ) -> Self {
        let stdout = stdout.map(|fd| Source { fd, framer: Framer::new(Stream::Stdout) });
        let stderr = stderr.map(|fd| Source { fd, framer: Framer::new(Stream::Stderr) });
        let sources: Vec<_> = stdout.into_iter().chain(stderr).collect();
        for source in &sources {
            let _ = fcntl(&source.fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
        }
        Self { sources, files: log.map(Files::open), _stdin: stdin }
    }

    /// Moves output to the files until `ended` is readable.
    pub(crate) fn pump(&mut self, ended: &OwnedFd) {
        loop {
            let mut waiting = vec![PollFd::new(ended.as_fd(), PollFlags::POLLIN)];
            waiting
                .extend(self.sources.iter().map(|source| PollFd::new(source.fd.as_fd(), PollFlags::POLLIN)));
            match poll(&mut waiting, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return,
            }
            let ready: Vec<bool> = waiting.iter().map(|fd| fd.any().unwrap_or(false)).collect();
            if ready[0] {
                return;
            }
            let readable = (0..self.sources.len()).filter(|index| ready[index + 1]);
            let ended: Vec<usize> = readable.filter(|&index| self.read(index) == Read::Ended).collect();
            ended.into_iter().rev().for_each(|index| self.end(index));
        }
    }

    /// Takes what is left in every stream and closes it.
    pub(crate) fn drain(&mut self) {
        while !self.sources.is_empty() {
            let _ = (0..DRAIN_READS_MAX).take_while(|_| self.read(0) == Read::Some).count();
            self.end(0);
        }
    }

    fn read(&mut self, index: usize) -> Read {
        let mut buffer = [0; READ_BYTES];
        let source = &mut self.sources[index];
        match nix::unistd::read(&source.fd, &mut buffer) {
            Ok(0) => Read::Ended,
            Ok(length) => {
                let now = clock::now();
                let mut records = Vec::with_capacity(length + length / 8);
                source.framer.push(&buffer[..length], now, &mut records);
                if let Some(files) = &mut self.files {
                    files.write(&records, now);
                }
                Read::Some
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Read::Nothing,
            // EIO: the last one who had the terminal open has let it go.
            Err(_) => Read::Ended,
        }
    }

    fn end(&mut self, index: usize) {
        let mut source = self.sources.remove(index);
        let now = clock::now();
        let mut records = Vec::new();
        source.framer.finish(now, &mut records);
        if let Some(files) = &mut self.files {
            files.write(&records, now);
        }
    }
}

/// How one reading came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    Some,
    Nothing,
    Ended,
}
