//! A subscription is paused, resumed and moved while it runs, and stays so over restarts.

use std::time::Duration;

use kinesis_core::{
    Cursor, CursorPosition, ErrorKind, LaneState, LeaseStore, MemoryLeaseStore, OnReject, Ordering, Pipeline,
    SequenceNumber, ShardKey, StartPosition, StreamSource, Subscription,
};
use kinesis_mock::MemoryStream;
use kinesis_tests::stories::{Mood, Running, Subscriber, differences, from_start, numbered, soon, sorted, texts};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

fn start(stream: &MemoryStream, store: &MemoryLeaseStore, sink: &Subscriber) -> Running {
    let builder = Pipeline::builder("app", stream.clone()).leases(store.clone());
    Running::start(builder.subscribe(from_start("audit", sink)))
}

fn two_shards() -> (MemoryStream, MemoryLeaseStore, Subscriber) {
    (MemoryStream::new("orders", 2), MemoryLeaseStore::new(), Subscriber::new(Mood::Takes))
}

#[tokio::test(start_paused = true)]
async fn a_pause_takes_nothing_more_and_survives_a_restart_until_it_is_resumed() {
    let (stream, store, sink) = two_shards();
    let running = start(&stream, &store, &sink);
    stream.put_all(numbered(0..20)).unwrap();
    sink.takes(20).await;
    soon(running.handle.pause("audit")).await.unwrap();
    stream.put_all(numbered(20..40)).unwrap();
    sleep(60 * SECOND).await;
    assert_eq!(sink.texts().len(), 20);
    assert!(running.status().await.subscriptions["audit"].paused);
    running.is_everywhere("audit", &[LaneState::Paused]).await;
    running.stop().await;

    let running = start(&stream, &store, &sink);
    sleep(60 * SECOND).await;
    assert_eq!(sink.texts().len(), 20, "it is still paused");
    assert!(running.status().await.subscriptions["audit"].paused);
    soon(running.handle.resume("audit")).await.unwrap();
    sink.takes(40).await;
    assert_eq!(differences(&sink.texts(), &texts(0..40)), (vec![], vec![]));
    assert!(!running.status().await.subscriptions["audit"].paused);
    assert_eq!(soon(running.handle.pause("nobody")).await.unwrap_err().kind(), ErrorKind::NotFound);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_lets_the_sink_finish_what_it_has() {
    let (stream, store, sink) = two_shards();
    sink.set(Mood::Slow(5 * SECOND));
    let running = start(&stream, &store, &sink);
    stream.put_all(numbered(0..100)).unwrap();
    sink.is_asked(1).await;
    soon(running.handle.pause("audit")).await.unwrap();
    sleep(60 * SECOND).await;
    let taken = sink.texts();
    assert!(!taken.is_empty() && taken.len() < 100);
    assert_eq!(sorted(taken), sorted(sink.asked()));
    soon(running.handle.resume("audit")).await.unwrap();
    sink.takes(100).await;
    assert_eq!(differences(&sink.texts(), &texts(0..100)), (vec![], vec![]));
    sink.assert_key_order();
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn resuming_revives_a_subscription_that_has_halted() {
    let (stream, store, sink) = two_shards();
    let other = Subscriber::new(Mood::Takes);
    let builder = Pipeline::builder("app", stream.clone()).leases(store).subscribe(from_start("other", &other));
    let running = Running::start(builder.subscribe(from_start("audit", &sink)));
    stream.put_all(numbered(0..20)).unwrap();
    sink.takes(20).await;
    sink.set(Mood::Rejects);
    stream.put_all(numbered(20..40)).unwrap();
    running.is_everywhere("audit", &[LaneState::Halted]).await;
    let halted = running.status().await.subscriptions["audit"].counts.halted.clone();
    assert_eq!(halted.as_deref(), Some("not this"));
    other.takes(40).await;
    sink.set(Mood::Takes);
    soon(running.handle.resume("audit")).await.unwrap();
    sink.takes(40).await;
    assert_eq!(differences(&sink.texts(), &texts(0..40)), (vec![], vec![]));
    sink.assert_key_order();
    let status = running.status().await;
    assert_eq!(status.subscriptions["audit"].counts.halted, None);
    stream.put_all(numbered(40..60)).unwrap();
    sink.takes(60).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_seek_to_the_horizon_brings_everything_again_and_survives_a_restart() {
    let (stream, store, sink) = two_shards();
    let running = start(&stream, &store, &sink);
    stream.put_all(numbered(0..20)).unwrap();
    for shard in stream.shards() {
        stream.split(&shard.id).unwrap();
    }
    stream.put_all(numbered(20..40)).unwrap();
    sink.takes(40).await;
    sleep(5 * SECOND).await;
    sink.set(Mood::Hangs);
    soon(running.handle.seek("audit", StartPosition::TrimHorizon)).await.unwrap();
    running.crash().await;

    let again = Subscriber::new(Mood::Takes);
    let running = start(&stream, &store, &again);
    again.takes(40).await;
    assert_eq!(differences(&again.texts(), &texts(0..40)), (vec![], vec![]));
    let parents = again.texts().into_iter().take(20).collect();
    assert_eq!(sorted(parents), sorted(texts(0..20)), "closed parents come again, and first");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_seek_to_the_tip_leaves_out_what_lies_between() {
    let (stream, store, sink) = two_shards();
    let running = start(&stream, &store, &sink);
    stream.put_all(numbered(0..20)).unwrap();
    sink.takes(20).await;
    soon(running.handle.pause("audit")).await.unwrap();
    stream.put_all(numbered(20..40)).unwrap();
    soon(running.handle.seek("audit", StartPosition::Latest)).await.unwrap();
    stream.put_all(numbered(40..60)).unwrap();
    assert!(running.status().await.subscriptions["audit"].paused, "a seek does not resume");
    sleep(60 * SECOND).await;
    soon(running.handle.resume("audit")).await.unwrap();
    sink.takes(40).await;
    sleep(60 * SECOND).await;
    let wanted = [texts(0..20), texts(40..60)].concat();
    assert_eq!(differences(&sink.texts(), &wanted), (vec![], vec![]));
    assert_eq!(sink.texts().len(), 40);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_seek_to_a_time_goes_on_with_what_arrived_then() {
    let (stream, store, sink) = two_shards();
    let running = start(&stream, &store, &sink);
    stream.put_all(numbered(0..20)).unwrap();
    sleep(60 * SECOND).await;
    let time = stream.now();
    stream.put_all(numbered(20..40)).unwrap();
    sink.takes(40).await;
    soon(running.handle.seek("audit", StartPosition::Timestamp(time))).await.unwrap();
    sleep(60 * SECOND).await;
    assert_eq!(sorted(sink.texts()), sorted([texts(0..40), texts(20..40)].concat()));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_seek_to_a_number_on_every_shard_is_refused() {
    let (stream, store, sink) = two_shards();
    let running = start(&stream, &store, &sink);
    for to in [StartPosition::At(SequenceNumber::from(7)), StartPosition::After(SequenceNumber::from(7))] {
        let error = soon(running.handle.seek("audit", to)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("\"audit\"") && error.to_string().contains("seek_shard"), "{error}");
    }
    assert_eq!(
        soon(running.handle.seek("nobody", StartPosition::Latest)).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn cursors_of_an_older_generation_are_ignored_whoever_stores_them() {
    let (stream, store, sink) = two_shards();
    let running = start(&stream, &store, &sink);
    stream.put_all(numbered(0..20)).unwrap();
    sink.takes(20).await;
    soon(running.handle.seek("audit", StartPosition::TrimHorizon)).await.unwrap();
    sleep(5 * SECOND).await;
    running.stop().await;
    // What a worker of the old generation stores late.
    for shard in stream.shards() {
        let key = ShardKey::new(StreamSource::stream(&stream), &shard.id);
        let row = store.get(&key).await.unwrap().unwrap();
        assert_eq!(row.cursors["audit"].generation, 2);
        let old = Cursor::new(1, CursorPosition::End);
        let mut held = store.claim(&row, &"late".into()).await.unwrap().unwrap();
        let progress = kinesis_core::Progress::new([("audit".into(), old)]);
        store.release(&mut held, Some(progress), None).await.unwrap();
        assert_eq!(store.get(&key).await.unwrap().unwrap().cursors["audit"].generation, 2);
    }
    let again = Subscriber::new(Mood::Takes);
    let running = start(&stream, &store, &again);
    stream.put_all(numbered(20..40)).unwrap();
    again.takes(20).await;
    assert_eq!(differences(&again.texts(), &texts(20..40)), (vec![], vec![]));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_seek_on_one_shard_moves_that_one_and_reads_its_descendants_again_after_it() {
    let (stream, store, sink) = two_shards();
    let running = start(&stream, &store, &sink);
    stream.put_all(numbered(0..40)).unwrap();
    let [zero, one] = [0, 1].map(|nth| stream.shards()[nth].id.clone());
    stream.split(&zero).unwrap();
    stream.put_all(numbered(40..80)).unwrap();
    sink.takes(80).await;
    let (parent, untouched) = (sink.taken_from(&zero), sink.taken_from(&one).len());
    let descendants: usize = 80 - parent.len() - untouched;
    let from = parent.len() / 2;
    soon(running.handle.seek_shard("audit", &zero, StartPosition::At(parent[from].0))).await.unwrap();
    sleep(60 * SECOND).await;
    let repeats = sink.texts().split_off(80);
    let again: Vec<String> = repeats.iter().take(parent.len() - from).cloned().collect();
    let wanted = parent[from..].iter().map(|(_, text)| text.clone()).collect();
    assert_eq!(sorted(again), sorted(wanted), "first what is left of the shard");
    assert_eq!(repeats.len(), parent.len() - from + descendants, "then its descendants, and nothing else");
    running.stop().await;
}

/// A seek on a shard that was born after the subscription was attached was written down and passed over: the shard was read
/// from its beginning.
#[tokio::test(start_paused = true)]
async fn a_seek_on_a_shard_that_is_younger_than_the_subscription_goes_where_it_says() {
    let (stream, store, sink) = (MemoryStream::new("orders", 1), MemoryLeaseStore::new(), Subscriber::new(Mood::Takes));
    let running = start(&stream, &store, &sink);
    let [child, _] = stream.split(&stream.shards()[0].id.clone()).unwrap();
    sleep(60 * SECOND).await;
    let puts = stream.put_all(numbered(0..40)).unwrap();
    sink.takes(40).await;
    let on_child: Vec<_> = puts.iter().filter(|(shard, _)| *shard == child.id).collect();
    let from = on_child.len() - 3;
    soon(running.handle.seek_shard("audit", &child.id, StartPosition::At(on_child[from].1))).await.unwrap();
    sleep(60 * SECOND).await;
    assert_eq!(sink.texts().len(), 43);
    soon(running.handle.seek_shard("audit", &child.id, StartPosition::Latest)).await.unwrap();
    sleep(60 * SECOND).await;
    assert_eq!(sink.texts().len(), 43, "the tip brings nothing again");
    let unknown = soon(running.handle.seek_shard("audit", &"nowhere".into(), StartPosition::Latest)).await;
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::NotFound);
    running.stop().await;
}

/// A worker that stood by read who subscribes once, when it started. What was asked of the other one in the meantime was
/// unknown to it when it took over: a seek had happened for nothing, and no cursor that it stored was ever taken.
#[tokio::test(start_paused = true)]
async fn a_worker_that_takes_over_knows_what_was_asked_of_the_one_before() {
    let (_, store, sink) = two_shards();
    // Of a single shard, one that stands by has no share.
    let stream = MemoryStream::new("orders", 1);
    let stands_by = Subscriber::new(Mood::Takes);
    let first = start(&stream, &store, &sink);
    stream.put_all(numbered(0..20)).unwrap();
    sink.takes(20).await;
    let second = start(&stream, &store, &stands_by);
    sleep(5 * SECOND).await;
    soon(first.handle.seek("audit", StartPosition::Latest)).await.unwrap();
    stream.put_all(numbered(20..40)).unwrap();
    sink.takes(40).await;
    sleep(5 * SECOND).await;
    soon(first.handle.pause("audit")).await.unwrap();
    stream.put_all(numbered(40..60)).unwrap();
    first.crash().await;
    sleep(120 * SECOND).await;
    assert_eq!(stands_by.texts(), [""; 0], "it is paused");
    assert!(second.status().await.subscriptions["audit"].paused);
    soon(second.handle.resume("audit")).await.unwrap();
    stands_by.takes(20).await;
    sleep(60 * SECOND).await;
    assert_eq!(sorted(stands_by.texts()), sorted(texts(40..60)));
    second.stop().await;
}

/// Given back and read again between any two attempts, a record gets as many attempts as it would have had otherwise.
#[tokio::test(start_paused = true)]
async fn a_record_that_was_given_back_between_attempts_gets_no_attempt_more() {
    let (stream, store, sink) = two_shards();
    let letters = Subscriber::new(Mood::Takes);
    sink.set(Mood::Fails);
    let retry = kinesis_core::RetryPolicy {
        attempts: std::num::NonZeroU32::new(3),
        base: 600 * SECOND,
        cap: 600 * SECOND,
        ..Default::default()
    };
    for (round, ordering) in [Ordering::per_key(4), Ordering::PerShard, Ordering::unordered(4)].into_iter().enumerate()
    {
        let name = format!("{ordering:?}");
        let subscription = Subscription::new(name.as_str(), sink.clone())
            .start_at(StartPosition::TrimHorizon)
            .ordering(ordering)
            .retry(retry)
            .on_reject(OnReject::dead_letter(letters.clone()));
        let builder = Pipeline::builder("app", stream.clone()).leases(store.clone()).seed(7);
        let running = Running::start(builder.subscribe(subscription));
        let (asked, stored) = (sink.asked().len(), letters.texts().len());
        stream.put_all(numbered(0..6)).unwrap();
        for _ in 0..200 {
            sleep(30 * SECOND).await;
            soon(running.handle.pause(name.as_str())).await.unwrap();
            sleep(SECOND).await;
            soon(running.handle.resume(name.as_str())).await.unwrap();
        }
        // The stream keeps what the earlier rounds put.
        let records = 6 * (round + 1);
        assert_eq!(letters.texts().len() - stored, records, "{name}");
        assert_eq!(sink.asked().len() - asked, 3 * records, "{name}");
        running.stop().await;
    }
    letters.assert_key_order();
}
