//! `drift`: the one binary. Each subcommand has a file of its own.
#![forbid(unsafe_code)]

mod collections;
mod config;
mod create;
mod demo;
mod drop;
mod error;
mod export;
mod import;
mod inspect;
mod list;
mod place;
mod progress;
mod serve;
mod shell;
mod tidy;
mod verify;

use std::{process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use error::Result;

/// Many small allocations of each search are faster with it, and it gives memory back to the system.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A vector engine whose index follows its data.
///
/// New here? `drift demo` shows search and drift on real data in a minute; then `drift import`
/// a Parquet file of yours and ask it questions with `drift sql`.
#[derive(Parser)]
#[command(name = "drift", version, after_help = "RUST_LOG=info (or debug) makes any command tell what it does.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Demo),
    Serve(serve::Serve),
    Sql(shell::Sql),
    Import(import::Import),
    Export(export::Export),
    List(list::List),
    Create(create::Create),
    Drop(drop::DropCollection),
    /// Write everything in L0 to segments. Never needed for durability: the log has it already.
    Flush(tidy::Tidy),
    /// Flush, then write dead and scattered rows anew, so that files shrink now and not little by little.
    Compact(tidy::Tidy),
    Inspect(inspect::Inspect),
    Verify(verify::Verify),
    Config(config::Config),
}

impl Command {
    async fn run(self) -> Result<()> {
        match self {
            Self::Demo(command) => command.run().await,
            Self::Serve(command) => command.run().await,
            Self::Sql(command) => command.run().await,
            Self::Import(command) => command.run().await,
            Self::Export(command) => command.run().await,
            Self::List(command) => command.run().await,
            Self::Create(command) => command.run().await,
            Self::Drop(command) => command.run().await,
            Self::Flush(command) => command.run(tidy::Work::Flush).await,
            Self::Compact(command) => command.run(tidy::Work::Compact).await,
            Self::Inspect(command) => command.run().await,
            Self::Verify(command) => command.run().await,
            Self::Config(command) => command.run().await,
        }
    }
}

/// Planning a deep SQL statement recurses deeply; the default of 2 MiB is too little for it.
const STACK_BYTES: usize = 8 << 20;

/// So long what nobody waits for may go on after the end, if it does not give way.
const LAST_WORK: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Who prints into a pipe that nobody reads any more ends quietly, as other commands do. A server writes
    // to sockets, and one client's end is not its own.
    if !matches!(cli.command, Command::Serve(_)) {
        sigpipe::reset();
    }
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::WARN.into()).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    // Dependencies bring several TLS providers; unless one is chosen, the first connection panics.
    // It fails only if one is chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(cli.command.run());
            runtime.shutdown_timeout(LAST_WORK);
            outcome
        }
        Err(e) => Err(error::Error::io("cannot start threads", e)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
