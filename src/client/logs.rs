//! `logs`: what containers print, of one pod or of several at once.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use futures::stream::{self, SelectAll};
use futures::{AsyncBufReadExt, Stream, StreamExt};
use manifests::{Kind, Object};

use super::connection::Connection;
use super::get::label_selector;
use super::session::Session;
use super::{duration, failure, pods, print};

/// Logs that are followed at the same time.
const FOLLOWED_MAX: usize = 50;

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// POD, or KIND/NAME of something that has pods
    #[arg(value_name = "WHAT", required_unless_present = "selector")]
    what: Option<String>,
    /// The pods with these labels
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "what", value_parser = label_selector)]
    selector: Option<String>,
    /// The namespace to work in
    #[arg(short, long)]
    namespace: Option<String>,
    /// The container
    #[arg(short, long)]
    container: Option<String>,
    /// Every container of the pod
    #[arg(long, conflicts_with = "container")]
    all_containers: bool,
    /// Go on as more is printed
    #[arg(short, long)]
    follow: bool,
    /// Of the run before the last restart
    #[arg(short, long)]
    previous: bool,
    /// Only so many last lines
    #[arg(long, value_name = "LINES", allow_negative_numbers = true)]
    tail: Option<i64>,
    /// Only what was printed since so long ago, such as 5m
    #[arg(long, value_parser = duration::parse)]
    since: Option<Duration>,
    /// Put the time before each line
    #[arg(long)]
    timestamps: bool,
    /// Put the pod and container before each line
    #[arg(long)]
    prefix: bool,
}

/// One container's log.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    pod: String,
    container: String,
}

pub(super) async fn run(args: LogsArgs, connection: &Connection) -> anyhow::Result<ExitCode> {
    let session = connection.open(args.namespace.as_deref()).await?;
    let sources = sources(&args, &session).await?;
    if sources.is_empty() {
        print::note(&format!("No resources found in {} namespace.", session.namespace()));
        return Ok(ExitCode::SUCCESS);
    }
    if args.follow && sources.len() > FOLLOWED_MAX {
        bail!("{} containers match; at most {FOLLOWED_MAX} can be followed at once", sources.len());
    }
    let named = args.prefix;
    let mut failures = 0;
    let mut followed = SelectAll::new();
    for source in sources {
        let lines = match lines(&args, &session, &source).await {
            Ok(lines) => lines,
            Err(error) if matches!(error, kube::Error::Api(_)) => {
                failures += 1;
                print::error(&failure::explain(error.into()).to_string());
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let head = if named { format!("[pod/{}/{}] ", source.pod, source.container) } else { String::new() };
        let lines = Box::pin(lines.map(move |line| line.map(|line| format!("{head}{line}"))));
        if args.follow {
            followed.push(lines);
        } else {
            put_out(lines).await?;
        }
    }
    put_out(followed).await?;
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn sources(args: &LogsArgs, session: &Session) -> anyhow::Result<Vec<Source>> {
    let of = |pod: &Object| -> anyhow::Result<Vec<Source>> {
        let names = if args.all_containers {
            pods::containers(pod)
        } else {
            vec![pods::container(pod, args.container.as_deref())?]
        };
        let source = |container: &str| Source { pod: pod.name().to_owned(), container: container.to_owned() };
        Ok(names.into_iter().map(source).collect())
    };
    if let Some(selector) = &args.selector {
        let pods = pods::selected(session, selector).await?;
        return Ok(pods.iter().map(of).collect::<anyhow::Result<Vec<_>>>()?.concat());
    }
    of(&pods::one(session, args.what.as_deref().unwrap_or_default()).await?)
}

/// A log, line by line.
async fn lines(
    args: &LogsArgs,
    session: &Session,
    source: &Source,
) -> Result<impl Stream<Item = std::io::Result<String>> + use<>, kube::Error> {
    let mut parameters = vec![("container", source.container.clone())];
    for (name, flag) in
        [("follow", args.follow), ("previous", args.previous), ("timestamps", args.timestamps)]
    {
        if flag {
            parameters.push((name, "true".to_owned()));
        }
    }
    // As kubectl has it: of several pods, the last lines only.
    let tail = args.tail.or((args.selector.is_some() && !args.follow).then_some(10));
    if let Some(tail) = tail.filter(|tail| *tail >= 0) {
        parameters.push(("tailLines", tail.to_string()));
    }
    if let Some(since) = args.since {
        parameters.push(("sinceSeconds", since.as_secs().max(1).to_string()));
    }
    let log = session.log(session.place(Kind::Pod), &source.pod, &parameters).await?;
    Ok(stream::unfold(Box::pin(log), |mut log| async {
        let mut line = Vec::new();
        // Containers print what they like: what is no UTF-8 is replaced, not refused.
        let read = log.read_until(b'\n', &mut line).await;
        let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line)).into_owned();
        match read {
            Ok(0) => None,
            Ok(_) => Some((Ok(text), log)),
            Err(error) => Some((Err(error), log)),
        }
    }))
}

async fn put_out(mut lines: impl Stream<Item = std::io::Result<String>> + Unpin) -> anyhow::Result<()> {
    while let Some(line) = lines.next().await {
        let line = line.context("the log broke off; it may go on in the next run of the container")?;
        print::line(&line)?;
    }
    Ok(())
}
