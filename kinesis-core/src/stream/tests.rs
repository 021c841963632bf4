//! Streams read when they are asked, rest when nothing comes, and follow a shard to its end and beyond.

use super::*;
use crate::wrap::scripted::{Scripted, batch, empty, ends, fails, hangs};
use crate::{Error, ErrorKind, Shard};
use std::sync::Arc;
use tokio_stream::StreamExt;

async fn open(source: &Scripted) -> RecordStream {
    RecordStream::open(source, &ShardId::from("0"), StartPosition::TrimHorizon).await.unwrap()
}

fn child(name: &str, parents: &[&str]) -> Shard {
    Shard::new(name).with_parents(parents.iter().map(|parent| ShardId::from(*parent)))
}

/// What is told of each item, and the words of the errors.
fn told<T>(items: impl IntoIterator<Item = Result<T>>, tell: impl Fn(&T) -> String) -> Vec<String> {
    let tell = |item: Result<T>| item.as_ref().map_or_else(|error| error.kind().to_string(), &tell);
    items.into_iter().map(tell).collect()
}

fn number(record: &Record) -> String {
    record.sequence_number.to_string()
}

#[tokio::test(start_paused = true)]
async fn it_reads_only_when_its_buffer_is_empty_and_rests_only_when_nothing_came() {
    let script = Scripted::new(["0"])
        .then("0", batch([(1, 1), (2, 1)]))
        .then("0", batch([(3, 1)]))
        .then("0", empty())
        .then("0", empty())
        .then("0", batch([(4, 1)]))
        .then("0", ends([]));
    let mut records = open(&script).await;
    assert_eq!(script.log(), ["0 open 0"]);
    records.next().await.unwrap().unwrap();
    records.next().await.unwrap().unwrap();
    assert_eq!(script.log(), ["0 open 0", "0 read 0"]);
    assert_eq!(told(records.collect::<Vec<_>>().await, number), ["3", "4"]);
    assert_eq!(script.log()[2..], ["0 read 0", "0 read 0", "250 read 0", "500 read 0", "500 read 0"]);
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_shard_and_knows_the_children() {
    let last = batch([(1, 1)]).unwrap().unwrap().with_end(ShardEnd::new(vec![Shard::new("1")]));
    let script = Scripted::new(["0"]).then("0", Some(Ok(last)));
    let mut records = open(&script).await.batch(NonZeroUsize::MIN);
    assert_eq!(records.size_hint(), (0, None));
    assert!(records.next().await.unwrap().is_ok());
    assert!(records.next().await.is_none());
    assert!(records.next().await.is_none());
    assert_eq!(records.end().unwrap().children, [Shard::new("1")]);
    assert_eq!(records.size_hint(), (0, Some(0)));
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_passes_is_told_and_reading_goes_on_but_not_at_once() {
    let script = Scripted::new(["0"])
        .then("0", fails(Error::transient("broke")))
        .then("0", fails(Error::throttled(Some(Duration::from_secs(2)), "slow down")))
        .then("0", batch([(1, 1)]))
        .then("0", fails(Error::not_found("gone")))
        .then("0", batch([(2, 1)]));
    let records = open(&script).await.idle(Duration::from_secs(1));
    assert_eq!(told(records.collect::<Vec<_>>().await, number), ["transient", "throttled", "1", "not-found"]);
    assert_eq!(script.log()[1..], ["0 read 0", "1000 read 0", "3000 read 0", "3000 read 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_waits_by_itself_or_says_when_is_not_made_to_wait() {
    let said = Some(Ok(Batch::empty().with_again(Duration::from_millis(70))));
    let script = Scripted::new(["0"]).then("0", said).then("0", ends([]));
    open(&script).await.collect::<Vec<_>>().await;
    assert_eq!(script.log(), ["0 open 0", "0 read 0", "70 read 0"]);

    let parking = Scripted::new(["0"]).with_caps(SourceCaps::pipe()).then("0", empty()).then("0", ends([]));
    open(&parking).await.collect::<Vec<_>>().await;
    assert_eq!(parking.log(), ["0 open 0", "0 read 0", "0 read 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_never_rests_leaves_its_thread_to_others() {
    // The shard answers empty at once and for ever. A stream that did not yield would never let the timeout fire.
    let script = Scripted::new(["0"]).with_caps(SourceCaps::pipe());
    let mut records = open(&script).await;
    let other = tokio::spawn(async { tokio::task::yield_now().await });
    tokio::select! {
        biased;
        _ = records.next() => unreachable!("the shard has no record"),
        done = other => done.unwrap(),
    }
}

async fn merge(source: &Arc<Scripted>, from: StartPosition) -> Vec<String> {
    let records = merged(Arc::clone(source), from).await.unwrap();
    told(records.collect::<Vec<_>>().await, |(shard, record)| format!("{shard}/{}", record.sequence_number))
}

#[tokio::test(start_paused = true)]
async fn children_follow_their_parents_through_splits_and_merges() {
    // Shard 0 splits into 1 and 2; 2 and 3 merge into 4. Listed out of order, and 4 is only announced.
    let listing = [child("2", &["0"]), child("1", &["0"]), Shard::new("3"), Shard::new("0"), child("4", &["2", "3"])];
    let script = Arc::new(
        Scripted::listing(listing)
            .then("0", batch([(1, 1)]))
            .then("0", empty())
            .then("0", ends([child("1", &["0"]), child("2", &["0"])]))
            .then("1", batch([(11, 1)]))
            .then("1", ends([]))
            .then("2", batch([(21, 1)]))
            .then("2", ends([child("4", &["2", "3"])]))
            .then("3", batch([(31, 1), (32, 1)]))
            .then("3", ends([child("4", &["2", "3"])]))
            .then("4", batch([(41, 1)]))
            .then("4", ends([])),
    );
    let told = merge(&script, StartPosition::TrimHorizon).await;
    let place = |what: &str| told.iter().position(|told| told == what).unwrap();
    assert_eq!(told.len(), 6, "{told:?}");
    assert!(place("0/1") < place("1/11") && place("0/1") < place("2/21"));
    assert!(place("2/21") < place("4/41") && place("3/32") < place("4/41"));
}

#[tokio::test(start_paused = true)]
async fn children_that_a_source_leaves_out_are_found_in_the_listing() {
    let script = Arc::new(Scripted::new(["0"]).then("0", hangs()).then("1", batch([(1, 1)])).then("1", ends([])));
    let mut records = merged(Arc::clone(&script), StartPosition::TrimHorizon).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(1), records.next()).await.is_err());

    let script = Arc::new(Scripted::new(["0"]).then("0", ends([])).then("1", batch([(1, 1)])).then("1", ends([])));
    let records = merged(Arc::clone(&script), StartPosition::TrimHorizon).await.unwrap();
    script.relist([Shard::new("0"), child("1", &["0"])]);
    assert_eq!(records.collect::<Vec<_>>().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn from_the_tip_closed_shards_are_passed_over_and_shards_born_later_are_read_whole() {
    let script = Arc::new(
        Scripted::listing([Shard::new("0").with_end(None), child("1", &["0"])])
            .then("1", ends([child("2", &["1"])]))
            .then("2", batch([(1, 1)]))
            .then("2", ends([])),
    );
    let records = merged(Arc::clone(&script), StartPosition::Latest).await.unwrap();
    assert_eq!(script.log(), ["0 list", "0 open 1 at the tip"], "the tip is fixed when merged returns");
    script.relist([child("1", &["0"]), child("2", &["1"])]);
    assert_eq!(told(records.collect::<Vec<_>>().await, |(shard, _)| shard.to_string()), ["2"]);
    assert!(script.log().contains(&"0 open 2".to_owned()), "{:?}", script.log());
}

#[tokio::test(start_paused = true)]
async fn an_announced_child_waits_for_the_listing_that_tells_its_other_parent() {
    // Shard 3 was merged from 0 and 2, and 2 came from 1, all after the listing.
    let script = Arc::new(
        Scripted::new(["0", "1"])
            .then("0", ends([child("3", &["0", "2"])]))
            .then("1", batch([(11, 1)]))
            .then("1", empty())
            .then("1", ends([]))
            .then("2", batch([(21, 1)]))
            .then("2", ends([]))
            .then("3", batch([(31, 1)]))
            .then("3", ends([])),
    );
    let mut records = merged(Arc::clone(&script), StartPosition::TrimHorizon).await.unwrap();
    let (shard, _) = records.next().await.unwrap().unwrap();
    assert_eq!(shard, "1");
    script.relist([Shard::new("0"), Shard::new("1"), child("2", &["1"]), child("3", &["0", "2"])]);
    assert_eq!(told(records.collect::<Vec<_>>().await, |(shard, _)| shard.to_string()), ["2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn a_listing_from_before_the_end_of_a_shard_does_not_stand_for_one_after_it() {
    // The end of shard 1 asked for no listing of its own, because that for the end of shard 0 was still under way; and
    // that one did not name shard 2 yet, so shard 2 was never read.
    let script = Arc::new(
        Scripted::new(["0", "1"])
            .with_slow_listings(Duration::from_secs(1))
            .then("0", ends([]))
            .then("1", empty())
            .then("1", ends([]))
            .then("2", batch([(21, 1)]))
            .then("2", ends([])),
    );
    let records = merged(Arc::clone(&script), StartPosition::TrimHorizon).await.unwrap();
    let reading = tokio::spawn(records.collect::<Vec<_>>());
    tokio::time::sleep(Duration::from_millis(100)).await;
    script.relist([Shard::new("0"), Shard::new("1"), child("2", &["1"])]);
    assert_eq!(told(reading.await.unwrap(), |(shard, _)| shard.to_string()), ["2"]);
}

#[tokio::test(start_paused = true)]
async fn failures_name_their_shard_and_only_a_lasting_one_ends_the_stream() {
    let script = Arc::new(
        Scripted::new(["0", "1"])
            .then("0", fails(Error::transient("broke")))
            .then("0", batch([(1, 1)]))
            .then("0", fails(Error::new(ErrorKind::Denied, "no")))
            .then("1", hangs()),
    );
    let mut records = merged(Arc::clone(&script), StartPosition::TrimHorizon).await.unwrap().idle(Duration::ZERO);
    let failed = records.next().await.unwrap().unwrap_err();
    assert_eq!((failed.kind(), failed.shard().unwrap().as_str()), (ErrorKind::Transient, "0"));
    assert!(records.next().await.unwrap().is_ok());
    assert_eq!(records.next().await.unwrap().unwrap_err().kind(), ErrorKind::Denied);
    assert!(records.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn openings_and_listings_that_fail_in_passing_are_tried_again() {
    let script = Arc::new(Scripted::new(["0"]).then("0", batch([(1, 1)])).then("0", ends([])));
    let mut records = merged(Arc::clone(&script), StartPosition::TrimHorizon).await.unwrap();
    script.fail_next([Error::transient("opening")]);
    assert_eq!(records.next().await.unwrap().unwrap_err().message(), "opening");
    assert!(records.next().await.unwrap().is_ok());
    script.fail_next([Error::transient("listing")]);
    assert_eq!(records.next().await.unwrap().unwrap_err().message(), "listing");
    assert!(records.next().await.is_none());
    let asked: Vec<String> = script.log().iter().map(|line| line.split(' ').nth(1).unwrap().into()).collect();
    assert_eq!(asked, ["list", "open", "open", "read", "read", "list", "list"]);
}

#[tokio::test]
async fn a_place_in_one_shard_is_no_start_for_all() {
    let error = merged(Scripted::new(["0"]), StartPosition::At(7.into())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("record 7"), "{error}");
}
