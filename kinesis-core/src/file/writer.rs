//! Operations on the file one after the other, away from the runtime's threads, and as many at once as have come.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use redb::{Database, Durability, WriteTransaction};
use tokio::sync::oneshot;

use super::table::Tables;
use crate::error::{Error, ErrorKind, Result};

/// Answers an operation, once it is known whether its transaction is on the disk.
type Reply = Box<dyn FnOnce(&Result<(), String>) + Send>;
/// Works on the tables, where they could be opened.
type Operation = Box<dyn FnOnce(Option<&mut Tables<'_>>) -> Reply + Send>;

/// The one who writes the file.
///
/// Waiting for the disk takes milliseconds, in which a thread of the runtime would serve nobody; so operations are run by
/// `spawn_blocking`. That is on tokio's clock too: a paused clock stands still while such a task is at work. A thread of
/// our own, which the clock does not know, would let it run ahead of every write.
///
/// Blocking tasks start in any order, but operations are run in the order in which they were asked for: each task takes
/// what waits in the queue, all of it in one transaction. So an operation whose future was dropped does not come after one
/// that its caller asked for later.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    /// Held while a transaction runs.
    database: Mutex<Database>,
    queue: Queue,
}

#[derive(Default)]
struct Queue(Mutex<VecDeque<Operation>>);

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queue")
    }
}

impl Queue {
    fn push(&self, operation: Operation) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(operation);
    }

    fn take(&self) -> VecDeque<Operation> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Writer {
    pub(super) fn new(path: PathBuf, database: Database) -> Self {
        Self { path, database: Mutex::new(database), queue: Queue::default() }
    }

    /// Runs an operation; what it wrote is on the disk when this answers.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        operation: impl FnOnce(&mut Tables<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let answer = self.ask(operation);
        let writer = Arc::clone(self);
        // Waited for as well, so that the file is closed when its last user lets go of it.
        let worked = tokio::task::spawn_blocking(move || writer.work()).await;
        let gone = || Error::permanent(format!("the state file {} is closed: the runtime ends", self.path.display()));
        worked.map_err(|error| gone().because(error))?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Runs an operation on this thread.
    pub(super) fn at_once<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tables<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut answer = self.ask(operation);
        self.work();
        answer.try_recv().unwrap_or_else(|_| Err(Error::contract("an operation on the state file was not run")))
    }

    fn ask<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Tables<'_>) -> Result<T> + Send + 'static,
    ) -> oneshot::Receiver<Result<T>> {
        let (send, answer) = oneshot::channel();
        let path = self.path.clone();
        self.queue.push(Box::new(move |tables| {
            let result = tables.map(operation);
            Box::new(move |stored| {
                let answer = match (stored, result) {
                    (Ok(()), Some(Err(error))) if error.kind() != ErrorKind::LeaseLost => {
                        let message = format!("the state file {} cannot be used", path.display());
                        Err(Error::new(error.kind(), message).because(error))
                    }
                    (Ok(()), Some(result)) => result,
                    (Err(error), _) => {
                        let way_out = "what was stored before is kept; see to the disk and start again";
                        let message = format!("cannot write the state file {}: {way_out}", path.display());
                        Err(Error::permanent(message).because(error.clone()))
                    }
                    (Ok(()), None) => Err(Error::contract("an operation on the state file was not run")),
                };
                // Whoever asked may be gone.
                let _ = send.send(answer);
            })
        }));
        answer
    }

    /// Runs what waits, in one transaction.
    fn work(&self) {
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let operations = self.queue.take();
        if operations.is_empty() {
            // Another task has taken them along.
            return;
        }
        let (replies, stored) = transact(&database, operations);
        drop(database);
        let stored = stored.map_err(|error| error.to_string());
        replies.into_iter().for_each(|reply| reply(&stored));
    }
}

/// Runs all operations, and stores what they changed.
fn transact(database: &Database, operations: VecDeque<Operation>) -> (Vec<Reply>, Result<(), redb::Error>) {
    let begin = || -> Result<WriteTransaction, redb::Error> {
        let mut transaction = database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        Ok(transaction)
    };
    let run = |operations: VecDeque<Operation>, mut tables: Option<&mut Tables<'_>>| {
        operations.into_iter().map(|operation| operation(tables.as_deref_mut())).collect::<Vec<Reply>>()
    };
    let transaction = match begin() {
        Ok(transaction) => transaction,
        Err(error) => return (run(operations, None), Err(error)),
    };
    let mut tables = match Tables::open(&transaction) {
        Ok(tables) => tables,
        Err(error) => return (run(operations, None), Err(error)),
    };
    let replies = run(operations, Some(&mut tables));
    let changed = tables.changed;
    drop(tables);
    let stored =
        if changed { transaction.commit().map_err(Into::into) } else { transaction.abort().map_err(Into::into) };
    (replies, stored)
}
