//! The inventory service.

use clap::Parser;
use supermarket::database::DatabaseConfig;
use supermarket::inventory::{InventoryConfig, parse_stock, run};
use supermarket::process;
use supermarket::purchase::Item;

/// Keeps the stock of the supermarket.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen
    #[arg(long, env = "LISTEN", default_value = "0.0.0.0:8080")]
    listen: String,
    /// Host of the database
    #[arg(long, env = "DATABASE_HOST", default_value = "database")]
    database_host: String,
    /// Port of the database. Not DATABASE_PORT: that one is `tcp://…` beside a Service of that name
    #[arg(long, env = "DATABASE_TCP_PORT", default_value_t = 6379)]
    database_port: u16,
    /// Password of the database
    #[arg(long, env = "DATABASE_PASSWORD", hide_env_values = true)]
    database_password: Option<String>,
    /// First stock, e.g. apple=100,bread=50
    #[arg(long, env = "STOCK", value_parser = Stock::parse)]
    stock: Stock,
}

#[derive(Clone)]
struct Stock(Vec<Item>);

impl Stock {
    fn parse(text: &str) -> Result<Self, String> {
        parse_stock(text).map(Self)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    process::log_to_stdout();
    let arguments = Arguments::parse();
    let shutdown = process::termination()?;
    let listener = process::listen(&arguments.listen).await?;
    let database = DatabaseConfig {
        host: arguments.database_host,
        port: arguments.database_port,
        password: arguments.database_password,
    };
    run(InventoryConfig { database, stock: arguments.stock.0 }, listener, shutdown).await?;
    Ok(())
}
