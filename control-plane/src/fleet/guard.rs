//! What strangers can make us hold: so many connections in all, so many from one address.
//!
//! The fleet's port can be dialled by anything on the nodes' network, pods included; who it is turns out only after the
//! handshake.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::Stream;
use tonic::transport::server::{Connected, TcpConnectInfo};

#[cfg(test)]
mod tests;

/// Connections in all. A node has one for its stream and its sessions.
const CONNECTIONS_MAX: usize = 8192;
/// Connections of one address.
const PER_ADDRESS_MAX: usize = 64;
/// How long to wait when the kernel has no file descriptor left for another connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How many connections there are now.
#[derive(Debug, Clone, Default)]
struct Counts {
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Counts {
    /// A place for one more connection of this address, if there is one.
    fn take(&self, address: IpAddr) -> Option<Place> {
        let mut counts = self.lock();
        let all: usize = counts.values().sum();
        let own = counts.entry(address).or_default();
        if all >= CONNECTIONS_MAX || *own >= PER_ADDRESS_MAX {
            return None;
        }
        *own += 1;
        Some(Place { counts: self.clone(), address })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to have one connection, until it is dropped.
#[derive(Debug)]
struct Place {
    counts: Counts,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        if let Some(own) = counts.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// A connection that has its place.
#[derive(Debug)]
pub(super) struct Guarded {
    stream: TcpStream,
    _place: Place,
}

/// Accepts connections for as long as the listener lives; those without a place are closed at once.
pub(super) fn accept(listener: TcpListener) -> impl Stream<Item = io::Result<Guarded>> {
    let counts = Counts::default();
    futures::stream::unfold((listener, counts), async |(listener, counts)| {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let Some(place) = counts.take(peer.ip()) else { continue };
                    // Small frames must not wait for each other; a socket that cannot do it is about to fail anyway.
                    let _ = stream.set_nodelay(true);
                    return Some((Ok(Guarded { stream, _place: place }), (listener, counts)));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection of the fleet");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    })
}

impl Connected for Guarded {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
