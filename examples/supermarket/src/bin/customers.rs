//! The customers: a load generator that checks the books afterwards.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use supermarket::customers::{CustomersConfig, Pace, run};
use supermarket::duration;

/// Shops through the front; fails if any purchase failed, or was lost or doubled.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The front
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The host that the front knows the supermarket by, e.g. supermarket.localhost
    #[arg(long)]
    host: Option<String>,
    /// Purchases that begin in a second, however fast they are answered
    #[arg(long, conflicts_with = "concurrency", value_parser = rate)]
    rate: Option<f64>,
    /// Customers, each of whom begins again when answered
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,
    /// How long to shop
    #[arg(long = "for", default_value = "30s", value_parser = duration::parse)]
    duration: Duration,
    /// Longest wait for one purchase
    #[arg(long, default_value = "10s", value_parser = duration::parse)]
    deadline: Duration,
    /// What to buy; default: whatever is on the shelves. Repeat for more
    #[arg(long)]
    sku: Vec<String>,
    /// How long to wait for the shop to open, and for its books to be in order afterwards
    #[arg(long, default_value = "20s", value_parser = duration::parse)]
    patience: Duration,
    /// Others shop at the same time: the stock cannot be checked
    #[arg(long)]
    not_alone: bool,
    /// How to report
    #[arg(long, value_enum, default_value_t = Format::Text)]
    report: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate| (0.01..=100_000.0).contains(rate))
        .ok_or_else(|| format!("{text:?} is no rate: purchases per second, from 0.01 to 100000"))
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let config = CustomersConfig {
        url: arguments.url,
        host: arguments.host,
        pace: arguments.rate.map_or(Pace::Concurrency(arguments.concurrency.into()), Pace::Rate),
        duration: arguments.duration,
        deadline: arguments.deadline,
        skus: arguments.sku,
        patience: arguments.patience,
        alone: !arguments.not_alone,
    };
    let report = run(&config).await?;
    let text = match arguments.report {
        Format::Text => report.to_text(),
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&report)?),
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot print the report")?;
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
