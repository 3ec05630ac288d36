//! Listening sockets: one accepts, and hands each connection on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::backend::Backend;
use crate::front::{Entrance, Front};
use crate::table::Protocol;
use crate::{http, tcp};

/// Connections that the kernel keeps for us until we accept them.
const BACKLOG: u32 = 1024;
/// After `accept` fails, e.g. for want of file descriptors, so long until the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Must be called within a runtime.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // So that the next front can take over an address whose old connections still linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts until told to close.
pub(crate) async fn accept(
    front: Arc<Front>,
    entrance: Entrance,
    listener: TcpListener,
    close: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            accepted = accept_one(&front, entrance, &listener) => accepted,
            () = close.cancelled() => return,
        };
        if let Err(error) = accepted {
            warn!(%error, ?entrance, "cannot accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}

async fn accept_one(front: &Arc<Front>, entrance: Entrance, listener: &TcpListener) -> io::Result<()> {
    let place = front.connections.clone().acquire_owned().await.expect("the semaphore is never closed");
    let (stream, client) = listener.accept().await?;
    let front = front.clone();
    let ending = front.ending.clone();
    front.tasks.clone().spawn(async move {
        tokio::select! {
            () = serve(front, entrance, stream, client) => {}
            () = ending.cancelled() => {}
        }
        drop(place);
    });
    Ok(())
}

async fn serve(front: Arc<Front>, entrance: Entrance, stream: TcpStream, client: SocketAddr) {
    // Without it small writes wait; a stream that cannot be told so still works.
    let _ = stream.set_nodelay(true);
    match plain_backend(&front, entrance) {
        Some(backend) => tcp::serve(front, backend, stream, client).await,
        None => http::serve(front, entrance, stream, client).await,
    }
}

/// Whom a connection goes to as a whole. Keeps nothing else of the table: the connection may outlive it.
fn plain_backend(front: &Front, entrance: Entrance) -> Option<Arc<Backend>> {
    let Entrance::Port(listen) = entrance else { return None };
    let routing = front.routing()?;
    let (protocol, backend) = routing.port(listen)?;
    (*protocol == Protocol::Tcp).then(|| backend.clone())
}
