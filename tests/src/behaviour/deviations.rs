//! What other servers do that the service does not: known, so that what is new is noticed.

use std::fmt;
use std::str::FromStr;

use super::{ROWS, Row, Verdict};

/// A server whose behaviour is on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Our own, which deviates nowhere.
    KinesisMock,
    /// <https://github.com/mhart/kinesalite>, 3.3.3.
    Kinesalite,
    /// <https://github.com/etspaceman/kinesis-mock>, 0.6.2, of npm's package `kinesis-local`.
    KinesisLocal,
}

impl Peer {
    const ALL: [Self; 3] = [Self::KinesisMock, Self::Kinesalite, Self::KinesisLocal];

    const fn name(self) -> &'static str {
        match self {
            Self::KinesisMock => "kinesis-mock",
            Self::Kinesalite => "kinesalite",
            Self::KinesisLocal => "kinesis-local",
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|peer| peer.name() == name);
        found.ok_or_else(|| format!("there is no server {name:?}: {names}"))
    }
}

/// Whose fault a deviation is. It is never ours: where the two of us differ and the reference says what the service does,
/// the row says that, and kinesis-mock passes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The server's, which does not have this.
    Lacks,
    /// The server's, which has this, but otherwise than the reference says.
    Differs,
}

/// What a server does that the service does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deviation {
    /// Who does it.
    pub peer: Peer,
    /// In which row.
    pub row: &'static str,
    /// Whose it is.
    pub whose: Whose,
    /// What it does.
    pub does: &'static str,
}

const fn lacks(peer: Peer, row: &'static str, does: &'static str) -> Deviation {
    Deviation { peer, row, whose: Whose::Lacks, does }
}

const fn differs(peer: Peer, row: &'static str, does: &'static str) -> Deviation {
    Deviation { peer, row, whose: Whose::Differs, does }
}

/// All deviations that are known. `kinesis_mock::guide::other_servers` has them as a [`table`].
pub const DEVIATIONS: &[Deviation] = {
    use Peer::{Kinesalite, KinesisLocal};
    const NO_CONSUMERS: &str = "RegisterStreamConsumer: UnknownOperationException";
    const NO_PAGES: &str = "shards of the first page: 3 instead of 2";
    &[
        lacks(Kinesalite, "listed-in-pages", NO_PAGES),
        lacks(Kinesalite, "token-alone", NO_PAGES),
        lacks(Kinesalite, "token-and-name", NO_PAGES),
        lacks(Kinesalite, "filter-at-latest", "shards listed: 5 instead of 4"),
        lacks(Kinesalite, "filter-at-horizon", "shards listed: 5 instead of 3"),
        lacks(Kinesalite, "filter-after-shard", "shards listed: 5 instead of 2"),
        differs(Kinesalite, "behind", "MillisBehindLatest is 0 before a record"),
        lacks(Kinesalite, "children-when-read", "children: 0 instead of 2"),
        lacks(Kinesalite, "scale", "UpdateShardCount: UnknownOperationException"),
        lacks(Kinesalite, "registered", NO_CONSUMERS),
        lacks(Kinesalite, "pushed", NO_CONSUMERS),
        lacks(Kinesalite, "children-when-pushed", NO_CONSUMERS),
        lacks(Kinesalite, "second-subscription", NO_CONSUMERS),
        lacks(Kinesalite, "takeover", NO_CONSUMERS),
        lacks(Kinesalite, "five-reads", "it answers the sixth read"),
        lacks(Kinesalite, "ten-megabytes", "11 MiB in an answer"),
        lacks(Kinesalite, "mebibyte-written", "refused of 1,800 KiB in six records: 0 instead of 3"),
        lacks(Kinesalite, "expired-token", NO_PAGES),
        lacks(Kinesalite, "five-minutes", NO_CONSUMERS),
        differs(KinesisLocal, "filter-at-horizon", "shards listed: 5 instead of 3"),
        differs(
            KinesisLocal,
            "rubbish-iterator",
            "GetRecords: an error without a code instead of InvalidArgumentException",
        ),
        differs(KinesisLocal, "children-when-pushed", "the subscription has no end"),
        lacks(KinesisLocal, "second-subscription", "SubscribeToShard: an answer instead of ResourceInUseException"),
        lacks(KinesisLocal, "takeover", "the first subscription goes on"),
        lacks(KinesisLocal, "five-reads", "it answers the sixth read"),
        lacks(KinesisLocal, "ten-megabytes", "GetRecords: an answer instead of ProvisionedThroughputExceededException"),
        lacks(KinesisLocal, "mebibyte-written", "refused of 1,800 KiB in six records: 0 instead of 3"),
        lacks(KinesisLocal, "expired-token", "ListShards: an answer instead of ExpiredNextTokenException"),
    ]
};

/// The deviations as a table in Markdown, for the documentation: every row in which somebody deviates.
#[must_use]
pub fn table() -> String {
    let cell = |peer, row: &Row| {
        let found = DEVIATIONS.iter().find(|deviation| deviation.peer == peer && deviation.row == row.name);
        found.map_or_else(
            || "ok".to_owned(),
            |deviation| match deviation.whose {
                Whose::Lacks => format!("lacks it: {}", deviation.does),
                Whose::Differs => format!("differs: {}", deviation.does),
            },
        )
    };
    let mut table =
        "| the service (where it says so) | kinesalite 3.3.3 | kinesis-local 0.6.2 |\n|---|---|---|\n".to_owned();
    for row in ROWS.iter().filter(|row| DEVIATIONS.iter().any(|deviation| deviation.row == row.name)) {
        let (kinesalite, local) = (cell(Peer::Kinesalite, row), cell(Peer::KinesisLocal, row));
        table += &format!("| {} ({}) | {kinesalite} | {local} |\n", row.rule, row.source);
    }
    table
}

/// What a row's verdict means for a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It does what the service does.
    Holds,
    /// It does what it was known to do.
    AsListed(Deviation),
    /// It does something that is not in the list, or not so.
    Unlisted(String),
    /// It was listed to deviate, and does not.
    NoLonger(Deviation),
}

/// Compares a verdict with the list.
#[must_use]
pub fn judge(peer: Peer, row: &Row, verdict: Verdict, listed: &[Deviation]) -> Outcome {
    let known = listed.iter().find(|deviation| deviation.peer == peer && deviation.row == row.name).copied();
    match (verdict, known) {
        (Ok(()), None) => Outcome::Holds,
        (Ok(()), Some(known)) => Outcome::NoLonger(known),
        (Err(deviates), Some(known)) if deviates.what() == known.does => Outcome::AsListed(known),
        (Err(deviates), _) => Outcome::Unlisted(deviates.what().to_owned()),
    }
}
