//! The wires between this process's standard streams and those of a process in a container.

use std::io::{Read, Write};

use anyhow::Context;
use futures::SinkExt;
use kube::api::AttachedProcess;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::terminal;

/// Read from or written to a stream at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks of standard input that wait for the container to take them.
const INPUT_CHUNKS_MAX: usize = 4;

/// Carries bytes both ways until the process in the container ends; returns its exit code.
pub(super) async fn carry(mut process: AttachedProcess, tty: bool) -> anyhow::Result<u8> {
    let status = process.take_status();
    if let Some(input) = process.stdin() {
        tokio::spawn(carry_input(input));
    }
    if tty && let Some(sizes) = process.terminal_size() {
        tokio::spawn(carry_sizes(sizes));
    }
    let (out, err) = (process.stdout(), process.stderr());
    let out = async {
        match out {
            Some(out) => carry_output(out, std::io::stdout()).await,
            None => Ok(()),
        }
    };
    let err = async {
        match err {
            Some(err) => carry_output(err, std::io::stderr()).await,
            None => Ok(()),
        }
    };
    let (out, err) = tokio::join!(out, err);
    out.and(err)?;
    let status = match status {
        Some(status) => status.await,
        None => None,
    };
    process.join().await.context("the connection to the container broke")?;
    exit_code(status)
}

async fn carry_output(mut from: impl AsyncRead + Unpin, mut to: impl Write) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..length])?;
        to.flush()?;
    }
}

/// Standard input is read by a thread of its own, which nobody waits for: a read of a terminal cannot be called off.
async fn carry_input(mut to: impl tokio::io::AsyncWrite + Unpin) {
    let (sender, mut chunks) = mpsc::channel::<Vec<u8>>(INPUT_CHUNKS_MAX);
    std::thread::spawn(move || {
        let mut buffer = vec![0; CHUNK_BYTES];
        while let Ok(length @ 1..) = std::io::stdin().read(&mut buffer) {
            if sender.blocking_send(buffer[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    while let Some(chunk) = chunks.recv().await {
        // The process has ended or closed its input: what is typed goes nowhere.
        if to.write_all(&chunk).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

/// Tells the container's terminal the size of ours, now and at each change.
async fn carry_sizes(mut sizes: impl futures::Sink<kube::api::TerminalSize> + Unpin) {
    let Ok(mut changes) = signal(SignalKind::window_change()) else { return };
    loop {
        if let Some(size) = terminal::size()
            && sizes.send(size).await.is_err()
        {
            return;
        }
        changes.recv().await;
    }
}

type ExecStatus = k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;

/// The exit code that a `Status` at the end of an exec tells.
fn exit_code(status: Option<ExecStatus>) -> anyhow::Result<u8> {
    let Some(status) = status else { anyhow::bail!("the connection to the container ended without a word") };
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let causes = status.details.and_then(|details| details.causes).unwrap_or_default();
    let told = causes.iter().find(|cause| cause.reason.as_deref() == Some("ExitCode"));
    let code = told.and_then(|cause| cause.message.as_deref()?.parse::<i32>().ok());
    match code {
        // Codes beyond a byte, as a killed process may have, are a failure all the same.
        Some(code) => Ok(u8::try_from(code).unwrap_or(1)),
        None => {
            anyhow::bail!("{}", status.message.unwrap_or_else(|| "the command could not be run".to_owned()))
        }
    }
}
