//! Plain TCP, connection by connection.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::debug;

use crate::backend::{Backend, NoEndpoint, Search};
use crate::clock;
use crate::endpoint::Lease;
use crate::front::Front;

/// Carries one client connection to an endpoint and back until either side ends. A client that no endpoint can
/// be found for is closed.
pub(crate) async fn serve(front: Arc<Front>, backend: Arc<Backend>, mut client: TcpStream, from: SocketAddr) {
    backend.deposit();
    let (lease, mut endpoint) = match connect(&front, &backend).await {
        Ok(connected) => connected,
        Err(reason) => {
            debug!(client = %from, backend = backend.key, ?reason, "connection refused");
            backend.unserved.finished(true);
            return;
        }
    };
    let carried = copy_bidirectional(&mut client, &mut endpoint).await;
    lease.endpoint().counters.finished(carried.is_err());
    if let Err(error) = carried {
        debug!(client = %from, backend = backend.key, %error, "connection broke off");
    }
}

async fn connect(front: &Front, backend: &Backend) -> Result<(Lease, TcpStream), NoEndpoint> {
    let mut search = Search::new(backend, &front.hold, &front.limits);
    loop {
        let lease = search.next().await?;
        let address = lease.endpoint().address;
        let error = match timeout(front.limits.connect_timeout, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Without it small writes wait; a stream that cannot be told so still works.
                let _ = stream.set_nodelay(true);
                lease.answered(clock::now());
                return Ok((lease, stream));
            }
            Ok(Err(error)) => error.to_string(),
            Err(elapsed) => elapsed.to_string(),
        };
        debug!(backend = backend.key, endpoint = %address, error, "goes elsewhere");
        lease.unwell(clock::now());
        lease.endpoint().counters.retried();
        search.failed_on(address);
    }
}
