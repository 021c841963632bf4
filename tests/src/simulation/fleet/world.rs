//! A fleet at work: the producer, what happens to its workers, and the two that finish what is left.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use kinesis_core::{LeaseStore, MemoryLeaseStore, Pipeline, Result, StartPosition, Subscription, Summary};
use kinesis_mock::{Faults, MemoryStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::super::Tale;
use super::super::plan::beginning;
use super::super::world::split_or_merge;
use super::kcl::Kcl;
use super::luck::Luck;
use super::model::Model;
use super::plan::{Happening, NAMES, Plan};
use super::sink::FleetSink;
use super::store::Way;

/// No more live at a time.
const MOST: usize = 6;
/// And no more of the KCL.
const MOST_KCL: usize = 2;
/// How long deliveries under way may take when a shard is handed over or a worker stops.
const DRAIN: Duration = Duration::from_secs(30);
/// How long a story may take once nothing fails any more.
const END: Duration = Duration::from_secs(60 * 60);

/// A worker under way.
struct Worker {
    nth: usize,
    luck: Luck,
    faults: Faults,
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<Summary>>,
}

struct World<'a> {
    plan: &'a Plan,
    model: &'a Model,
    stream: MemoryStream,
    store: MemoryLeaseStore,
    rng: Rng,
    born: usize,
    workers: Vec<Worker>,
    /// Those that were asked to stop.
    leaving: Vec<Worker>,
    /// Those of the KCL.
    kcl: Vec<JoinHandle<()>>,
}

/// Lives through a fleet and judges it.
pub(super) async fn live(plan: &Plan, model: &Model) {
    model.line(format_args!("{plan:?}"));
    let stream = MemoryStream::builder("fleet").shards(plan.shards).start_time(beginning()).build();
    model.state().shards_are(&stream.shards());
    let mut rng = Rng::with_seed(plan.seed);
    let producer =
        tokio::spawn(produce(stream.clone(), plan.records, plan.keys, plan.pause, model.clone(), rng.fork()));
    let store = MemoryLeaseStore::new();
    let (workers, leaving, kcl) = (Vec::new(), Vec::new(), Vec::new());
    let mut world = World { plan, model, stream, store, rng, born: 0, workers, leaving, kcl };
    world.start(true);
    for (after, happening) in &plan.happenings {
        sleep(*after).await;
        world.happen(*happening).await;
    }
    world.end(producer).await;
}

async fn produce(stream: MemoryStream, records: usize, keys: usize, pause: Duration, model: Model, mut rng: Rng) {
    for _ in 0..records {
        let key = format!("key-{}", rng.usize(..keys));
        let put = stream.put(key.clone(), "data").expect("the stream is not finished yet");
        model.state().put(put, key);
        if rng.u8(..8) == 0 {
            sleep(pause.mul_f64(rng.f64())).await;
        }
    }
}

impl World<'_> {
    fn start(&mut self, knows_all: bool) {
        let (nth, luck, Plan { failover, commit_every, ordering, stale, .. }) = (self.born, Luck::new(), self.plan);
        self.born += 1;
        let faults = Faults::seeded(self.rng.u64(..), self.plan.store);
        let way = Way::new(&self.store, faults, &luck, nth, self.model, *stale);
        let faults = way.faults().clone();
        let mut pipeline = Pipeline::builder("fleet", self.stream.clone())
            .leases(way)
            .failover(*failover)
            .commit_every(*commit_every)
            .drain_within(DRAIN)
            .seed(self.rng.u64(..));
        for (of, name) in NAMES.iter().enumerate().filter(|(of, _)| knows_all || *of == 0) {
            let sink = FleetSink::new(nth, of, &luck, self.model, self.plan);
            pipeline = pipeline
                .subscribe(Subscription::new(*name, sink).start_at(StartPosition::TrimHorizon).ordering(*ordering));
        }
        let pipeline = pipeline.build().expect("every drawn pipeline can be built");
        let (stop, stopped) = oneshot::channel();
        let run = tokio::spawn(pipeline.run_until(async { drop(stopped.await) }));
        self.model.state().lives(nth, true);
        self.workers.push(Worker { nth, luck, faults, stop, run });
    }

    fn start_kcl(&mut self) {
        let nth = self.born;
        self.born += 1;
        let kcl = Kcl::new(nth, &self.store, self.model, self.plan.failover, self.rng.fork());
        self.kcl.push(tokio::spawn(kcl.run()));
    }

    fn any(&mut self) -> Option<usize> {
        (!self.workers.is_empty()).then(|| self.rng.usize(..self.workers.len()))
    }

    async fn happen(&mut self, happening: Happening) {
        self.model.line(format_args!("{happening:?}"));
        match happening {
            Happening::Start { knows_all } if self.workers.len() < MOST => self.start(knows_all),
            Happening::Start { .. } => {}
            Happening::Reshard => {
                let changed = split_or_merge(&self.stream, &mut self.rng);
                let mut state = self.model.state();
                state.seen.reshards += usize::from(changed.is_some_and(|(_, changed)| changed.is_ok()));
                state.shards_are(&self.stream.shards());
            }
            Happening::StartKcl if self.kcl.len() < MOST_KCL => self.start_kcl(),
            Happening::StartKcl => {}
            Happening::CrashKcl => {
                if let Some(one) = self.kcl.pop() {
                    end(one, self.model).await;
                }
            }
            Happening::CrashAll => {
                self.model.state().seen.crashes += self.workers.len();
                let crashed: Vec<_> = self.workers.drain(..).collect();
                for worker in crashed {
                    self.crash(worker).await;
                }
                self.start(true);
            }
            happening => {
                let Some(at) = self.any() else { return };
                self.model.line(format_args!("it happens to worker {}", self.workers[at].nth));
                match happening {
                    Happening::Stop => {
                        self.model.state().seen.stops += 1;
                        let worker = self.workers.swap_remove(at);
                        self.leaving.push(worker.asked_to_stop());
                    }
                    Happening::Crash => {
                        self.model.state().seen.crashes += 1;
                        let worker = self.workers.swap_remove(at);
                        self.crash(worker).await;
                    }
                    Happening::StandStill(time) => {
                        self.model.state().seen.stood_still += usize::from(time > self.plan.failover);
                        self.workers[at].luck.stand_still(time);
                    }
                    Happening::CutOff(time) => {
                        self.model.state().seen.cut_off += 1;
                        self.workers[at].luck.cut_off(time);
                    }
                    _ => {}
                }
            }
        }
    }

    async fn crash(&self, worker: Worker) {
        worker.run.abort();
        drop(worker.run.await);
        self.model.state().lives(worker.nth, false);
    }

    /// Waits for a worker that was asked to stop.
    async fn join(&self, worker: Worker) {
        match timeout(END, worker.run).await {
            Err(_) => {
                for row in self.store.list().await.unwrap_or_default() {
                    self.model.line(format_args!("{row:?}"));
                }
                self.model.violate("everything is finished in bounded time", format!("not by worker {}", worker.nth));
            }
            Ok(Err(error)) => self.model.violate("nothing panics", error.to_string()),
            Ok(Ok(Err(error))) => self.model.violate("a worker fails of nothing that passes", error.chain()),
            Ok(Ok(Ok(_))) => self.model.line(format_args!("worker {} has stopped", worker.nth)),
        }
        self.model.state().lives(worker.nth, false);
    }

    /// Whatever is wrong passes, all stop, and two new ones finish.
    async fn end(&mut self, producer: JoinHandle<()>) {
        let old: Vec<Worker> =
            self.leaving.drain(..).chain(self.workers.drain(..).map(Worker::asked_to_stop)).collect();
        for worker in &old {
            worker.faults.stop();
            sleep_until(worker.luck.is_over_at()).await;
        }
        self.model.state().calm();
        for one in self.kcl.drain(..) {
            end(one, self.model).await;
        }
        for worker in old {
            self.join(worker).await;
        }
        if let Err(error) = producer.await {
            self.model.violate("nothing panics", format!("the producer: {error}"));
        }
        for _ in 0..2 {
            self.start(true);
            self.workers.iter().for_each(|worker| worker.faults.stop());
        }
        // A shard is not held before its parents are finished.
        let until = Instant::now() + END;
        while !self.model.state().has_all() && Instant::now() < until {
            sleep(DRAIN).await;
        }
        // And one may be handed over once more after the last delivery.
        sleep(self.plan.failover * 3 + self.plan.slow * 2 + DRAIN * 2).await;
        self.check_balance().await;
        self.stream.finish();
        for worker in std::mem::take(&mut self.workers) {
            self.join(worker).await;
        }
        self.model.state().check_all();
    }

    /// The two share what is left within one.
    async fn check_balance(&self) {
        let rows = self.store.list().await.unwrap_or_default();
        let open: Vec<_> = self.stream.shards().into_iter().filter(|shard| !shard.closed).collect();
        let mut held = BTreeMap::new();
        for owner in open.iter().filter_map(|shard| rows.iter().find(|row| row.key.shard == shard.id)?.owner.as_ref()) {
            *held.entry(owner).or_insert(0usize) += 1;
        }
        let most = held.values().max().copied().unwrap_or(0);
        let least = if held.len() < 2 { 0 } else { held.values().min().copied().unwrap_or(0) };
        if held.values().sum::<usize>() < open.len() || most - least > 1 || held.len() > 2 {
            let evidence = format!("{} open shards are held so: {held:?}", open.len());
            self.model.violate("a quiet fleet is balanced", evidence);
        }
    }
}

/// A task of the KCL is gone without a word.
async fn end(one: JoinHandle<()>, model: &Model) {
    one.abort();
    if let Err(error) = one.await
        && error.is_panic()
    {
        model.violate("nothing panics", error.to_string());
    }
}

impl Worker {
    fn asked_to_stop(mut self) -> Self {
        let (unused, _) = oneshot::channel();
        // One that has ended by itself is told nothing.
        let _ = std::mem::replace(&mut self.stop, unused).send(());
        self
    }
}
