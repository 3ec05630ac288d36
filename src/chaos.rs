//! `chaos`: breaks things of a running cluster, and says what users noticed.
//!
//! It kills for real: SIGKILL to containers' processes, by their launcher, or to a whole node, without telling
//! anybody. Then it watches the API as any client would, until everything is Ready again, and compares the
//! front's counters. Who is killed, and when a kill has healed, is decided in `victims` and `healing`, purely.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::SignedDuration;
use kube::Client;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use self::report::Report;
use self::traffic::Traffic;
use self::watching::Watching;
use crate::local::layout::Layout;
use crate::local::readiness;

mod healing;
mod report;
mod traffic;
mod victims;
mod watching;

/// How long after the last kill everything may take to be Ready again.
const HEALING_MAX: Duration = Duration::from_secs(60);
/// No shorter pause between kills: it would only measure the killing.
const EVERY_MIN: Duration = Duration::from_millis(10);

#[derive(Debug, Args)]
pub(crate) struct ChaosArgs {
    #[command(subcommand)]
    command: Chaos,
}

#[derive(Debug, Subcommand)]
enum Chaos {
    /// Kill containers, or a node, of this machine's cluster, and measure how it comes back
    Kill(KillArgs),
}

#[derive(Debug, Args)]
struct KillArgs {
    /// Whose containers: labels of pods, e.g. app=payment
    #[arg(short = 'l', long, required_unless_present = "node")]
    selector: Option<String>,
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Pause between kills, e.g. 500ms
    #[arg(long, default_value = "1s", value_parser = duration)]
    every: Duration,
    /// How long to go on, e.g. 1m
    #[arg(long = "for", default_value = "20s", value_parser = duration)]
    lasting: Duration,
    /// Makes the choice of victims repeatable
    #[arg(long)]
    seed: Option<u64>,
    /// Instead: this node, once, with everything on it; `up` brings it back
    #[arg(long, conflicts_with_all = ["selector", "namespace", "every", "lasting", "seed"])]
    node: Option<String>,
    /// text or json
    #[arg(short, long, default_value = "text", value_parser = ["text", "json"])]
    output: String,
}

/// Breaks what it is told to; succeeds if everything healed and no user noticed.
pub(crate) async fn run(layout: &Layout, args: ChaosArgs) -> anyhow::Result<ExitCode> {
    let Chaos::Kill(args) = args.command;
    let client =
        readiness::client(&layout.kubeconfig()).await.context("chaos needs a cluster of this machine")?;
    let before = Traffic::read(&client).await?;
    let (watching, seed) = match &args.node {
        Some(node) => (kill_node(layout, client.clone(), node).await?, None),
        None => kill_containers(layout, client.clone(), &args).await?,
    };
    let noticed = Traffic::settled(&client).await?.since(&before);
    let report = Report::new(seed, &watching.healing, noticed);
    report.print(&args.output)?;
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Kills until the time is over, then waits for everything to be Ready again. Ctrl-C ends either.
async fn kill_containers(
    layout: &Layout,
    client: Client,
    args: &KillArgs,
) -> anyhow::Result<(Watching, Option<u64>)> {
    let KillArgs { namespace, every, lasting, .. } = args;
    let selector = args.selector.as_deref().unwrap_or_default();
    let seed = args.seed.unwrap_or_else(rand::random);
    let mut rng = StdRng::seed_from_u64(seed);
    let mut watching = Watching::start(client, Some(namespace), selector).await?;
    anyhow::ensure!(
        !watching.healing.is_empty(),
        "no pod of namespace {namespace} has the labels {selector}"
    );
    watching.say(format_args!("killing {selector} every {every:?} for {lasting:?}, seed {seed}"));
    let last_kill = now() + *lasting;
    let mut next_kill = interval((*every).max(EVERY_MIN));
    next_kill.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while now() < last_kill && !watching.interrupt.is_cancelled() {
        tokio::select! {
            biased;
            seen = watching.see() => seen?,
            _ = next_kill.tick() => kill_one(layout, &mut watching, &mut rng).await,
            () = sleep_until(last_kill.into()) => {}
        }
    }
    watching.until_healed(last_kill + HEALING_MAX).await?;
    Ok((watching, Some(seed)))
}

async fn kill_one(layout: &Layout, watching: &mut Watching, rng: &mut StdRng) {
    let candidates = watching.healing.candidates();
    if candidates.is_empty() {
        watching.say(format_args!("nothing is Ready: nobody to kill"));
        return;
    }
    let victim = candidates[rng.random_range(0..candidates.len())].clone();
    // From before the signal: the figure is not to be better than what users see.
    let at = now();
    match victims::kill(layout, &victim).await {
        Ok(()) => {
            watching.say(format_args!("killed {victim}"));
            watching.healing.killed(victim, at);
        }
        Err(error) => watching.say(format_args!("could not kill {victim}: {error:#}")),
    }
}

/// Kills a node once, then waits until what ran on it is Ready elsewhere.
async fn kill_node(layout: &Layout, client: Client, node: &str) -> anyhow::Result<Watching> {
    let mut watching = Watching::start(client, None, "").await?;
    let mut candidates = watching.healing.candidates();
    candidates.retain(|victim| victim.node == node);
    let at = now();
    victims::kill_node(layout, node).await?;
    watching.say(format_args!("killed {node} with {} containers", candidates.len()));
    // A pod is Ready again as a whole: one of its containers stands for it.
    candidates.dedup_by(|next, before| next.pod_uid == before.pod_uid);
    candidates.into_iter().for_each(|victim| watching.healing.killed(victim, at));
    watching.until_healed(at + HEALING_MAX).await?;
    Ok(watching)
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration =
        text.parse().map_err(|_| format!("{text:?} is no time: say e.g. 500ms, 20s, 2m"))?;
    Duration::try_from(parsed).map_err(|_| format!("{text:?} is negative"))
}

#[expect(clippy::disallowed_methods, reason = "chaos measures, and so owns a clock")]
fn now() -> Instant {
    Instant::now()
}
