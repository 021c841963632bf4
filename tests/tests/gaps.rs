//! Trimming that is faster than a subscription is noticed, told exactly, and dealt with as the subscription wants.

use std::time::Duration;

use kinesis_core::{Event, LaneState, MemoryLeaseStore, OnGap, Ordering, Pipeline, SequenceNumber, StartPosition};
use kinesis_mock::{MemoryStream, RecordingObserver};
use kinesis_tests::stories::{Mood, Running, Subscriber, differences, from_start, numbered, soon, texts};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

struct Story {
    stream: MemoryStream,
    store: MemoryLeaseStore,
    observer: RecordingObserver,
    audit: Subscriber,
    other: Subscriber,
    on_gap: OnGap,
}

impl Story {
    fn new(silent: bool, on_gap: OnGap) -> Self {
        Self {
            stream: MemoryStream::builder("orders").trims_silently(silent).build(),
            store: MemoryLeaseStore::new(),
            observer: RecordingObserver::new(),
            audit: Subscriber::new(Mood::Takes),
            other: Subscriber::new(Mood::Takes),
            on_gap,
        }
    }

    fn audit(&self) -> kinesis_core::Subscription {
        from_start("audit", &self.audit).ordering(Ordering::PerShard).on_gap(self.on_gap)
    }

    fn start(&self) -> Running {
        let builder = Pipeline::builder("app", self.stream.clone())
            .leases(self.store.clone())
            .observer(self.observer.clone())
            .byte_budget(64 << 10);
        let other = from_start("other", &self.other).on_gap(OnGap::Jump);
        Running::start(builder.subscribe(other).subscribe(self.audit()))
    }

    fn put(&self, range: std::ops::Range<usize>) -> Vec<SequenceNumber> {
        self.stream
            .put_all(numbered(range))
            .expect("the records are small")
            .into_iter()
            .map(|(_, number)| number)
            .collect()
    }

    /// What was told of gaps.
    fn gaps(&self) -> Vec<(String, StartPosition, Option<SequenceNumber>, Option<Duration>)> {
        let gap = |event| match event {
            Event::Gap { subscription, from, to, lasted, .. } => Some((subscription.to_string(), from, to, lasted)),
            _ => None,
        };
        self.observer.events().into_iter().filter_map(gap).collect()
    }

    /// Takes ten records, misses five of the next ten, and comes back.
    async fn misses_five(&self) -> (Running, Vec<SequenceNumber>) {
        let running = self.start();
        let mut numbers = self.put(0..10);
        self.audit.takes(10).await;
        self.other.takes(10).await;
        soon(running.handle.detach("audit")).await.expect("it is attached");
        sleep(60 * SECOND).await;
        numbers.extend(self.put(10..20));
        self.other.takes(20).await;
        sleep(60 * SECOND).await;
        self.stream.trim(numbers[14]);
        soon(running.handle.attach(self.audit())).await.expect("it is detached");
        (running, numbers)
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_halts_before_a_gap_and_says_from_where_to_where() {
    for silent in [false, true] {
        let story = Story::new(silent, OnGap::Halt);
        let (running, numbers) = story.misses_five().await;
        running.is_everywhere("audit", &[LaneState::Halted]).await;
        let told = ("audit".to_owned(), StartPosition::After(numbers[9]), Some(numbers[15]), Some(60 * SECOND));
        assert_eq!(story.gaps(), [told], "silent: {silent}");
        let status = running.status().await;
        let reason = status.subscriptions["audit"].counts.halted.clone().unwrap();
        assert!(reason.contains(&numbers[9].to_string()) && reason.contains(&numbers[15].to_string()), "{reason}");
        let lane = status.subscriptions["audit"].shards.values().next().unwrap();
        let before = kinesis_core::CursorPosition::Next(StartPosition::After(numbers[9]));
        assert_eq!(lane.position, Some(before), "the cursor stays before the gap");
        assert_eq!(story.audit.texts(), texts(0..10));

        soon(running.handle.seek("audit", StartPosition::TrimHorizon)).await.unwrap();
        story.audit.takes(15).await;
        assert_eq!(story.audit.texts(), [texts(0..10), texts(15..20)].concat());
        story.put(20..30);
        story.audit.takes(25).await;
        story.other.takes(30).await;
        assert_eq!(story.gaps().len(), 1);
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_may_jumps_over_a_gap_and_tells_it_once() {
    for silent in [false, true] {
        let story = Story::new(silent, OnGap::Jump);
        let (running, numbers) = story.misses_five().await;
        story.audit.takes(15).await;
        story.put(20..30);
        story.audit.takes(25).await;
        sleep(60 * SECOND).await;
        assert_eq!(story.audit.texts(), [texts(0..10), texts(15..30)].concat());
        let told = ("audit".to_owned(), StartPosition::After(numbers[9]), Some(numbers[15]), Some(60 * SECOND));
        assert_eq!(story.gaps(), [told], "silent: {silent}");
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_over_a_restart_is_overtaken_by_trimming_and_that_is_told() {
    for silent in [false, true] {
        let story = Story::new(silent, OnGap::Jump);
        let running = story.start();
        let mut numbers = story.put(0..10);
        story.audit.takes(10).await;
        soon(running.handle.pause("audit")).await.unwrap();
        sleep(5 * SECOND).await;
        running.stop().await;
        numbers.extend(story.put(10..20));
        story.stream.trim(numbers[14]);
        let running = story.start();
        story.other.takes(15).await;
        sleep(60 * SECOND).await;
        soon(running.handle.resume("audit")).await.unwrap();
        story.audit.takes(15).await;
        story.put(20..30);
        story.audit.takes(25).await;
        let mut told: Vec<_> = story.gaps().into_iter().map(|(name, from, to, _)| (name, from, to)).collect();
        told.sort_by(|a, b| a.0.cmp(&b.0));
        let wanted = |name: &str| (name.to_owned(), StartPosition::After(numbers[9]), Some(numbers[15]));
        assert_eq!(told, [wanted("audit"), wanted("other")], "silent: {silent}");
        assert_eq!(story.audit.texts(), [texts(0..10), texts(15..30)].concat());
        running.stop().await;
    }
}

/// Records that were taken, given back for want of memory and trimmed before they could be read again.
#[tokio::test(start_paused = true)]
async fn records_that_a_dead_subscription_gave_back_are_missed_when_they_are_trimmed() {
    for silent in [false, true] {
        for on_gap in [OnGap::Jump, OnGap::Halt] {
            let story = Story::new(silent, on_gap);
            let running = story.start();
            let mut numbers = story.put(0..4);
            story.audit.takes(4).await;
            story.audit.set(Mood::Hangs);
            // Large enough that the budget is short of room for what comes.
            let large = |n: usize| ("a".to_owned(), format!("{n:<2000}"));
            for round in 0..20 {
                let puts = story.stream.put_all((round * 10..(round + 1) * 10).map(large)).unwrap();
                numbers.extend(puts.into_iter().map(|(_, number)| number));
                story.other.takes(4 + (round + 1) * 10).await;
                sleep(2 * SECOND).await;
            }
            story.stream.trim(numbers[103]);
            story.audit.set(Mood::Takes);
            if on_gap == OnGap::Halt {
                running.is_everywhere("audit", &[LaneState::Halted]).await;
            } else {
                story.audit.takes(4 + 1 + 100).await;
            }
            sleep(60 * SECOND).await;
            let gaps = story.gaps();
            assert_eq!(gaps.len(), 1, "silent: {silent}, {on_gap:?}: {gaps:?}");
            let (name, from, to, _) = &gaps[0];
            assert_eq!((name.as_str(), *from, *to), ("audit", StartPosition::After(numbers[4]), Some(numbers[104])));
            if on_gap == OnGap::Halt {
                soon(running.handle.seek("audit", StartPosition::TrimHorizon)).await.unwrap();
                story.audit.takes(4 + 1 + 100).await;
            }
            let counts = running.status().await.subscriptions["audit"].counts.clone();
            assert_eq!((counts.unsettled, counts.halted), (0, None));
            running.stop().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_gap_is_told_where_nothing_was_trimmed() {
    for silent in [false, true] {
        let story = Story::new(silent, OnGap::Halt);
        let running = story.start();
        story.put(0..10);
        story.audit.takes(10).await;
        soon(running.handle.detach("audit")).await.unwrap();
        story.put(10..20);
        soon(running.handle.attach(story.audit())).await.unwrap();
        story.audit.takes(20).await;
        sleep(600 * SECOND).await;
        soon(running.handle.pause("audit")).await.unwrap();
        running.stop().await;
        story.put(20..30);
        let running = story.start();
        soon(running.handle.resume("audit")).await.unwrap();
        story.audit.takes(30).await;
        story.stream.finish();
        running.ends().await;
        assert_eq!(differences(&story.audit.texts(), &texts(0..30)), (vec![], vec![]));
        assert_eq!(story.gaps(), [], "silent: {silent}");
    }
}

/// On a quiet shard the last record is gone after a day, and nothing is missing: whoever comes back asks for it in vain.
#[tokio::test(start_paused = true)]
async fn no_gap_is_told_of_a_quiet_shard_whose_last_record_has_aged_out() {
    for silent in [false, true] {
        let stream = MemoryStream::builder("orders").trims_silently(silent).declares_retention(true).build();
        let (store, observer, sink) = (MemoryLeaseStore::new(), RecordingObserver::new(), Subscriber::new(Mood::Takes));
        let start = || {
            let builder = Pipeline::builder("app", stream.clone()).leases(store.clone()).observer(observer.clone());
            Running::start(builder.idle(60 * SECOND).subscribe(from_start("audit", &sink)))
        };
        let running = start();
        stream.put_all(numbered(0..5)).unwrap();
        sink.takes(5).await;
        sleep(30 * HOUR).await;
        running.stop().await;
        sleep(HOUR).await;
        let running = start();
        sleep(HOUR).await;
        stream.put_all(numbered(5..10)).unwrap();
        sink.takes(10).await;
        assert_eq!(sink.texts().len(), 10);
        running.stop().await;
        let gaps = observer.count(|event| matches!(event, Event::Gap { .. }));
        assert_eq!(gaps, 0, "silent: {silent}");
        // What was put while nobody read, and aged out, is a gap all the same.
        stream.put_all(numbered(10..15)).unwrap();
        sleep(30 * HOUR).await;
        stream.put_all(numbered(15..20)).unwrap();
        let running = start();
        assert!(running.ends().await.subscriptions["audit"].halted.is_some());
        assert_eq!(observer.count(|event| matches!(event, Event::Gap { .. })), 1, "silent: {silent}");
    }
}
