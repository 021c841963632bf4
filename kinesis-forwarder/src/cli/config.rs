//! The words of `config`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

const HELP: &str = "\
A configuration is written in TOML. Each of its fields has a variable of the environment, named after its section and itself,
as KINESIS_FORWARDER_SOURCE_STREAM, or KINESIS_FORWARDER_SUBSCRIBERS_AUDIT_URL for the subscriber audit; it wins over the
file, and a flag of `run` over both. Below, .. is KINESIS_FORWARDER_SUBSCRIBERS_AUDIT:

  .._CHANNELS='placed, paid'         lists have commas between (channels, networks, ask_again); blanks there do not count
  .._SECRETS='env:KEY, file:/run/k'  where each secret is, or the secret itself; the newest first
  .._HEADERS='x-tenant: 7'           a line each
  .._BEARER_FILE=/run/token          where a text is: .._URL, .._BEARER and .._BASIC_PASSWORD, with _ENV or _FILE behind
  .._CHANNELS='[\"a,b\", \"c\"]'     what begins with [ or, of headers, with { is TOML, as in a file

Exit code: 0 when it can run, 2 when something is wrong with it.

Examples:
  kinesis-forwarder config check forwarder.toml
  kinesis-forwarder run --config forwarder.toml";

/// Arguments of `config`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Config {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What can be done with a configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say what would run, without a secret, or all that is wrong, with file, line and field.
    Check(Check),
}

/// Arguments of `config check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The configuration.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}
