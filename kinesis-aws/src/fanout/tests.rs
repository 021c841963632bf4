//! Subscriptions with the real SDK against the in-process wire of kinesis-mock, on a paused clock.

use std::num::NonZeroUsize;
use std::time::Duration;

use kinesis_core::{ErrorKind, ShardId, ShardReader, StartPosition, StreamSource};
use kinesis_mock::{Answer, MemoryStream, WireClient, http_client};
use tokio::time::{Instant, sleep, timeout};

use crate::KinesisSource;
use crate::tests::config;

const SECOND: Duration = Duration::from_secs(1);

struct Rig {
    stream: MemoryStream,
    http: WireClient,
    source: KinesisSource,
}

impl Rig {
    async fn new() -> Self {
        let stream = MemoryStream::new("orders", 1);
        let http = http_client(&stream);
        let source = KinesisSource::builder(&config(&http), "orders").consumer("tests").connect().await.unwrap();
        Self { stream, http, source }
    }

    async fn open(&self, from: StartPosition) -> Box<dyn ShardReader> {
        self.source.open_shard(&ShardId::from("shardId-000000000000"), from).await.unwrap()
    }

    fn put(&self, texts: impl IntoIterator<Item = u64>) {
        texts.into_iter().for_each(|text| drop(self.stream.put("key", text.to_string()).unwrap()));
    }

    fn subscriptions(&self) -> u64 {
        self.http.calls("SubscribeToShard")
    }
}

/// Reads until so many records have come; errors that pass are waited out, as the feed does.
async fn read(reader: &mut dyn ShardReader, count: usize) -> Vec<u64> {
    let mut texts = Vec::new();
    while texts.len() < count {
        match reader.next_batch(NonZeroUsize::new(1_000).unwrap()).await {
            Ok(batch) => {
                let text = |record: &kinesis_core::Record| String::from_utf8(record.data.to_vec()).unwrap();
                texts.extend(batch.records.iter().map(|record| text(record).parse::<u64>().unwrap()));
            }
            Err(error) if error.kind().is_retryable() => sleep(SECOND / 5).await,
            Err(error) => panic!("{error}"),
        }
    }
    texts
}

/// The same, asking again no sooner than the answers say, as the feed does.
async fn paced(reader: &mut dyn ShardReader, count: usize) -> Vec<u64> {
    loop {
        let batch = reader.next_batch(NonZeroUsize::new(count).unwrap()).await.unwrap();
        if !batch.records.is_empty() {
            return batch.records.iter().map(|record| String::from_utf8_lossy(&record.data).parse().unwrap()).collect();
        }
        sleep(batch.again.unwrap_or_default()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_is_there_as_soon_as_it_is_put() {
    let rig = Rig::new().await;
    let mut reader = rig.open(StartPosition::Latest).await;
    for n in 0..3 {
        let reading = read(&mut *reader, 1);
        let put = async {
            sleep(SECOND).await;
            rig.put([n]);
            Instant::now()
        };
        let (texts, at) = tokio::join!(reading, put);
        assert_eq!((texts, at.elapsed()), (vec![n], Duration::ZERO));
    }
    assert_eq!(rig.subscriptions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_is_renewed_before_it_ends_and_nothing_is_missed_or_read_twice() {
    let rig = Rig::new().await;
    let mut reader = rig.open(StartPosition::TrimHorizon).await;
    let reading = read(&mut *reader, 1200);
    let putting = async {
        for n in 0..1200 {
            rig.put([n]);
            sleep(SECOND).await;
        }
    };
    let (texts, ()) = tokio::join!(reading, putting);
    assert_eq!(texts, (0..1200).collect::<Vec<_>>());
    // Twenty minutes in pieces of 4:50.
    assert_eq!(rig.subscriptions(), 5);
}

/// The windows of a connection that others share must not fill up with what nobody asks for.
#[tokio::test(start_paused = true)]
async fn who_is_not_asked_lets_go_and_goes_on_where_it_stopped() {
    let rig = Rig::new().await;
    let mut reader = rig.open(StartPosition::TrimHorizon).await;
    rig.put([0]);
    assert_eq!(read(&mut *reader, 1).await, [0]);
    rig.put(1..5);
    sleep(600 * SECOND).await;
    rig.put(5..9);
    assert_eq!(read(&mut *reader, 8).await, (1..9).collect::<Vec<_>>());
    assert_eq!(rig.subscriptions(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_falls_silent_is_left_after_35_seconds() {
    let rig = Rig::new().await;
    rig.http.script("SubscribeToShard", [Answer::HalfOpen(1)]);
    rig.put([0]);
    let mut reader = rig.open(StartPosition::TrimHorizon).await;
    assert_eq!(read(&mut *reader, 1).await, [0]);
    rig.put([1]);
    let began = Instant::now();
    let silent = reader.next_batch(NonZeroUsize::MIN).await.unwrap_err();
    assert_eq!((silent.kind(), began.elapsed()), (ErrorKind::Transient, 35 * SECOND));
    assert_eq!(read(&mut *reader, 1).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_or_interrupted_goes_on_where_it_stopped() {
    let rig = Rig::new().await;
    let answers = (1..60).flat_map(|at| [Answer::Cut(at * 17), Answer::interrupt(1, "InternalFailureException")]);
    rig.http.script("SubscribeToShard", answers);
    let mut reader = rig.open(StartPosition::TrimHorizon).await;
    let putting = async {
        for n in 0..100 {
            rig.put([n]);
            sleep(SECOND * 7).await;
        }
    };
    let (texts, ()) = tokio::join!(read(&mut *reader, 100), putting);
    assert_eq!(texts, (0..100).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_another_subscription_holds_is_polled_and_then_taken_over() {
    let rig = Rig::new().await;
    rig.put([0]);
    let mut reader = rig.open(StartPosition::TrimHorizon).await;
    assert_eq!(read(&mut *reader, 1).await, [0]);
    // Another process with the same consumer.
    let http = http_client(&rig.stream);
    let source = KinesisSource::builder(&config(&http), "orders").consumer("tests").connect().await.unwrap();
    let mut other =
        source.open_shard(&ShardId::from("shardId-000000000000"), StartPosition::TrimHorizon).await.unwrap();
    let began = Instant::now();
    assert_eq!((read(&mut *other, 1).await, began.elapsed()), (vec![0], Duration::ZERO));
    let polls = |http: &WireClient| http.calls("GetRecords");
    assert_eq!((http.calls("SubscribeToShard"), polls(&http)), (1, 1));
    let putting = async {
        sleep(20 * SECOND).await;
        let polls = polls(&http);
        rig.put([1]);
        (polls, Instant::now())
    };
    let (texts, (polls_before, put_at)) = tokio::join!(paced(&mut *other, 1), putting);
    assert_eq!((texts, put_at.elapsed()), (vec![1], Duration::ZERO));
    assert_eq!(polls(&http), polls_before, "it is pushed to by then");
    assert!(http.calls("SubscribeToShard") <= 8, "asked for once a second");
}

/// Readers that never held a shard for five seconds together read nothing: each waited for its turn until it was dropped,
/// as two that catch up in turns do.
#[tokio::test(start_paused = true)]
async fn a_reader_that_lives_shortly_reads_though_the_one_before_it_has_just_gone() {
    let rig = Rig::new().await;
    rig.put([0]);
    for _ in 0..10 {
        let mut reader = rig.open(StartPosition::TrimHorizon).await;
        let texts = timeout(SECOND / 2, read(&mut *reader, 1)).await;
        assert_eq!(texts.unwrap(), [0]);
    }
}

/// A subscription that starts at the tip had no place to be written down before the first record came: what was put until
/// the shard was opened for good was lost.
#[tokio::test(start_paused = true)]
async fn a_reader_at_the_tip_says_at_once_where_that_is() {
    let rig = Rig::new().await;
    let mut reader = rig.open(StartPosition::Latest).await;
    let told = timeout(Duration::ZERO, reader.next_batch(NonZeroUsize::MIN)).await.unwrap().unwrap();
    assert!(told.records.is_empty() && matches!(told.resume, Some(StartPosition::Timestamp(_))), "{told:?}");
    assert!(timeout(SECOND, reader.next_batch(NonZeroUsize::MIN)).await.is_err(), "then it waits for what comes");
}

#[tokio::test(start_paused = true)]
async fn a_second_reader_of_a_shard_polls_until_the_first_is_gone() {
    let rig = Rig::new().await;
    rig.put([0]);
    let mut first = rig.open(StartPosition::TrimHorizon).await;
    let mut second = rig.open(StartPosition::TrimHorizon).await;
    assert_eq!((read(&mut *first, 1).await, read(&mut *second, 1).await), (vec![0], vec![0]));
    assert_eq!((rig.subscriptions(), rig.http.calls("GetRecords")), (1, 1));
    // Nobody paces it, since the first is pushed to, so it says itself when to ask again.
    let empty = second.next_batch(NonZeroUsize::MIN).await.unwrap();
    assert_eq!(empty.again, Some(SECOND / 4));
    drop(first);
    let mut third = rig.open(StartPosition::TrimHorizon).await;
    assert_eq!(read(&mut *third, 1).await, [0]);
    assert_eq!(rig.http.calls("GetRecords"), 3, "polled, while the first one's five seconds are not over");
}

#[tokio::test(start_paused = true)]
async fn a_split_ends_the_shard_with_its_children() {
    let rig = Rig::new().await;
    rig.put([0]);
    let mut reader = rig.open(StartPosition::TrimHorizon).await;
    assert_eq!(read(&mut *reader, 1).await, [0]);
    let children = rig.stream.split(&rig.stream.shards()[0].id).unwrap();
    let end = loop {
        if let Some(end) = reader.next_batch(NonZeroUsize::MIN).await.unwrap().end {
            break end;
        }
    };
    let ids = |shards: &[kinesis_core::Shard]| shards.iter().map(|shard| shard.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&end.children), ids(&children));
    assert!(reader.next_batch(NonZeroUsize::MIN).await.unwrap().end.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_consumer_is_registered_once_and_found_again() {
    let rig = Rig::new().await;
    assert_eq!(rig.http.calls("RegisterStreamConsumer"), 1);
    let again = KinesisSource::builder(&config(&rig.http), "orders").consumer("tests").connect().await;
    assert!(again.is_ok() && rig.http.calls("RegisterStreamConsumer") == 1);
    rig.http.script("RegisterStreamConsumer", [Answer::fail("LimitExceededException")]);
    let full = KinesisSource::builder(&config(&rig.http), "orders").consumer("another").connect().await.unwrap_err();
    assert_eq!(full.kind(), ErrorKind::Invalid);
    assert!(full.to_string().contains("the consumer another cannot be registered"), "{full}");
}

#[tokio::test(start_paused = true)]
async fn dropping_a_read_at_any_point_loses_nothing() {
    let rig = Rig::new().await;
    let mut reader = rig.open(StartPosition::TrimHorizon).await;
    let (mut texts, mut next) = (Vec::new(), 0);
    while texts.len() < 300 {
        rig.put(next..next + 3);
        next += 3;
        let patience = Duration::from_millis(texts.len() as u64 % 7);
        if let Ok(read) = timeout(patience, read(&mut *reader, 1)).await {
            texts.extend(read);
        }
    }
    assert_eq!(texts, (0..texts.len() as u64).collect::<Vec<_>>());
}
