use kinesis_core::{Cursor, CursorPosition, MemoryLeaseStore, Progress, SequenceNumber};

use super::*;

const MAX: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// A file that is gone after the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, content: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kinesis-forwarder-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn lines(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|n| format!("{{\"channel\":\"c\",\"data\":\"{n}\"}}\n")).collect()
}

async fn read(input: &KeptInput, shard: &ShardId, from: StartPosition) -> Result<Vec<String>> {
    let mut reader = input.open_shard(shard, from).await?;
    let mut payloads = Vec::new();
    loop {
        let batch = reader.next_batch(MAX).await?;
        payloads.extend(batch.records.iter().map(|record| String::from_utf8(record.data.to_vec()).unwrap()));
        if batch.end.is_some() {
            return Ok(payloads);
        }
    }
}

async fn ids(input: &KeptInput) -> Vec<ShardId> {
    input.list_shards().await.unwrap().into_iter().map(|shard| shard.id).collect()
}

/// Stores that `audit` is here in the part.
async fn store_at(store: &MemoryLeaseStore, input: &KeptInput, shard: &ShardId, position: CursorPosition) {
    let row = Lease::new(input.stream(), &Shard::new(shard.clone()));
    store.create(&row).await.unwrap();
    let row = store.get(&row.key).await.unwrap().unwrap();
    let progress = Progress::new([("audit".into(), Cursor::new(1, position))]);
    assert!(store.reset(&row, &progress).await.unwrap());
}

#[tokio::test]
async fn what_was_had_is_passed_over() {
    let (file, store) = (Scratch::new("had", &lines(0..5)), MemoryLeaseStore::new());
    let input = KeptInput::open(&file.0, &store).await.unwrap();
    let first =
        input.open_shard(&SHARD.into(), StartPosition::TrimHorizon).await.unwrap().next_batch(MAX).await.unwrap();
    let after = StartPosition::After(first.records[1].sequence_number);
    let again = KeptInput::open(&file.0, &store).await.unwrap();
    assert_eq!(read(&again, &SHARD.into(), after).await.unwrap(), ["2", "3", "4"]);
    let again = KeptInput::open(&file.0, &store).await.unwrap();
    let beyond = StartPosition::After(SequenceNumber::from(9).plus(u64::MAX));
    assert_eq!(read(&again, &SHARD.into(), beyond).await.unwrap().len(), 5, "a number of another file is below all");
    assert_eq!(again.open_shard(&"shardId-1".into(), after).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn what_is_appended_to_a_delivered_file_is_its_next_part() {
    let (file, store) = (Scratch::new("parts", &lines(0..2)), MemoryLeaseStore::new());
    let first = KeptInput::open(&file.0, &store).await.unwrap();
    store_at(&store, &first, &SHARD.into(), CursorPosition::End).await;
    first.close_part(&store).await.unwrap();
    let same = KeptInput::open(&file.0, &store).await.unwrap();
    assert_eq!((same.stream(), ids(&same).await), (first.stream(), vec![SHARD.into()]));

    std::fs::write(&file.0, lines(0..4) + "broken").unwrap();
    let grown = KeptInput::open(&file.0, &store).await.unwrap();
    assert_eq!(grown.stream(), first.stream());
    let listing = grown.list_shards().await.unwrap();
    let next = listing[1].id.clone();
    assert!(listing[0].closed && !listing[1].closed && listing[1].parents == [ShardId::from(SHARD)]);
    assert_eq!(read(&grown, &SHARD.into(), StartPosition::TrimHorizon).await.unwrap(), ["0", "1"]);
    // A part that is broken does not end, and says so each time.
    let mut reader = grown.open_shard(&next, StartPosition::TrimHorizon).await.unwrap();
    assert_eq!(reader.next_batch(MAX).await.unwrap().records.len(), 2);
    for _ in 0..2 {
        assert_eq!(reader.next_batch(MAX).await.unwrap_err().kind(), ErrorKind::Permanent);
    }
    assert_eq!(grown.failure().unwrap().line, 5, "of the file, not of the part");
    assert!(!grown.is_replaced());
}

#[tokio::test]
async fn a_file_that_is_not_what_it_was_begins_at_its_start() {
    let (file, store) = (Scratch::new("replaced", &lines(0..3)), MemoryLeaseStore::new());
    let first = KeptInput::open(&file.0, &store).await.unwrap();
    assert!(!first.is_replaced());
    store_at(&store, &first, &SHARD.into(), CursorPosition::Next(StartPosition::TrimHorizon)).await;
    for content in [lines(1..4), lines(0..2), String::new()] {
        std::fs::write(&file.0, content).unwrap();
        let other = KeptInput::open(&file.0, &store).await.unwrap();
        assert!(other.is_replaced() && other.stream() != first.stream());
    }
    std::fs::write(&file.0, lines(0..9)).unwrap();
    let grown = KeptInput::open(&file.0, &store).await.unwrap();
    assert_eq!((grown.stream(), ids(&grown).await), (first.stream(), vec![SHARD.into()]));
}

/// Killed between the last cursor and the note of where the file ended.
#[tokio::test]
async fn an_end_that_was_not_noted_is_known_only_of_a_file_that_never_grew() {
    let (file, store) = (Scratch::new("unnoted", &lines(0..2)), MemoryLeaseStore::new());
    let first = KeptInput::open(&file.0, &store).await.unwrap();
    store_at(&store, &first, &SHARD.into(), CursorPosition::End).await;
    let same = KeptInput::open(&file.0, &store).await.unwrap();
    assert!(same.stream() == first.stream() && !same.is_replaced());
    std::fs::write(&file.0, lines(0..3)).unwrap();
    let grown = KeptInput::open(&file.0, &store).await.unwrap();
    assert!(grown.is_replaced(), "whether it ended before or after the last line nobody knows: all of it comes again");
    same.close_part(&store).await.unwrap();
    let grown = KeptInput::open(&file.0, &store).await.unwrap();
    assert_eq!((grown.stream(), ids(&grown).await.len()), (first.stream(), 2));
}

#[tokio::test]
async fn what_is_no_file_is_refused() {
    let store = MemoryLeaseStore::new();
    for (path, says) in [("-", "only a regular file"), ("/dev/null", "only a regular file"), (".", "it is a directory")]
    {
        let error = KeptInput::open(Path::new(path), &store).await.unwrap_err();
        assert!(error.message().contains(says), "{error}");
    }
}
