//! `chaos`: breaks things of a running cluster, and says what users noticed.
//!
//! It kills for real: SIGKILL to containers' processes, by their launcher, without telling anybody. Then it
//! watches the API as any client would, until everything is Ready again, and compares the front's counters.
//! Who is killed, and when a kill has healed, is decided in `victims` and `healing`, purely.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, Subcommand};
use futures::StreamExt;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher;
use kube::{Api, Client};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use self::healing::Healing;
use self::report::Report;
use self::traffic::Traffic;
use self::victims::Victim;
use crate::local::layout::Layout;
use crate::local::readiness;

mod healing;
mod report;
mod traffic;
mod victims;

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
    /// Kill containers of this machine's cluster, and measure how they come back
    Kill(KillArgs),
}

#[derive(Debug, Args)]
struct KillArgs {
    /// Whose containers: labels of pods, e.g. app=payment
    #[arg(short = 'l', long, required = true)]
    selector: String,
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
    /// text or json
    #[arg(short, long, default_value = "text", value_parser = ["text", "json"])]
    output: String,
}

/// Breaks what it is told to; succeeds if everything healed and no user noticed.
pub(crate) async fn run(layout: &Layout, args: ChaosArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        Chaos::Kill(args) => kill(layout, &args).await,
    }
}

async fn kill(layout: &Layout, args: &KillArgs) -> anyhow::Result<ExitCode> {
    let client =
        readiness::client(&layout.kubeconfig()).await.context("chaos needs a cluster of this machine")?;
    let seed = args.seed.unwrap_or_else(rand::random);
    let before = Traffic::read(&client).await?;
    let mut spree = Spree {
        layout,
        args,
        started: now(),
        rng: StdRng::seed_from_u64(seed),
        healing: Healing::default(),
        seeing: watch(client.clone(), args),
    };
    spree.say(format_args!(
        "killing {} every {:?} for {:?}, seed {seed}",
        args.selector, args.every, args.lasting
    ));
    spree.run().await?;
    let noticed = Traffic::settled(&client).await?.since(&before);
    let report = Report::new(seed, &spree.healing, noticed);
    report.print(&args.output)?;
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

type Seeing = futures::stream::BoxStream<'static, Result<watcher::Event<Pod>, watcher::Error>>;

fn watch(client: Client, args: &KillArgs) -> Seeing {
    let pods = Api::<Pod>::namespaced(client, &args.namespace);
    watcher(pods, watcher::Config::default().labels(&args.selector)).boxed()
}

/// One run of kills.
struct Spree<'a> {
    layout: &'a Layout,
    args: &'a KillArgs,
    started: Instant,
    rng: StdRng,
    healing: Healing,
    seeing: Seeing,
}

impl Spree<'_> {
    /// Kills until the time is over, then waits for everything to be Ready again. Ctrl-C ends either.
    async fn run(&mut self) -> anyhow::Result<()> {
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        let mut next_kill = interval(self.args.every.max(EVERY_MIN));
        next_kill.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let last_kill = self.started + self.args.lasting;
        let end = last_kill + HEALING_MAX;
        // Nothing has been seen yet: the first kill waits for the watch to be complete.
        while !self.healing.is_complete() {
            tokio::select! {
                event = self.seeing.next() => self.see(event)?,
                _ = &mut interrupted => return Ok(()),
                () = sleep_until(last_kill.into()) => anyhow::bail!("the API did not list the pods in time"),
            }
        }
        if self.healing.is_empty() {
            anyhow::bail!(
                "no pod of namespace {} has the labels {}",
                self.args.namespace,
                self.args.selector
            );
        }
        while now() < last_kill || (self.healing.open() > 0 && now() < end) {
            let until = if now() < last_kill { last_kill } else { end };
            tokio::select! {
                biased;
                _ = &mut interrupted => break,
                event = self.seeing.next() => self.see(event)?,
                _ = next_kill.tick(), if now() < last_kill => self.kill_one().await?,
                () = sleep_until(until.into()) => {}
            }
        }
        Ok(())
    }

    fn see(&mut self, event: Option<Result<watcher::Event<Pod>, watcher::Error>>) -> anyhow::Result<()> {
        // The watcher connects again by itself; an error is only news.
        let event = match event.context("the watch of pods ended")? {
            Ok(event) => event,
            Err(error) => {
                self.say(format_args!("cannot watch pods: {error}"));
                return Ok(());
            }
        };
        for healed in self.healing.see(event, now()) {
            let took = healed.took.as_secs_f64() * 1000.0;
            self.say(format_args!("{} is Ready after {took:.0} ms", healed.by));
        }
        Ok(())
    }

    async fn kill_one(&mut self) -> anyhow::Result<()> {
        let candidates = self.healing.candidates();
        if candidates.is_empty() {
            self.say(format_args!("nothing is Ready: nobody to kill"));
            return Ok(());
        }
        let victim = candidates[self.rng.random_range(0..candidates.len())].clone();
        // From before the signal: the figure is not to be better than what users see.
        let at = now();
        match victims::kill(self.layout, &victim).await {
            Ok(()) => {
                self.say(format_args!("killed {victim}"));
                self.healing.killed(victim, at);
            }
            Err(error) => self.say(format_args!("could not kill {victim}: {error:#}")),
        }
        Ok(())
    }

    fn say(&self, what: std::fmt::Arguments<'_>) {
        let at = now().duration_since(self.started).as_secs_f64();
        // Progress goes beside the report, so that `-o json` stays JSON.
        eprintln!("{at:>7.3}s  {what}");
    }
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
