//! The node's one stream to the control plane: dialled, kept alive, and dialled again.
//!
//! It carries what it is given and knows nothing of pods. While the stream is down what runs goes on; on a new
//! stream the outbox is rewound, so that the control plane hears everything again.
//!
//!     Dialling --hello, welcome--> Carrying --silence, reset, end--> Pausing --> Dialling

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proto::fleet_client::FleetClient;
use proto::node_command::Command as WireCommand;
use proto::node_report::Report;
use proto::{Heartbeat, NodeCommand, NodeHello, NodeReport, Welcome};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Status, Streaming};

use crate::assignment::Assignment;
use crate::outbox::Outbox;
use crate::sessions::Sessions;

pub mod command;
pub mod join;
mod session;

pub use command::{COMMANDS_MAX, Command};
pub use session::SESSIONS_MAX;

/// The name in the control plane's certificate, whatever address it is dialled at.
pub const CONTROL_PLANE_NAME: &str = "control-plane";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a quiet connection is asked whether it still is one, and how long the answer may take.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
const WELCOME_TIMEOUT: Duration = Duration::from_secs(5);
const OUTGOING_MAX: usize = 64;

/// Where the control plane is and how it knows us.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    /// `https://HOST:PORT` of the fleet's gRPC.
    pub control_plane: String,
    /// The cluster's CA certificate, PEM.
    pub ca_pem: String,
    /// The secret that lets us join, when we have no certificate yet.
    pub join_token: String,
    /// The folder where our key and certificate live.
    pub identity_dir: PathBuf,
    /// Our name in the cluster.
    pub name: String,
}

/// Why a link cannot be.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// We have no identity and could not get one.
    #[error("cannot join the cluster as {name}")]
    Join {
        /// Our name.
        name: String,
        /// Why.
        #[source]
        source: join::JoinError,
    },
    /// The control plane could not be reached, or the TLS handshake failed.
    #[error("cannot reach the control plane at {address}")]
    Dial {
        /// Its address.
        address: String,
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
    /// The control plane ended the stream with an error.
    #[error("the control plane refused")]
    Refused(#[source] Box<Status>),
    /// The stream ended or fell silent.
    #[error("the control plane was not heard of for {silent_ms} ms")]
    Silent {
        /// For how long.
        silent_ms: u128,
    },
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Closed,
}

/// Dials the control plane's gRPC with mutual TLS.
///
/// # Errors
/// When it cannot be reached in time or does not prove who it is.
pub async fn dial(config: &LinkConfig, identity: Option<Identity>) -> Result<Channel, LinkError> {
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&config.ca_pem))
        .domain_name(CONTROL_PLANE_NAME);
    if let Some(identity) = identity {
        tls = tls.identity(identity);
    }
    let failed = |source| LinkError::Dial { address: config.control_plane.clone(), source };
    Endpoint::from_shared(config.control_plane.clone())
        .and_then(|endpoint| endpoint.tls_config(tls))
        .map_err(failed)?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
        .connect()
        .await
        .map_err(failed)
}

/// What the link takes from and gives to.
#[derive(Debug, Clone)]
pub struct Ends {
    /// What goes up.
    pub outbox: Arc<Outbox>,
    /// Where commands go.
    pub commands: mpsc::Sender<Command>,
    /// What serves logs, exec and port-forward.
    pub sessions: Sessions,
}

/// Keeps the stream until `shutdown`.
pub async fn run(config: LinkConfig, hello: NodeHello, ends: Ends, shutdown: CancellationToken) {
    let mut pause = PAUSE_FIRST;
    while !shutdown.is_cancelled() {
        let attempt = async {
            let stream = Stream::open(&config, &hello).await?;
            pause = PAUSE_FIRST;
            ends.outbox.rewind();
            stream.carry(&ends).await
        };
        let ended = tokio::select! {
            () = shutdown.cancelled() => return,
            ended = attempt => ended,
        };
        if let Err(error) = ended {
            tracing::warn!(node = config.name, error = chain(&error), "no stream to the control plane");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
        }
    }
}

/// One open stream.
struct Stream {
    client: FleetClient<Channel>,
    outgoing: mpsc::Sender<NodeReport>,
    incoming: Streaming<NodeCommand>,
    welcome: Welcome,
    session_slots: Arc<Semaphore>,
}

impl Stream {
    async fn open(config: &LinkConfig, hello: &NodeHello) -> Result<Self, LinkError> {
        let identity = join::identity(config, proto::Role::Node)
            .await
            .map_err(|source| LinkError::Join { name: config.name.clone(), source })?;
        let mut client = FleetClient::new(dial(config, Some(identity)).await?);
        let (outgoing, receiver) = mpsc::channel(OUTGOING_MAX);
        let hello = NodeReport { report: Some(Report::Hello(hello.clone())) };
        outgoing.try_send(hello).expect("a new channel has room");
        let opened = timeout(WELCOME_TIMEOUT, async {
            let mut incoming = client.node(ReceiverStream::new(receiver)).await?.into_inner();
            let first = incoming.message().await?;
            Ok((incoming, first))
        });
        let (incoming, first) = opened.await.map_err(|_| silent(WELCOME_TIMEOUT))?.map_err(refused)?;
        let Some(NodeCommand { command: Some(WireCommand::Welcome(welcome)) }) = first else {
            return Err(refused(Status::internal("the first command was not a welcome")));
        };
        Ok(Self {
            client,
            outgoing,
            incoming,
            welcome,
            session_slots: Arc::new(Semaphore::new(SESSIONS_MAX)),
        })
    }

    async fn carry(mut self, ends: &Ends) -> Result<(), LinkError> {
        let lease = Duration::from_millis(self.welcome.lease_duration_ms.max(1));
        let beat = Duration::from_millis(self.welcome.heartbeat_interval_ms.max(1));
        // A task of its own: a command that waits to be taken must not look like the death of the node.
        let _heart = AbortOnDropHandle::new(tokio::spawn(keep_beating(self.outgoing.clone(), beat)));
        let mut look = interval_at(Instant::now() + beat, beat);
        let mut heard = Instant::now();
        self.deliver(WireCommand::Welcome(self.welcome.clone()), ends).await?;
        loop {
            tokio::select! {
                // In this order: before silence is complained of, what has arrived is heard.
                biased;
                command = self.incoming.message() => {
                    let Some(command) = command.map_err(refused)? else { return Err(silent(heard.elapsed())) };
                    heard = Instant::now();
                    if let Some(command) = command.command {
                        self.deliver(command, ends).await?;
                    }
                }
                _ = look.tick() => {
                    if heard.elapsed() > lease {
                        return Err(silent(heard.elapsed()));
                    }
                }
                report = ends.outbox.next() => self.say(report, lease).await?,
            }
        }
    }

    async fn say(&self, report: Report, patience: Duration) -> Result<(), LinkError> {
        let report = NodeReport { report: Some(report) };
        match timeout(patience, self.outgoing.send(report)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(silent(patience)),
        }
    }

    async fn deliver(&self, command: WireCommand, ends: &Ends) -> Result<(), LinkError> {
        let command = match command {
            WireCommand::HeartbeatAck(_) => return Ok(()),
            WireCommand::OpenSession(open) => {
                session::spawn(self.client.clone(), open, ends.sessions.clone(), &self.session_slots);
                return Ok(());
            }
            WireCommand::Assignment(wire) => match Assignment::decode(&wire) {
                Ok(assignment) => Command::Assign(Box::new(assignment)),
                Err(error) => {
                    tracing::error!(error = chain(&error), "an assignment was not understood");
                    return Ok(());
                }
            },
            WireCommand::Welcome(welcome) => Command::Welcome(welcome),
            WireCommand::Forget(pod) => Command::Forget(pod),
            WireCommand::AssignmentsComplete(_) => Command::AssignmentsComplete,
            WireCommand::Services(table) => Command::Services(table),
            WireCommand::Peers(peers) => Command::Peers(peers),
        };
        ends.commands.send(command).await.map_err(|_| LinkError::Closed)
    }
}

/// Says that the node lives, until the stream is closed.
async fn keep_beating(outgoing: mpsc::Sender<NodeReport>, interval: Duration) {
    let mut beat = interval_at(Instant::now() + interval, interval);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sequence = 0;
    loop {
        beat.tick().await;
        sequence += 1;
        let report = Some(Report::Heartbeat(Heartbeat { sequence }));
        if outgoing.send(NodeReport { report }).await.is_err() {
            return;
        }
    }
}

fn silent(silent: Duration) -> LinkError {
    LinkError::Silent { silent_ms: silent.as_millis() }
}

fn refused(status: Status) -> LinkError {
    LinkError::Refused(Box::new(status))
}

/// The error and all its sources, on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}
