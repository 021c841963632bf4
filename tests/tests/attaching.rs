//! Who subscribes changes while a pipeline runs: attached late, detached, forgotten.

use std::time::Duration;

use kinesis_core::{
    ErrorKind, Lease, LeaseStore, MemoryLeaseStore, Ordering, Pipeline, ShardId, ShardKey, StartPosition, StreamSource,
    Subscription,
};
use kinesis_mock::{Call, Fault, Faults, Faulty, MemoryStream};
use kinesis_tests::stories::{Mood, Running, Subscriber, differences, from_start, numbered, soon, sorted, texts};
use tokio::time::{Instant, sleep};

fn start(stream: &MemoryStream, store: &MemoryLeaseStore, first: &Subscriber) -> Running {
    let builder = Pipeline::builder("app", stream.clone()).leases(store.clone());
    Running::start(builder.subscribe(from_start("first", first)))
}

async fn row(store: &MemoryLeaseStore, stream: &MemoryStream, shard: &ShardId) -> Lease {
    store
        .get(&ShardKey::new(StreamSource::stream(stream), shard))
        .await
        .expect("it is in memory")
        .expect("the shard has a row")
}

/// Splits the only shard after the first records; puts the second ones into the children.
fn split_between(stream: &MemoryStream, before: usize, all: usize) -> ShardId {
    stream.put_all(numbered(0..before)).expect("the records are small");
    let parent = stream.shards()[0].id.clone();
    stream.split(&parent).expect("it is open");
    stream.put_all(numbered(before..all)).expect("the records are small");
    parent
}

#[tokio::test(start_paused = true)]
async fn attached_late_at_the_horizon_it_reads_closed_shards_too_and_parents_first() {
    let (stream, store) = (MemoryStream::new("orders", 1), MemoryLeaseStore::new());
    split_between(&stream, 20, 60);
    let (first, late) = (Subscriber::new(Mood::Takes), Subscriber::new(Mood::Slow(Duration::from_millis(100))));
    let running = start(&stream, &store, &first);
    first.takes(60).await;
    sleep(Duration::from_secs(60)).await;
    running.handle.attach(from_start("late", &late)).await.unwrap();
    late.takes(60).await;
    assert_eq!(sorted(late.texts()), sorted(texts(0..60)));
    let parents = late.texts().into_iter().take(20).collect();
    assert_eq!(sorted(parents), sorted(texts(0..20)), "the parent's records come before any of its children");
    for key in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        assert!(late.texts_of(key).is_sorted());
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn attached_late_at_the_tip_it_gets_what_is_put_after_on_shards_closed_meanwhile_too() {
    let (stream, store) = (MemoryStream::new("orders", 2), MemoryLeaseStore::new());
    stream.put_all(numbered(0..40)).unwrap();
    let (first, late) = (Subscriber::new(Mood::Takes), Subscriber::new(Mood::Hangs));
    let running = start(&stream, &store, &first);
    first.takes(40).await;
    running.handle.attach(Subscription::new("late", late.clone())).await.unwrap();
    stream.put_all(numbered(40..60)).unwrap();
    for shard in stream.shards() {
        stream.split(&shard.id).unwrap();
    }
    stream.put_all(numbered(60..80)).unwrap();
    first.takes(80).await;
    late.set(Mood::Takes);
    late.takes(40).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(sorted(late.texts()), sorted(texts(40..80)), "what was put before the attach does not come");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_name_is_attached_once_at_a_time_and_the_error_says_which() {
    let (stream, store) = (MemoryStream::new("orders", 1), MemoryLeaseStore::new());
    let sink = Subscriber::new(Mood::Takes);
    let running = start(&stream, &store, &sink);
    let error = soon(running.handle.attach(from_start("first", &sink))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("\"first\"") && error.to_string().contains("detach"), "{error}");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn detaching_waits_for_what_is_in_flight_and_attaching_again_goes_on_behind_it() {
    let (stream, store) = (MemoryStream::new("orders", 2), MemoryLeaseStore::new());
    let slow = Subscriber::new(Mood::Slow(Duration::from_secs(5)));
    let (first, second) = (Subscriber::new(Mood::Takes), Subscriber::new(Mood::Takes));
    let running = start(&stream, &store, &first);
    let in_order = |sink| from_start("slow", sink).ordering(Ordering::PerShard);
    soon(running.handle.attach(in_order(&slow))).await.unwrap();
    stream.put_all(numbered(0..100)).unwrap();
    slow.is_asked(1).await;
    let began = Instant::now();
    soon(running.handle.detach("slow")).await.unwrap();
    assert!(began.elapsed() <= Duration::from_secs(6), "{:?}", began.elapsed());
    let taken = slow.texts();
    assert_eq!(sorted(taken.clone()), sorted(slow.asked()), "what was with the sink was finished");
    assert!(!running.status().await.subscriptions.contains_key("slow"));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(slow.texts(), taken, "nothing comes after it was detached");
    assert_eq!(running.handle.detach("slow").await.unwrap_err().kind(), ErrorKind::NotFound);
    soon(running.handle.attach(in_order(&second))).await.unwrap();
    second.takes(100 - taken.len()).await;
    let all = [taken, second.texts()].concat();
    assert_eq!(differences(&all, &texts(0..100)), (vec![], vec![]), "nothing is missing, nothing comes twice");
    running.stop().await;
}

/// Attached again before its cursors were stored, a subscription began where they had been stored before: everything
/// delivered since came twice.
#[tokio::test(start_paused = true)]
async fn attaching_again_at_once_repeats_nothing() {
    let (stream, store) = (MemoryStream::new("orders", 2), MemoryLeaseStore::new());
    let (first, again) = (Subscriber::new(Mood::Takes), Subscriber::new(Mood::Takes));
    let builder = Pipeline::builder("app", stream.clone()).leases(store).commit_every(Duration::from_secs(60));
    let running = Running::start(builder.subscribe(from_start("first", &first)));
    soon(running.handle.attach(from_start("again", &again))).await.unwrap();
    stream.put_all(numbered(0..100)).unwrap();
    again.takes(100).await;
    soon(running.handle.detach("again")).await.unwrap();
    soon(running.handle.attach(from_start("again", &again))).await.unwrap();
    stream.put_all(numbered(100..120)).unwrap();
    again.takes(120).await;
    assert_eq!(differences(&again.texts(), &texts(0..120)), (vec![], vec![]));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn detaching_takes_no_longer_than_a_drain_may() {
    let (stream, store) = (MemoryStream::new("orders", 1), MemoryLeaseStore::new());
    let (first, stuck) = (Subscriber::new(Mood::Takes), Subscriber::new(Mood::Hangs));
    let builder = Pipeline::builder("app", stream.clone()).leases(store.clone()).drain_within(Duration::from_secs(7));
    let running = Running::start(builder.subscribe(from_start("first", &first)));
    soon(running.handle.attach(from_start("stuck", &stuck))).await.unwrap();
    stream.put_all(numbered(0..10)).unwrap();
    stuck.is_asked(1).await;
    let began = Instant::now();
    soon(running.handle.detach("stuck")).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 7);
    let healthy = Subscriber::new(Mood::Takes);
    soon(running.handle.attach(from_start("stuck", &healthy))).await.unwrap();
    healthy.takes(10).await;
    running.stop().await;
}

/// A second attempt that was with the sink was broken off when its subscription was detached, since "it waits for another
/// attempt" was noted of it: the sink took the record, and it came again.
#[tokio::test(start_paused = true)]
async fn an_attempt_under_way_is_finished_though_an_earlier_one_failed() {
    let (stream, store) = (MemoryStream::new("orders", 1), MemoryLeaseStore::new());
    let (first, unsure) = (Subscriber::new(Mood::Takes), Subscriber::new(Mood::Fails));
    let running = start(&stream, &store, &first);
    soon(running.handle.attach(from_start("unsure", &unsure))).await.unwrap();
    stream.put("a", "a00000").unwrap();
    unsure.is_asked(1).await;
    unsure.set(Mood::Slow(Duration::from_secs(5)));
    unsure.is_asked(2).await;
    soon(running.handle.detach("unsure")).await.unwrap();
    assert_eq!(unsure.texts(), ["a00000"]);
    soon(running.handle.attach(from_start("unsure", &unsure))).await.unwrap();
    stream.put("a", "a00001").unwrap();
    unsure.takes(2).await;
    assert_eq!(unsure.texts(), ["a00000", "a00001"]);
    running.stop().await;
}

/// Detached, the last subscription let its shards go; attached while they were being released, it looked for them at once,
/// found them held, and nobody looked again.
#[tokio::test(start_paused = true)]
async fn the_last_one_can_be_detached_and_attached_again_however_slow_the_store_is() {
    let (stream, store) = (MemoryStream::new("orders", 1), MemoryLeaseStore::new());
    let (faults, sink) = (Faults::none(), Subscriber::new(Mood::Takes));
    faults.next(Call::Release, Fault::Delay(Duration::from_secs(2)));
    let builder = Pipeline::builder("app", stream.clone()).leases(Faulty::new(store, faults));
    let running = Running::start(builder.subscribe(from_start("only", &sink)));
    stream.put_all(numbered(0..10)).unwrap();
    sink.takes(10).await;
    soon(running.handle.detach("only")).await.unwrap();
    soon(running.handle.attach(from_start("only", &sink))).await.unwrap();
    stream.put_all(numbered(10..20)).unwrap();
    sink.takes(20).await;
    assert_eq!(differences(&sink.texts(), &texts(0..20)), (vec![], vec![]));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_without_subscriptions_waits_for_one() {
    let stream = MemoryStream::new("orders", 1);
    stream.put_all(numbered(0..10)).unwrap();
    let running = Running::start(Pipeline::builder("app", stream.clone()));
    sleep(Duration::from_secs(60)).await;
    let sink = Subscriber::new(Mood::Takes);
    soon(running.handle.attach(from_start("late", &sink))).await.unwrap();
    sink.takes(10).await;
    running.stop().await;
}

/// It would wait for ever: nobody can attach one.
#[tokio::test(start_paused = true)]
async fn a_pipeline_without_subscriptions_and_without_a_handle_does_not_run() {
    let pipeline = Pipeline::builder("app", MemoryStream::new("orders", 1)).build().unwrap();
    let error = soon(pipeline.run_until(std::future::pending())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("`subscribe`") && error.to_string().contains("`handle`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn forgetting_removes_every_cursor_and_attached_again_it_starts_as_it_says() {
    let (stream, store) = (MemoryStream::new("orders", 1), MemoryLeaseStore::new());
    let parent = split_between(&stream, 20, 40);
    let (first, gone) = (Subscriber::new(Mood::Takes), Subscriber::new(Mood::Takes));
    let running = start(&stream, &store, &first);
    soon(running.handle.attach(from_start("gone", &gone))).await.unwrap();
    gone.takes(40).await;
    sleep(Duration::from_secs(5)).await;
    let shards: Vec<ShardId> = stream.shards().into_iter().map(|shard| shard.id).collect();
    for shard in &shards {
        assert!(row(&store, &stream, shard).await.cursors.contains_key("gone"), "{shard}");
    }
    assert_eq!(row(&store, &stream, &parent).await.owner, None, "the parent is read, and free");
    soon(running.handle.forget("gone")).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    for shard in &shards {
        let cursors = row(&store, &stream, shard).await.cursors;
        assert_eq!(cursors.keys().collect::<Vec<_>>(), ["first"], "{shard}, free or held");
    }
    stream.put_all(numbered(40..44)).unwrap();
    first.takes(44).await;
    assert_eq!(gone.texts().len(), 40, "nothing comes after it was forgotten");
    assert_eq!(soon(running.handle.forget("gone")).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(soon(running.handle.forget("nobody")).await.unwrap_err().kind(), ErrorKind::NotFound);

    let anew = Subscriber::new(Mood::Takes);
    soon(running.handle.attach(from_start("gone", &anew))).await.unwrap();
    anew.takes(44).await;
    assert_eq!(differences(&anew.texts(), &texts(0..44)), (vec![], vec![]));
    soon(running.handle.forget("gone")).await.unwrap();
    let tip = Subscriber::new(Mood::Takes);
    soon(running.handle.attach(Subscription::new("gone", tip.clone()))).await.unwrap();
    stream.put_all(numbered(44..48)).unwrap();
    tip.takes(4).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(differences(&tip.texts(), &texts(44..48)), (vec![], vec![]));
    assert_eq!(tip.texts().len(), 4);
    running.stop().await;
}

/// The cursor in a row that somebody held when its subscription was forgotten stayed there for good, and kept the row's
/// minimum down.
#[tokio::test(start_paused = true)]
async fn a_cursor_in_a_row_that_a_dead_worker_held_goes_when_the_row_is_taken_over() {
    let (stream, store) = (MemoryStream::new("orders", 1), MemoryLeaseStore::new());
    stream.put_all(numbered(0..10)).unwrap();
    let (kept, gone) = (Subscriber::new(Mood::Takes), Subscriber::new(Mood::Takes));
    let builder = Pipeline::builder("app", stream.clone()).leases(store.clone()).subscribe(from_start("gone", &gone));
    let dead = Running::start(builder.subscribe(from_start("kept", &kept)));
    gone.takes(10).await;
    sleep(Duration::from_secs(5)).await;
    dead.crash().await;
    let shard = stream.shards()[0].id.clone();
    assert!(row(&store, &stream, &shard).await.cursors.contains_key("gone"));
    let builder = Pipeline::builder("app", stream.clone()).leases(store.clone()).subscribe(from_start("kept", &kept));
    let running = Running::start(builder);
    soon(running.handle.forget("gone")).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(row(&store, &stream, &shard).await.cursors.keys().collect::<Vec<_>>(), ["kept"]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_that_has_stopped_does_nothing_that_is_asked_of_it() {
    let (stream, store) = (MemoryStream::new("orders", 1), MemoryLeaseStore::new());
    let sink = Subscriber::new(Mood::Takes);
    let running = start(&stream, &store, &sink);
    let (handle, horizon) = (running.handle.clone(), StartPosition::TrimHorizon);
    running.stop().await;
    let shard = stream.shards()[0].id.clone();
    let refusals = [
        handle.attach(from_start("late", &sink)).await,
        handle.detach("first").await,
        handle.pause("first").await,
        handle.resume("first").await,
        handle.seek("first", horizon).await,
        handle.seek_shard("first", &shard, horizon).await,
        handle.forget("first").await,
        handle.status().await.map(drop),
    ];
    for (nth, refusal) in refusals.into_iter().enumerate() {
        let error = refusal.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{nth}");
        assert!(error.to_string().contains("has stopped"), "{nth}: {error}");
    }
    assert!(handle.summary().subscriptions.contains_key("first"), "what it did is still told");
}

/// While the stream did not answer, nothing else was answered either.
#[tokio::test(start_paused = true)]
async fn status_is_told_while_the_stream_does_not_answer() {
    let (faults, sink) = (Faults::none(), Subscriber::new(Mood::Takes));
    (0..50).for_each(|_| faults.next(Call::ListShards, Fault::Fail));
    let source = Faulty::new(MemoryStream::new("orders", 1), faults);
    let running = Running::start(Pipeline::builder("app", source).subscribe(from_start("first", &sink)));
    sleep(Duration::from_secs(5)).await;
    let began = Instant::now();
    assert!(running.status().await.subscriptions.contains_key("first"));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    running.stop().await;
}
