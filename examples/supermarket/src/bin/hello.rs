//! Says hello, and who says it: the smallest service that shows who answered.

use bytes::Bytes;
use clap::Parser;
use http::Response;
use http_body_util::Full;
use supermarket::process;
use supermarket::server::serve;

/// Answers every request with a greeting.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen
    #[arg(long, env = "LISTEN", default_value = "0.0.0.0:8080")]
    listen: String,
    /// What to say
    #[arg(long, env = "GREETING", default_value = "hello")]
    greeting: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    process::log_to_stdout();
    let arguments = Arguments::parse();
    let shutdown = process::termination()?;
    let listener = process::listen(&arguments.listen).await?;
    let text = Bytes::from(format!("{} from {}\n", arguments.greeting, process::hostname()));
    let handler = move |_| {
        let answer = Response::new(Full::new(text.clone()));
        async move { answer }
    };
    serve(listener, handler, shutdown).await;
    Ok(())
}
