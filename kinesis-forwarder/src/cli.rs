//! The command line: what can be asked for, in which words.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  See it work, without AWS and without files:
    kinesis-forwarder demo

  A subscriber in one terminal, an event file in another:
    kinesis-forwarder listen --port 3000
    kinesis-forwarder run --input event.json --to http://127.0.0.1:3000/events

Set RUST_LOG=info (or debug, trace) to see more of what happens.";

/// Forwards the records of a Kinesis stream to HTTP subscribers.
#[derive(Debug, Parser)]
#[command(name = "kinesis-forwarder", version, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Be a subscriber: print what is posted, one line an event.
    Listen(Listen),
    /// Read events from a file or a pipe and post them to subscribers.
    Run(Run),
    /// Show the whole way in about ten seconds, without AWS and without files.
    Demo(Demo),
}

const LISTEN_HELP: &str = "\
Examples:
  kinesis-forwarder listen --port 3000
  kinesis-forwarder listen --port 3000 --on member-registered --on member-left

  curl -i http://127.0.0.1:3000/events -H 'content-type: application/json' \\
    -d '{\"channel\":\"member-registered\",\"sequenceNumber\":\"1\",\"data\":\"hello\"}'";

/// Arguments of `listen`.
#[derive(Debug, Args)]
#[command(after_help = LISTEN_HELP)]
pub struct Listen {
    /// The port to listen on; 0 takes any that is free.
    #[arg(long)]
    pub port: u16,
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// Take only this channel; may be given several times. Default: every channel.
    #[arg(long, value_name = "CHANNEL")]
    pub on: Vec<String>,
}

const RUN_HELP: &str = "\
The input is a Lambda event document ({\"Records\": [..]}), or one JSON object a line: events as they are posted, the
short form {\"partitionKey\", \"data\"}, or the lines of a dead-letter file. It is read as it comes.

Exit code: 0 when every record was delivered, 1 when some were not, 2 when the command line or the input is wrong.

Examples:
  kinesis-forwarder run --input event.json --to http://127.0.0.1:3000/events
  tail -f events.ndjson | kinesis-forwarder run --input - \\
    --to member-registered=http://127.0.0.1:3000/events --to http://127.0.0.1:3001/audit --dead-letters dead.ndjson
  kinesis-forwarder run --input dead.ndjson --to http://127.0.0.1:3000/events --dead-letters still-dead.ndjson";

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(after_help = RUN_HELP)]
pub struct Run {
    /// The file to read, or - for standard input.
    #[arg(long, value_name = "FILE|-")]
    pub input: PathBuf,
    /// A subscriber, and the channel it takes (default: every channel); may be given several times.
    #[arg(long, required = true, value_name = "[CHANNEL=]URL", value_parser = target)]
    pub to: Vec<Target>,
    /// Where to append the records that could not be delivered; `run` can read it again.
    #[arg(long, value_name = "FILE")]
    pub dead_letters: Option<PathBuf>,
    /// Take the channel from this field of a JSON payload instead of the partition key.
    #[arg(long, value_name = "NAME")]
    pub from_json_field: Option<String>,
    /// How long to go on trying: a record, and a subscriber that takes nothing at all.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub max_age: Duration,
    /// How many records a subscriber gets at once; the order within a partition key is kept.
    #[arg(long, value_name = "N", default_value = "8")]
    pub parallel: NonZeroUsize,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// How many records to put.
    #[arg(long, value_name = "N", default_value = "4000")]
    pub records: NonZeroUsize,
}

/// A subscriber as `--to` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The channel it takes; `None` for every channel.
    pub channel: Option<String>,
    /// Where it listens.
    pub url: String,
}

/// Reads `[CHANNEL=]URL`: the channel is what stands before the `=` before the scheme, so that both may contain `=`.
fn target(text: &str) -> Result<Target, String> {
    let scheme = text.find("://").map(|end| text[..end].rfind('=').map_or(0, |equals| equals + 1));
    let url_at = scheme.unwrap_or_else(|| text.find('=').map_or(0, |equals| equals + 1));
    let (channel, url) = text.split_at(url_at);
    if channel == "=" {
        return Err("the channel before the = is empty; leave the = out for every channel".to_owned());
    }
    Ok(Target { channel: channel.strip_suffix('=').map(str::to_owned), url: url.to_owned() })
}

/// Reads a number with a unit, as `500ms`, `10s`, `1.5m` or `2h`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => f64::NAN,
    };
    let seconds = digits.parse::<f64>().map_or(f64::NAN, |number| number * unit);
    let usable = Duration::try_from_secs_f64(seconds).ok().filter(|duration| !duration.is_zero());
    usable.ok_or_else(|| "write a number with a unit, like 500ms, 10s, 5m or 2h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_target_may_have_equals_signs_everywhere() {
        let read = |text| target(text).map(|target| (target.channel, target.url)).unwrap();
        let all = |url: &str| (None, url.to_owned());
        let one = |channel: &str, url: &str| (Some(channel.to_owned()), url.to_owned());
        assert_eq!(read("http://h/e?a=b"), all("http://h/e?a=b"));
        assert_eq!(read("joined=http://h/e?a=b=c"), one("joined", "http://h/e?a=b=c"));
        assert_eq!(read("a=b=http://h"), one("a=b", "http://h"));
        assert_eq!(read("joined=nonsense"), one("joined", "nonsense"));
        assert!(target("=http://h").is_err());
    }

    #[test]
    fn a_duration_has_a_number_and_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        for bad in ["", "10", "s", "0s", "-1s", "1d", "NaNs", "infs", "1e300h", "1 0s", "10seconds"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
