//! The program: reads the command line, runs what it asks for, and turns the result into an exit code.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use kinesis_core::{Error, Result};
use kinesis_forwarder::cli::{Cli, Command};
use kinesis_forwarder::output::{note, say};
use kinesis_forwarder::run::UNUSABLE;
use kinesis_forwarder::{config, demo, lambda, leases, listen, publish, run, tail};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let arguments = arguments();
    let is_lambda = arguments.get(1).is_some_and(|command| command == "lambda");
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, is_lambda),
    };
    log(&cli.command);
    start(cli).unwrap_or_else(|error| {
        note(&format!("error: {}", error.chain()));
        ExitCode::from(UNUSABLE)
    })
}

/// The command line. AWS Lambda starts a function without arguments, and tells it where its calls are.
fn arguments() -> Vec<OsString> {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.len() == 1 && std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        arguments.push("lambda".into());
    }
    arguments
}

/// Logs to standard error what RUST_LOG asks for; else warnings, but none for what the command itself tells.
fn log(command: &Command) {
    let default = match command {
        // What is not configured is told by the error, once.
        Command::Listen(_) | Command::Tail(_) | Command::Leases(_) | Command::Config(_) => "warn,aws_config=error",
        // A line for each record that was not delivered is too much; the end names the reason.
        Command::Run(_) | Command::Lambda(_) | Command::Publish(_) => {
            "warn,kinesis_core::deliver=error,aws_config=error"
        }
        // A subscriber refuses on purpose.
        Command::Demo(_) => "error",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let stderr = std::io::stderr;
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(stderr().is_terminal()).with_writer(stderr).init();
}

fn start(cli: Cli) -> Result<ExitCode> {
    let runtime = runtime()?;
    let result = runtime.block_on(async {
        match cli.command {
            Command::Listen(args) => listen::listen(args).await,
            Command::Run(args) => run::run(args).await,
            Command::Lambda(args) => lambda::lambda(args).await,
            Command::Publish(args) => publish::publish(args).await,
            Command::Tail(args) => tail::tail(args).await,
            Command::Leases(args) => leases::leases(args).await,
            Command::Config(args) => Ok(config::command(&args)),
            Command::Demo(args) => demo::demo(args).await,
        }
    });
    // What still runs is nobody's any more.
    runtime.shutdown_background();
    result
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let no_runtime = |error| Error::permanent("cannot start the runtime").because(error);
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(no_runtime)
}

/// A wrong value is told in one line; what is missing or asked for, in clap's own words. Lambda is told of its function's.
fn usage(error: &clap::Error, is_lambda: bool) -> ExitCode {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            say(&text);
            return ExitCode::SUCCESS;
        }
        ErrorKind::ValueValidation => note(text.lines().next().unwrap_or_default()),
        _ => note(text.trim_end()),
    }
    if is_lambda && let Ok(runtime) = runtime() {
        runtime.block_on(lambda::report(&without_value(error)));
    }
    ExitCode::from(UNUSABLE)
}

/// The first line of what is wrong, without the value that was given: a URL may have a secret in it.
fn without_value(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => line.replace(&format!("'{value}'"), "'…'"),
        _ => line.to_owned(),
    }
}
