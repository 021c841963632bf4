//! The hand: changes who subscribes while a worker runs, at random, and looks at how it says that it stands.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use kinesis_core::{ErrorKind, Handle, Result, ShardId, StartPosition};
use tokio::time::sleep;

use super::{World, subscribing};
use crate::simulation::Tale;
use crate::simulation::plan::beginning;

/// What may be asked of the handle; the order is that of [`Seen::changes`](crate::simulation::Seen::changes).
#[derive(Debug, Clone)]
enum Act {
    Attach,
    Detach,
    Pause,
    Resume,
    Seek(Option<ShardId>, StartPosition),
    Forget,
}

/// How often the last worker is looked at, and after how many looks it is late enough to say how it stands.
const LOOK_EVERY: Duration = Duration::from_secs(3);
const LATE: u64 = 600;

impl World<'_> {
    /// Changes things while `run` goes on.
    pub(super) async fn meddled_with<T>(
        &mut self,
        run: impl Future<Output = T>,
        handle: &Handle,
        knows: &impl Fn(usize) -> bool,
    ) -> T {
        let mut run = pin!(run);
        let mut attached: Vec<bool> = (0..self.plan.subscriptions.len()).map(knows).collect();
        let Some(pause) = self.plan.meddle else { return run.await };
        tokio::select! {
            biased;
            ended = &mut run => ended,
            never = self.meddle(pause, handle, &mut attached) => match never {},
        }
    }

    async fn meddle(&mut self, pause: Duration, handle: &Handle, attached: &mut [bool]) -> Infallible {
        loop {
            sleep(pause.mul_f64(self.rng.f64() * 2.0)).await;
            self.look_at_status(handle, false).await;
            let of = self.rng.usize(0..attached.len());
            let act = self.draw();
            let answer = self.act(of, &act, handle, attached[of]).await;
            self.take_in(of, &act, &answer, attached);
        }
    }

    fn draw(&mut self) -> Act {
        match self.rng.u8(..12) {
            0 | 1 => Act::Attach,
            2 | 3 => Act::Detach,
            4 => Act::Pause,
            5 | 6 => Act::Resume,
            7..=10 => {
                let shards = self.stream.shards();
                let shard = self.rng.choice(&shards).map(|shard| shard.id.clone()).filter(|_| self.rng.bool());
                let to = self.somewhere(shard.as_ref());
                Act::Seek(shard, to)
            }
            _ => Act::Forget,
        }
    }

    /// Where to seek to: anywhere.
    fn somewhere(&mut self, shard: Option<&ShardId>) -> StartPosition {
        let numbers = shard.map(|shard| self.model.state().numbers(shard)).unwrap_or_default();
        let spent = self.stream.now().duration_since(beginning()).unwrap_or_default();
        match self.rng.u8(..5) {
            0 | 1 if !numbers.is_empty() => {
                let number = numbers[self.rng.usize(..numbers.len())];
                if self.rng.bool() { StartPosition::At(number) } else { StartPosition::After(number) }
            }
            2 => StartPosition::Timestamp(beginning() + spent.mul_f64(self.rng.f64())),
            3 => StartPosition::Latest,
            _ => StartPosition::TrimHorizon,
        }
    }

    async fn act(&mut self, of: usize, act: &Act, handle: &Handle, attached: bool) -> Result<()> {
        let plan = &self.plan.subscriptions[of];
        let name = plan.name.as_str();
        {
            let mut state = self.model.state();
            state.line(format_args!("{name}: {act:?}"));
            let to = match act {
                Act::Seek(shard, to) => (shard.clone(), Some(*to)),
                _ => (None, None),
            };
            state.asked(of, to.0, to.1);
            if matches!(act, Act::Attach | Act::Resume) {
                state.knows_as_the_store(of);
            }
            if matches!(act, Act::Attach | Act::Resume | Act::Seek(..)) {
                let stays = state.is_paused(of) && !matches!(act, Act::Resume);
                state.silence(of, stays);
            }
        }
        match act {
            Act::Attach => {
                let (sink, letters) = &self.sinks[of];
                let answer = handle.attach(subscribing(plan, sink, letters)).await;
                if attached && !answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Invalid) {
                    self.model.violate("a name is attached once", format!("{name}: {answer:?}"));
                }
                answer
            }
            Act::Detach => handle.detach(name).await,
            Act::Pause => handle.pause(name).await,
            Act::Resume => handle.resume(name).await,
            Act::Seek(None, to) => handle.seek(name, *to).await,
            Act::Seek(Some(shard), to) => handle.seek_shard(name, shard, *to).await,
            Act::Forget => handle.forget(name).await,
        }
    }

    fn take_in(&self, of: usize, act: &Act, answer: &Result<()>, attached: &mut [bool]) {
        let mut state = self.model.state();
        let name = &self.plan.subscriptions[of].name;
        state.line(format_args!("{name}: {act:?}: {:?}", answer.as_ref().map_err(ToString::to_string)));
        let was = attached[of];
        state.was_answered(of, answer.is_ok());
        if let Err(error) = answer {
            let passes = error.kind().is_retryable() || error.kind() == ErrorKind::PositionExpired;
            let refused = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Invalid);
            if !passes && !refused {
                state.violate("the handle fails of nothing but faults and bad requests", error.chain());
            }
            // Forgotten in the store, perhaps, and let go then.
            attached[of] &= !matches!(act, Act::Forget) || refused;
            return;
        }
        let kind = match act {
            Act::Attach => 0,
            Act::Detach => 1,
            Act::Pause => 2,
            Act::Resume => 3,
            Act::Seek(..) => 4,
            Act::Forget => 5,
        };
        state.seen.changes[kind] += 1;
        match act {
            Act::Attach => attached[of] = true,
            Act::Detach | Act::Forget => {
                attached[of] = false;
                state.silence(of, true);
            }
            Act::Pause if was => state.silence(of, true),
            _ => {}
        }
    }

    async fn look_at_status(&self, handle: &Handle, tell: bool) {
        if let Ok(status) = handle.status().await {
            if tell {
                self.model.line(format_args!("{status:?}"));
            }
            self.model.state().check_status(&status);
        }
    }

    /// Lets go on who was paused, and looks at the status while `run` goes on.
    pub(super) async fn watched<T>(&self, run: impl Future<Output = T>, handle: &Handle) -> T {
        let mut run = pin!(run);
        let watch = async {
            for of in 0..self.plan.subscriptions.len() {
                if self.model.state().is_paused(of) {
                    let name = self.plan.subscriptions[of].name.as_str();
                    self.model.state().silence(of, false);
                    if let Err(error) = handle.resume(name).await {
                        self.model.violate("who is paused can go on", error.chain());
                    }
                }
            }
            for nth in 0.. {
                self.look_at_status(handle, nth == LATE).await;
                sleep(LOOK_EVERY).await;
            }
        };
        tokio::select! {
            biased;
            ended = &mut run => ended,
            () = watch => unreachable!("it watches for longer than a story lasts"),
        }
    }
}
