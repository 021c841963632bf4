//! The story: who is started, killed, stopped and held up, and when.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use kinesis_mock::{Account, MemoryStream, Server};
use kinesis_tests::ledger::MadeUp;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::promises::Promises;
use crate::receiver::Receiver;
use crate::tap::Tap;
use crate::worker::Worker;

const STREAM: &str = "orders";
const TABLE: &str = "fleet";
const SHARDS: usize = 16;
/// Several for each shard, children of a split included.
const MADE_UP: MadeUp = MadeUp { records: usize::MAX, keys: 197 };
/// So many records are put at once, so often: two hundred a second, some for every shard.
const AT_ONCE: usize = 10;
const EVERY: Duration = Duration::from_millis(50);
/// What the forwarder leaves at its default.
const FAILOVER: Duration = Duration::from_secs(10);

/// The promises: issue and documentation say so.
const BALANCED_WITHIN: Duration = Duration::from_secs(30);
const READ_ON_WITHIN: Duration = Duration::from_secs(2);
/// Longer than the failover time, so that others take over from who is held up.
const HELD_UP: Duration = Duration::from_secs(15);
/// How long the subscriber takes with an event of one shard of the worker that is stopped: the other shards are done by then.
const SLOW: Duration = Duration::from_secs(4);
/// How long everything that was put may take to arrive.
const ARRIVES_WITHIN: Duration = Duration::from_secs(30);

/// The servers, the stream and the workers.
struct Fleet<'a> {
    forwarder: &'a Path,
    server: Server,
    stream: MemoryStream,
    tap: Tap,
    receiver: Receiver,
    workers: Vec<Worker>,
    started: usize,
    rng: Rng,
}

/// Plays the story once; an error is why it cannot go on.
pub(crate) async fn play(forwarder: &Path, seed: u64, promises: &mut Promises) -> Result<(), String> {
    let account = Account::new();
    let stream = account.create(STREAM, SHARDS);
    let mut fleet = Fleet {
        forwarder,
        server: Server::start(&account).await.map_err(|error| error.to_string())?,
        tap: Tap::start(TABLE, FAILOVER).await,
        receiver: Receiver::start(MADE_UP).await,
        workers: Vec::new(),
        started: 0,
        rng: Rng::with_seed(seed),
        stream,
    };
    let told = fleet.story(promises).await;
    if told.is_err() {
        for worker in fleet.workers.drain(..) {
            let id = worker.id;
            println!("  worker {id} said: {}", worker.told().await);
        }
    }
    told
}

impl Fleet<'_> {
    async fn story(&mut self, promises: &mut Promises) -> Result<(), String> {
        let producer = Producer::start(&self.stream);
        let began = Instant::now();
        for _ in 0..3 {
            self.start().await?;
        }
        self.balance("balanced", began, promises).await?;
        self.kill(promises).await?;
        self.replace(promises).await?;
        self.stop(promises).await?;
        self.replace(promises).await?;
        self.hold_up(promises).await?;
        let records = producer.stop().await;
        self.end(records, promises).await
    }

    async fn start(&mut self) -> Result<(), String> {
        let id = self.started;
        self.started += 1;
        let (endpoint, dynamodb, to) = (self.server.endpoint(), self.tap.door(id).await, self.receiver.url(id));
        let stream = ["run", "--stream", STREAM, "--endpoint", &endpoint, "--start", "horizon"];
        let args = [&stream[..], &["--table", TABLE, "--dynamodb", &dynamodb, "--to", &to]].concat();
        self.workers.push(Worker::start(self.forwarder, id, &args)?);
        Ok(())
    }

    /// Starts one in the place of one that is gone.
    async fn replace(&mut self, promises: &mut Promises) -> Result<(), String> {
        let began = Instant::now();
        self.start().await?;
        self.balance("balanced with a new one", began, promises).await
    }

    /// One of the workers, at random, which is not in the fleet any more; the oldest are first in turn.
    fn pick(&mut self, of: usize) -> Worker {
        self.workers.remove(self.rng.usize(..of))
    }

    /// A moment later, another one each time.
    async fn some_time(&mut self) {
        sleep(Duration::from_secs(2) + Duration::from_secs(2).mul_f64(self.rng.f64())).await;
    }

    fn open_shards(&self) -> Vec<kinesis_core::ShardId> {
        self.stream.shards().into_iter().filter(|shard| !shard.closed).map(|shard| shard.id).collect()
    }

    /// Whether the workers hold each open shard, and nothing else is held; in shares that differ by one at most.
    fn is_balanced(&self) -> bool {
        let mut held = self.tap.log().held();
        let shares: Vec<BTreeSet<String>> = self
            .workers
            .iter()
            .map(|worker| held.remove(&worker.id).unwrap_or_default().into_iter().collect())
            .collect();
        let all: BTreeSet<&str> = shares.iter().flatten().map(String::as_str).collect();
        let open = self.open_shards();
        let open: BTreeSet<&str> = open.iter().map(|shard| &**shard).collect();
        let sizes = || shares.iter().map(BTreeSet::len);
        let spread = sizes().max().unwrap_or_default() - sizes().min().unwrap_or_default();
        all == open && held.is_empty() && spread <= 1
    }

    /// Waits until the shards are shared by the workers there are, and says how long after `began` that was.
    async fn balance(&mut self, name: &str, began: Instant, promises: &mut Promises) -> Result<(), String> {
        while !self.is_balanced() {
            for worker in &mut self.workers {
                if !worker.is_alive() {
                    return Err(format!("{name}: worker {} has ended by itself", worker.id));
                }
            }
            if began.elapsed() > BALANCED_WITHIN * 2 {
                let held = self.tap.log().held();
                return Err(format!("{name}: never, held are {held:?} of {:?}", self.open_shards()));
            }
            sleep(EVERY).await;
        }
        promises.within(name, began.elapsed(), BALANCED_WITHIN);
        Ok(())
    }

    /// Kills one, and splits a shard while nobody reads what it had.
    async fn kill(&mut self, promises: &mut Promises) -> Result<(), String> {
        self.some_time().await;
        self.pick(3).kill().await?;
        let began = Instant::now();
        self.some_time().await;
        let open = self.open_shards();
        let shard = &open[self.rng.usize(..open.len())];
        self.stream.split(shard).map_err(|error| format!("{shard} does not split: {error}"))?;
        self.balance("balanced after a kill -9 and a split", began, promises).await
    }

    /// Stops one, while one of its deliveries takes its time.
    async fn stop(&mut self, promises: &mut Promises) -> Result<(), String> {
        self.some_time().await;
        let worker = self.pick(2);
        let (id, shards) = (worker.id, self.tap.log().held().remove(&worker.id).unwrap_or_default());
        self.receiver.slow_down(id, &shards[self.rng.usize(..shards.len())], SLOW);
        sleep(EVERY * 4).await;
        let began = Instant::now();
        worker.signal("TERM").await?;
        worker.stopped().await?;
        self.balance("balanced after a SIGTERM, with a slow last delivery", began, promises).await?;
        // What is put after the end of the others' deliveries shows that they read on.
        sleep(READ_ON_WITHIN).await;
        let deliveries = self.receiver.deliveries();
        let mut longest = Duration::ZERO;
        for shard in &shards {
            let of_shard = || deliveries.iter().filter(|delivery| delivery.shard == *shard);
            let last = of_shard().filter(|delivery| delivery.worker == id).map(|delivery| delivery.at).max();
            let last = last.ok_or_else(|| format!("worker {id} held {shard} and delivered nothing of it"))?;
            let next = of_shard().find(|delivery| delivery.worker != id && delivery.at > last);
            let next = next.map_or_else(Instant::now, |delivery| delivery.at);
            longest = longest.max(next - last);
        }
        let name = format!("read on by another one after a SIGTERM, each of {} shards", shards.len());
        promises.keep(&name, format!("{:.2} s", longest.as_secs_f64()), "<= 2", longest <= READ_ON_WITHIN);
        Ok(())
    }

    /// Holds one up for so long that it loses its leases, and merges shards meanwhile.
    async fn hold_up(&mut self, promises: &mut Promises) -> Result<(), String> {
        self.some_time().await;
        let worker = self.pick(1);
        let held = self.tap.log().held().remove(&worker.id).unwrap_or_default().len();
        worker.signal("STOP").await?;
        let began = Instant::now();
        self.some_time().await;
        self.merge()?;
        sleep(HELD_UP.saturating_sub(began.elapsed())).await;
        let kept = self.tap.log().held().remove(&worker.id).unwrap_or_default().len();
        let found = format!("{kept} of {held} leases kept");
        promises.keep("taken over from one that is held up", found, "none kept", kept == 0 && held > 0);
        let refused = self.tap.log().refused(worker.id);
        let began = Instant::now();
        worker.signal("CONT").await?;
        let id = worker.id;
        self.workers.push(worker);
        self.balance("balanced after a SIGSTOP of 15 s and a merge", began, promises).await?;
        let refused = self.tap.log().refused(id) - refused;
        // It may know by its own clock that its time is over, and write nothing: only that none is accepted is promised.
        promises.tell("writes of the one held up that were refused", refused);
        Ok(())
    }

    /// Merges two neighbours, whichever are found first.
    fn merge(&mut self) -> Result<(), String> {
        let mut open = self.open_shards();
        self.rng.shuffle(&mut open);
        let merged = open.iter().any(|shard| open.iter().any(|other| self.stream.merge(shard, other).is_ok()));
        if merged { Ok(()) } else { Err("no two shards are neighbours".to_owned()) }
    }

    /// Waits for what was put, stops the workers, and judges.
    async fn end(&mut self, records: usize, promises: &mut Promises) -> Result<(), String> {
        let began = Instant::now();
        while self.receiver.counts().0 < records && began.elapsed() < ARRIVES_WITHIN {
            sleep(EVERY).await;
        }
        for worker in self.workers.drain(..) {
            worker.signal("TERM").await?;
            worker.stopped().await?;
        }
        let held = self.tap.log().held();
        promises.keep("held after the last stop", held.len(), "nothing", held.is_empty());
        let (delivered, repeats) = self.receiver.counts();
        let among = format!("{records} records put, {delivered} delivered and {repeats} repeated");
        promises.none("lost, or out of order within a key", &self.receiver.violations(records), among);
        let log = self.tap.log();
        let among = format!("{} writes on leases", log.accepted());
        promises.none("accepted from a worker that was fenced", log.violations(), among);
        Ok(())
    }
}

/// Puts records in a steady pace, until it is dropped at the latest.
struct Producer {
    ended: Arc<AtomicBool>,
    put: JoinSet<usize>,
}

impl Producer {
    fn start(stream: &MemoryStream) -> Self {
        let (stream, ended) = (stream.clone(), Arc::new(AtomicBool::new(false)));
        let until = Arc::clone(&ended);
        let mut put = JoinSet::new();
        put.spawn(async move {
            let (mut count, mut every) = (0, tokio::time::interval(EVERY));
            while !until.load(Ordering::Relaxed) {
                every.tick().await;
                let records = (count..count + AT_ONCE).map(|n| (MADE_UP.key(n), MadeUp::data(n)));
                stream.put_all(records).expect("the stream takes what it is given");
                count += AT_ONCE;
            }
            count
        });
        Self { ended, put }
    }

    /// Ends the production, and says how many records there were.
    async fn stop(mut self) -> usize {
        self.ended.store(true, Ordering::Relaxed);
        self.put.join_next().await.expect("it is started once").expect("it puts records and nothing else")
    }
}
