use super::*;
use crate::error::{Error, Result};
use crate::observe::Silent;
use crate::signal::Signal;
use crate::sink::{Outcome, Outcomes};
use crate::{Record, SequenceNumber, StreamId};
use async_trait::async_trait;
use std::num::NonZeroU32;
use std::sync::Mutex;

/// Answers by a function of the payloads; remembers every call with its time.
struct Scripted<F> {
    answer: F,
    calls: Mutex<Vec<(Duration, String)>>,
    born: Instant,
}

impl<F> std::fmt::Debug for Scripted<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

#[async_trait]
impl<F: Fn(usize, &[String]) -> Result<Vec<Outcome>> + Send + Sync + 'static> Sink for Scripted<F> {
    async fn deliver(&self, delivery: &Delivery) -> Result<Outcomes> {
        let texts: Vec<String> = delivery.records().map(|r| String::from_utf8_lossy(&r.data).into_owned()).collect();
        let call = {
            let mut calls = self.calls.lock().unwrap();
            calls.push((self.born.elapsed(), texts.join(" ")));
            calls.len()
        };
        (self.answer)(call, &texts).map(Outcomes::from_iter)
    }
}

fn scripted<F: Fn(usize, &[String]) -> Result<Vec<Outcome>> + Send + Sync + 'static>(answer: F) -> Arc<Scripted<F>> {
    Arc::new(Scripted { answer, calls: Mutex::new(Vec::new()), born: Instant::now() })
}

impl<F> Scripted<F> {
    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().iter().map(|(_, call)| call.clone()).collect()
    }

    fn last_call(&self) -> Duration {
        self.calls.lock().unwrap().last().unwrap().0
    }
}

/// Records named key and number, like "a1"; the key is the first letter.
fn batch(names: &str) -> Delivery {
    let record = |(n, name): (usize, &str)| {
        Record::new(SequenceNumber::from(n as u64), &name[..1], name.to_owned().into_bytes())
    };
    let records = names.split(' ').enumerate().map(record).collect();
    Delivery::new(StreamId::new("s"), "0", "audit", records)
}

fn terms(sink: Arc<dyn Sink>, holds: Holds, on_reject: OnReject) -> Terms {
    Terms {
        sink,
        retry: RetryPolicy::default(),
        on_reject,
        holds,
        turns: Semaphore::new(1),
        recall: Signal::default(),
        observer: Arc::new(Silent),
        seed: 7,
    }
}

/// Runs a delivery; returns what was settled, in order, as "D:a1" and so on, and why it halted.
async fn run(terms: &Terms, names: &str) -> (Vec<String>, Option<String>) {
    let (mut settled, mut halted) = (Vec::new(), None);
    deliver(terms, batch(names), None, |report| match report {
        Report::Settled(delivery, how) => settled.extend(
            delivery.records().map(|r| format!("{}:{}", &format!("{how:?}")[..1], String::from_utf8_lossy(&r.data))),
        ),
        Report::Waiting(_) | Report::Failed(_) | Report::Returned(..) => {}
        Report::Halted(reason) => halted = Some(reason),
    })
    .await;
    (settled, halted)
}

fn all(texts: &[String], outcome: impl Fn(&str) -> Outcome) -> Result<Vec<Outcome>> {
    Ok(texts.iter().map(|text| outcome(text)).collect())
}

#[tokio::test(start_paused = true)]
async fn everything_of_a_key_behind_a_failed_record_goes_again_with_it() {
    let sink = scripted(|call, texts| {
        all(texts, |t| if call == 1 && t == "a1" { Outcome::Retry } else { Outcome::Delivered })
    });
    let terms = terms(Arc::clone(&sink) as _, Holds::Key, OnReject::Halt);
    let (settled, _) = run(&terms, "a1 b1 a2 b2").await;
    assert_eq!(sink.calls(), ["a1 b1 a2 b2", "a1 a2"]);
    assert_eq!(settled, ["D:b1", "D:b2", "D:a1", "D:a2"]);
}

#[tokio::test(start_paused = true)]
async fn order_per_shard_holds_everything_and_no_order_holds_nothing() {
    let fail_a1_once = |call, texts: &[String]| {
        all(texts, |t| if call == 1 && t == "a1" { Outcome::Retry } else { Outcome::Delivered })
    };
    let sink = scripted(fail_a1_once);
    run(&terms(Arc::clone(&sink) as _, Holds::Shard, OnReject::Halt), "z0 a1 b1 a2").await;
    assert_eq!(sink.calls()[1], "a1 b1 a2");
    let sink = scripted(fail_a1_once);
    run(&terms(Arc::clone(&sink) as _, Holds::Nothing, OnReject::Halt), "z0 a1 b1 a2").await;
    assert_eq!(sink.calls()[1], "a1");
}

/// The wait for a turn counted as age: a record whose first attempt failed was given up at once, because another one
/// had kept the sink for long.
#[tokio::test(start_paused = true)]
async fn a_record_ages_from_its_first_attempt_and_not_from_its_turn_on() {
    let sink = scripted(|call, texts| all(texts, |_| if call == 1 { Outcome::Retry } else { Outcome::Delivered }));
    let mut terms = terms(sink, Holds::Key, OnReject::Skip);
    terms.retry.max_age = Duration::from_secs(2);
    let busy = attempt::turn(&terms).await;
    let wait = async {
        sleep(Duration::from_secs(10)).await;
        drop(busy);
    };
    let ((settled, _), ()) = tokio::join!(run(&terms, "a1"), wait);
    assert_eq!(settled, ["D:a1"]);
}

#[tokio::test(start_paused = true)]
async fn a_poison_record_ends_alone_and_the_others_arrive() {
    let sink = scripted(|_, texts| {
        if texts.iter().any(|t| t == "d1") { Err(Error::transient("boom")) } else { all(texts, |_| Outcome::Delivered) }
    });
    let mut terms = terms(Arc::clone(&sink) as _, Holds::Key, OnReject::Skip);
    terms.retry.attempts = NonZeroU32::new(4);
    let (settled, halted) = run(&terms, "a1 b1 c1 d1 e1 f1 g1 d2").await;
    assert_eq!(halted, None);
    let delivered: Vec<_> = settled.iter().filter(|s| s.starts_with("D:")).collect();
    assert_eq!(delivered.len(), 7);
    assert_eq!(
        settled.iter().position(|s| s == "S:d1").unwrap() + 1,
        settled.iter().position(|s| s == "D:d2").unwrap()
    );
    let alone = sink.calls().iter().filter(|call| *call == "d1").count();
    assert_eq!(alone, 4, "the poison record is charged for its own attempts: {:?}", sink.calls());
}

/// A record that failed alone used to keep the later halves waiting until it was given up.
#[tokio::test(start_paused = true)]
async fn a_poison_record_holds_its_key_and_not_its_neighbours() {
    let sink = scripted(|_, texts| {
        if texts.iter().any(|t| t == "a1") { Err(Error::transient("boom")) } else { all(texts, |_| Outcome::Delivered) }
    });
    let terms = terms(Arc::clone(&sink) as _, Holds::Key, OnReject::Skip);
    let (settled, _) = run(&terms, "a1 b1 c1 a2").await;
    assert_eq!(settled, ["D:b1", "D:c1", "S:a1", "D:a2"]);
    let calls = sink.calls.lock().unwrap();
    let c1 = calls.iter().find(|(_, call)| call == "c1").unwrap().0;
    assert!(c1 < Duration::from_secs(2), "c1 waited {c1:?}");
}

#[tokio::test(start_paused = true)]
async fn waits_grow_with_full_jitter_and_end_at_the_age() {
    let sink = scripted(|_, _| Err(Error::transient("down")));
    let mut terms = terms(Arc::clone(&sink) as _, Holds::Key, OnReject::Skip);
    terms.retry.max_age = Duration::from_secs(10);
    let (settled, _) = run(&terms, "a1").await;
    assert_eq!(settled, ["S:a1"]);
    let calls = sink.calls.lock().unwrap();
    let last = calls.last().unwrap().0;
    assert!(last >= Duration::from_secs(10) && last < Duration::from_millis(10_010), "{last:?}");
    for (n, pair) in calls.windows(2).enumerate() {
        // The timer rounds up to the next millisecond.
        assert!(pair[1].0 - pair[0].0 <= terms.retry.bound(n as u32 + 1) + Duration::from_millis(1));
    }
}

#[tokio::test(start_paused = true)]
async fn busy_is_a_wait_and_not_an_attempt() {
    let sink = scripted(|call, texts| {
        all(texts, |_| if call <= 5 { Outcome::busy(Some(Duration::from_secs(7))) } else { Outcome::Delivered })
    });
    let mut terms = terms(Arc::clone(&sink) as _, Holds::Key, OnReject::Halt);
    terms.retry.attempts = NonZeroU32::new(1);
    let (settled, halted) = run(&terms, "a1 a2").await;
    assert_eq!((settled.len(), halted), (2, None));
    let times: Vec<u64> = sink.calls.lock().unwrap().iter().map(|(at, _)| at.as_secs()).collect();
    assert_eq!(times, [0, 7, 14, 21, 28, 35]);
}

/// One that was to come again at once shortened the wait of the others, who had left its length open: without an attempt or
/// a pause, the sink was asked again and again.
#[tokio::test(start_paused = true)]
async fn what_only_waits_behind_another_shortens_no_wait() {
    let behind = |t: &str, front: Outcome| match t {
        "a1" | "b1" => front,
        _ => Outcome::busy(Some(Duration::ZERO)),
    };
    for front in [Outcome::busy(None), Outcome::Retry] {
        let sink = scripted(move |call, texts| {
            all(texts, |t| if call <= 8 { behind(t, front.clone()) } else { Outcome::Delivered })
        });
        let terms = terms(Arc::clone(&sink) as _, Holds::Nothing, OnReject::Halt);
        let (settled, _) = run(&terms, "a1 a2").await;
        assert_eq!(settled, ["D:a1", "D:a2"]);
        assert!(sink.last_call() > terms.retry.base, "{:?}", sink.calls());
    }
}

/// Where nothing is delivered and nothing fails, the sink would be asked again without a pause.
#[tokio::test(start_paused = true)]
async fn a_sink_that_is_busy_for_no_time_is_not_asked_without_a_pause() {
    let sink = scripted(|call, texts| {
        all(texts, |_| if call <= 8 { Outcome::busy(Some(Duration::ZERO)) } else { Outcome::Delivered })
    });
    let terms = terms(Arc::clone(&sink) as _, Holds::Key, OnReject::Halt);
    run(&terms, "a1 a2").await;
    assert!(sink.last_call() > terms.retry.base, "{:?}", sink.calls());
}

#[tokio::test(start_paused = true)]
async fn what_waited_behind_a_rejected_record_is_tried_at_once_and_not_charged() {
    let sink = scripted(|_, texts| {
        let busy = Outcome::busy(Some(Duration::ZERO));
        Ok(std::iter::once(Outcome::rejected("no")).chain(vec![busy; texts.len() - 1]).collect())
    });
    let mut terms = terms(Arc::clone(&sink) as _, Holds::Key, OnReject::Skip);
    terms.retry.attempts = NonZeroU32::new(1);
    let (settled, _) = run(&terms, "a1 a2 a3").await;
    assert_eq!(sink.calls(), ["a1 a2 a3", "a2 a3", "a3"]);
    assert_eq!((settled.len(), sink.born.elapsed()), (3, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_busy_sink_is_given_up_at_the_age() {
    let sink = scripted(|_, texts| all(texts, |_| Outcome::busy(Some(Duration::from_secs(3600)))));
    let mut terms = terms(Arc::clone(&sink) as _, Holds::Key, OnReject::Skip);
    terms.retry.max_age = Duration::from_secs(60);
    let (settled, _) = run(&terms, "a1").await;
    assert_eq!(settled, ["S:a1"]);
    assert_eq!(sink.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_record_is_a_dead_letter_with_its_reason_and_its_key_goes_on() {
    let letters = scripted(|call, texts| all(texts, |_| if call == 1 { Outcome::Retry } else { Outcome::Delivered }));
    let sink = scripted(|_, texts| {
        all(texts, |t| if t == "a1" { Outcome::rejected("no such member") } else { Outcome::Delivered })
    });
    let terms = terms(Arc::clone(&sink) as _, Holds::Key, OnReject::DeadLetter(Arc::clone(&letters) as _));
    let (settled, _) = run(&terms, "a1 a2").await;
    assert_eq!(settled, ["D:a2", "D:a1"], "dead-lettered counts as settled: {settled:?}");
    assert_eq!(letters.calls(), ["a1", "a1"]);
}

#[tokio::test(start_paused = true)]
async fn halting_names_the_reason_and_settles_nothing_more() {
    let sink =
        scripted(|_, texts| all(texts, |t| if t == "b1" { Outcome::rejected("no") } else { Outcome::Delivered }));
    let terms = terms(sink, Holds::Key, OnReject::Halt);
    let (settled, halted) = run(&terms, "a1 b1 c1").await;
    assert_eq!(settled, ["D:a1", "D:c1"]);
    assert_eq!(halted.as_deref(), Some("no"));
}

#[tokio::test(start_paused = true)]
async fn a_panic_and_a_wrong_answer_are_attempts() {
    let sink = scripted(|call, texts| match call {
        1 => panic!("oops"),
        2 => Ok(vec![Outcome::Delivered; texts.len() + 1]),
        _ => all(texts, |_| Outcome::Delivered),
    });
    let (settled, _) = run(&terms(Arc::clone(&sink) as _, Holds::Shard, OnReject::Halt), "a1").await;
    assert_eq!(settled, ["D:a1"]);
    assert_eq!(sink.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_called_back_with_what_it_has_been_through_and_goes_on_from_there() {
    let sink =
        scripted(|call, texts| all(texts, |t| if t == "a1" && call < 9 { Outcome::Retry } else { Outcome::Delivered }));
    let mut terms = terms(Arc::clone(&sink) as _, Holds::Key, OnReject::Skip);
    terms.retry.attempts = NonZeroU32::new(4);
    let terms = Arc::new(terms);
    let returned = Arc::new(Mutex::new(Vec::new()));
    let (of_task, back) = (Arc::clone(&terms), Arc::clone(&returned));
    let task = tokio::spawn(async move {
        deliver(&of_task, batch("a1 b1 a2"), None, |report| {
            if let Report::Returned(delivery, histories) = report {
                let offsets = delivery.offsets().collect::<Vec<_>>();
                back.lock().unwrap().extend(offsets.into_iter().zip(histories));
            }
        })
        .await;
    });
    while sink.calls().len() < 3 {
        sleep(Duration::from_millis(1)).await;
    }
    terms.recall.give();
    task.await.unwrap();
    let returned = returned.lock().unwrap().clone();
    let history = returned[0].1.unwrap();
    assert_eq!(returned.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [0, 2]);
    assert_eq!((history.attempts, history.first_tried), (3, sink.born));
    assert_eq!(returned[1].1.unwrap().attempts, 0);
    // The fourth attempt is the last, and it is not made before its time.
    let before = sink.calls().len();
    let mut settled = Vec::new();
    deliver(&terms, batch("a1"), Some(history), |report| {
        settled.extend(matches!(report, Report::Settled(..)).then_some(()));
    })
    .await;
    assert_eq!((sink.calls().len() - before, settled.len()), (1, 1));
    assert!(sink.calls.lock().unwrap().last().unwrap().0 >= history.due.unwrap() - sink.born);
}
