//! The DNS server of a node: sockets, limits, and the way of one question.
//!
//! Cluster names are answered where the question is read, from memory. Others are passed on by a task each; when too
//! many wait for an answer, the next is told that the server failed, at once. What is no question is not
//! answered, or with "format error": nothing that arrives here can stop the server.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use rand::RngExt;
use rand::seq::SliceRandom;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::NetError;
use super::SharedZone;
use super::upstream::{Transport, Upstream};
use super::zone::Answer;

const DNS_PORT: u16 = 53;
/// Questions that wait for an upstream resolver at the same time.
const FORWARDED_MAX: usize = 512;
const CONNECTIONS_MAX: usize = 128;
/// A TCP client that says nothing for so long is let go.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Without EDNS an answer over UDP must not be longer (RFC 1035, 4.2.1).
const PLAIN_UDP_BYTES_MAX: u16 = 512;
/// What we send at most over UDP, whatever the client allows: fits every path without fragments.
const UDP_BYTES_MAX: u16 = 1232;
const QUESTION_BYTES_MAX: usize = 4096;
/// `ID` and the rest of the fixed header.
const HEADER_BYTES: usize = 12;

/// The running server; it stops when dropped.
#[derive(Debug)]
pub(crate) struct DnsServer {
    tasks: [JoinHandle<()>; 2],
}

/// What every question needs.
#[derive(Debug)]
struct Resolver {
    zone: SharedZone,
    upstream: Upstream,
    forwarded: Semaphore,
}

/// What a question leads to before anybody else is asked.
#[derive(Debug)]
enum Step {
    Ignore,
    Reply(Box<Message>),
    /// Pass it on as it is.
    Forward,
    /// Ask for what the name stands for, and put that after the records that say so.
    Follow(Box<Message>, Query),
}

impl DnsServer {
    /// Listens at `address`, UDP and TCP.
    pub(crate) async fn start(
        address: Ipv4Addr,
        resolv_conf: &Path,
        zone: SharedZone,
    ) -> Result<Self, NetError> {
        let failed = |source| NetError::Dns { address, source };
        let udp = UdpSocket::bind((address, DNS_PORT)).await.map_err(failed)?;
        let tcp = TcpListener::bind((address, DNS_PORT)).await.map_err(failed)?;
        let upstream = Upstream::new(resolv_conf, address);
        let resolver = Arc::new(Resolver { zone, upstream, forwarded: Semaphore::new(FORWARDED_MAX) });
        let tasks = [
            tokio::spawn(run_udp(Arc::new(udp), Arc::clone(&resolver))),
            tokio::spawn(run_tcp(tcp, resolver)),
        ];
        Ok(Self { tasks })
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Resolver {
    /// What to do with a question, without waiting for anything.
    fn step(&self, bytes: &[u8]) -> Step {
        let Ok(question) = Message::from_vec(bytes) else { return refuse_malformed(bytes) };
        if question.metadata.message_type != MessageType::Query {
            return Step::Ignore;
        }
        if question.metadata.op_code != OpCode::Query {
            return Step::Reply(Box::new(reply_to(&question, ResponseCode::NotImp)));
        }
        let [query] = question.queries.as_slice() else {
            return Step::Reply(Box::new(reply_to(&question, ResponseCode::FormErr)));
        };
        let zone = self.zone.read().unwrap_or_else(PoisonError::into_inner);
        let mut reply = reply_to(&question, ResponseCode::NoError);
        reply.metadata.authoritative = true;
        match zone.answer(query) {
            Answer::NotOurs => return Step::Forward,
            Answer::NoSuchName => {
                reply.metadata.response_code = ResponseCode::NXDomain;
                reply.add_authority(zone.authority());
            }
            Answer::Records { answers, .. } if answers.is_empty() => {
                reply.add_authority(zone.authority());
            }
            Answer::Records { mut answers, additionals } => {
                // Clients take the first: who comes first is a matter of luck.
                answers.shuffle(&mut rand::rng());
                reply.add_answers(answers).add_additionals(additionals);
            }
            Answer::Alias { record, target } => {
                reply.add_answer(*record);
                let next = Query::query(target, query.query_type());
                match zone.answer(&next) {
                    Answer::NotOurs => return Step::Follow(Box::new(reply), next),
                    Answer::Records { answers, .. } => drop(reply.add_answers(answers)),
                    // An alias of an alias is not followed further: it could lead back here.
                    Answer::Alias { record, .. } => drop(reply.add_answer(*record)),
                    Answer::NoSuchName => reply.metadata.response_code = ResponseCode::NXDomain,
                }
            }
        }
        Step::Reply(Box::new(reply))
    }

    /// Finishes a question that others must be asked about.
    async fn finish(&self, step: Step, bytes: &[u8], transport: Transport) -> Option<Vec<u8>> {
        match step {
            Step::Ignore => None,
            Step::Reply(message) => encode(&message, bytes, transport),
            Step::Forward => match self.ask(bytes, transport).await {
                Some(answer) => Some(answer),
                None => failed(bytes),
            },
            Step::Follow(mut reply, next) => {
                match self.follow(next, transport).await {
                    Some(found) => {
                        reply.metadata.response_code = found.metadata.response_code;
                        reply.metadata.truncation = found.metadata.truncation;
                        reply.add_answers(found.answers);
                    }
                    None => reply.metadata.response_code = ResponseCode::ServFail,
                }
                encode(&reply, bytes, transport)
            }
        }
    }

    async fn follow(&self, next: Query, transport: Transport) -> Option<Message> {
        let mut question = Message::new(0, MessageType::Query, OpCode::Query);
        question.metadata.recursion_desired = true;
        question.add_query(next);
        let answer = self.ask(&question.to_vec().ok()?, transport).await?;
        Message::from_vec(&answer).ok()
    }

    async fn ask(&self, question: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let _turn = self.forwarded.try_acquire().ok()?;
        let number = rand::rng().random();
        self.upstream.ask(question, number, transport).await
    }
}

async fn run_udp(socket: Arc<UdpSocket>, resolver: Arc<Resolver>) {
    let mut buffer = vec![0; QUESTION_BYTES_MAX];
    loop {
        // Errors here are echoes of answers that a client did not wait for (ICMP); the socket stays usable.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            tokio::task::yield_now().await;
            continue;
        };
        let bytes = &buffer[..length];
        match resolver.step(bytes) {
            Step::Ignore => {}
            Step::Reply(message) => {
                if let Some(answer) = encode(&message, bytes, Transport::Udp) {
                    send(&socket, &answer, client).await;
                }
            }
            step @ (Step::Forward | Step::Follow(..)) if resolver.forwarded.available_permits() > 0 => {
                let (socket, resolver, bytes) = (Arc::clone(&socket), Arc::clone(&resolver), bytes.to_vec());
                tokio::spawn(async move {
                    if let Some(answer) = resolver.finish(step, &bytes, Transport::Udp).await {
                        send(&socket, &answer, client).await;
                    }
                });
            }
            Step::Forward | Step::Follow(..) => {
                if let Some(answer) = failed(bytes) {
                    send(&socket, &answer, client).await;
                }
            }
        }
    }
}

/// An answer that cannot be sent is one that the client will ask for again.
async fn send(socket: &UdpSocket, answer: &[u8], client: SocketAddr) {
    if let Err(error) = socket.send_to(answer, client).await {
        tracing::debug!(%error, %client, "cannot send a DNS answer");
    }
}

async fn run_tcp(listener: TcpListener, resolver: Arc<Resolver>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(turn) = Arc::clone(&connections).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: others must get their turn to close some.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let resolver = Arc::clone(&resolver);
        tokio::spawn(async move {
            // The client's end is the end of it, however it came.
            drop(serve_connection(stream, &resolver).await);
            drop(turn);
        });
    }
}

async fn serve_connection(mut stream: TcpStream, resolver: &Resolver) -> io::Result<()> {
    loop {
        let bytes = timeout(IDLE_TIMEOUT, read_question(&mut stream)).await??;
        let step = resolver.step(&bytes);
        let Some(answer) = resolver.finish(step, &bytes, Transport::Tcp).await else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(|_| io::ErrorKind::InvalidData)?;
        let framed = [&length.to_be_bytes(), answer.as_slice()].concat();
        timeout(IDLE_TIMEOUT, stream.write_all(&framed)).await??;
    }
}

async fn read_question(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = usize::from(stream.read_u16().await?);
    if length > QUESTION_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn reply_to(question: &Message, code: ResponseCode) -> Message {
    let mut reply = Message::response(question.metadata.id, question.metadata.op_code);
    reply.metadata.response_code = code;
    reply.metadata.recursion_desired = question.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.add_queries(question.queries.iter().cloned());
    if question.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_BYTES_MAX);
        reply.set_edns(edns);
    }
    reply
}

/// The bytes of an answer; over UDP one that is too long is cut to "ask again over TCP".
fn encode(reply: &Message, question: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let bytes = reply.to_vec().ok()?;
    let limit = match transport {
        Transport::Tcp => u16::MAX,
        Transport::Udp => udp_limit(question),
    };
    if bytes.len() <= usize::from(limit) { Some(bytes) } else { reply.truncate().to_vec().ok() }
}

fn udp_limit(question: &[u8]) -> u16 {
    let edns = Message::from_vec(question).ok().and_then(|message| message.edns);
    edns.map_or(PLAIN_UDP_BYTES_MAX, |edns| edns.max_payload().clamp(PLAIN_UDP_BYTES_MAX, UDP_BYTES_MAX))
}

/// A question that cannot be read is answered if at least its number can; an answer, never.
fn refuse_malformed(bytes: &[u8]) -> Step {
    const IS_RESPONSE: u8 = 0x80;
    match bytes {
        [high, low, flags, ..] if bytes.len() >= HEADER_BYTES && flags & IS_RESPONSE == 0 => {
            let id = u16::from_be_bytes([*high, *low]);
            Step::Reply(Box::new(Message::error_msg(id, OpCode::Query, ResponseCode::FormErr)))
        }
        _ => Step::Ignore,
    }
}

/// "The server failed", for a question that was readable.
fn failed(bytes: &[u8]) -> Option<Vec<u8>> {
    let question = Message::from_vec(bytes).ok()?;
    reply_to(&question, ResponseCode::ServFail).to_vec().ok()
}

#[cfg(test)]
mod tests;
