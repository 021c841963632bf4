//! What the forwarder is to do, whoever says it: a file, the environment, the command line.
//!
//! Values are laid one over the other: a flag wins over a variable of the [environment](Variables), and that over the file.
//! One that names the source or the state in another way displaces what it replaces, so `--input` is enough to try the
//! subscribers of a file that reads a stream; `--to` takes the place of all subscribers of the file. Then all of it is checked
//! at once, and every mistake is told with its place.
//!
//! ```toml
//! [source]
//! stream = "orders"
//!
//! [[subscribers]]
//! name = "audit"
//! url = "https://audit.example.com/events"
//! secrets = [{ env = "AUDIT_SECRET" }]
//! ```
//!
//! Every field is in `forwarder.example.toml`. Paths are relative to the directory in which the program runs.

mod environment;
mod fields;
mod file;
mod flags;
mod format;
mod mistakes;
mod order;
mod reach;
mod secret;
mod show;
mod source;
mod subscriber;
mod subscriptions;
#[cfg(test)]
mod tests;
mod tree;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use kinesis_core::StartPosition;

pub use environment::Variables;
pub use mistakes::{Mistake, Mistakes};
pub use subscriber::Subscriber;
pub use subscriptions::{Sinks, default_max_age};

use fields::Fields;
use mistakes::{Found, Origin};
use tree::Table;

use crate::cli::{self, Check, ConfigCommand, Lambda, Run};
use crate::output::{note, say};
use crate::run::UNUSABLE;

/// Everything that a run is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// What is read. `None` where [`Need::Subscribers`] was asked for.
    pub source: Option<Source>,
    /// Take the channel from this field of a JSON payload instead of the partition key.
    pub from_json_field: Option<String>,
    /// Where it is kept how far each subscriber is.
    pub state: State,
    /// Health and metrics over HTTP.
    pub server: Option<Server>,
    /// Who gets the records: at least one, each with a name of its own.
    pub subscribers: Vec<Subscriber>,
}

/// What is read.
#[derive(Debug, Clone)]
pub enum Source {
    /// A stream of Kinesis.
    Stream(Stream),
    /// A file, or `-` for standard input.
    Input(PathBuf),
}

/// A stream of Kinesis.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Its name or its ARN.
    pub name: String,
    /// The server to ask instead of AWS.
    pub endpoint: Option<String>,
    /// The region to ask in, if not the one that the AWS command line takes.
    pub region: Option<String>,
    /// The registered consumer that records are pushed to; polled without.
    pub consumer: Option<String>,
    /// Where subscribers begin that do not say it themselves.
    pub start: StartPosition,
}

/// Where it is kept how far each subscriber is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nowhere: the next run begins anew.
    Nowhere,
    /// In a file, for one process.
    File(PathBuf),
    /// In a table of DynamoDB, for several.
    Table {
        /// The table's name.
        name: String,
        /// The DynamoDB server to ask instead of AWS.
        dynamodb: Option<String>,
    },
}

/// Health and metrics over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// How long a lane with work may stand still before the program is not ready.
    pub stalled_after: Duration,
}

/// How much of a configuration has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// All that a run takes.
    Whole,
    /// Subscribers alone: somebody hands the records over, and waits for what becomes of them.
    Subscribers,
}

impl Config {
    /// Reads the file at `path`, if there is one, with the variables of the environment over it.
    ///
    /// # Errors
    ///
    /// All mistakes that there are.
    pub fn read(path: Option<&Path>, variables: &Variables, need: Need) -> Result<Self, Mistakes> {
        Self::of(path, variables, |_| {}, need)
    }

    /// As [`read`](Self::read), with the flags of `run` over both.
    ///
    /// # Errors
    ///
    /// All mistakes that there are.
    pub fn of_run(args: &Run, variables: &Variables) -> Result<Self, Mistakes> {
        Self::of(args.config.as_deref(), variables, |table| flags::lay(table, args), Need::Whole)
    }

    /// As [`read`](Self::read), with the flags of `lambda` over both, for the [subscribers](Need::Subscribers) alone.
    ///
    /// # Errors
    ///
    /// All mistakes that there are.
    pub fn of_lambda(args: &Lambda, variables: &Variables) -> Result<Self, Mistakes> {
        let of_variable = |why| Mistakes::from(Mistake::new(&Origin::Variable(cli::TO.into()), "", why));
        let targets = args.targets(variables.get(cli::TO)).map_err(of_variable)?;
        let flags = |table: &mut Table| flags::lay_for_calls(table, args, &targets);
        Self::of(args.config.as_deref(), variables, flags, Need::Subscribers)
    }

    fn of(
        path: Option<&Path>,
        variables: &Variables,
        lay_flags: impl FnOnce(&mut Table),
        need: Need,
    ) -> Result<Self, Mistakes> {
        let found = Found::default();
        let (mut table, origin) = match path {
            Some(path) => {
                let name = path.display().to_string().into();
                (file::tree(path, &file::text(path)?, &found), Origin::File { name, line: 1, column: 1 })
            }
            None => (Table::new(), Origin::Unset),
        };
        environment::lay(&mut table, variables, &found);
        lay_flags(&mut table);
        let read = read(Fields::new(&found, "", origin, table), variables, need);
        found.none_of(read)
    }
}

/// `config check`: says what would run, or all that is wrong.
#[must_use]
pub fn command(args: &cli::Config) -> ExitCode {
    let ConfigCommand::Check(Check { file }) = &args.command;
    match Config::read(Some(file), &Variables::of_process(), Need::Whole) {
        Ok(config) => {
            say(&format!("{} can run; it\n{config}", file.display()));
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            mistakes.iter().for_each(|mistake| note(&mistake.to_string()));
            ExitCode::from(UNUSABLE)
        }
    }
}

/// Takes a tree apart. What could not be read is `None`, and was told.
fn read(mut all: Fields<'_>, variables: &Variables, need: Need) -> Option<Config> {
    let found = all.found();
    let (source, from_json_field) = source::read(&mut all, variables, need);
    let state = source::state(&mut all, source.as_ref());
    // What is said of it is checked, and belongs to somebody else.
    let source = source.filter(|_| need == Need::Whole);
    let read = subscriber::read_all(&mut all, variables, source.as_ref(), need);
    let server = source::server(&mut all, read.as_deref().unwrap_or_default());
    all.end();
    let config = Config { source, from_json_field, state: state?, server, subscribers: read? };
    config.can_be_kept(found);
    Some(config)
}
