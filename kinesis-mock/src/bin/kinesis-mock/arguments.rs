//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, ValueEnum};

/// Kinesis without Kinesis: its API on a socket, streams in memory, any credentials.
#[derive(Debug, Parser)]
#[command(version)]
pub(super) struct Arguments {
    /// The address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4567")]
    pub(super) listen: SocketAddr,

    /// A stream to begin with, such as orders:4; may be given several times.
    #[arg(long = "stream", value_name = "NAME:SHARDS")]
    pub(super) streams: Vec<NewStream>,

    /// Throttles each shard as the service does; without it nothing is limited.
    #[arg(long, value_name = "WHOSE")]
    pub(super) limits: Option<Limits>,

    /// A JSON file that says which calls go wrong, such as
    /// [{"operation": "GetRecords", "nth": 3, "fault": "throttle"}].
    #[arg(long, value_name = "FILE")]
    pub(super) faults: Option<PathBuf>,
}

/// Whose limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Limits {
    /// Reads 5/s and 2 MiB/s, writes 1,000/s and 1 MiB/s, for each shard.
    Aws,
}

/// A stream to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewStream {
    pub(super) name: String,
    pub(super) shards: usize,
}

impl FromStr for NewStream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, shards) = text.rsplit_once(':').ok_or("a stream is NAME:SHARDS, such as orders:4")?;
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        if !is_name || !(1..=128).contains(&name.len()) {
            return Err(format!("the name {name:?} is not 1 to 128 letters, digits, `_`, `.` or `-`"));
        }
        let shards = shards.parse().ok().filter(|shards| (1..=10_000).contains(shards));
        let shards = shards.ok_or("the number of shards is not a number from 1 to 10000")?;
        Ok(Self { name: name.to_owned(), shards })
    }
}
