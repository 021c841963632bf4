//! `leases`: what a store knows of leases and cursors, shown, moved and let go.

mod list;
mod moves;
mod stored;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::sync::Arc;

use kinesis_aws::{CreateTable, KinesisSource};
use kinesis_core::pipeline::stored::{seek, seek_shard};
use kinesis_core::{Error, ErrorKind, FileStore, Lease, LeaseStore, Result, StreamSource as _, WorkerId};
use serde_json::json;

use crate::aws::lease_table;
use crate::cli::{Change, Leases, LeasesCommand, Reset, Selection, Stream, Which};
use crate::output::{note, say};
use crate::run::APPLICATION;
use list::View;
use moves::Reach;
use stored::Stored;

/// The exit code when what was asked for was shown and not done.
const NOT_DONE: u8 = 1;

/// Where the rows are.
struct Opened {
    store: Arc<dyn LeaseStore>,
    /// Whether nobody else can be at work on it: then an owner is one that was killed.
    exclusive: bool,
}

impl Opened {
    async fn open(which: &Which, selection: &Selection) -> Result<Self> {
        if let Some(path) = &which.state {
            let store = FileStore::open_existing(path, APPLICATION)?;
            return Ok(Self { store: Arc::new(store), exclusive: true });
        }
        let table = which.table.as_deref().unwrap_or(APPLICATION);
        let stream = Stream { stream: selection.stream.clone(), endpoint: which.endpoint.clone() };
        let source = KinesisSource::connect(&stream.config().await?, stream.named()?).await?;
        let store = lease_table(table, which.dynamodb.as_deref(), None, source.stream(), CreateTable::Never).await?;
        Ok(Self { store: Arc::new(store), exclusive: false })
    }

    /// Refuses to touch leases behind the back of a worker.
    fn allows(&self, rows: &[&Lease], force: bool) -> Result<()> {
        let held = rows.iter().find_map(|row| Some((row, row.owner.as_ref()?)));
        match held {
            Some((row, owner)) if !self.exclusive && !force => Err(Error::invalid(format!(
                "{} is held by {owner}, which may be at work: stop it first, or give --force, and what it has in flight \
                 comes again",
                row.key
            ))),
            _ => Ok(()),
        }
    }
}

/// Shows, moves or lets go what the command line names.
///
/// # Errors
///
/// When the store cannot be opened or written, and when what is named is not there or held by somebody.
pub async fn leases(args: Leases) -> Result<ExitCode> {
    match args.command {
        LeasesCommand::List(args) => {
            let view = View::of(&*Opened::open(&args.which, &args.selection).await?.store, &args.selection).await?;
            say(&if args.json { view.json().to_string() + "\n" } else { view.table() });
            Ok(ExitCode::SUCCESS)
        }
        LeasesCommand::Reset(args) => {
            let opened = Opened::open(&args.change.which, &args.change.selection).await?;
            reset(&opened, &args, confirm).await
        }
        LeasesCommand::Release(args) => {
            let opened = Opened::open(&args.which, &args.selection).await?;
            release(&opened, &args, confirm).await
        }
    }
}

/// Moves subscriptions: the same write as a seek while a pipeline runs.
async fn reset(opened: &Opened, args: &Reset, confirm: impl Fn() -> io::Result<bool>) -> Result<ExitCode> {
    let stored = Stored::read(&*opened.store, args.change.selection.stream.as_deref()).await?;
    let to = stored.position(&args.to)?;
    let reach = Reach::of(&stored, args, to)?;
    opened.allows(&reach.rows(&stored), args.change.force)?;
    let moves = reach.moves(&stored);
    if !args.change.json {
        say(&moves::table(&stored, &moves));
    }
    let done = go(args.change.yes, confirm)?;
    if done {
        let store = &*opened.store;
        for name in &reach.names {
            match &reach.shard {
                Some(shard) => seek_shard(&stored, store, name, shard, to).await?,
                None => seek(&stored, store, name, to).await?,
            };
        }
    }
    if args.change.json {
        say(&format!("{}\n", json!({ "done": done, "moves": moves })));
    }
    Ok(told(done))
}

/// Takes leases from their owners, for whoever comes next.
async fn release(opened: &Opened, args: &Change, confirm: impl Fn() -> io::Result<bool>) -> Result<ExitCode> {
    let rows = opened.store.list().await?;
    let held: Vec<&Lease> = rows.iter().filter(|row| row.owner.is_some() && args.selection.takes(&row.key)).collect();
    opened.allows(&held, args.force)?;
    let owner = |row: &Lease| row.owner.as_deref().unwrap_or_default().to_owned();
    if !args.json {
        let line = |row: &&Lease| format!("{} is let go by {}\n", row.key, owner(row));
        say(&held.iter().map(line).collect::<String>());
        if held.is_empty() {
            say("no lease is held\n");
        }
    }
    let done = held.is_empty() || go(args.yes, confirm)?;
    let me = WorkerId::from(format!("{APPLICATION}-leases-{}", std::process::id()));
    for row in held.iter().filter(|_| done) {
        let claimed = opened.store.claim(row, &me).await?;
        let mut claimed = claimed.ok_or_else(|| {
            let message = format!("{} was written meanwhile: its owner is at work; look again", row.key);
            Error::new(ErrorKind::LeaseLost, message)
        })?;
        opened.store.release(&mut claimed, None, None).await?;
    }
    if args.json {
        let leases: Vec<_> = held
            .iter()
            .map(|row| json!({ "stream": row.key.stream, "shard": row.key.shard, "owner": owner(row) }))
            .collect();
        say(&format!("{}\n", json!({ "done": done, "leases": leases })));
    }
    Ok(told(done))
}

/// Whether to do what was shown.
fn go(yes: bool, confirm: impl Fn() -> io::Result<bool>) -> Result<bool> {
    if yes {
        return Ok(true);
    }
    confirm().map_err(|error| Error::permanent("cannot read the answer").because(error))
}

/// Asks on a terminal; where there is none, says what would do it.
fn confirm() -> io::Result<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        note("nothing is done: give --yes to do it");
        return Ok(false);
    }
    note("do it? y or n");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn told(done: bool) -> ExitCode {
    if done { ExitCode::SUCCESS } else { ExitCode::from(NOT_DONE) }
}

impl Selection {
    /// Whether a row is among those named.
    fn takes(&self, key: &kinesis_core::ShardKey) -> bool {
        let stream = self.stream.as_ref().is_none_or(|named| stored::is_named(&key.stream, named));
        stream && self.shard.as_ref().is_none_or(|named| key.shard == named.as_str())
    }
}

#[cfg(test)]
mod tests;
