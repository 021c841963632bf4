//! Rows that nobody needs any more, so that a stream which is resharded for years does not fill its table.

use std::time::Duration;

use super::Shards;
use crate::lease::{CursorPosition, Lease, SubscriptionRecord};
use crate::shard::ShardId;
use crate::worker::Place;

impl Shards {
    /// The next row to remove: a parent's that the stream does not list any more, and whose parents have no row. So the
    /// family stays whole, whichever removal fails. One that has a holder, who would let it go at once if he were there,
    /// is left to him for a failover time.
    pub(in crate::worker) fn next_spent(&mut self, failover: Duration) -> Option<Lease> {
        let rows = self.gone.iter().filter_map(|shard| self.rows.get(shard));
        let spent = rows.filter(|row| {
            let parents = row.parents.iter().chain(self.lineage.parents(&row.key.shard));
            let mut parents = parents.filter(|parent| **parent != row.key.shard);
            self.is_spent(row) && !parents.any(|parent| self.rows.contains_key(parent))
        });
        let spent: Vec<Lease> = spent.cloned().collect();
        self.left_behind.keep(|shard| spent.iter().any(|row| row.key.shard == *shard));
        spent.into_iter().find(|row| row.owner.is_none() || self.left_behind.still_for(row) >= failover)
    }

    /// Whether there are rows to remove that are left to their holders for now.
    pub(in crate::worker) fn waits_for_removal(&self) -> bool {
        !self.left_behind.is_empty()
    }

    /// Takes in what became of removing a row; one that could not be removed has to wait for the next listing.
    pub(in crate::worker) fn spent(&mut self, shard: &ShardId, removed: bool) {
        self.gone.remove(shard);
        self.left_behind.forget(shard);
        if removed {
            self.rows.remove(shard);
        }
    }

    fn is_spent(&self, row: &Lease) -> bool {
        let shard = &row.key.shard;
        // A listing may lag behind a child that was just born; it has no children yet.
        let is_parent = !self.heirs(row).is_empty();
        let is_held_here = self.held.contains_key(shard);
        // What a program without subscriptions has not finished, it may come back to.
        let inherits = row.inherited.is_some_and(|position| position != CursorPosition::End);
        let knows_all = row.cursors.keys().all(|name| self.records.contains_key(name));
        let mut records = self.records.values().filter(|record| !record.forgotten);
        is_parent && !is_held_here && !inherits && knows_all && !records.any(|record| self.needs(record, row))
    }

    /// Whether a subscription would not know without the row that it is done with the shard.
    fn needs(&self, record: &SubscriptionRecord, row: &Lease) -> bool {
        let shard = &row.key.shard;
        match self.place(shard, &record.name, Some(row)) {
            Some(Place::Reading(_)) => true,
            // There is nothing left to read.
            Some(Place::Unread(_)) | None => false,
            Some(Place::Finished) => {
                let without = Place::of(record, shard, true, None) == Place::Finished;
                let begun =
                    |heir: &&Lease| !matches!(Place::of(record, &heir.key.shard, false, Some(heir)), Place::Unread(_));
                !without && !self.heirs(row).iter().any(begun)
            }
        }
    }

    /// The rows of the shards that came from that of a row, however far down.
    fn heirs(&self, row: &Lease) -> Vec<&Lease> {
        let mut heirs: Vec<&Lease> = Vec::new();
        let mut open = vec![row];
        while let Some(parent) = open.pop() {
            let is_child =
                |row: &&Lease| parent.children.contains(&row.key.shard) || row.parents.contains(&parent.key.shard);
            for child in self.rows.values().filter(is_child) {
                if child.key != row.key && !heirs.iter().any(|heir| heir.key == child.key) {
                    heirs.push(child);
                    open.push(child);
                }
            }
        }
        heirs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::{Cursor, Progress};
    use crate::sink::SubscriptionName;
    use crate::{SequenceNumber, Shard, StartPosition, StreamId};
    use tokio::time::advance;

    const FAILOVER: Duration = Duration::from_secs(10);
    const AFTER: CursorPosition = CursorPosition::Next(StartPosition::After(SequenceNumber::ZERO));

    fn row(shard: &Shard, cursor: Option<CursorPosition>) -> Lease {
        let mut row = Lease::new(&StreamId::new("s"), shard);
        row.apply(&Progress::new(cursor.map(|position| (SubscriptionName::from("audit"), Cursor::new(1, position)))));
        row
    }

    fn grandchild() -> Shard {
        Shard::new("2").with_parents(["1".into()])
    }

    /// What is known of these rows, when the stream lists shard 2 alone.
    fn shards(rows: impl IntoIterator<Item = Lease>) -> Shards {
        let mut shards = Shards::default();
        let born = ["0".into()];
        shards.set_record(SubscriptionRecord::new(
            &StreamId::new("s"),
            "audit".into(),
            StartPosition::TrimHorizon,
            born,
        ));
        shards.set_rows(rows);
        shards.list(&[grandchild()]);
        shards
    }

    /// What is removed of these rows, in turn.
    fn removed(rows: impl IntoIterator<Item = Lease>) -> Vec<String> {
        let mut shards = shards(rows);
        let next = || {
            let shard = shards.next_spent(FAILOVER)?.key.shard;
            shards.spent(&shard, true);
            Some(shard.to_string())
        };
        std::iter::from_fn(next).collect()
    }

    /// No row was ever removed: a stream that is resharded daily had hundreds after a year, and each look read them all.
    #[test]
    fn a_parents_row_goes_when_the_stream_does_not_list_it_any_more_the_oldest_first() {
        let child = || Shard::new("1").with_parents(["0".into()]);
        let end = Some(CursorPosition::End);
        let family = || vec![row(&Shard::new("0"), end), row(&child(), end), row(&grandchild(), Some(AFTER))];
        assert_eq!(removed(family()), ["0", "1"]);
        // Who has not begun with what came from it would not know that it is done.
        let mut unread = family();
        unread[2].cursors.clear();
        assert_eq!(removed(unread), ["0"]);
        // Who was in the middle of it has to be told what is lost; its children wait.
        let mut reading = family();
        reading[0] = row(&Shard::new("0"), Some(AFTER));
        assert_eq!(removed(reading), Vec::<String>::new());
        // One that is at work elsewhere, and not known here yet.
        let mut unknown = family();
        unknown[0].cursors.insert("new".into(), Cursor::new(1, AFTER));
        assert_eq!(removed(unknown), Vec::<String>::new());
        let mut inherited = family();
        (inherited[0].cursors, inherited[0].inherited) = (Default::default(), Some(AFTER));
        assert_eq!(removed(inherited), Vec::<String>::new());
    }

    /// Who crashed between storing the end of a shard and letting its lease go held the row for good, and the rows of all
    /// that came from it were kept for its sake.
    #[tokio::test(start_paused = true)]
    async fn a_row_that_somebody_holds_is_left_to_him_for_a_failover_time() {
        let held_by = |owner: Option<&str>, counter| {
            let mut row = row(&Shard::new("0"), Some(CursorPosition::End));
            (row.owner, row.counter) = (owner.map(Into::into), counter);
            [row, super::tests::row(&grandchild().with_parents(["0".into()]), Some(AFTER))]
        };
        let mut shards = shards(held_by(Some("other"), 1));
        let mut next = |rows| {
            shards.set_rows(rows);
            (shards.next_spent(FAILOVER).map(|row| row.counter), shards.waits_for_removal())
        };
        assert_eq!(next(held_by(Some("other"), 1)), (None, true));
        advance(FAILOVER - Duration::from_millis(1)).await;
        assert_eq!(next(held_by(Some("other"), 1)), (None, true));
        // He is there after all.
        assert_eq!(next(held_by(Some("other"), 2)), (None, true));
        advance(FAILOVER).await;
        assert_eq!(next(held_by(Some("other"), 2)), (Some(2), true));
        assert_eq!(next(held_by(None, 3)), (Some(3), true));
        shards.spent(&"0".into(), true);
        assert_eq!((shards.next_spent(FAILOVER), shards.waits_for_removal()), (None, false));
    }

    #[test]
    fn a_row_of_a_child_that_a_listing_does_not_know_yet_stays() {
        let newborn = Shard::new("3").with_parents(["2".into()]);
        assert_eq!(removed([row(&grandchild(), Some(AFTER)), row(&newborn, Some(AFTER))]), Vec::<String>::new());
    }
}
