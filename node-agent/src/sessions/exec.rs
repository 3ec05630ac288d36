//! A command in a container, with or without a terminal.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use bytes::Bytes;
use proto::session_frame::Frame;
use proto::{ExecRequest, PodRef, Resize, SessionFrame};
use runtime::client::{ExecStdio, Execution};
use runtime::protocol::{ExecSpec, WindowSize};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{FRAME_MAX_BYTES, Gone, Outbound, Refusal, Sessions};
use crate::wait::waitable;

/// What a terminal is before its user says how large it is.
const WINDOW_DEFAULT: WindowSize = WindowSize { columns: 80, rows: 24 };
/// A command that has ended may have left others behind that hold its output open: they are not waited for longer.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(200);

impl Sessions {
    pub(super) async fn exec(
        &self,
        pod: &PodRef,
        request: ExecRequest,
        inbound: mpsc::Receiver<SessionFrame>,
        outbound: &Outbound,
    ) -> Result<(), Refusal> {
        let (name, container) = self.container(pod, &request.container)?;
        let id = container.running_id.ok_or(Refusal::NotRunning { container: name })?;
        if request.command.is_empty() {
            return Err(Refusal::BadRequest {
                what: "you must specify at least one command for the container",
            });
        }
        let failed = |error: io::Error| Refusal::failed(&error);
        let (stdio, ours) = Ours::new(&request).map_err(failed)?;
        let spec = ExecSpec {
            container: id,
            argv: request.command,
            terminal: request.tty.then_some(WINDOW_DEFAULT),
            ..ExecSpec::default()
        };
        let asked = self.launcher.ask(move |client| client.exec(&spec, &stdio)).await;
        let execution = asked.map_err(|error| Refusal::failed(&error))?;
        // From here on, whoever drops the execution ends the command.
        let exit = match &execution.terminal {
            Some(terminal) => {
                let terminal = waitable(terminal.as_fd()).map_err(failed)?;
                with_terminal(&execution, &terminal, inbound, outbound).await.map_err(failed)?;
                execution.wait()
            }
            None => {
                with_pipes(&execution, ours, inbound, outbound).await.map_err(failed)?;
                execution.wait()
            }
        };
        let exit = exit.map_err(|error| Refusal::failed(&error))?;
        // Whoever has gone is not told.
        let _ = outbound.send(Frame::ExitCode(exit.code)).await;
        Ok(())
    }
}

/// Our ends of a command's pipes.
#[derive(Default)]
struct Ours {
    stdin: Option<pipe::Sender>,
    stdout: Option<pipe::Receiver>,
    stderr: Option<pipe::Receiver>,
}

impl Ours {
    /// The command's ends, and ours; with a terminal there are none.
    fn new(request: &ExecRequest) -> io::Result<(ExecStdio, Self)> {
        let (mut theirs, mut ours) = (ExecStdio::default(), Self::default());
        if request.tty {
            return Ok((theirs, ours));
        }
        if request.stdin {
            let (reader, writer) = io::pipe()?;
            theirs.stdin = Some(reader.into());
            ours.stdin = Some(pipe::Sender::from_owned_fd(writer.into())?);
        }
        if request.stdout {
            let (reader, writer) = io::pipe()?;
            theirs.stdout = Some(writer.into());
            ours.stdout = Some(pipe::Receiver::from_owned_fd(reader.into())?);
        }
        if request.stderr {
            let (reader, writer) = io::pipe()?;
            theirs.stderr = Some(writer.into());
            ours.stderr = Some(pipe::Receiver::from_owned_fd(reader.into())?);
        }
        Ok((theirs, ours))
    }
}

async fn with_pipes(
    execution: &Execution,
    ours: Ours,
    inbound: mpsc::Receiver<SessionFrame>,
    outbound: &Outbound,
) -> io::Result<()> {
    let output = async {
        tokio::join!(
            carry_out(ours.stdout, outbound, Frame::Stdout),
            carry_out(ours.stderr, outbound, Frame::Stderr)
        )
    };
    let input = async {
        carry_in(ours.stdin, inbound).await;
        // A command may go on without input.
        std::future::pending::<()>().await;
    };
    until_ended(execution, output, input).await
}

/// Until the command has ended, and its output with it.
async fn until_ended<T>(
    execution: &Execution,
    output: impl Future<Output = T>,
    input: impl Future<Output = ()>,
) -> io::Result<()> {
    let ended = waitable(execution.as_fd())?;
    tokio::pin!(output, input);
    let mut said_all = false;
    loop {
        tokio::select! {
            _ = &mut output, if !said_all => said_all = true,
            () = &mut input => {}
            ready = ended.readable() => {
                ready?.retain_ready();
                break;
            }
        }
    }
    if !said_all {
        let _ = timeout(DRAIN_TIMEOUT, output).await;
    }
    Ok(())
}

async fn carry_out(
    from: Option<pipe::Receiver>,
    outbound: &Outbound,
    frame: impl Fn(Bytes) -> Frame,
) -> Result<(), Gone> {
    let Some(mut from) = from else { return Ok(()) };
    let mut buffer = vec![0; FRAME_MAX_BYTES];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(count) => outbound.send(frame(Bytes::copy_from_slice(&buffer[..count]))).await?,
        }
    }
}

async fn carry_in(mut to: Option<pipe::Sender>, mut inbound: mpsc::Receiver<SessionFrame>) {
    while let Some(frame) = inbound.recv().await {
        match (frame.frame, &mut to) {
            // A command that does not read any more is no reason to end it.
            (Some(Frame::Stdin(bytes)), Some(pipe)) => {
                if pipe.write_all(&bytes).await.is_err() {
                    to = None;
                }
            }
            (Some(Frame::StdinClosed(_)), _) => to = None,
            (_, _) => {}
        }
    }
}

async fn with_terminal(
    execution: &Execution,
    terminal: &AsyncFd<OwnedFd>,
    inbound: mpsc::Receiver<SessionFrame>,
    outbound: &Outbound,
) -> io::Result<()> {
    nonblocking(terminal)?;
    let output = read_terminal(terminal, outbound);
    let input = async {
        write_terminal(terminal, inbound).await;
        std::future::pending::<()>().await;
    };
    until_ended(execution, output, input).await
}

fn nonblocking(terminal: &AsyncFd<OwnedFd>) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let flags = OFlag::from_bits_truncate(fcntl(terminal.get_ref(), FcntlArg::F_GETFL)?);
    fcntl(terminal.get_ref(), FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// Ends when the last process has closed the terminal: the kernel then says EIO.
async fn read_terminal(terminal: &AsyncFd<OwnedFd>, outbound: &Outbound) -> Result<(), Gone> {
    let mut buffer = vec![0; FRAME_MAX_BYTES];
    loop {
        let Ok(mut ready) = terminal.readable().await else { return Ok(()) };
        let read = ready.try_io(|terminal| Ok(nix::unistd::read(terminal.get_ref(), &mut buffer)?));
        match read {
            Err(_would_block) => {}
            Ok(Ok(0) | Err(_)) => return Ok(()),
            Ok(Ok(count)) => outbound.send(Frame::Stdout(Bytes::copy_from_slice(&buffer[..count]))).await?,
        }
    }
}

async fn write_terminal(terminal: &AsyncFd<OwnedFd>, mut inbound: mpsc::Receiver<SessionFrame>) {
    /// What a user types to say that there is no more: the terminal makes an end of file of it.
    const END_OF_TRANSMISSION: &[u8] = &[4];
    while let Some(frame) = inbound.recv().await {
        let written = match frame.frame {
            Some(Frame::Stdin(bytes)) => write_all(terminal, &bytes).await,
            Some(Frame::StdinClosed(_)) => write_all(terminal, END_OF_TRANSMISSION).await,
            Some(Frame::Resize(size)) => resize(terminal, &size),
            _ => Ok(()),
        };
        if written.is_err() {
            return;
        }
    }
}

async fn write_all(terminal: &AsyncFd<OwnedFd>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let mut ready = terminal.writable().await?;
        match ready.try_io(|terminal| Ok(nix::unistd::write(terminal.get_ref(), bytes)?)) {
            Err(_would_block) => {}
            Ok(written) => bytes = &bytes[written?..],
        }
    }
    Ok(())
}

fn resize(terminal: &AsyncFd<OwnedFd>, size: &Resize) -> io::Result<()> {
    let cells = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
    let size = Winsize { ws_row: cells(size.rows), ws_col: cells(size.columns), ws_xpixel: 0, ws_ypixel: 0 };
    Ok(tcsetwinsize(terminal.get_ref(), size)?)
}
