//! The user's terminal: whether there is one, its size, and handing every key to whoever is on the other side.

use std::io::{IsTerminal, stdin, stdout};
use std::os::fd::AsFd;

use anyhow::Context;
use kube::api::TerminalSize;
use nix::sys::termios::{self, SetArg, Termios};

/// Whether a person sits at both ends.
pub(super) fn is_interactive() -> bool {
    stdin().is_terminal() && stdout().is_terminal()
}

/// The size of the terminal, if it has one.
pub(super) fn size() -> Option<TerminalSize> {
    let (width, height) = terminal_size::terminal_size()?;
    Some(TerminalSize { width: width.0, height: height.0 })
}

/// While it lives, keys are passed on as they are pressed, Ctrl-C included.
#[derive(Debug)]
pub(super) struct Raw {
    before: Termios,
}

impl Raw {
    pub(super) fn enter() -> anyhow::Result<Raw> {
        let before = termios::tcgetattr(stdin().as_fd()).context("cannot read the terminal's settings")?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(stdin().as_fd(), SetArg::TCSANOW, &raw)
            .context("cannot change the terminal's settings")?;
        Ok(Raw { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = termios::tcsetattr(stdin().as_fd(), SetArg::TCSANOW, &self.before);
    }
}
