//! A connection to a port of a pod, from inside the pod: programs that listen on its loopback answer too.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream as StdTcpStream};
use std::os::fd::AsFd as _;
use std::time::Duration;

use bytes::Bytes;
use proto::session_frame::Frame;
use proto::{PodRef, PortForwardRequest, SessionFrame};
use runtime::client::Client;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::{FRAME_MAX_BYTES, Outbound, Refusal, Sessions};
use crate::net::netlink::in_netns;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Sessions {
    pub(super) async fn port_forward(
        &self,
        pod: &PodRef,
        request: &PortForwardRequest,
        inbound: mpsc::Receiver<SessionFrame>,
        outbound: &Outbound,
    ) -> Result<(), Refusal> {
        let port = u16::try_from(request.port).ok().filter(|port| *port != 0);
        let port = port.ok_or(Refusal::BadRequest { what: "a port is from 1 to 65535" })?;
        let stream = self.connect_inside(pod, port).await?;
        let (reader, writer) = stream.into_split();
        // A user may have sent all and still listen; a pod that has closed its side has said all.
        let input = async {
            carry_in(writer, inbound).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = carry_out(reader, outbound) => {}
            () = input => {}
        }
        Ok(())
    }

    async fn connect_inside(&self, pod: &PodRef, port: u16) -> Result<TcpStream, Refusal> {
        let entry = self.pod(pod)?;
        let uid = self.directory.uid_of(pod).unwrap_or_default();
        let listing = self.launcher.ask(Client::list).await.map_err(|error| Refusal::failed(&error))?;
        let sandbox = listing.sandboxes.into_iter().find(|sandbox| sandbox.id == uid && sandbox.alive);
        let sandbox = sandbox.ok_or_else(|| Refusal::Failed(format!("pod {} is not running", entry.name)))?;
        let connected = tokio::task::spawn_blocking(move || {
            let netns = File::open(sandbox.netns_path()).map_err(|error| Refusal::failed(&error))?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            in_netns(netns.as_fd(), || StdTcpStream::connect_timeout(&address, CONNECT_TIMEOUT))
                .map_err(|error| Refusal::failed(&error))?
                .map_err(|error| Refusal::Failed(format!("port {port} of pod {}: {error}", entry.name)))
        });
        let stream = connected.await.map_err(|error| Refusal::failed(&error))??;
        stream
            .set_nonblocking(true)
            .and_then(|()| TcpStream::from_std(stream))
            .map_err(|error| Refusal::failed(&error))
    }
}

async fn carry_in(mut to: OwnedWriteHalf, mut inbound: mpsc::Receiver<SessionFrame>) {
    while let Some(frame) = inbound.recv().await {
        let carried = match frame.frame {
            Some(Frame::Stdin(bytes)) => to.write_all(&bytes).await,
            Some(Frame::StdinClosed(_)) => break,
            _ => Ok(()),
        };
        if carried.is_err() {
            return;
        }
    }
    // The other side may have closed already.
    let _ = to.shutdown().await;
}

async fn carry_out(mut from: OwnedReadHalf, outbound: &Outbound) {
    let mut buffer = vec![0; FRAME_MAX_BYTES];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if outbound.send(Frame::Stdout(Bytes::copy_from_slice(&buffer[..count]))).await.is_err() {
            return;
        }
    }
}
