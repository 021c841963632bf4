use super::plan::TIME_SLICE;
use super::*;
use crate::observe::Silent;
use crate::source::{Batch, SourceCaps};
use crate::wrap::scripted::{Scripted, batch, empty, ends, fails, hangs};

const HORIZON: Start = Start::new(StartPosition::TrimHorizon, None);

fn feed_at(source: Scripted, from: Start, limit: usize) -> Feed {
    let config = FeedConfig {
        source: Arc::new(source),
        shard: "0".into(),
        channel_from: ChannelFrom::default(),
        idle: Duration::from_millis(250),
        retry: RetryPolicy::default(),
        observer: Arc::new(Silent),
        budget: Budget::new(limit),
        page_bytes: 1 << 10,
        ring: RingSize::default(),
        seed: 0,
    };
    Feed::start(config, from)
}

fn feed(source: Scripted) -> Feed {
    feed_at(source, HORIZON, 256 << 20)
}

fn expired() -> Error {
    Error::new(ErrorKind::PositionExpired, "five minutes have passed")
}

/// A record alone, at the tip.
fn at_tip(n: u64) -> Option<Result<Batch, Error>> {
    let record = crate::Record::new(n.into(), "k", "");
    Some(Ok(Batch::new(vec![record]).with_behind_latest(Duration::ZERO)))
}

fn after(n: u64) -> Start {
    Start::new(StartPosition::After(n.into()), None)
}

/// Asks the front until something comes of it.
async fn next(feed: &mut Feed) -> (News, Option<Gap>) {
    loop {
        feed.want(TrackId::FRONT, true);
        let planned = feed.plan(Instant::now());
        let wake = planned.wake.map_or(Duration::from_secs(3_600), |wake| wake - Instant::now());
        match tokio::time::timeout(wake, feed.next()).await {
            Ok((News::Nothing { .. } | News::Room, None)) | Err(_) => {}
            Ok(news) => return news,
        }
    }
}

/// The numbers of the records at the front.
fn numbers(feed: &Feed) -> Vec<u64> {
    let ring = feed.front();
    let mut numbers = Vec::new();
    let mut offset = ring.base();
    while let Some((first, page)) = ring.page_at(offset) {
        numbers.extend(page.records().iter().map(|record| record.sequence_number.to_string().parse::<u64>().unwrap()));
        offset = first + page.len() as u64;
    }
    numbers
}

/// A reader that was throttled until its position expired was taken for one whose records are gone.
#[tokio::test(start_paused = true)]
async fn a_reader_that_expires_while_it_is_throttled_is_opened_anew() {
    let throttled = || fails(Error::throttled(None, "slow down"));
    let source = Scripted::new(["0"]).then("0", throttled()).then("0", fails(expired()));
    let mut feed = feed(source.then("0", throttled()).then("0", batch([(1, 1)])));
    assert!(matches!(next(&mut feed).await, (News::Pages(TrackId::FRONT, 0), None)));
    assert_eq!(numbers(&feed), [1]);
}

/// A reader whose place was refused as trimmed used to end the whole run.
#[tokio::test(start_paused = true)]
async fn a_reader_whose_place_is_gone_goes_on_at_the_horizon_and_tells_what_is_missing() {
    let source = Scripted::new(["0"]).with_caps(SourceCaps::log().with_refuses_trimmed(true));
    source.fail_next([expired()]);
    let mut feed = feed_at(source.then("0", empty()).then("0", batch([(7, 1), (9, 1)])), after(4), 256 << 20);
    let (news, gap) = next(&mut feed).await;
    assert!(matches!(news, News::Pages(TrackId::FRONT, 0)), "{news:?}");
    assert_eq!(gap, Some(Gap { from: after(4), to: Some((7u64.into(), None)) }));
    assert_eq!(numbers(&feed), [7, 9]);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_was_refused_by_mistake_is_found_again_behind_the_horizon() {
    let source = Scripted::new(["0"]).with_caps(SourceCaps::log().with_refuses_trimmed(true));
    source.fail_next([expired()]);
    let mut feed = feed_at(source.then("0", batch([(2, 1), (4, 1), (7, 1)])), after(4), 256 << 20);
    assert!(matches!(next(&mut feed).await, (News::Pages(TrackId::FRONT, 0), None)));
    assert_eq!(numbers(&feed), [7]);
}

/// Kinesis goes on at the horizon without a word when a position was trimmed.
#[tokio::test(start_paused = true)]
async fn a_reader_asks_for_its_last_record_again_and_notices_when_it_is_gone() {
    let there = Scripted::new(["0"]).then("0", batch([(4, 1)])).then("0", batch([(5, 1)]));
    let mut feed = feed_at(there, after(4), 256 << 20);
    assert!(matches!(next(&mut feed).await, (News::Pages(..), None)));
    assert_eq!(numbers(&feed), [5]);
    let gone = Scripted::new(["0"]).then("0", empty()).then("0", batch([(8, 1)]));
    let mut feed = feed_at(gone, after(4), 256 << 20);
    assert_eq!(next(&mut feed).await.1, Some(Gap { from: after(4), to: Some((8u64.into(), None)) }));
    let ended = Scripted::new(["0"]).then("0", ends([]));
    let mut feed = feed_at(ended, after(4), 256 << 20);
    let (news, gap) = next(&mut feed).await;
    assert!(matches!(news, News::End(TrackId::FRONT)), "{news:?}");
    assert_eq!(gap, Some(Gap { from: after(4), to: None }));
}

/// Its own last record came alone, then the rest of the shard was trimmed at one go, then the shard ended. The end was
/// believed, and what was trimmed before it was lost without a word.
#[tokio::test(start_paused = true)]
async fn an_end_behind_a_last_record_that_came_alone_is_asked_for_once_more() {
    let closed = |source: Scripted| source.then("0", at_tip(4)).then("0", ends([]));
    let gone = closed(Scripted::new(["0"])).then("0", ends([]));
    let (news, gap) = next(&mut feed_at(gone, after(4), 256 << 20)).await;
    assert!(matches!(news, News::End(TrackId::FRONT)), "{news:?}");
    assert_eq!(gap, Some(Gap { from: after(4), to: None }));
    let all_there = closed(closed(Scripted::new(["0"])));
    let (news, gap) = next(&mut feed_at(all_there, after(4), 256 << 20)).await;
    assert!(matches!(news, News::End(TrackId::FRONT)) && gap.is_none(), "{news:?}, {gap:?}");
}

/// A place was refused that is still there, and the way to it from the horizon is long. Each answer with nothing new doubled
/// what was asked for next: soon more than any budget has, in the end more than a number can say.
#[tokio::test(start_paused = true)]
async fn what_it_has_had_is_passed_over_however_much_that_is() {
    let had = (1..=80).fold(Scripted::new(["0"]), |source, n| source.then("0", batch([(n, 1)])));
    had.fail_next([Error::new(ErrorKind::PositionExpired, "gone")]);
    let mut feed = feed_at(had.then("0", batch([(81, 1)])), after(80), 256 << 20);
    while numbers(&feed).is_empty() {
        let (news, gap) = next(&mut feed).await;
        assert!(!matches!(news, News::Failed(_)) && gap.is_none(), "{news:?}, {gap:?}");
    }
    assert_eq!(numbers(&feed), [81]);
}

/// Behind a gap, a subscription goes on at the first record that was left. That was trimmed, too, before it was read, and
/// nobody was told: a place "at" a record was never checked, because it may name one that never was.
#[tokio::test(start_paused = true)]
async fn a_record_that_was_seen_behind_a_gap_and_is_gone_is_another_gap() {
    let source = || Scripted::new(["0"]).then("0", batch([(12, 1)]));
    let seen = Gap { from: after(4), to: Some((9u64.into(), None)) }.left();
    let (_, gap) = next(&mut feed_at(source(), seen, 256 << 20)).await;
    assert_eq!(gap, Some(Gap { from: seen, to: Some((12u64.into(), None)) }));
    let asked_for = Start::new(StartPosition::At(9u64.into()), None);
    assert_eq!(
        next(&mut feed_at(source(), asked_for, 256 << 20)).await.1,
        None,
        "there may never have been such a record"
    );
    let there = Scripted::new(["0"]).then("0", batch([(9, 1), (12, 1)]));
    let mut feed = feed_at(there, seen, 256 << 20);
    assert!(matches!(next(&mut feed).await, (News::Pages(..), None)));
    assert_eq!(numbers(&feed), [9, 12], "it is read, not passed over");
}

/// On a quiet shard the last record is gone after a day, and nothing is missing.
#[tokio::test(start_paused = true)]
async fn a_last_record_that_is_gone_of_age_alone_is_no_gap() {
    let hours = |n: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(n * 3_600);
    let day = Duration::from_secs(24 * 3_600);
    let answer = |at| Batch::new(vec![crate::Record::new(8u64.into(), "k", "")]).with_served_at(at);
    for (served_at, missing) in [(hours(30), false), (hours(40), true)] {
        let source = Scripted::new(["0"]).with_caps(SourceCaps::log().with_retains(day));
        let source = source.then("0", Some(Ok(answer(served_at))));
        let from = Start::new(after(4).position, Some(hours(10)));
        let (_, gap) = next(&mut feed_at(source, from, 256 << 20)).await;
        assert_eq!(gap.is_some(), missing, "read until hour 10, opened at {served_at:?}");
    }
}

/// The service's date is rounded down to the second, so what arrived within that second lies behind it. That was taken for
/// older than the retention, and a reader at the tip was opened anew for every read.
#[tokio::test(start_paused = true)]
async fn a_record_of_the_second_that_is_running_is_not_old() {
    let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
    let read = |n: u64| {
        let record = crate::Record::new(n.into(), "k", "").with_arrived_at(at(10_700));
        Some(Ok(Batch::new(vec![record]).with_served_at(at(10_000))))
    };
    let source = Scripted::new(["0"]).with_caps(SourceCaps::log().with_retains(Duration::from_secs(60)));
    let source = source.then("0", read(1)).then("0", read(2)).then("0", read(3));
    let mut feed = feed(source);
    for _ in 0..3 {
        assert!(matches!(next(&mut feed).await, (News::Pages(..), None)));
    }
    assert_eq!(numbers(&feed), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_rested_is_opened_at_its_last_record_again() {
    let source = Scripted::new(["0"]).then("0", batch([(1, 1), (2, 1)])).then("0", batch([(9, 1)]));
    let mut feed = feed(source);
    assert!(matches!(next(&mut feed).await, (News::Pages(..), None)));
    tokio::time::sleep(Duration::from_secs(5 * 60)).await;
    let (_, gap) = next(&mut feed).await;
    assert_eq!(gap, Some(Gap { from: after(2), to: Some((9u64.into(), None)) }));
}

#[tokio::test(start_paused = true)]
async fn who_catches_up_gets_a_reader_that_goes_when_nobody_reads_there() {
    let mut feed = feed_at(Scripted::new(["0"]), after(4), 256 << 20);
    assert_eq!(feed.locate(HORIZON), None);
    feed.wait(0, HORIZON, Instant::now());
    assert!(feed.plan(Instant::now()).opened);
    let (track, at) = feed.locate(HORIZON).unwrap();
    assert_ne!((track, at), (TrackId::FRONT, 0));
    feed.wait_no_longer(0);
    assert!(feed.is_split());
    feed.evict(|known| (known == TrackId::FRONT).then_some(0));
    assert!(!feed.is_split(), "nobody reads there any more");
}

#[tokio::test(start_paused = true)]
async fn readers_that_catch_up_are_few_and_make_room_for_those_who_wait_longest() {
    let mut feed = feed_at(Scripted::new(["0"]), after(90), 256 << 20);
    let far = |n: u64| Start::new(after(n).position, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(n * 100)));
    let mut serve = |lane: usize| {
        feed.wait(lane, far(lane as u64), Instant::now());
        let planned = feed.plan(Instant::now());
        let found = feed.locate(far(lane as u64)).map(|(track, _)| track);
        if let Some(track) = found {
            feed.wait_no_longer(lane);
            feed.want(track, true);
        }
        (planned.opened, found)
    };
    let first = serve(1);
    let second = serve(2);
    assert!(first.0 && second.0 && first.1 != second.1);
    assert_eq!(serve(3), (false, None), "two at a time");
    tokio::time::sleep(TIME_SLICE).await;
    let third = serve(3);
    assert!(third.0);
    assert_eq!(feed.locate(far(1)), None, "the first has had its time");
    assert!(feed.locate(far(2)).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_read_without_room_waits_for_the_turn_and_passes_it_on() {
    let mut feed = feed_at(Scripted::new(["0"]).then("0", batch([(1, 5_000)])), HORIZON, 10);
    let other = feed.config.budget.clone();
    let busy = other.turn().await;
    feed.want(TrackId::FRONT, true);
    feed.plan(Instant::now());
    assert!(tokio::time::timeout(Duration::from_secs(60), feed.next()).await.is_err(), "somebody else has the turn");
    assert_eq!(other.waiting(), 1);
    drop(busy);
    assert!(matches!(next(&mut feed).await, (News::Pages(..), None)));
    assert!(other.is_overdrawn());
    assert!(
        tokio::time::timeout(Duration::ZERO, other.turn()).await.is_err(),
        "it is not passed on before the lanes looked"
    );
    feed.plan(Instant::now());
    tokio::time::timeout(Duration::ZERO, other.turn()).await.unwrap();
    assert_eq!(other.waiting(), 0);
}

/// A source that parks had its reads at the front keep everybody else from reading.
#[tokio::test(start_paused = true)]
async fn a_parked_read_keeps_nobody_who_catches_up_from_reading() {
    let source = Scripted::new(["0"]).with_caps(SourceCaps::log().with_parks(true));
    let mut feed = feed_at(source.then("0", hangs()).then("0", batch([(3, 1)])), after(4), 256 << 20);
    feed.want(TrackId::FRONT, true);
    feed.plan(Instant::now());
    tokio::task::yield_now().await;
    feed.wait(0, HORIZON, Instant::now());
    assert!(feed.plan(Instant::now()).opened);
    let track = feed.locate(HORIZON).unwrap().0;
    feed.wait_no_longer(0);
    feed.want(track, true);
    feed.plan(Instant::now());
    let (news, _) = tokio::time::timeout(Duration::from_secs(1), feed.next()).await.unwrap();
    assert!(matches!(news, News::Pages(of, 0) if of == track), "{news:?}");
}
