use redb::{Database, TableDefinition};
use std::collections::BTreeMap;

use super::*;
use crate::error::Error;
use crate::lease::{Cursor, CursorPosition};
use crate::shard::{Shard, StartPosition, StreamId};
use crate::{ErrorKind, SequenceNumber};

/// A folder that is gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("kinesis-core-{}-{:016x}", std::process::id(), fastrand::u64(..));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("state")
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn row(shard: &str) -> Lease {
    Lease::new(&StreamId::new("orders"), &Shard::new(shard))
}

fn progress(number: u64) -> Progress {
    let position = CursorPosition::Next(StartPosition::After(SequenceNumber::from(number)));
    Progress::new([("audit".into(), Cursor::new(1, position))])
}

async fn held(store: &FileStore, shard: &str) -> HeldLease {
    store.create(&row(shard)).await.unwrap();
    store.claim(&row(shard), &"me".into()).await.unwrap().unwrap()
}

/// Why it cannot be opened.
fn refusal(path: &Path) -> Error {
    let before = std::fs::read(path).ok();
    let error = FileStore::open(path, "app").unwrap_err();
    assert_eq!(std::fs::read(path).ok(), before, "a file that is refused stays as it is");
    assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
    error
}

#[tokio::test]
async fn what_was_answered_is_there_again() {
    let folder = Folder::new();
    let store = FileStore::open(folder.file(), "app").unwrap();
    let mut lease = held(&store, "0").await;
    store.advance(&mut lease, Some(&progress(7))).await.unwrap();
    let record = SubscriptionRecord::new(&StreamId::new("orders"), "audit".into(), StartPosition::Latest, []);
    store.put_subscription(None, &record).await.unwrap();
    drop(store);
    let store = FileStore::open(folder.file(), "app").unwrap();
    let found = store.get(lease.key()).await.unwrap().unwrap();
    assert_eq!(found.cursors, progress(7).cursors);
    assert_eq!(store.subscriptions().await.unwrap(), [SubscriptionRecord { revision: 1, ..record }]);
    assert_eq!(folder.names(), ["state"]);
}

/// A run that was killed was waited for as if it were another worker.
#[tokio::test]
async fn who_held_a_lease_when_the_process_ended_does_not_hold_it_any_more() {
    let folder = Folder::new();
    let store = FileStore::open(folder.file(), "app").unwrap();
    let mut lease = held(&store, "0").await;
    drop(store);
    let store = FileStore::open_existing(folder.file(), "app").unwrap();
    assert_eq!(store.list().await.unwrap(), [lease.lease().clone()], "who looks changes nothing");
    drop(store);
    let store = FileStore::open(folder.file(), "app").unwrap();
    let found = store.get(lease.key()).await.unwrap().unwrap();
    assert_eq!((found.owner, found.nonce), (None, None));
    assert!(found.counter > lease.lease().counter);
    let lost = store.advance(&mut lease, None).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::LeaseLost);
}

#[tokio::test]
async fn writes_that_come_together_are_all_answered_in_their_order() {
    let folder = Folder::new();
    let store = FileStore::open(folder.file(), "app").unwrap();
    let names: Vec<String> = (0..50).map(|n| format!("{n:02}")).collect();
    let writes = names.iter().map(|name| {
        let store = store.clone();
        let row = row(name);
        tokio::spawn(async move { store.create(&row).await.unwrap() })
    });
    for write in writes.collect::<Vec<_>>() {
        assert!(write.await.unwrap());
    }
    let shards = store.list().await.unwrap().into_iter().map(|row| row.key.shard.to_string());
    assert_eq!(shards.collect::<Vec<_>>(), names);
}

#[test]
fn a_second_user_is_refused_and_told_why() {
    let folder = Folder::new();
    let _first = FileStore::open(folder.file(), "app").unwrap();
    let error = FileStore::open(folder.file(), "app").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().ends_with("is in use by another process; wait until that has ended, or take another file"));
}

#[test]
fn what_is_no_state_file_is_refused_and_left_alone() {
    let folder = Folder::new();
    for (content, what) in [("", "it is empty"), ("{\"a\":1}\n", "it is something else")] {
        std::fs::write(folder.file(), content).unwrap();
        let error = refusal(&folder.file());
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains(&format!("is no state file: {what}; name another file")), "{error}");
    }
    let error = FileStore::open(&folder.0, "app").unwrap_err();
    assert!(error.chain().contains("directory"), "{}", error.chain());
    let error = FileStore::open(folder.0.join("no/such/state"), "app").unwrap_err();
    assert!(error.message().starts_with("cannot make the state file "), "{error}");
    let error = FileStore::open_existing(folder.0.join("none"), "app").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// Writes one word of the table about the file.
fn edit(path: &Path, key: &str, value: &str) {
    let database = Database::create(path).unwrap();
    let transaction = database.begin_write().unwrap();
    let about: TableDefinition<'_, &str, &str> = TableDefinition::new("about");
    transaction.open_table(about).unwrap().insert(key, value).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn a_file_of_another_application_version_or_program_is_refused() {
    let folder = Folder::new();
    let file = |name: &str| folder.0.join(name);
    drop(FileStore::open(file("other"), "other").unwrap());
    assert!(refusal(&file("other")).message().contains("belongs to the application \"other\", not to \"app\""));
    drop(FileStore::open(file("newer"), "app").unwrap());
    edit(&file("newer"), "version", "2");
    assert!(
        refusal(&file("newer")).message().contains("has version \"2\", and this program understands versions up to 1")
    );
    edit(&file("program"), "a", "b");
    assert!(refusal(&file("program")).message().contains("the database of another program"));
}

/// A file that was cut off or garbled opens with what was stored, or not at all.
#[tokio::test]
async fn a_torn_write_is_found_out() {
    let folder = Folder::new();
    let (whole, torn) = (folder.file(), folder.0.join("torn"));
    let store = FileStore::open(&whole, "app").unwrap();
    let mut lease = held(&store, "0").await;
    let mut copies = Vec::new();
    for number in 1..=5 {
        store.advance(&mut lease, Some(&progress(number))).await.unwrap();
        // As a power cut would leave it: the file is open and not closed in order.
        copies.push((number, std::fs::read(&whole).unwrap()));
    }
    let mut rng = fastrand::Rng::with_seed(7);
    let (mut opened, mut refused) = (0, 0);
    for nth in 0..200 {
        let (number, mut content) = copies[nth % copies.len()].clone();
        let intact = nth < copies.len();
        match nth % 3 {
            _ if intact => {}
            0 => content.truncate(rng.usize(1..content.len())),
            1 => {
                let from = rng.usize(..content.len());
                let to = content.len().min(from + rng.usize(1..5000));
                content[from..to].iter_mut().for_each(|byte| *byte = rng.u8(..));
            }
            _ => {
                let at = rng.usize(..content.len());
                content[at] ^= 1 << rng.u8(..8);
            }
        }
        std::fs::write(&torn, &content).unwrap();
        match FileStore::open(&torn, "app") {
            Err(error) => {
                assert!(!intact && error.kind() == ErrorKind::Invalid, "{}", error.chain());
                assert_eq!(std::fs::read(&torn).unwrap(), content, "what cannot be opened stays as it is");
                refused += 1;
            }
            Ok(store) => {
                let rows = store.list().await.unwrap();
                // The write that was torn, or the one before it.
                let last = rows[0].cursors == progress(number).cursors;
                let before =
                    rows[0].cursors == if number == 1 { BTreeMap::new() } else { progress(number - 1).cursors };
                assert!(rows.len() == 1 && (last || before && !intact), "{nth}: {rows:?}");
                opened += 1;
            }
        }
    }
    assert!(opened > copies.len() && refused > 30, "{opened} opened, {refused} refused");
}

#[cfg(feature = "conformance")]
mod conforms {
    use super::*;
    use crate::conformance::{self, leases::Harness};

    struct InFile {
        store: FileStore,
        _folder: Folder,
    }

    impl InFile {
        fn new() -> Self {
            let folder = Folder::new();
            Self { store: FileStore::open(folder.file(), "app").unwrap(), _folder: folder }
        }
    }

    impl Harness for InFile {
        fn store(&self) -> Arc<dyn LeaseStore> {
            Arc::new(self.store.clone())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_keeps_the_rules_of_a_lease_store() {
        conformance::leases(async || InFile::new()).await;
    }
}
