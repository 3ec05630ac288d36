//! The cash registers.

use std::collections::BTreeMap;

use clap::Parser;
use supermarket::payment::{PaymentConfig, parse_prices, run};
use supermarket::process;

/// Takes customers' money.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen
    #[arg(long, env = "LISTEN", default_value = "0.0.0.0:8080")]
    listen: String,
    /// Where the inventory is
    #[arg(long, env = "INVENTORY_URL", default_value = "http://inventory:8080")]
    inventory_url: String,
    /// What things cost, e.g. apple=0.40,bread=2.95
    #[arg(long, env = "PRICES", value_parser = Prices::parse)]
    prices: Prices,
    /// In which money
    #[arg(long, env = "CURRENCY", default_value = "EUR")]
    currency: String,
}

#[derive(Clone)]
struct Prices(BTreeMap<String, u64>);

impl Prices {
    fn parse(text: &str) -> Result<Self, String> {
        parse_prices(text).map(Self)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    process::log_to_stdout();
    let arguments = Arguments::parse();
    let shutdown = process::termination()?;
    let listener = process::listen(&arguments.listen).await?;
    let config = PaymentConfig {
        inventory_url: arguments.inventory_url,
        prices: arguments.prices.0,
        currency: arguments.currency,
        register: process::hostname(),
    };
    run(config, listener, shutdown).await?;
    Ok(())
}
