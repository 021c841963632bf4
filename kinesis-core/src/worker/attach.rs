//! Attaching: who subscribes is written down once, with its start pinned, so that every restart starts the same way.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::broken::{self, Part};
use crate::error::{ErrorKind, Result};
use crate::feed::Start;
use crate::lease::{Cursor, CursorPosition, Lease, LeaseStore, SubscriptionRecord};
use crate::pipeline::Subscription;
use crate::shard::{Shard, ShardId, StartPosition};
use crate::sink::SubscriptionName;
use crate::source::StreamSource;

/// Reads who subscribes, and writes down the subscriptions that are new.
pub(super) async fn attach(
    source: &dyn StreamSource,
    store: &dyn LeaseStore,
    subscriptions: &[Arc<Subscription>],
    listing: &[Shard],
) -> Result<BTreeMap<SubscriptionName, SubscriptionRecord>> {
    // Pinned at one place, they share one reader from the beginning. One by one, each tip would lie a little behind the one
    // before, and no time tells how little.
    let mut tips = None;
    loop {
        let stored = store.subscriptions().await?;
        let of_stream = stored.into_iter().filter(|record| record.stream == *source.stream());
        let known: BTreeMap<_, _> = of_stream.map(|record| (record.name.clone(), record)).collect();
        let is_new =
            |subscription: &&Arc<Subscription>| known.get(&subscription.name).is_none_or(|record| record.forgotten);
        let Some(new) = subscriptions.iter().find(is_new) else {
            return Ok(known);
        };
        let forgotten = known.get(&new.name);
        let resumes = broken::is(Part::ForgottenResumes);
        let next = |record: &SubscriptionRecord| if resumes { record.generation - 1 } else { record.next_generation() };
        let generation = forgotten.map_or(1, next);
        let listing =
            if new.start == StartPosition::Latest { begun(source, store, listing).await? } else { listing.to_vec() };
        let record = starting_at(source, &new.name, new.start, generation, &listing, &mut tips).await?;
        // Whether ours was written or somebody else's was first: the next reading says which holds.
        store.put_subscription(forgotten, &record).await?;
    }
}

/// The shards that count as there already. Where a program without subscriptions left its rows, shards that it has not begun
/// with came after it: their records would be missed at their tips.
async fn begun(source: &dyn StreamSource, store: &dyn LeaseStore, listing: &[Shard]) -> Result<Vec<Shard>> {
    let mut rows = store.list().await?;
    rows.retain(|row| row.key.stream == *source.stream());
    let others = rows.iter().any(|row| row.inherited.is_some());
    let has_row = |shard: &&Shard| !others || rows.iter().any(|row| row.key.shard == shard.id);
    Ok(listing.iter().filter(has_row).cloned().collect())
}

/// Where each shard is read from.
type Pins = BTreeMap<ShardId, StartPosition>;

/// The record of a subscription that starts at `start` on all shards of `listing`, its tips pinned: at `tips`, once these
/// are known.
pub(super) async fn starting_at(
    source: &dyn StreamSource,
    name: &SubscriptionName,
    start: StartPosition,
    generation: u64,
    listing: &[Shard],
    tips: &mut Option<Pins>,
) -> Result<SubscriptionRecord> {
    let shards = listing.iter().map(|shard| shard.id.clone());
    let mut record = SubscriptionRecord::new(source.stream(), name.clone(), start, shards);
    record.generation = generation;
    if start == StartPosition::Latest && !broken::is(Part::LatestNotPinned) {
        record.pins = match tips {
            Some(tips) => tips.clone(),
            None => tips.insert(pin_tips(source, listing).await?).clone(),
        };
    }
    Ok(record)
}

/// Asks for each open shard where its tip is now. A source that cannot say leaves the shard out.
async fn pin_tips(source: &dyn StreamSource, listing: &[Shard]) -> Result<Pins> {
    let mut pins = Pins::new();
    // Reading a pipe takes its records away, so its tip cannot be looked at.
    let open = listing.iter().filter(|shard| !shard.closed && source.caps().replayable);
    // For all of them together: the shards of a source that never says would take minutes.
    let patience = Patience::begin(source);
    for shard in open {
        match pin_tip(source, &shard.id, patience).await {
            Ok(pin) => pins.extend(pin.map(|pin| (shard.id.clone(), pin))),
            // The stream has let it go since it was listed.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(pins)
}

/// Until when a source may say where its tips are. A reader that parks should do so at once. One that does not is waited
/// for a little: without a place, what is put before the shard is first read would be passed over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience(Option<Instant>);

impl Patience {
    const OF_A_READER_THAT_PARKS: Duration = Duration::from_secs(5);

    pub(super) fn begin(source: &dyn StreamSource) -> Self {
        Self(source.caps().parks.then(|| Instant::now() + Self::OF_A_READER_THAT_PARKS))
    }

    /// What comes in time; something that is ready does, even after that.
    async fn wait<T>(self, future: impl Future<Output = T>) -> Option<T> {
        match self.0 {
            Some(until) => timeout_at(until, future).await.ok(),
            None => Some(future.await),
        }
    }
}

/// Where the tip of a shard is now; `None` when the source cannot say.
pub(super) async fn pin_tip(
    source: &dyn StreamSource,
    shard: &ShardId,
    patience: Patience,
) -> Result<Option<StartPosition>> {
    let mut reader = source.open_shard(shard, StartPosition::Latest).await?;
    // An empty answer need not tell the place. Five are a second's worth of reads on Kinesis.
    for _ in 0..5 {
        let batch = match patience.wait(reader.next_batch(NonZeroUsize::MIN)).await {
            None => return Ok(None),
            Some(Ok(batch)) => batch,
            // Nothing is pinned yet, so the tip of now is as good as the one that expired.
            Some(Err(error)) if error.kind() == ErrorKind::PositionExpired => {
                reader = source.open_shard(shard, StartPosition::Latest).await?;
                continue;
            }
            Some(Err(error)) => return Err(error),
        };
        let met = batch.records.first().map(|record| StartPosition::At(record.sequence_number));
        if let Some(pin) = met.or(batch.resume) {
            return Ok(Some(pin));
        }
    }
    Ok(None)
}

/// Where a subscription is on a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is done with the shard.
    Finished,
    /// It has a cursor.
    Reading(Start),
    /// It has not begun.
    Unread(Start),
}

impl Place {
    pub(crate) fn of(record: &SubscriptionRecord, shard: &ShardId, closed: bool, row: Option<&Lease>) -> Self {
        let stored = row.and_then(|row| row.cursors.get(&record.name));
        let any = broken::is(Part::CursorIgnoresGeneration);
        if let Some(cursor) = stored.filter(|cursor| any || cursor.generation == record.generation_on(shard)) {
            return match cursor.position {
                CursorPosition::End => Self::Finished,
                CursorPosition::Next(position) => Self::Reading(Start::new(position, cursor.arrived_at)),
            };
        }
        // A subscription that was never sought goes on where a program without subscriptions stopped, wherever it starts.
        let inherited = row.and_then(|row| row.inherited).filter(|_| stored.is_none());
        if let Some(position) = inherited.filter(|_| record.generation_on(shard) == 1) {
            return match position {
                CursorPosition::End => Self::Finished,
                CursorPosition::Next(StartPosition::TrimHorizon) => {
                    Self::Unread(Start::new(StartPosition::TrimHorizon, None))
                }
                CursorPosition::Next(position) => Self::Reading(Start::new(position, None)),
            };
        }
        match record.pins.get(shard) {
            Some(pin) => Self::Unread(Start::new(*pin, None)),
            None if !record.shards.contains(shard) && broken::is(Part::ChildOpenedAtTip) => {
                Self::Unread(Start::new(StartPosition::Latest, None))
            }
            // A shard born after the attach is read from its beginning: its records were put after the attach, too.
            None if !record.shards.contains(shard) => Self::Unread(Start::new(StartPosition::TrimHorizon, None)),
            None if record.start == StartPosition::Latest && closed => Self::Finished,
            None => Self::Unread(Start::new(record.start, None)),
        }
    }

    /// The cursor that a lane begins with.
    pub(super) fn cursor(&self, generation: u64) -> Cursor {
        match self {
            Self::Finished => Cursor::new(generation, CursorPosition::End),
            Self::Reading(start) | Self::Unread(start) => {
                Cursor::new(generation, CursorPosition::Next(start.position)).with_arrived_at(start.arrived_at)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::Progress;
    use crate::wrap::scripted::{Scripted, empty, fails};
    use crate::{Batch, Error, SequenceNumber, StreamId};

    fn record(start: StartPosition) -> SubscriptionRecord {
        SubscriptionRecord::new(&StreamId::new("s"), "audit".into(), start, [ShardId::from("0")])
    }

    fn row(generation: u64, position: CursorPosition) -> Lease {
        let mut row = Lease::new(&StreamId::new("s"), &Shard::new("0"));
        row.apply(&Progress::new([("audit".into(), Cursor::new(generation, position))]));
        row
    }

    #[test]
    fn a_shard_born_after_the_attach_is_read_from_its_beginning() {
        let record = record(StartPosition::Latest);
        let place = Place::of(&record, &ShardId::from("1"), false, None);
        assert_eq!(place, Place::Unread(Start::new(StartPosition::TrimHorizon, None)));
        assert_eq!(Place::of(&record, &ShardId::from("0"), true, None), Place::Finished, "closed before the attach");
        // Sought by itself later, it was still read from its beginning.
        let after = StartPosition::After(SequenceNumber::from(7));
        let sought = SubscriptionRecord { pins: [(ShardId::from("1"), after)].into(), ..record };
        let place = Place::of(&sought, &ShardId::from("1"), false, None);
        assert_eq!(place, Place::Unread(Start::new(after, None)));
    }

    /// One empty answer that told no place left the tip unpinned: what was put until the shard was read was lost, and on a
    /// shard that closed before, all of it. A reader that expired ended the run.
    #[tokio::test(start_paused = true)]
    async fn the_tip_is_asked_for_again() {
        let resume = StartPosition::After(SequenceNumber::from(7));
        let expired = Error::new(ErrorKind::PositionExpired, "expired");
        let tells = Some(Ok(Batch::empty().with_resume(resume)));
        let source = Scripted::new(["0", "1"]).then("0", empty()).then("0", fails(expired)).then("0", tells);
        let pin = async |shard: &str| pin_tip(&source, &shard.into(), Patience::begin(&source)).await.unwrap();
        assert_eq!((pin("0").await, pin("1").await), (Some(resume), None), "the second never says");
    }

    #[test]
    fn a_cursor_of_an_older_generation_is_void() {
        let mut record = record(StartPosition::TrimHorizon);
        let after = StartPosition::After(SequenceNumber::from(7));
        let (old, zero) = (row(1, CursorPosition::Next(after)), ShardId::from("0"));
        assert_eq!(Place::of(&record, &zero, false, Some(&old)), Place::Reading(Start::new(after, None)));
        assert_eq!(Place::of(&record, &zero, false, Some(&row(1, CursorPosition::End))), Place::Finished);
        record.generation = 2;
        let begin = Place::Unread(Start::new(StartPosition::TrimHorizon, None));
        assert_eq!(Place::of(&record, &zero, false, Some(&old)), begin);
    }

    #[test]
    fn a_subscription_goes_on_where_a_program_without_subscriptions_stopped() {
        let (zero, after) = (ShardId::from("0"), StartPosition::After(SequenceNumber::from(7)));
        let mut row = Lease::new(&StreamId::new("s"), &Shard::new("0"));
        let mut record = record(StartPosition::Latest);
        record.pins.insert(zero.clone(), StartPosition::At(SequenceNumber::from(9)));
        let place = |record: &_, row: &Lease| Place::of(record, &zero, false, Some(row));
        for (inherited, wanted) in [
            (CursorPosition::Next(after), Place::Reading(Start::new(after, None))),
            (
                CursorPosition::Next(StartPosition::TrimHorizon),
                Place::Unread(Start::new(StartPosition::TrimHorizon, None)),
            ),
            (CursorPosition::End, Place::Finished),
        ] {
            row.inherited = Some(inherited);
            assert_eq!(place(&record, &row), wanted);
        }
        // Sought since, it starts where it was sought to.
        record.generation = 2;
        let pinned = Place::Unread(Start::new(StartPosition::At(SequenceNumber::from(9)), None));
        assert_eq!(place(&record, &row), pinned);
    }

    /// The tip of a shard that a program without subscriptions has not begun with would leave out what was put since it split.
    #[tokio::test(start_paused = true)]
    async fn beside_the_rows_of_another_program_a_shard_without_one_is_read_from_its_beginning() {
        let listing = ["0", "1"].map(Shard::new);
        for (inherited, attached) in [(None, vec!["0", "1"]), (Some(CursorPosition::End), vec!["0"])] {
            let (source, store) = (Scripted::new(["0", "1"]), crate::MemoryLeaseStore::new());
            let mut row = Lease::new(source.stream(), &listing[0]);
            row.inherited = inherited;
            store.create(&row).await.unwrap();
            let new = Subscription::new("audit", crate::handler(|_| async {})).start_at(StartPosition::Latest);
            let records = attach(&source, &store, &[Arc::new(new)], &listing).await.unwrap();
            let shards: Vec<&str> = records["audit"].shards.iter().map(|shard| &**shard).collect();
            assert_eq!(shards, attached);
        }
    }
}
