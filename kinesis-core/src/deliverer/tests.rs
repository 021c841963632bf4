use super::*;
use crate::sink::{Delivery, Outcome, Outcomes, Sink};
use crate::{BatchPolicy, OnReject, Ordering, SequenceNumber, ShardId, StreamId};
use async_trait::async_trait;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::sleep;

/// Answers each payload by a function; remembers what it was given, in order.
struct Scripted<F> {
    answer: F,
    calls: Arc<Mutex<Vec<String>>>,
}

impl<F> std::fmt::Debug for Scripted<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

#[async_trait]
impl<F: Fn(usize, &str) -> Outcome + Send + Sync + 'static> Sink for Scripted<F> {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        let texts: Vec<_> = delivery.records().map(|r| String::from_utf8_lossy(&r.data).into_owned()).collect();
        let call = {
            let mut calls = self.calls.lock().unwrap();
            calls.push(texts.join(" "));
            calls.len()
        };
        Ok(texts.iter().map(|text| (self.answer)(call, text)).collect())
    }
}

type Calls = Arc<Mutex<Vec<String>>>;

fn scripted(answer: impl Fn(usize, &str) -> Outcome + Send + Sync + 'static) -> (impl Sink, Calls) {
    let calls = Calls::default();
    (Scripted { answer, calls: Arc::clone(&calls) }, calls)
}

/// Never answers.
#[derive(Debug)]
struct Hanging;

#[async_trait]
impl Sink for Hanging {
    async fn deliver(&self, _: &Delivery) -> Result<Outcomes> {
        std::future::pending().await
    }
}

fn shard() -> ShardKey {
    ShardKey::new(&StreamId::new("s"), &ShardId::from("0"))
}

/// Records named key and number, like "a1"; the key is the first letter.
fn batch(names: &str) -> Vec<Record> {
    let names = names.split_whitespace().enumerate();
    names.map(|(n, name)| Record::new(SequenceNumber::from(n as u64), &name[..1], name.to_owned())).collect()
}

async fn deliver(subscriptions: impl IntoIterator<Item = Subscription>, names: &str) -> Settlement {
    let deliverer = Deliverer::new(subscriptions).unwrap();
    deliverer.deliver_until(&shard(), batch(names), sleep(Duration::from_secs(60))).await.unwrap()
}

/// The fates by their first letters; D is delivered, d dead-lettered.
fn fates(settlement: &Settlement, name: &str) -> String {
    let letter = |fate: &Fate| match fate {
        Fate::Delivered => 'D',
        Fate::DeadLettered => 'd',
        Fate::Skipped => 'S',
        Fate::Filtered => 'F',
        Fate::SettledBefore => 'B',
        Fate::Left => 'L',
    };
    settlement.subscriptions[name].fates.iter().map(letter).collect()
}

#[tokio::test(start_paused = true)]
async fn every_subscription_gets_every_record_of_its_channels_and_it_ends_at_once() {
    let ((all, got), (some, got_b)) = (scripted(|_, _| Outcome::Delivered), scripted(|_, _| Outcome::Delivered));
    let began = Instant::now();
    let subscriptions = [Subscription::new("all", all), Subscription::new("some", some).channels(["b"])];
    let settlement = deliver(subscriptions, "a1 b1 a2 c1").await;
    assert_eq!((fates(&settlement, "all"), fates(&settlement, "some")), ("DDDD".into(), "FDFF".into()));
    assert_eq!((got.lock().unwrap().len(), &**got_b.lock().unwrap()), (4, &["b1".to_owned()][..]));
    assert_eq!((settlement.first_left(), began.elapsed()), (None, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn an_empty_batch_is_settled() {
    let settlement = deliver([Subscription::new("a", Hanging)], "").await;
    assert_eq!((settlement.first_left(), settlement.subscriptions["a"].fates.len()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_or_is_down_delays_no_other_and_its_records_are_left_when_time_is_up() {
    let born = Instant::now();
    let last = Arc::new(Mutex::new(Duration::ZERO));
    let at = Arc::clone(&last);
    let (healthy, got) = scripted(move |_, _| {
        *at.lock().unwrap() = born.elapsed();
        Outcome::Delivered
    });
    let (down, tries) = scripted(|_, _| Outcome::Retry);
    let subscriptions =
        [Subscription::new("hanging", Hanging), Subscription::new("down", down), Subscription::new("healthy", healthy)];
    let settlement = deliver(subscriptions, "a1 b1 a2").await;
    assert_eq!(born.elapsed(), Duration::from_secs(60));
    assert_eq!(fates(&settlement, "hanging"), "LLL");
    assert_eq!(fates(&settlement, "down"), "LLL");
    assert_eq!(fates(&settlement, "healthy"), "DDD");
    assert_eq!((got.lock().unwrap().len(), *last.lock().unwrap()), (3, Duration::ZERO));
    assert_eq!(settlement.first_left(), Some(0));
    assert!(tries.lock().unwrap().len() > 4, "it is tried again and again: {tries:?}");
    assert!(settlement.subscriptions["down"].last_failure.as_deref().unwrap().contains("did not take the record"));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_not_taken_holds_its_key_and_no_other() {
    let (sink, got) = scripted(|_, text| if text == "a2" { Outcome::Retry } else { Outcome::Delivered });
    let settlement = deliver([Subscription::new("s", sink)], "a1 b1 a2 b2 a3 b3").await;
    assert_eq!((fates(&settlement, "s"), settlement.first_left()), ("DDLDLD".into(), Some(2)));
    assert!(!got.lock().unwrap().contains(&"a3".to_owned()), "a3 may not come before a2");
    let (sink, got) = scripted(|call, text| if text == "a2" && call < 9 { Outcome::Retry } else { Outcome::Delivered });
    let settlement = deliver([Subscription::new("s", sink)], "a1 b1 a2 b2 a3 b3").await;
    assert_eq!(fates(&settlement, "s"), "DDDDDD");
    let of_a: Vec<_> = got.lock().unwrap().iter().filter(|call| call.starts_with('a')).cloned().collect();
    assert_eq!((&*of_a[0], &*of_a[1], of_a.last().map(|last| &**last)), ("a1", "a2", Some("a3")));
}

#[tokio::test(start_paused = true)]
async fn a_shards_order_is_held_by_one_record() {
    let (sink, got) = scripted(|_, text| if text == "b1" { Outcome::Retry } else { Outcome::Delivered });
    let settlement = deliver([Subscription::new("s", sink).ordering(Ordering::PerShard)], "a1 b1 a2").await;
    assert_eq!(fates(&settlement, "s"), "DLL");
    assert!(!got.lock().unwrap().contains(&"a2".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_is_rejected_is_passed_over_or_a_dead_letter_or_the_end() {
    let refusing =
        || scripted(|_, text| if text == "a1" { Outcome::rejected("no such member") } else { Outcome::Delivered }).0;
    let (letters, stored) = scripted(|_, _| Outcome::Delivered);
    let subscriptions = [
        Subscription::new("skips", refusing()).on_reject(OnReject::Skip),
        Subscription::new("keeps", refusing()).on_reject(OnReject::dead_letter(letters)),
        Subscription::new("halts", refusing()).ordering(Ordering::PerShard),
    ];
    let began = Instant::now();
    let settlement = deliver(subscriptions, "b1 a1 a2").await;
    assert_eq!(fates(&settlement, "skips"), "DSD");
    assert_eq!((fates(&settlement, "keeps"), &**stored.lock().unwrap()), ("DdD".into(), &["a1".to_owned()][..]));
    assert_eq!(fates(&settlement, "halts"), "DLL");
    assert_eq!(settlement.subscriptions["halts"].halted.as_deref(), Some("no such member"));
    assert_eq!((settlement.first_left(), began.elapsed()), (Some(1), Duration::ZERO), "nobody waits for who halted");
}

#[tokio::test(start_paused = true)]
async fn dead_letters_that_cannot_be_stored_are_left() {
    let (sink, _) = scripted(|_, _| Outcome::rejected("no"));
    let (letters, _) = scripted(|_, _| Outcome::Retry);
    let settlement = deliver([Subscription::new("s", sink).on_reject(OnReject::dead_letter(letters))], "a1").await;
    assert_eq!(fates(&settlement, "s"), "L");
}

#[tokio::test(start_paused = true)]
async fn batches_are_full_but_for_the_last_and_nobody_waits_for_more() {
    let (sink, got) = scripted(|_, _| Outcome::Delivered);
    let subscription = Subscription::new("s", sink).ordering(Ordering::PerShard).batch(BatchPolicy::of(4));
    let began = Instant::now();
    let settlement = deliver([subscription], "a1 b1 c1 d1 e1 f1").await;
    assert_eq!((settlement.first_left(), began.elapsed()), (None, Duration::ZERO));
    assert_eq!(*got.lock().unwrap(), ["a1 b1 c1 d1", "e1 f1"]);
}

/// More than a subscription takes in at once, and runs ahead of its cursor.
#[tokio::test(start_paused = true)]
async fn a_batch_larger_than_the_demand_arrives_whole_and_in_order() {
    let (sink, got) = scripted(|_, _| Outcome::Delivered);
    let demand = crate::Demand { min: 2, max: 5, max_ahead: 7, ..crate::Demand::default() };
    let names: Vec<String> = (0..500).map(|n| format!("{}{n}", ["a", "b", "c"][n % 3])).collect();
    let settlement = deliver([Subscription::new("s", sink).demand(demand)], &names.join(" ")).await;
    assert_eq!(settlement.first_left(), None);
    let got = got.lock().unwrap();
    for key in ["a", "b", "c"] {
        let of = |all: &[String]| all.iter().filter(|name| name.starts_with(key)).cloned().collect::<Vec<_>>();
        assert_eq!(of(&got), of(&names));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_settled_before_is_spared_to_those_who_have_it_and_to_nobody_else() {
    let ((one, got_one), (other, got_other)) = (
        scripted(|_, text| if text == "b2" { Outcome::Retry } else { Outcome::Delivered }),
        scripted(|_, _| Outcome::Delivered),
    );
    let subscriptions = [Subscription::new("one", one), Subscription::new("other", other).channels(["a"])];
    let deliverer = Deliverer::new(subscriptions).unwrap();
    let has = |name: &SubscriptionName, record: &Record| *name == "one" && record.data.ends_with(b"1");
    let until = sleep(Duration::from_secs(9));
    let settlement = deliverer.deliver_rest_until(&shard(), batch("a1 b1 a2 b2 a3"), has, until).await.unwrap();
    assert_eq!((fates(&settlement, "one"), fates(&settlement, "other")), ("BBDLD".into(), "DFDFD".into()));
    assert!(!got_one.lock().unwrap().iter().any(|call| call.ends_with('1')));
    assert_eq!((got_other.lock().unwrap().len(), settlement.first_left()), (3, Some(3)));
}

#[tokio::test(start_paused = true)]
async fn the_channel_may_be_a_field_of_the_payload() {
    let (sink, got) = scripted(|_, _| Outcome::Delivered);
    let deliverer = Deliverer::new([Subscription::new("s", sink).channels(["x"])]).unwrap();
    let deliverer = deliverer.channel_from(ChannelFrom::json_field("type"));
    let records = vec![Record::new(1.into(), "k", r#"{"type":"x"}"#), Record::new(2.into(), "k", r#"{"type":"y"}"#)];
    let settlement = deliverer.deliver_until(&shard(), records, std::future::pending()).await.unwrap();
    assert_eq!((fates(&settlement, "s"), got.lock().unwrap().len()), ("DF".into(), 1));
}

#[test]
fn what_cannot_work_is_told_before() {
    let problem = |subscriptions: Vec<Subscription>| Deliverer::new(subscriptions).unwrap_err().to_string();
    assert!(problem(vec![]).contains("no subscription"));
    let named = |name: &str| Subscription::new(name, Hanging);
    assert!(problem(vec![named("a"), named("a")]).contains("two subscriptions are named \"a\""));
    assert!(problem(vec![named("a").channels(Vec::<String>::new())]).contains("`channels` is empty"));
}
