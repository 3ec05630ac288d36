//! The `load-balancer` role: the front, told by the control plane what to serve.
//!
//! It owns one load balancer and one stream to the control plane. Tables come down and are applied; what could
//! not be served and what was counted go up. While the stream is down the last table is served on.
//!
//!     Dialling --hello--> Carrying --reset, end, silence--> Pausing --> Dialling

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use load_balancer::{Config, Handle, Limits, LoadBalancer, Table};
use node_agent::link::{LinkConfig, dial, join};
use proto::fleet_client::FleetClient;
use proto::front_command::Command;
use proto::front_report::Report;
use proto::{FrontApplied, FrontCommand, FrontHello, FrontReport, Role};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use crate::roles::{Background, Ready};

mod wire;

#[cfg(test)]
mod tests;

const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// To open the stream.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// How often counters go up, if they have changed, and what could not be served is tried again.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// How long one report may wait to be sent.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
const REPORTS_MAX: usize = 16;
/// How long requests may finish after the front was told to end.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// How a front is started.
#[derive(Debug, Args)]
pub(crate) struct FrontArgs {
    /// The front's name in the cluster
    #[arg(long, default_value = "front")]
    name: String,
    /// Where the control plane takes fronts: https://HOST:PORT
    #[arg(long)]
    control_plane: String,
    /// The cluster's CA certificate (pki/ca.pem of the control plane)
    #[arg(long)]
    ca: PathBuf,
    /// The file of the join token (pki/join.token of the control plane); needed until the front has joined
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// Where the front's identity lives
    #[arg(long, default_value = "/var/lib/minikube-ish/front")]
    state_dir: PathBuf,
    /// Where HTTP is served by the hosts and paths of Ingresses
    #[arg(long, default_value = "127.0.0.1:8080")]
    http_address: SocketAddr,
    /// Where ports of Services of type LoadBalancer are opened
    #[arg(long, default_value = "127.0.0.1")]
    address: IpAddr,
    #[command(flatten)]
    pub(crate) background: Background,
}

/// Serves until `shutdown`; `ready` is called once the front listens, which needs no control plane.
///
/// # Errors
/// When a file of its identity cannot be read, or its HTTP address cannot be listened on.
pub(crate) async fn run(args: FrontArgs, shutdown: CancellationToken, ready: Ready) -> anyhow::Result<()> {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let token = args.token_file.as_ref().map(read).transpose()?.unwrap_or_default();
    let link = LinkConfig {
        control_plane: args.control_plane.clone(),
        ca_pem: read(&args.ca)?,
        join_token: token.trim().to_owned(),
        identity_dir: args.state_dir.clone(),
        name: args.name.clone(),
    };
    let handle = LoadBalancer::start(Config { http: args.http_address, limits: Limits::default() })?;
    ready();
    let mut front = Front { link, handle, address: args.address, served: None };
    tokio::select! {
        () = front.keep_stream() => {}
        () = shutdown.cancelled() => {}
    }
    if !front.handle.shutdown(SHUTDOWN_GRACE).await {
        tracing::warn!(grace = ?SHUTDOWN_GRACE, "requests did not finish in time");
    }
    Ok(())
}

struct Front {
    link: LinkConfig,
    handle: Handle,
    /// Where port listeners are opened.
    address: IpAddr,
    served: Option<Served>,
}

/// The table in force.
struct Served {
    table: Table,
    /// What the table itself has that cannot be served.
    refused: Vec<String>,
    /// All that is not served.
    problems: Vec<String>,
}

impl Front {
    async fn keep_stream(&mut self) {
        let mut pause = PAUSE_FIRST;
        loop {
            if let Err(error) = self.carry(&mut pause).await {
                let error = format!("{error:#}");
                // The first of a row is news; the others say the same.
                if pause == PAUSE_FIRST {
                    tracing::warn!(error, "no stream to the control plane; the last table is served on");
                } else {
                    tracing::debug!(error, "still no stream to the control plane");
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Opens the stream and carries until it ends.
    async fn carry(&mut self, pause: &mut Duration) -> anyhow::Result<()> {
        let (reports, outgoing) = mpsc::channel(REPORTS_MAX);
        let hello = FrontHello { http_address: self.handle.http_address().to_string() };
        send(&reports, Report::Hello(hello)).await?;
        let opened = timeout(OPEN_TIMEOUT, self.open(outgoing)).await;
        let mut commands = opened.context("the control plane does not answer")??;
        tracing::info!("connected to the control plane");
        *pause = PAUSE_FIRST;
        let mut ticks = ticks();
        let mut counted = None;
        loop {
            tokio::select! {
                command = commands.message() => match command?.and_then(|command| command.command) {
                    Some(Command::Routes(routes)) => self.apply(&routes, &reports).await?,
                    Some(Command::Ack(_)) => {}
                    None => anyhow::bail!("the control plane ended the stream"),
                },
                _ = ticks.tick() => {
                    self.retry_problems(&reports).await?;
                    let counters = wire::counters(&self.handle.stats());
                    if counted.as_ref() != Some(&counters) {
                        send(&reports, Report::Counters(counters.clone())).await?;
                        counted = Some(counters);
                    }
                }
            }
        }
    }

    async fn open(&self, outgoing: mpsc::Receiver<FrontReport>) -> anyhow::Result<Streaming<FrontCommand>> {
        let identity = join::identity(&self.link, Role::Front).await?;
        let mut client = FleetClient::new(dial(&self.link, Some(identity)).await?);
        Ok(client.front(ReceiverStream::new(outgoing)).await?.into_inner())
    }

    async fn apply(&mut self, routes: &proto::RouteTable, reports: &Reports) -> anyhow::Result<()> {
        let (table, refused) = wire::table(routes, self.address);
        let problems = self.serve(&table, &refused);
        problems.iter().for_each(|problem| tracing::warn!(problem, "not served"));
        let applied = FrontApplied { generation: table.generation, problems: problems.clone() };
        self.served = Some(Served { table, refused, problems });
        send(reports, Report::Applied(applied)).await
    }

    fn serve(&self, table: &Table, refused: &[String]) -> Vec<String> {
        let applied = self.handle.apply(table);
        refused.iter().cloned().chain(applied.problems).collect()
    }

    /// A port that was taken may be free by now.
    async fn retry_problems(&mut self, reports: &Reports) -> anyhow::Result<()> {
        let Some(served) = self.served.as_ref().filter(|served| served.problems.len() > served.refused.len())
        else {
            return Ok(());
        };
        let problems = self.serve(&served.table, &served.refused);
        if problems == served.problems {
            return Ok(());
        }
        let applied = FrontApplied { generation: served.table.generation, problems: problems.clone() };
        self.served.iter_mut().for_each(|served| served.problems.clone_from(&problems));
        send(reports, Report::Applied(applied)).await
    }
}

type Reports = mpsc::Sender<FrontReport>;

async fn send(reports: &Reports, report: Report) -> anyhow::Result<()> {
    let report = FrontReport { report: Some(report) };
    timeout(SEND_TIMEOUT, reports.send(report)).await.context("the control plane takes no reports")??;
    Ok(())
}

fn ticks() -> Interval {
    let mut ticks = interval(REPORT_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
