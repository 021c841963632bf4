//! The judgement: how workers may end, and that in the end everything is settled.

use kinesis_core::{CursorPosition, LeaseStore, Result, ShardId, Summary};
use kinesis_mock::{Call, Fault, Injected};

use super::World;
use crate::simulation::Tale;

impl World<'_> {
    /// A worker may end early when the stream has ended, when all subscriptions have halted, or when opening a shard is
    /// refused for good.
    pub(super) fn judge_end(&self, ended: Result<Summary>) {
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

    /// Everything is settled, and the store says so.
    pub(super) async fn judge(&self, summary: &Summary) {
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
