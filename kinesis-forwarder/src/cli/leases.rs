//! The words of `leases`.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use kinesis_core::{SequenceNumber, StartPosition};

use super::start;

const HELP: &str = "\
A state file can be looked into while no run has it open, a table at any time. What a change will do is shown first, and done with --yes or after
a question on a terminal.

Exit code: 0 when it was done, 1 when it was shown and not done, 2 when it cannot be done.

Examples:
  kinesis-forwarder leases list --state orders.state
  kinesis-forwarder leases reset --state orders.state --to horizon --subscription http://127.0.0.1:3000/events
  kinesis-forwarder leases reset --state orders.state --to 2026-01-31T12:00:00Z --yes
  kinesis-forwarder leases release --state orders.state --yes
  kinesis-forwarder leases list --table orders-forwarder --stream orders";

/// Arguments of `leases`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Leases {
    /// What to do.
    #[command(subcommand)]
    pub command: LeasesCommand,
}

/// What can be done with leases.
#[derive(Debug, Subcommand)]
pub enum LeasesCommand {
    /// Show every shard, who holds it, and where each subscription is in it.
    List(List),
    /// Move subscriptions: forwards, or back to have records again.
    Reset(Reset),
    /// Let leases go whose owner is gone.
    Release(Change),
}

/// Where the leases are.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("kept").required(true))]
pub struct Which {
    /// The state file of `run --state`.
    #[arg(long, value_name = "FILE", group = "kept")]
    pub state: Option<PathBuf>,
    /// The table of `run --table`; with --stream, whose leases are in it.
    #[arg(long, value_name = "NAME", group = "kept", requires = "stream")]
    pub table: Option<String>,
    /// The DynamoDB server to ask instead of AWS.
    #[arg(long, value_name = "URL", requires = "table")]
    pub dynamodb: Option<String>,
    /// The Kinesis server to ask instead of AWS: which stream it is, the service says.
    #[arg(long, value_name = "URL", requires = "table")]
    pub endpoint: Option<String>,
}

/// Which of the rows.
#[derive(Debug, Default, Args)]
pub struct Selection {
    /// Only this stream, by its name as `leases list` shows it; an input by its path.
    #[arg(long, value_name = "NAME")]
    pub stream: Option<String>,
    /// Only this shard; a reset reaches what came from it as well.
    #[arg(long, value_name = "ID")]
    pub shard: Option<String>,
}

/// Arguments of `leases list`.
#[derive(Debug, Args)]
pub struct List {
    /// Where the leases are.
    #[command(flatten)]
    pub which: Which,
    /// Which of them.
    #[command(flatten)]
    pub selection: Selection,
    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

const RESET_HELP: &str = "\
A reset is what a seek is while a pipeline runs: the cursors before it are void, on every worker. On a shard that is named,
the shards that came from it are read again from their beginning. The tip is the one that the next run finds. In a file a
number counts its records, from 1 on.";

/// Arguments of `leases reset`.
#[derive(Debug, Args)]
#[command(after_help = RESET_HELP)]
pub struct Reset {
    /// What is changed, and how.
    #[command(flatten)]
    pub change: Change,
    /// Where to: horizon, tip, a time as 2026-01-31T12:00:00Z, or the sequence number of the record to come next.
    #[arg(long, value_name = "WHERE", value_parser = place)]
    pub to: Place,
    /// Only this subscription. Default: all of them.
    #[arg(long, value_name = "NAME")]
    pub subscription: Option<String>,
}

/// Arguments of whatever changes leases; those of `leases release` are no others.
#[derive(Debug, Args)]
pub struct Change {
    /// Where the leases are.
    #[command(flatten)]
    pub which: Which,
    /// Which of them.
    #[command(flatten)]
    pub selection: Selection,
    /// Do it without asking.
    #[arg(long)]
    pub yes: bool,
    /// Do it though a lease is held, by a worker that may be at work.
    #[arg(long)]
    pub force: bool,
    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// A place to move to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The oldest record that is retained.
    Horizon,
    /// Behind the newest record.
    Tip,
    /// The first record that arrived at this time or later.
    Time(SystemTime),
    /// The record with this number.
    Number(SequenceNumber),
}

/// Reads a place to move to.
fn place(text: &str) -> Result<Place, String> {
    if text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains('T') {
        return text.parse().map(Place::Number).map_err(|error| error.to_string());
    }
    match (text, start(text)) {
        ("tip", _) | (_, Ok(StartPosition::Latest)) => Ok(Place::Tip),
        (_, Ok(StartPosition::Timestamp(time))) => Ok(Place::Time(time)),
        (_, Ok(_)) => Ok(Place::Horizon),
        (_, Err(_)) => {
            Err("write horizon, tip, a time like 2026-01-31T12:00:00Z, or the sequence number of a record".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_to_move_to_is_a_word_a_time_or_a_number() {
        assert_eq!(place("horizon"), Ok(Place::Horizon));
        assert_eq!((place("tip"), place("latest")), (Ok(Place::Tip), Ok(Place::Tip)));
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_485_507_652);
        assert_eq!(place("2017-01-27T09:00:52Z"), Ok(Place::Time(time)));
        assert_eq!(place("1234.5"), Ok(Place::Number(SequenceNumber::from(1234).with_sub(5))));
        for bad in ["", "top", "2017-01-27", "-1", "007"] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }
}
