//! The command line: what can be asked for, in which words.

mod config;
mod lambda;
mod leases;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use clap::{Args, Parser, Subcommand};
use kinesis_core::StartPosition;

pub use config::{Check, Config, ConfigCommand};
pub(crate) use lambda::TO;
pub use lambda::{Lambda, OnRefusal};
pub use leases::{Change, Leases, LeasesCommand, List, Place, Reset, Selection, Which};

const EXAMPLES: &str = "\
Examples:
  See it work, without AWS and without files:
    kinesis-forwarder demo

  A subscriber in one terminal, an event file in another:
    kinesis-forwarder listen --port 3000
    kinesis-forwarder run --input event.json --to http://127.0.0.1:3000/events

  A stream of Kinesis, with the region and the credentials that the AWS command line uses:
    kinesis-forwarder tail --stream orders
    kinesis-forwarder run --stream orders --to http://127.0.0.1:3000/events

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
    /// Read a stream, a file or a pipe and post its records to subscribers.
    Run(Run),
    /// Be the function that AWS Lambda calls with the records of a stream, and post them to subscribers.
    Lambda(Lambda),
    /// Put records on a stream: made up ones, or those of a file or a pipe.
    Publish(Publish),
    /// Print the records of a stream as they come, one line each.
    Tail(Tail),
    /// Look into the state of runs, move subscriptions, let leases go.
    Leases(Leases),
    /// Look into a configuration file.
    Config(Config),
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

/// Where the stream is. Region and credentials come from where the AWS command line looks for them.
#[derive(Debug, Clone, Args)]
pub struct Stream {
    /// The stream, by its name or its ARN. Default: what KINESIS_STREAM_NAME says.
    #[arg(long, value_name = "NAME|ARN")]
    pub stream: Option<String>,
    /// The server to ask instead of AWS, as http://127.0.0.1:4567. On this machine it needs neither region nor credentials.
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
}

const RUN_HELP: &str = "\
A stream is followed until Ctrl-C. With --consumer the service pushes records by enhanced fan-out, to a consumer of that
name, which is registered if there is none.

An input is a Lambda event document ({\"Records\": [..]}), or one JSON object a line: events as they are posted, the
short form {\"partitionKey\", \"data\"}, or the lines of a dead-letter file. It is read as it comes.

With --table, several runs share the shards of a stream, and one that ends leaves its share to the others.

With --state the next run goes on where this one was stopped or killed; without it, it begins anew. Each subscriber is known
by its URL without the query. A file that was appended to goes on with what is new; one that was changed otherwise is
another one and begins at its start. What a subscriber does not take, and no --dead-letters file, stops that subscriber
there, for the next run to try again.

Exit code: 0 when every record was delivered, 1 when some were not, 2 when the command line or the input is wrong.

Examples:
  kinesis-forwarder run --stream orders --start horizon --to http://127.0.0.1:3000/events
  kinesis-forwarder run --stream arn:aws:kinesis:eu-west-1:123456789012:stream/orders --consumer billing \
    --start 2026-01-31T12:00:00Z --to placed=http://127.0.0.1:3000/events
  kinesis-forwarder run --input event.json --to http://127.0.0.1:3000/events
  tail -f events.ndjson | kinesis-forwarder run --input - \\
    --to member-registered=http://127.0.0.1:3000/events --to http://127.0.0.1:3001/audit --dead-letters dead.ndjson
  kinesis-forwarder run --config forwarder.toml
  kinesis-forwarder run --input export.ndjson --state export.state --to http://127.0.0.1:3000/events
  kinesis-forwarder run --input dead.ndjson --to http://127.0.0.1:3000/events --dead-letters still-dead.ndjson";

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(after_help = RUN_HELP)]
pub struct Run {
    /// The configuration: all that flags say, and how each subscriber wants its records. Flags win over variables of the
    /// environment, of which each field has one (see `config --help`), and those over the file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The file to read, or - for standard input.
    #[arg(long, value_name = "FILE|-", conflicts_with = "stream")]
    pub input: Option<PathBuf>,
    /// The stream to read.
    #[command(flatten)]
    pub stream: Stream,
    /// The registered consumer that the stream's records are pushed to. Default: the stream is polled.
    #[arg(long, value_name = "NAME", conflicts_with = "input")]
    pub consumer: Option<String>,
    /// Where to begin on a stream: horizon, latest, or a time as 2026-01-31T12:00:00Z. Default: latest.
    #[arg(long, value_name = "WHERE", conflicts_with = "input", value_parser = checked(start))]
    pub start: Option<String>,
    /// A subscriber, and the channel it takes (default: every channel); may be given several times. They take the place of
    /// those in a configuration file.
    #[arg(long, value_name = "[CHANNEL=]URL", value_parser = target)]
    pub to: Vec<Target>,
    /// Where to append the records that could not be delivered; `run` can read it again.
    #[arg(long, value_name = "FILE")]
    pub dead_letters: Option<PathBuf>,
    /// The file that keeps how far each subscriber is, for the next run to go on there; made if there is none.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// The table of DynamoDB that keeps how far each subscriber is, as the KCL does: several runs of one stream share its
    /// shards. Made if there is none.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["state", "input"])]
    pub table: Option<String>,
    /// The DynamoDB server to ask instead of AWS.
    #[arg(long, value_name = "URL")]
    pub dynamodb: Option<String>,
    /// Take the channel from this field of a JSON payload instead of the partition key.
    #[arg(long, value_name = "NAME")]
    pub from_json_field: Option<String>,
    /// How long to go on trying: a record, and with --input a subscriber that takes nothing at all. Default: 10s of an
    /// input; of a stream a record is tried for a day.
    #[arg(long, value_name = "DURATION", value_parser = checked(duration))]
    pub max_age: Option<String>,
    /// How many records of a shard a subscriber gets at once; the order within a partition key is kept. Default: 8.
    #[arg(long, value_name = "N")]
    pub parallel: Option<NonZeroUsize>,
    /// The address at which /healthz, /readyz and /metrics answer. Default: none.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
}

const PUBLISH_HELP: &str = "\
The input is what `run --input` reads: a Lambda event document, or one JSON object a line with at least
{\"partitionKey\", \"data\"}. Records of one partition key are put in order.

Exit code: 0 when every record was put, 1 when some were not, 2 when the command line or the input is wrong.

Examples:
  kinesis-forwarder publish --stream orders --count 1000
  echo '{\"partitionKey\":\"customer-7\",\"data\":\"hello\"}' | kinesis-forwarder publish --stream orders --input -";

/// Arguments of `publish`.
#[derive(Debug, Args)]
#[command(after_help = PUBLISH_HELP)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct Publish {
    /// The stream to put records on.
    #[command(flatten)]
    pub stream: Stream,
    /// How many records to make up, of a hundred partition keys.
    #[arg(long, value_name = "N", group = "what")]
    pub count: Option<u64>,
    /// The file to read, or - for standard input.
    #[arg(long, value_name = "FILE|-", group = "what")]
    pub input: Option<PathBuf>,
}

const TAIL_HELP: &str = "\
A line is: partition key, sequence number, time of arrival, payload. It ends with Ctrl-C, or with the stream.

Examples:
  kinesis-forwarder tail --stream orders
  kinesis-forwarder tail --stream orders --shard shardId-000000000003 --start horizon";

/// Arguments of `tail`.
#[derive(Debug, Args)]
#[command(after_help = TAIL_HELP)]
pub struct Tail {
    /// The stream to read.
    #[command(flatten)]
    pub stream: Stream,
    /// Only this shard, and not its children.
    #[arg(long, value_name = "ID")]
    pub shard: Option<String>,
    /// Where to begin: horizon, latest, or a time as 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "WHERE", default_value = "latest", value_parser = start)]
    pub start: StartPosition,
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

/// Refuses what `read` does not understand, and keeps the text: it is read with the rest of the configuration.
fn checked<T>(read: fn(&str) -> Result<T, String>) -> impl Fn(&str) -> Result<String, String> + Clone {
    move |text| read(text).map(|_| text.to_owned())
}

/// Reads a place to begin at.
pub(crate) fn start(text: &str) -> Result<StartPosition, String> {
    match text {
        "horizon" => Ok(StartPosition::TrimHorizon),
        "latest" => Ok(StartPosition::Latest),
        time => {
            let time = DateTime::from_str(time, Format::DateTimeWithOffset).ok();
            let time = time.and_then(|time| SystemTime::try_from(time).ok());
            let way_out = "write horizon, latest, or a time like 2026-01-31T12:00:00Z or 2026-01-31T13:00:00+01:00";
            time.map(StartPosition::Timestamp).ok_or_else(|| way_out.to_owned())
        }
    }
}

/// Reads a number with a unit, as `500ms`, `10s`, `1.5m` or `2h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
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
    fn a_place_to_begin_at_is_a_word_or_a_time() {
        assert_eq!(start("horizon"), Ok(StartPosition::TrimHorizon));
        assert_eq!(start("latest"), Ok(StartPosition::Latest));
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_485_507_652_516);
        for text in ["2017-01-27T09:00:52.516Z", "2017-01-27T10:00:52.516+01:00"] {
            assert_eq!(start(text), Ok(StartPosition::Timestamp(time)));
        }
        for bad in ["", "tip", "2017-01-27", "2017-01-27T09:00:52", "1485507652"] {
            assert!(start(bad).is_err(), "{bad}");
        }
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
