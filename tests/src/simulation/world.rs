//! A world at work: the producer, one worker's life after another, and the judgement at the end.

use std::time::Duration;

use fastrand::Rng;
use kinesis_core::selector::ChannelFrom;
use kinesis_core::{
    Channel, CursorPosition, Error, Event, LeaseStore, Observer, OnReject, Pipeline, Record, Result, ShardId,
    Subscription, Summary,
};
use kinesis_mock::{Call, Fault, Faults, Faulty, Injected, MemoryStream};
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{sleep, timeout};

use super::model::Model;
use super::plan::{Life, Plan, Reject};
use super::sink::{Letters, TemperedSink};
use super::store::WatchedStore;

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
    model: &'a Model,
    stream: MemoryStream,
    source: Faulty<MemoryStream>,
    store: Faulty<WatchedStore>,
    sinks: Vec<(TemperedSink, Letters)>,
    rng: Rng,
}

/// Lives through a world and judges it.
pub(super) async fn live(plan: &Plan, model: &Model) {
    model.line(format_args!("{plan:?}"));
    let mut rng = Rng::with_seed(plan.seed);
    let stream = MemoryStream::builder("sim").shards(plan.shards).parks(plan.parks).build();
    model.state().shards_are(&stream.shards());
    let sinks = plan.subscriptions.iter().enumerate();
    let sinks = sinks.map(|(of, subscription)| {
        (TemperedSink::new(of, subscription, model, &mut rng), Letters::new(of, model, &mut rng))
    });
    let mut world = World {
        plan,
        model,
        sinks: sinks.collect(),
        source: Faulty::new(stream.clone(), Faults::seeded(rng.u64(..), plan.source)),
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
    /// A worker that knows the subscriptions that `knows` picks.
    fn worker(&mut self, knows: impl Fn(usize) -> bool) -> Result<Option<Pipeline>> {
        let mut builder = Pipeline::builder("sim", self.source.clone())
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
            let mut subscription = Subscription::new(plan.name.clone(), sink.clone())
                .start_at(plan.start)
                .ordering(plan.ordering)
                .batch(plan.batch)
                .demand(plan.demand)
                .retry(plan.retry)
                .on_reject(match plan.on_reject {
                    Reject::Halt => OnReject::Halt,
                    Reject::Skip => OnReject::Skip,
                    Reject::DeadLetter => OnReject::dead_letter(letters.clone()),
                });
            if let Some(channels) = &plan.channels {
                subscription = subscription.channels(channels.iter().map(String::as_str));
            }
            builder = builder.subscribe(subscription);
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
                // The future is gone when this returns, and everything with it.
                if let Ok(ended) = timeout(life.lasts, worker.run_until(std::future::pending())).await {
                    self.judge_end(ended);
                }
            }
            Ok(Some(worker)) => {
                self.model.state().seen.stops += 1;
                let bound = life.lasts + plan.drain + plan.failover + Duration::from_millis(2);
                match timeout(bound, worker.run_until(sleep(life.lasts))).await {
                    Ok(ended) => self.judge_end(ended),
                    Err(_) => self.model.violate("a stop ends within its deadline", format!("life {nth}")),
                }
            }
        }
        // Aborted tasks go away when the scheduler meets them.
        for _ in 0..4 {
            yield_now().await;
        }
        let alive = Handle::current().metrics().num_alive_tasks();
        if alive > usize::from(!producer.is_finished()) {
            self.model.violate("nothing outlives its worker", format!("{alive} tasks after life {nth}"));
        }
        self.model.line(format_args!("life {nth} is over"));
        sleep(life.pause).await;
    }

    /// A worker may end early when the stream has ended, when all subscriptions have halted, or when opening a shard is
    /// refused for good.
    fn judge_end(&self, ended: Result<Summary>) {
        match ended {
            Ok(summary) => self.model.line(format_args!("{summary:?}")),
            Err(error) => {
                self.model.line(format_args!("the worker failed: {}", error.chain()));
                let injected = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<Injected>());
                if !injected.is_some_and(|injected| self.is_fatal(injected, error.shard())) {
                    self.model.violate("a worker fails of nothing that passes", error.chain());
                }
            }
        }
    }

    /// Whether a fault says that records are gone: an opening is refused as expired, or a reader expires that was opened
    /// anew for that reason and has answered nothing since.
    fn is_fatal(&self, injected: &Injected, shard: Option<&ShardId>) -> bool {
        match (injected.call, injected.fault) {
            (Call::OpenShard, Fault::Expire) => true,
            (Call::Read, Fault::Expire) => shard.is_some_and(|shard| self.model.state().was_reopened(shard)),
            _ => false,
        }
    }

    async fn last_life(&mut self) {
        self.source.faults().stop();
        self.store.faults().stop();
        self.model.state().calm();
        let summary = match self.worker(|_| true) {
            Ok(Some(worker)) => timeout(LAST_LIFE, worker.run_until(std::future::pending())).await,
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

    /// Everything is settled, and the store says so.
    async fn judge(&self, summary: &Summary) {
        let rows = self.store.inner().list().await.unwrap_or_default();
        for (of, plan) in self.plan.subscriptions.iter().enumerate() {
            let mut state = self.model.state();
            let Some(counts) = summary.subscriptions.get(plan.name.as_str()) else { continue };
            if counts.halted.is_some() {
                state.seen.halted += 1;
                if !state.may_have_halted(of) {
                    state.violate("who halts has met what it may not pass", plan.name.clone());
                }
                continue;
            }
            if counts.unsettled > 0 {
                state.violate("the summary counts what is left", format!("{}: {counts:?}", plan.name));
            }
            state.check_all_settled(of);
            for shard in self.stream.shards() {
                let row = rows.iter().find(|row| row.key.shard == shard.id);
                let cursor = row.and_then(|row| row.cursors.get(plan.name.as_str()));
                if cursor.map(|cursor| cursor.position) != Some(CursorPosition::End) && state.wants_of(of, &shard.id) {
                    let evidence = format!("{} on {}: {cursor:?}", plan.name, shard.id);
                    state.violate("the last cursors stand at the end", evidence);
                }
            }
        }
    }
}

/// What the producer does.
struct Producer {
    records: usize,
    keys: usize,
    channels: usize,
    pause: Duration,
    largest_burst: usize,
    reshard: f64,
}

impl Producer {
    fn of(plan: &Plan) -> Self {
        let Plan { records, keys, channels, pause, largest_burst, reshard, .. } = *plan;
        Self { records, keys, channels, pause, largest_burst, reshard }
    }
}

/// Puts records in bursts, splits and merges in between, and finishes the stream.
async fn produce(stream: MemoryStream, plan: Producer, model: Model, mut rng: Rng) {
    let mut left = plan.records;
    while left > 0 {
        for _ in 0..rng.usize(1..=plan.largest_burst).min(left) {
            put(&stream, &plan, &model, &mut rng);
            left -= 1;
        }
        if rng.f64() < plan.reshard {
            reshard(&stream, &model, &mut rng);
        }
        sleep(plan.pause.mul_f64(rng.f64())).await;
    }
    stream.finish();
    let mut state = model.state();
    state.line(format_args!("the stream is finished"));
    state.shards_are(&stream.shards());
}

fn put(stream: &MemoryStream, plan: &Producer, model: &Model, rng: &mut Rng) {
    let key = format!("key-{}", rng.usize(0..plan.keys));
    let channel = match plan.channels {
        0 => key.clone(),
        channels => format!("channel-{}", rng.usize(0..channels)),
    };
    let nth = model.state().seen.records;
    let data = format!("{channel} {nth} {}", "x".repeat(rng.usize(0..60)));
    let (shard, number) = stream.put(key.clone(), data.clone()).expect("the stream is not finished yet");
    let record = Record::new(number, key, data).with_arrived_at(stream.now());
    model.state().put(shard, channel, record);
}

/// The channel that the producer wrote at the beginning of the payload.
fn channel_in(record: &Record) -> &str {
    let text = std::str::from_utf8(&record.data).unwrap_or_default();
    text.split(' ').next().unwrap_or_default()
}

/// Splits an open shard, or merges two neighbours.
fn reshard(stream: &MemoryStream, model: &Model, rng: &mut Rng) {
    let open: Vec<_> = stream.shards().into_iter().filter(|shard| !shard.closed).collect();
    let Some(one) = rng.choice(&open) else { return };
    let end = one.hash_range.map(|range| range.end.value());
    let starts_behind = |start: u128| end.is_some_and(|end| end.checked_add(1) == Some(start));
    let neighbour = open.iter().find(|other| other.hash_range.is_some_and(|range| starts_behind(range.start.value())));
    let changed = match neighbour {
        Some(other) if open.len() > 6 || rng.bool() => stream.merge(&one.id, &other.id).map(|_| "merged"),
        _ => stream.split(&one.id).map(|_| "split"),
    };
    let mut state = model.state();
    state.seen.reshards += usize::from(changed.is_ok());
    state.line(format_args!("{} and its neighbour: {:?}", one.id, changed.map_err(|error: Error| error.chain())));
    state.shards_are(&stream.shards());
}
