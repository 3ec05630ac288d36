//! What a connection becomes after `101 Switching Protocols`: a tunnel of bytes, e.g. a WebSocket.

use std::sync::Arc;

use http::Response;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tracing::debug;

use super::answer::Answer;
use super::exchange::Exchange;
use super::headers;
use crate::front::Front;

/// The answer that switches, and a task that carries bytes both ways until either side ends.
pub(crate) fn tunnel(
    front: &Arc<Front>,
    client: OnUpgrade,
    mut response: Response<Incoming>,
    exchange: Exchange,
) -> Response<Answer> {
    let endpoint = hyper::upgrade::on(&mut response);
    let ending = front.ending.clone();
    front.tasks.spawn(async move {
        let carried = tokio::select! {
            carried = carry(client, endpoint) => carried,
            () = ending.cancelled() => Ok(()),
        };
        if let Err(error) = &carried {
            debug!(%error, "tunnel broke off");
        }
        exchange.end_of_connection();
    });
    let protocol = response.headers().get(http::header::UPGRADE).cloned();
    let (mut parts, _) = response.into_parts();
    headers::forward_response(&mut parts);
    headers::set_upgrade(&mut parts.headers, protocol);
    Response::from_parts(parts, Answer::empty())
}

async fn carry(client: OnUpgrade, endpoint: OnUpgrade) -> std::io::Result<()> {
    let (client, endpoint) = tokio::try_join!(client, endpoint).map_err(std::io::Error::other)?;
    copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(endpoint)).await?;
    Ok(())
}
