//! Questions that are not the cluster's, passed on to the host's own resolvers.
//!
//! The question goes on byte for byte but for its number, and so does the answer: what the client and the
//! resolver can do (EDNS, DNSSEC) is theirs. Each question has a socket of its own, so the kernel picks a port
//! that nobody can guess and drops what comes from anywhere else.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

const DNS_PORT: u16 = 53;
/// As the C library: more are not read.
const SERVERS_MAX: usize = 3;
/// One resolver's time to answer. All of them have less than a client waits (5 s).
const ANSWER_TIMEOUT: Duration = Duration::from_millis(1500);
/// A UDP answer: what EDNS allows in practice.
const DATAGRAM_BYTES_MAX: usize = 4096;
/// Where systemd-resolved says which resolvers it uses itself.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

/// Where the host says which resolvers to ask. It is read for each question: a laptop that moves to another network
/// has other resolvers, and the file is in memory.
#[derive(Clone, Debug)]
pub(super) struct Upstream {
    resolv_conf: PathBuf,
    /// The address at which we answer ourselves.
    own: Ipv4Addr,
}

/// How a question came, and goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

impl Upstream {
    pub(super) fn new(resolv_conf: &Path, own: Ipv4Addr) -> Self {
        Self { resolv_conf: resolv_conf.to_owned(), own }
    }

    /// Asks one resolver after the other; `None` if none answers. `number` is a fresh random one, so that nobody who
    /// saw the client's question can answer ours.
    pub(super) async fn ask(&self, question: &[u8], number: u16, transport: Transport) -> Option<Vec<u8>> {
        ask_any(&self.servers(), question, number, transport).await
    }

    /// The host's resolvers. One on loopback is not reachable from a node's own namespace, so where that is
    /// systemd-resolved, those that it asks itself are taken.
    fn servers(&self) -> Vec<SocketAddr> {
        let read = |path: &Path| parse_servers(&fs::read_to_string(path).unwrap_or_default(), self.own);
        let servers = read(&self.resolv_conf);
        if servers.is_empty() || servers.iter().any(|server| !server.ip().is_loopback()) {
            return servers;
        }
        let behind = read(Path::new(RESOLVED));
        if behind.is_empty() { servers } else { behind }
    }
}

async fn ask_any(
    servers: &[SocketAddr],
    question: &[u8],
    number: u16,
    transport: Transport,
) -> Option<Vec<u8>> {
    let client: [u8; 2] = question.get(..2)?.try_into().ok()?;
    let mut question = question.to_vec();
    question[..2].copy_from_slice(&number.to_be_bytes());
    for server in servers {
        let asked = async {
            match transport {
                Transport::Udp => ask_udp(*server, &question).await,
                Transport::Tcp => ask_tcp(*server, &question).await,
            }
        };
        if let Ok(Ok(mut answer)) = timeout(ANSWER_TIMEOUT, asked).await {
            answer[..2].copy_from_slice(&client);
            return Some(answer);
        }
    }
    None
}

/// The `nameserver` lines; ourselves among them would be a question without end.
fn parse_servers(resolv_conf: &str, own: Ipv4Addr) -> Vec<SocketAddr> {
    resolv_conf
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("nameserver")).then(|| words.next())??.parse::<IpAddr>().ok()
        })
        .filter(|ip| *ip != IpAddr::V4(own))
        .map(|ip| SocketAddr::new(ip, DNS_PORT))
        .take(SERVERS_MAX)
        .collect()
}

async fn ask_udp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut answer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let length = socket.recv(&mut answer).await?;
        if is_answer(question, &answer[..length]) {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

async fn ask_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    if is_answer(question, &answer) { Ok(answer) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Whether it bears the question's number and says that it is an answer.
fn is_answer(question: &[u8], answer: &[u8]) -> bool {
    const HEADER_BYTES: usize = 12;
    const IS_RESPONSE: u8 = 0x80;
    answer.len() >= HEADER_BYTES && answer.get(..2) == question.get(..2) && answer[2] & IS_RESPONSE != 0
}

#[cfg(test)]
mod tests;
