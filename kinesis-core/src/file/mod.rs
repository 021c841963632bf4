//! Leases, cursors and subscriptions in one file: what a program on one machine needs to go on where it was.

mod opening;
mod table;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Result;
use crate::lease::{HeldLease, Lease, LeaseStore, Progress, Renewed, SubscriptionRecord, WorkerId, rows};
use crate::shard::ShardKey;
use table::Tables;
use writer::Writer;

/// A [`LeaseStore`] in one file on this machine, for one process at a time. Clones share it; the last one closes it.
///
/// A write is on the disk before it is answered, and a file that was cut off in the middle of a write opens with what had
/// been answered before. Writes that come together go to the disk together, so that many shards cost little more than one.
///
/// The file is locked while it is open. So nobody is left who could hold a lease when it is opened again, and leases that
/// a process took down with it are let go at once, not after a failover time.
///
/// A file belongs to one application, whose name stands in it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kinesis_core::Result<()> {
/// use kinesis_core::{FileStore, Lease, LeaseStore, Shard, StreamId};
/// # let path = std::env::temp_dir().join(format!("kinesis-core-doc-{}.state", std::process::id()));
/// # let _ = std::fs::remove_file(&path);
/// let store = FileStore::open(&path, "billing")?;
/// let row = Lease::new(&StreamId::new("orders"), &Shard::new("shardId-000000000000"));
/// assert!(store.create(&row).await?);
/// drop(store);
///
/// let store = FileStore::open(&path, "billing")?;
/// assert_eq!(store.list().await?, [row]);
/// # drop(store);
/// # std::fs::remove_file(&path).unwrap();
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct FileStore {
    path: PathBuf,
    writer: Arc<Writer>,
}

impl FileStore {
    /// Opens the file at `path` for the workers of `application`, and makes it where there is none. Leases that a process
    /// before this one left behind are let go. Blocks until that is on the disk.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid), and the file stays as it is, when another process has it open, when it
    /// belongs to another application or a newer version, when it is damaged, and when it is no such file at all;
    /// [`Permanent`](crate::ErrorKind::Permanent) when it cannot be read or written.
    pub fn open(path: impl AsRef<Path>, application: &str) -> Result<Self> {
        let path = path.as_ref();
        if !path.try_exists().unwrap_or(true) {
            opening::make(path, application)?;
        }
        let store = Self::open_existing(path, application)?;
        store.writer.at_once(table::let_go)?;
        Ok(store)
    }

    /// Opens a file that is there, and changes nothing in it: who holds a lease, or held one when it was killed, still
    /// does. For those who look into it. Blocks.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and [`NotFound`](crate::ErrorKind::NotFound) when there is no file.
    pub fn open_existing(path: impl AsRef<Path>, application: &str) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let database = opening::open(&path, application)?;
        Ok(Self { writer: Arc::new(Writer::new(path.clone(), database)), path })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[async_trait]
impl LeaseStore for FileStore {
    async fn list(&self) -> Result<Vec<Lease>> {
        self.writer.run(|tables| tables.leases()).await
    }

    async fn get(&self, key: &ShardKey) -> Result<Option<Lease>> {
        let key = key.clone();
        self.writer.run(move |tables| tables.lease(&key)).await
    }

    async fn create(&self, lease: &Lease) -> Result<bool> {
        let row = rows::create(lease);
        let create = move |tables: &mut Tables<'_>| {
            let absent = tables.lease(&row.key)?.is_none();
            if absent {
                tables.put_lease(&row)?;
            }
            Ok(absent)
        };
        self.writer.run(create).await
    }

    async fn claim(&self, seen: &Lease, me: &WorkerId) -> Result<Option<HeldLease>> {
        let (seen, me) = (seen.clone(), me.clone());
        let claim = move |tables: &mut Tables<'_>| tables.change(&seen.key, |row| rows::claim(row, &seen, &me));
        Ok(self.writer.run(claim).await?.map(HeldLease::new))
    }

    async fn request(&self, seen: &Lease, me: &WorkerId) -> Result<bool> {
        let (seen, me) = (seen.clone(), me.clone());
        let request = move |tables: &mut Tables<'_>| tables.change(&seen.key, |row| rows::request(row, &seen, &me));
        Ok(self.writer.run(request).await?.is_some())
    }

    async fn advance<'a>(&self, held: &mut HeldLease, progress: Option<&'a Progress>) -> Result<Renewed> {
        let (ours, progress) = (held.lease().clone(), progress.cloned());
        let advance = move |tables: &mut Tables<'_>| {
            let mut row = tables.lease(&ours.key)?;
            let renewed = rows::advance(row.as_mut(), &ours, progress.as_ref())?;
            let row = row.expect("what was advanced is there");
            tables.put_lease(&row)?;
            Ok((renewed, row))
        };
        let (renewed, row) = self.writer.run(advance).await?;
        held.written(row);
        Ok(renewed)
    }

    async fn release(&self, held: &mut HeldLease, last: Option<Progress>, to: Option<WorkerId>) -> Result<()> {
        let ours = held.lease().clone();
        let release = move |tables: &mut Tables<'_>| {
            let mut row = tables.lease(&ours.key)?;
            rows::release(row.as_mut(), &ours, last.as_ref(), to)?;
            tables.put_lease(&row.expect("what was released is there"))
        };
        self.writer.run(release).await
    }

    async fn reset(&self, seen: &Lease, to: &Progress) -> Result<bool> {
        let (seen, to) = (seen.clone(), to.clone());
        let reset = move |tables: &mut Tables<'_>| tables.change(&seen.key, |row| rows::reset(row, &seen, &to));
        Ok(self.writer.run(reset).await?.is_some())
    }

    async fn remove(&self, seen: &Lease) -> Result<bool> {
        let seen = seen.clone();
        let remove = move |tables: &mut Tables<'_>| {
            let unchanged = tables.lease(&seen.key)?.is_some_and(|row| rows::is_unchanged(&row, &seen));
            if unchanged {
                tables.remove_lease(&seen.key)?;
            }
            Ok(unchanged)
        };
        self.writer.run(remove).await
    }

    async fn subscriptions(&self) -> Result<Vec<SubscriptionRecord>> {
        self.writer.run(|tables| tables.subscriptions()).await
    }

    async fn put_subscription<'a>(
        &self,
        seen: Option<&'a SubscriptionRecord>,
        new: &SubscriptionRecord,
    ) -> Result<bool> {
        let (seen, new) = (seen.cloned(), new.clone());
        let put = move |tables: &mut Tables<'_>| {
            let stored = tables.subscription(&new.stream, &new.name)?;
            let put = rows::put_subscription(stored.as_ref(), seen.as_ref(), &new);
            put.map(|record| tables.put_subscription(&record)).transpose().map(|put| put.is_some())
        };
        self.writer.run(put).await
    }
}
