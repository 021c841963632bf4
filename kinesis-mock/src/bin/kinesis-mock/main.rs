//! Kinesis on a socket, for programs in any language: `kinesis-mock --listen 127.0.0.1:4567 --stream orders:4`.

mod arguments;

use std::process::ExitCode;

use clap::Parser;
use kinesis_core::wall_clock;
use kinesis_mock::{Account, ReadLimits, Rule, Server, WriteLimits};

use arguments::{Arguments, Limits, NewStream};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("kinesis-mock: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), String> {
    let rules = match &arguments.faults {
        None => Vec::new(),
        Some(path) => {
            let told = |error: &dyn std::fmt::Display| format!("the faults file {}: {error}", path.display());
            let json = std::fs::read_to_string(path).map_err(|error| told(&error))?;
            Rule::list_from_json(&json).map_err(|error| told(&error))?
        }
    };
    let account = account(&arguments)?;
    let server = Server::bind(&account, arguments.listen).await.map_err(|error| {
        format!("cannot listen on {}: {error}. Choose another address with --listen, port 0 for any", arguments.listen)
    })?;
    server.add_rules(rules);
    // One line, so that whoever starts the program can read where it is and that it is ready.
    println!("kinesis-mock listens on {}", server.endpoint());
    stopped().await.map_err(|error| format!("cannot wait for a signal to stop: {error}"))
}

/// The account with the streams asked for. Its clock shows the time of day, as other programs expect.
fn account(arguments: &Arguments) -> Result<Account, String> {
    let builder = Account::builder().start_time(wall_clock::now());
    let account = match arguments.limits {
        None => builder,
        Some(Limits::Aws) => builder.read_limits(ReadLimits::aws()).write_limits(WriteLimits::aws()),
    }
    .build();
    for NewStream { name, shards } in &arguments.streams {
        if account.stream(name).is_some() {
            return Err(format!("--stream {name}:{shards}: there is a stream {name} already, give it another name"));
        }
        account.create(name, *shards);
    }
    Ok(account)
}

/// Waits until the program is asked to stop.
async fn stopped() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
