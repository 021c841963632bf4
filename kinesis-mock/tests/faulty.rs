//! What each fault does to a call, and that a seed decides them all.

use std::num::NonZeroUsize;
use std::time::Duration;

use kinesis_core::{
    Cursor, CursorPosition, Delivery, ErrorKind, Lease, LeaseStore, MemoryLeaseStore, Outcome, Progress, Record,
    Renewed, SequenceNumber, Shard, ShardReader, Sink, StartPosition, StreamId, StreamSource,
};
use kinesis_mock::{Call, Fault, Faults, Faulty, Injected, MemoryStream, Odds, RecordingSink};
use tokio::time::Instant;

fn max(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("at least one")
}

/// A reader at the horizon of a shard with the records 0 to 9, under this plan.
async fn reader(faults: &Faults) -> Box<dyn ShardReader> {
    let stream = MemoryStream::new("faulty", 1);
    for n in 0..10 {
        stream.put("key", format!("{n}")).expect("it is small");
    }
    let shard = stream.shards()[0].id.clone();
    Faulty::new(stream, faults.clone())
        .open_shard(&shard, StartPosition::TrimHorizon)
        .await
        .expect("no fault at opening")
}

fn data(records: &[Record]) -> String {
    records.iter().map(|record| String::from_utf8_lossy(&record.data).into_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_read_fails_as_its_script_says_and_goes_on_where_it_was() {
    let wait = Some(Duration::from_secs(3));
    let faults = Faults::none()
        .on(Call::Read, 2, Fault::Throttle { retry_after: wait })
        .on(Call::Read, 3, Fault::Fail)
        .on(Call::Read, 4, Fault::Short)
        .on(Call::Read, 5, Fault::Empty)
        .on(Call::Read, 6, Fault::Delay(Duration::from_secs(7)));
    let mut reader = reader(&faults).await;
    assert_eq!(data(&reader.next_batch(max(2)).await.unwrap().records), "01");
    assert_eq!(reader.next_batch(max(2)).await.unwrap_err().retry_after(), wait);
    assert_eq!(reader.next_batch(max(2)).await.unwrap_err().kind(), ErrorKind::Transient);
    assert_eq!(data(&reader.next_batch(max(4)).await.unwrap().records), "23");
    assert!(reader.next_batch(max(4)).await.unwrap().records.is_empty());
    let start = Instant::now();
    assert_eq!(data(&reader.next_batch(max(4)).await.unwrap().records), "4567");
    assert_eq!(start.elapsed(), Duration::from_secs(7));
    assert_eq!((faults.calls(Call::Read), faults.injected().len()), (6, 5));
}

#[tokio::test(start_paused = true)]
async fn a_read_whose_answer_was_lost_is_answered_later_and_never_with_too_much() {
    let faults = Faults::none().on(Call::Read, 1, Fault::DropReply);
    let mut reader = reader(&faults).await;
    assert_eq!(reader.next_batch(max(5)).await.unwrap_err().kind(), ErrorKind::Transient);
    assert_eq!(data(&reader.next_batch(max(3)).await.unwrap().records), "012");
    assert_eq!(data(&reader.next_batch(max(3)).await.unwrap().records), "34");
    assert_eq!(data(&reader.next_batch(max(3)).await.unwrap().records), "567");
}

#[tokio::test(start_paused = true)]
async fn an_expired_reader_stays_expired_and_another_one_works() {
    let faults = Faults::none();
    let mut expired = reader(&faults).await;
    faults.next(Call::Read, Fault::Expire);
    for _ in 0..2 {
        assert_eq!(expired.next_batch(max(1)).await.unwrap_err().kind(), ErrorKind::PositionExpired);
    }
    assert_eq!(data(&reader(&faults).await.next_batch(max(1)).await.unwrap().records), "0");
}

#[tokio::test(start_paused = true)]
async fn what_is_broken_stays_broken_until_the_faults_are_stopped() {
    let faults = Faults::none().on(Call::Read, 1, Fault::Break);
    let mut reader = reader(&faults).await;
    for _ in 0..3 {
        let error = reader.next_batch(max(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Permanent);
        assert!(error.chain().contains("Break injected into call"), "{}", error.chain());
    }
    faults.stop();
    assert_eq!(data(&reader.next_batch(max(1)).await.unwrap().records), "0");
}

#[test]
#[should_panic(expected = "the contract of Claim does not allow Short")]
fn a_fault_that_no_contract_allows_is_refused() {
    let _ = Faults::none().on(Call::Claim, 1, Fault::Short);
}

fn delivery(records: u64) -> Delivery {
    let record = |n| Record::new(SequenceNumber::from(n), "key", "data");
    Delivery::new(StreamId::new("s"), "0", "audit", (0..records).map(record).collect())
}

#[tokio::test(start_paused = true)]
async fn a_delivery_is_put_off_halved_or_taken_without_an_answer() {
    let behind = RecordingSink::new();
    let sink = Faulty::new(behind.clone(), Faults::none());
    sink.faults().next(Call::Deliver, Fault::Throttle { retry_after: None });
    assert_eq!(sink.deliver(&delivery(2)).await.unwrap().get(1), Some(&Outcome::busy(None)));
    sink.faults().next(Call::Deliver, Fault::Empty);
    assert_eq!(sink.deliver(&delivery(2)).await.unwrap().get(0), Some(&Outcome::Retry));
    assert_eq!(behind.distinct(), 0);
    sink.faults().next(Call::Deliver, Fault::Short);
    let outcomes: Vec<_> = sink.deliver(&delivery(3)).await.unwrap().iter().cloned().collect();
    assert_eq!(outcomes, [Outcome::Delivered, Outcome::Retry, Outcome::Retry]);
    sink.faults().next(Call::Deliver, Fault::DropReply);
    assert!(sink.deliver(&delivery(3)).await.is_err());
    assert_eq!(behind.distinct(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_missed_an_answer_goes_on_and_one_that_was_robbed_does_not() {
    let store = Faulty::new(MemoryLeaseStore::new(), Faults::none());
    let row = Lease::new(&StreamId::new("s"), &Shard::new("0"));
    store.create(&row).await.unwrap();
    let mut held = store.claim(&row, &"me".into()).await.unwrap().unwrap();
    let after = |n: u64| CursorPosition::Next(StartPosition::After(SequenceNumber::from(n)));
    let progress = Progress::new([("audit".into(), Cursor::new(1, after(5)))]);

    store.faults().next(Call::Advance, Fault::DropReply);
    assert_eq!(store.advance(&mut held, Some(&progress)).await.unwrap_err().kind(), ErrorKind::Transient);
    assert_eq!(held.lease().counter, 1, "the holder did not learn of its write");
    assert_eq!(store.get(&row.key).await.unwrap().unwrap().checkpoint(), Some(after(5)));
    assert_eq!(store.advance(&mut held, None).await.unwrap(), Renewed::Held);

    store.faults().next(Call::Advance, Fault::Expire);
    assert_eq!(store.advance(&mut held, None).await.unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(store.get(&row.key).await.unwrap().unwrap().owner, None, "the thief let it go again");
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_injects_the_same_faults() {
    async fn run(seed: u64) -> Vec<Injected> {
        let faults = Faults::seeded(seed, Odds { expire: 0.0, ..Odds::even(0.1) });
        let mut reader = loop {
            let stream = MemoryStream::new("faulty", 1);
            let shard = stream.shards()[0].id.clone();
            if let Ok(reader) = Faulty::new(stream, faults.clone()).open_shard(&shard, StartPosition::TrimHorizon).await
            {
                break reader;
            }
        };
        for _ in 0..200 {
            let _ = reader.next_batch(max(3)).await;
        }
        faults.injected()
    }
    let first = run(7).await;
    assert!(first.len() > 50, "of 200 reads, {} were faulty", first.len());
    assert_eq!(run(7).await, first);
    assert_ne!(run(8).await, first);
}
