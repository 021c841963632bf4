//! A world at work: the producer, one worker's life after another, and the judgement at the end.

mod door;
mod hand;
mod judge;
mod producer;

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use kinesis_core::selector::ChannelFrom;
use kinesis_core::wrap::Throttled;
use kinesis_core::{Channel, Event, Observer, OnReject, Pipeline, Result, StreamSource, Subscription};
use kinesis_mock::{Faults, Faulty, MemoryStream, ReadLimits};
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{sleep, timeout};

use super::model::Model;
use super::plan::{Life, Limits, Plan, Reject, SubscriptionPlan, beginning};
use super::sink::{Letters, TemperedSink};
use super::store::WatchedStore;
use super::{Door, Tale};
use door::{kept, through};
pub(super) use producer::split_or_merge;
use producer::{Producer, channel_in, produce};

/// How long the last worker may take once nothing fails any more. Far more than a poll, a failover and a backlog need.
const LAST_LIFE: Duration = Duration::from_secs(60 * 60);

/// Tells the model what the pipeline says of itself; nothing is judged by it.
#[derive(Debug)]
struct Listener(Model);

impl Observer for Listener {
    fn on(&self, event: &Event) {
        match event {
            Event::ShardOpened { shard, .. } => self.0.state().opened(shard),
            Event::BatchRead { shard, .. } => self.0.state().read(shard),
            Event::FellBehind { .. } => self.0.state().seen.fell_behind += 1,
            Event::Gap { subscription, shard, from, to, .. } => {
                self.0.state().gap(subscription, shard, *from, *to);
            }
            _ => {}
        }
        match event {
            // What the model logs itself, and the polls of an idle stream.
            Event::Delivered { .. } | Event::AttemptFailed { .. } | Event::BatchRead { records: 0, .. } => {}
            event => self.0.line(format_args!("{event:?}")),
        }
    }
}

/// What lives as long as the world.
struct World<'a> {
    plan: &'a Plan,
    door: Door,
    model: &'a Model,
    stream: MemoryStream,
    source: Faulty<Arc<dyn StreamSource>>,
    store: Faulty<WatchedStore>,
    sinks: Vec<(TemperedSink, Letters)>,
    rng: Rng,
}

/// Lives through a world and judges it.
pub(super) async fn live(plan: &Plan, door: Door, model: &Model) {
    model.line(format_args!("{plan:?}, {door:?}"));
    let mut rng = Rng::with_seed(plan.seed);
    let mut stream = MemoryStream::builder("sim")
        .shards(plan.shards)
        .parks(plan.parks)
        .start_time(beginning())
        .trims_silently(plan.trims_silently);
    if let Some(limits) = plan.limits {
        let Limits { calls_per_second, bytes_per_second, .. } = limits;
        stream = stream.read_limits(ReadLimits::new(calls_per_second as usize, bytes_per_second as usize));
    }
    let stream = stream.build();
    model.state().shards_are(&stream.shards());
    let sinks = plan.subscriptions.iter().enumerate();
    let sinks = sinks.map(|(of, subscription)| {
        (TemperedSink::new(of, subscription, model, &mut rng), Letters::new(of, model, &mut rng))
    });
    let mut world = World {
        plan,
        door,
        model,
        sinks: sinks.collect(),
        source: Faulty::new(through(door, &stream, plan).await, Faults::seeded(rng.u64(..), plan.source)),
        store: Faulty::new(WatchedStore::new(model), Faults::seeded(rng.u64(..), plan.store)),
        stream: stream.clone(),
        rng: rng.fork(),
    };
    let producer = tokio::spawn(produce(stream, Producer::of(plan), model.clone(), rng));
    for (nth, life) in plan.lives.iter().enumerate() {
        world.life(nth, life, &producer).await;
    }
    world.last_life().await;
    let faults = world.source.faults().injected().len() + world.store.faults().injected().len();
    world.model.state().seen.faults = faults;
    if let Err(error) = producer.await {
        model.violate("nothing panics", format!("the producer: {error}"));
    }
}

impl World<'_> {
    /// The source, within its limits where it keeps them by itself.
    fn source(&self) -> Arc<dyn StreamSource> {
        let source = self.source.clone();
        match kept(self.plan) {
            Some(rates) if self.door == Door::Source => Arc::new(Throttled::new(source, rates)),
            _ => Arc::new(source),
        }
    }

    /// A worker that knows the subscriptions that `knows` picks.
    fn worker(&mut self, knows: impl Fn(usize) -> bool) -> Result<Option<Pipeline>> {
        let mut builder = Pipeline::builder("sim", self.source())
            .byte_budget(self.plan.budget)
            .leases(self.store.clone())
            .observer(Listener(self.model.clone()))
            .idle(self.plan.idle)
            .commit_every(self.plan.commit_every)
            .failover(self.plan.failover)
            .drain_within(self.plan.drain)
            .seed(self.rng.u64(..));
        if self.plan.channels > 0 {
            builder = builder.channel_from(ChannelFrom::function(|record| Some(Channel::from(channel_in(record)))));
        }
        let mut any = false;
        for (of, (plan, (sink, letters))) in self.plan.subscriptions.iter().zip(&self.sinks).enumerate() {
            if !knows(of) {
                continue;
            }
            any = true;
            builder = builder.subscribe(subscribing(plan, sink, letters));
        }
        if any { builder.build().map(Some) } else { Ok(None) }
    }

    async fn life(&mut self, nth: usize, life: &Life, producer: &JoinHandle<()>) {
        let plan = self.plan;
        let knows = |of: usize| plan.subscriptions[of].from_life <= nth && !life.without.contains(&of);
        self.model.line(format_args!("life {nth}: {life:?}"));
        self.model.state().birth();
        match self.worker(knows) {
            Err(error) => self.model.violate("every drawn pipeline can be built", error.chain()),
            Ok(None) => sleep(life.lasts).await,
            Ok(Some(worker)) if life.crashes => {
                self.model.state().seen.crashes += 1;
                let handle = worker.handle();
                // The future is gone when this returns, and everything with it.
                let run = timeout(life.lasts, worker.run_until(std::future::pending()));
                if let Ok(ended) = self.meddled_with(run, &handle, &knows).await {
                    self.judge_end(ended);
                }
            }
            Ok(Some(worker)) => {
                self.model.state().seen.stops += 1;
                let bound = life.lasts + plan.drain + plan.failover + Duration::from_millis(2);
                let handle = worker.handle();
                let run = timeout(bound, worker.run_until(sleep(life.lasts)));
                match self.meddled_with(run, &handle, &knows).await {
                    Ok(ended) => self.judge_end(ended),
                    Err(_) => self.model.violate("a stop ends within its deadline", format!("life {nth}")),
                }
            }
        }
        // Aborted tasks go away when the scheduler meets them.
        for _ in 0..16 {
            yield_now().await;
        }
        let alive = Handle::current().metrics().num_alive_tasks();
        if alive > usize::from(!producer.is_finished()) {
            self.model.violate("nothing outlives its worker", format!("{alive} tasks after life {nth}"));
        }
        self.model.line(format_args!("life {nth} is over"));
        sleep(life.pause).await;
    }

    async fn last_life(&mut self) {
        self.source.faults().stop();
        self.store.faults().stop();
        self.model.state().calm();
        let summary = match self.worker(|_| true) {
            Ok(Some(worker)) => {
                let handle = worker.handle();
                let run = timeout(LAST_LIFE, worker.run_until(std::future::pending()));
                self.watched(run, &handle).await
            }
            Ok(None) => return,
            Err(error) => return self.model.violate("every drawn pipeline can be built", error.chain()),
        };
        match summary {
            Err(_) => self.model.violate("everything is drained in bounded time", format!("not in {LAST_LIFE:?}")),
            Ok(Err(error)) => self.model.violate("a worker fails of nothing that passes", error.chain()),
            Ok(Ok(summary)) => {
                self.model.line(format_args!("{summary:?}"));
                self.judge(&summary).await;
            }
        }
    }
}

/// The subscription that a worker is given.
fn subscribing(plan: &SubscriptionPlan, sink: &TemperedSink, letters: &Letters) -> Subscription {
    let mut subscription = Subscription::new(plan.name.clone(), sink.clone())
        .start_at(plan.start)
        .ordering(plan.ordering)
        .batch(plan.batch)
        .demand(plan.demand)
        .retry(plan.retry)
        .on_gap(plan.on_gap)
        .on_reject(match plan.on_reject {
            Reject::Halt => OnReject::Halt,
            Reject::Skip => OnReject::Skip,
            Reject::DeadLetter => OnReject::dead_letter(letters.clone()),
        });
    if let Some(channels) = &plan.channels {
        subscription = subscription.channels(channels.iter().map(String::as_str));
    }
    match plan.cap {
        Some(cap) => subscription.cap(cap),
        None => subscription,
    }
}
