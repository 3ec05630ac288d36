//! Sends probes: an HTTP request, a TCP connection, or a command in the container.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe, TCPSocketAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::pods::launcher::{Launcher, LauncherError};
use crate::probes::HTTP;

/// How much of a command line is shown.
const SHOWN_MAX: usize = 80;

/// Why a probe or hook did not succeed: said to the user as it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("cannot connect to {address}")]
    Connect {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot ask {address} over HTTP")]
    Http {
        address: SocketAddr,
        #[source]
        source: hyper::Error,
    },
    #[error("HTTP answered {status}")]
    Status { status: u16 },
    #[error("the request cannot be made")]
    Request(#[source] http::Error),
    #[error("scheme {scheme} is not supported; HTTP is")]
    Scheme { scheme: String },
    #[error("command {command:?} exited with {code}")]
    Exit { command: String, code: i32 },
    #[error("cannot run the command")]
    Exec(#[source] LauncherError),
    #[error("the container has no port named {name}")]
    NoPort { name: String },
    #[error("{number} is no port")]
    BadPort { number: i32 },
    #[error("the pod has no address yet")]
    NoAddress,
    #[error("it is of a kind that is not supported; httpGet, tcpSocket and exec are")]
    Unsupported,
}

/// Where to find the container that is asked.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) ip: Option<IpAddr>,
    pub(crate) container_id: String,
    pub(crate) spec: Container,
}

/// Sends one probe; an answer that takes longer than `limit` is none.
pub(crate) async fn dial(
    target: &Target,
    probe: &Probe,
    limit: Duration,
    launcher: &Launcher,
) -> Result<(), DialError> {
    let asked = async {
        if let Some(action) = &probe.http_get {
            return http_get(target, action).await;
        }
        if let Some(action) = &probe.tcp_socket {
            return tcp_connect(target, action).await;
        }
        let Some(action) = &probe.exec else { return Err(DialError::Unsupported) };
        exec(target, action.command.clone().unwrap_or_default(), limit, launcher).await
    };
    timeout(limit, asked).await.map_err(|_| DialError::TimedOut(limit))?
}

/// A GET; anything from 200 to 399 is a success.
pub(crate) async fn http_get(target: &Target, action: &HTTPGetAction) -> Result<(), DialError> {
    let scheme = action.scheme.as_deref().unwrap_or(HTTP);
    if scheme != HTTP {
        return Err(DialError::Scheme { scheme: scheme.to_owned() });
    }
    let (address, stream) = connect(target, action.host.as_deref(), &action.port).await?;
    let http_error = |source| DialError::Http { address, source };
    let request = http_request(address, action)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(http_error)?;
    let carrying = tokio::spawn(connection);
    let answered = sender.send_request(request).await;
    // The body is not read: the status is all that was asked.
    carrying.abort();
    let status = answered.map_err(http_error)?.status().as_u16();
    if (200..400).contains(&status) { Ok(()) } else { Err(DialError::Status { status }) }
}

fn http_request(
    address: SocketAddr,
    action: &HTTPGetAction,
) -> Result<http::Request<Empty<Bytes>>, DialError> {
    let path = action.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/");
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let mut request = http::Request::get(path)
        .header("user-agent", "kube-probe/minikube-ish")
        .header("accept", "*/*")
        .header("connection", "close");
    let headers = action.http_headers.iter().flatten();
    if !headers.clone().any(|header| header.name.eq_ignore_ascii_case("host")) {
        request = request.header("host", action.host.clone().unwrap_or_else(|| address.to_string()));
    }
    for header in headers {
        request = request.header(&header.name, &header.value);
    }
    request.body(Empty::new()).map_err(DialError::Request)
}

async fn tcp_connect(target: &Target, action: &TCPSocketAction) -> Result<(), DialError> {
    connect(target, action.host.as_deref(), &action.port).await.map(drop)
}

async fn connect(
    target: &Target,
    host: Option<&str>,
    port: &IntOrString,
) -> Result<(SocketAddr, TcpStream), DialError> {
    let said = host.and_then(|host| host.parse().ok());
    let ip: IpAddr = said.or(target.ip).ok_or(DialError::NoAddress)?;
    let address = SocketAddr::new(ip, port_number(&target.spec, port)?);
    let stream =
        TcpStream::connect(address).await.map_err(|source| DialError::Connect { address, source })?;
    Ok((address, stream))
}

fn port_number(spec: &Container, port: &IntOrString) -> Result<u16, DialError> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => match text.parse() {
            Ok(number) => number,
            Err(_) => spec
                .ports
                .iter()
                .flatten()
                .find(|port| port.name.as_deref() == Some(text))
                .map(|port| port.container_port)
                .ok_or_else(|| DialError::NoPort { name: text.clone() })?,
        },
    };
    u16::try_from(number).ok().filter(|port| *port != 0).ok_or(DialError::BadPort { number })
}

/// Runs a command in the container; 0 is success.
pub(crate) async fn exec(
    target: &Target,
    command: Vec<String>,
    limit: Duration,
    launcher: &Launcher,
) -> Result<(), DialError> {
    let shown: String = command.join(" ").chars().take(SHOWN_MAX).collect();
    match launcher.run(&target.container_id, command, limit).await {
        Ok(exit) if exit.code == 0 => Ok(()),
        Ok(exit) => Err(DialError::Exit { command: shown, code: exit.code }),
        Err(LauncherError::TimedOut(limit)) => Err(DialError::TimedOut(limit)),
        Err(error) => Err(DialError::Exec(error)),
    }
}
