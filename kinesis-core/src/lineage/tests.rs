//! Every shard is read in the end, and none before its parents, whatever the history and whatever the source claims.

use super::*;
use proptest::prelude::*;
use proptest::sample::Index;

fn id(n: usize) -> ShardId {
    ShardId::from(format!("shard-{n:03}"))
}

fn ids<'a>(shards: impl IntoIterator<Item = &'a ShardId>) -> Vec<&'a str> {
    shards.into_iter().map(ShardId::as_str).collect()
}

fn shard(name: &str, parents: &[&str]) -> Shard {
    Shard::new(name).with_parents(parents.iter().map(|parent| ShardId::from(*parent)))
}

/// A subscription that finished these shards and holds no row of any other.
fn finished(these: &BTreeSet<ShardId>) -> impl Fn(&ShardId) -> Standing + '_ {
    |shard| if these.contains(shard) { Standing::Finished } else { Standing::Missing }
}

/// A stream that splits, merges and forgets, and what really came from what.
#[derive(Debug, Default)]
struct Stream {
    shards: Vec<Shard>,
    trimmed: BTreeSet<ShardId>,
}

impl Stream {
    fn add(&mut self, parents: &[ShardId]) -> Shard {
        let shard = Shard::new(id(self.shards.len())).with_parents(parents.iter().cloned());
        self.shards.push(shard.clone());
        shard
    }

    fn open(&self) -> Vec<ShardId> {
        self.shards.iter().filter(|shard| !shard.closed).map(|shard| shard.id.clone()).collect()
    }

    fn close(&mut self, shards: &[ShardId]) {
        for shard in self.shards.iter_mut().filter(|shard| shards.contains(&shard.id)) {
            shard.closed = true;
        }
    }

    fn is_closed(&self, id: &ShardId) -> bool {
        self.shards.iter().any(|shard| shard.id == *id && shard.closed)
    }

    fn end_of(&self, parent: &ShardId) -> ShardEnd {
        ShardEnd::new(self.shards.iter().filter(|shard| shard.parents.contains(parent)).cloned().collect())
    }

    fn listing(&self) -> Vec<Shard> {
        self.shards.iter().filter(|shard| !self.trimmed.contains(&shard.id)).cloned().collect()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Split(Index),
    Merge(Index),
    /// The oldest closed shard leaves retention, read or not.
    Trim,
    List,
    Start(Index),
    /// A shard is read to its end, which may leave the children out.
    Finish(Index, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => any::<Index>().prop_map(Step::Split),
        2 => any::<Index>().prop_map(Step::Merge),
        1 => Just(Step::Trim),
        3 => Just(Step::List),
        4 => any::<Index>().prop_map(Step::Start),
        4 => (any::<Index>(), any::<bool>()).prop_map(|(index, told)| Step::Finish(index, told)),
    ]
}

/// One subscription that reads the stream by what the lineage says.
#[derive(Debug, Default)]
struct Reading {
    lineage: Lineage,
    started: BTreeSet<ShardId>,
    finished: BTreeSet<ShardId>,
}

impl Reading {
    fn standing(&self, shard: &ShardId) -> Standing {
        match (self.started.contains(shard), self.finished.contains(shard)) {
            (_, true) => Standing::Finished,
            (true, false) => Standing::Reading,
            (false, false) => Standing::Missing,
        }
    }

    fn startable(&self) -> Vec<ShardId> {
        let readable = self.lineage.readable(|shard| self.standing(shard));
        readable.filter(|shard| !self.started.contains(*shard)).cloned().collect()
    }

    fn start(&mut self, shard: &ShardId, stream: &Stream) {
        let truth = stream.shards.iter().find(|known| known.id == *shard).unwrap();
        for parent in &truth.parents {
            let done = self.finished.contains(parent) || stream.trimmed.contains(parent);
            assert!(done, "{shard} started before its parent {parent} was finished");
        }
        assert!(self.started.insert(shard.clone()), "{shard} started twice");
    }

    fn endable(&self, stream: &Stream) -> Vec<ShardId> {
        self.started.difference(&self.finished).filter(|shard| stream.is_closed(shard)).cloned().collect()
    }

    fn finish(&mut self, shard: &ShardId, told: bool, stream: &Stream) {
        self.finished.insert(shard.clone());
        let end = if told { stream.end_of(shard) } else { ShardEnd::default() };
        self.lineage.observe_end(shard, &end);
    }
}

proptest! {
    #[test]
    fn every_shard_starts_in_the_end_and_never_before_its_parents(steps in prop::collection::vec(step(), 1..120)) {
        let mut stream = Stream::default();
        let mut reading = Reading::default();
        for _ in 0..2 {
            stream.add(&[]);
        }
        let pick = |from: Vec<ShardId>, index: Index| (!from.is_empty()).then(|| index.get(&from).clone());
        for step in steps {
            match step {
                Step::Split(index) => {
                    let parent = index.get(&stream.open()).clone();
                    stream.close(std::slice::from_ref(&parent));
                    stream.add(std::slice::from_ref(&parent));
                    stream.add(&[parent]);
                }
                Step::Merge(index) => {
                    let open = stream.open();
                    let at = index.index(open.len());
                    if let Some(pair) = open.get(at..at + 2) {
                        stream.close(pair);
                        stream.add(pair);
                    }
                }
                Step::Trim => {
                    let listing = stream.listing();
                    if let Some(oldest) = listing.first().filter(|shard| shard.closed) {
                        stream.trimmed.insert(oldest.id.clone());
                    }
                }
                Step::List => reading.lineage.observe_listing(&stream.listing()),
                Step::Start(index) => {
                    if let Some(shard) = pick(reading.startable(), index) {
                        reading.start(&shard, &stream);
                    }
                }
                Step::Finish(index, told) => {
                    if let Some(shard) = pick(reading.endable(&stream), index) {
                        reading.finish(&shard, told, &stream);
                    }
                }
            }
        }
        stream.close(&stream.open());
        reading.lineage.observe_listing(&stream.listing());
        loop {
            let (starting, ending) = (reading.startable(), reading.endable(&stream));
            if starting.is_empty() && ending.is_empty() {
                break;
            }
            starting.iter().for_each(|shard| reading.start(shard, &stream));
            ending.iter().for_each(|shard| reading.finish(shard, false, &stream));
        }
        for shard in stream.listing() {
            prop_assert!(reading.finished.contains(&shard.id), "{} was never read", shard.id);
        }
    }

    /// A source may claim anything: circles, shards that are their own parents, parents that never were.
    #[test]
    fn whatever_a_source_claims_nothing_hangs_and_every_shard_starts(
        claims in prop::collection::vec((0..12usize, prop::collection::vec(0..15usize, 0..4)), 1..40),
    ) {
        let claims: Vec<Shard> = claims.iter()
            .map(|(child, parents)| Shard::new(id(*child)).with_parents(parents.iter().copied().map(id)))
            .collect();
        let mut lineage = Lineage::new();
        lineage.observe_listing(&claims);
        let mut done = BTreeSet::new();
        loop {
            let Some(next) = lineage.readable(finished(&done)).next().cloned() else { break };
            prop_assert!(!lineage.ancestors(&next).contains(&next));
            prop_assert!(!lineage.descendants(&next).contains(&next));
            done.insert(next);
        }
        prop_assert_eq!(done.iter().collect::<Vec<_>>(), lineage.shards().collect::<Vec<_>>());
        lineage.observe_listing(&[]);
        prop_assert!(lineage.nodes.is_empty() && lineage.children.is_empty(), "something is remembered for ever");
    }
}

/// Shard a was split into b and c, which were merged into d.
fn diamond() -> Lineage {
    let mut lineage = Lineage::new();
    lineage.observe_listing(&[shard("d", &["b", "c"]), shard("c", &["a"]), shard("b", &["a"]), shard("a", &[])]);
    lineage
}

#[test]
fn kin_is_found_in_both_directions() {
    let lineage = diamond();
    let [a, d] = ["a", "d"].map(ShardId::from);
    assert_eq!(ids(lineage.parents(&d)), ["b", "c"]);
    assert_eq!(ids(lineage.children(&a)), ["b", "c"]);
    assert_eq!(ids(lineage.ancestors(&d)), ["a", "b", "c"]);
    assert_eq!(ids(lineage.descendants(&a)), ["b", "c", "d"]);
    assert_eq!(ids(lineage.missing(|shard| *shard != "c")), ["c"]);
}

#[test]
fn a_merge_waits_for_both_parents() {
    let lineage = diamond();
    let mut done: BTreeSet<ShardId> = [ShardId::from("a"), ShardId::from("b")].into();
    assert_eq!(ids(lineage.readable(finished(&done))), ["c"]);
    done.insert(ShardId::from("c"));
    assert_eq!(ids(lineage.readable(finished(&done))), ["d"]);
}

#[test]
fn a_parent_beyond_retention_blocks_only_while_it_was_being_read() {
    let mut lineage = diamond();
    lineage.observe_listing(&[shard("b", &["a"]), shard("c", &["a"])]);
    let b = ShardId::from("b");
    assert!(lineage.may_start(&b, |_| Standing::Missing));
    assert!(!lineage.may_start(&b, |shard| if *shard == "a" { Standing::Reading } else { Standing::Missing }));
    // A row without a cursor kept the children waiting for ever: nobody can read the shard any more.
    assert!(lineage.may_start(&b, |shard| if *shard == "a" { Standing::Unread } else { Standing::Missing }));
}

#[test]
fn a_cursor_in_a_descendant_finishes_a_shard_without_a_row() {
    let lineage = diamond();
    let [a, b, c] = ["a", "b", "c"].map(ShardId::from);
    let read_d = |shard: &ShardId| if *shard == "d" { Standing::Reading } else { Standing::Missing };
    assert!([&a, &b, &c].iter().all(|shard| lineage.is_finished(shard, read_d)));
    assert_eq!(ids(lineage.readable(read_d)), ["d"]);

    // A row without a cursor says that the shard is still to be read, whatever the descendants say.
    let unread_b = |shard: &ShardId| if *shard == "b" { Standing::Unread } else { read_d(shard) };
    assert_eq!(ids(lineage.readable(unread_b)), ["b"]);
    assert!(!lineage.may_start(&ShardId::from("d"), unread_b));
}

#[test]
fn a_child_that_was_announced_outlives_a_listing_that_lags() {
    let mut lineage = Lineage::new();
    lineage.observe_listing(&[shard("a", &[])]);
    // This source does not repeat in the child whose child it is.
    lineage.observe_end(&ShardId::from("a"), &ShardEnd::new(vec![shard("b", &[])]));
    lineage.observe_listing(&[shard("a", &[])]);
    assert_eq!(ids(lineage.children(&ShardId::from("a"))), ["b"]);
    let done = [ShardId::from("a")].into();
    assert_eq!(ids(lineage.readable(finished(&done))), ["b"]);
    lineage.observe_listing(&[shard("b", &["a"])]);
    lineage.observe_listing(&[]);
    assert_eq!(lineage.shards().count(), 0);
}

#[test]
fn a_parent_that_no_listing_had_time_to_name_is_not_taken_for_expired() {
    // Shard x was split, its child b and shard a were merged into c, and a ended, all since the last listing. C once
    // started here, because b was unknown and so seemed to be beyond retention.
    let mut lineage = Lineage::new();
    lineage.observe_listing(&[shard("a", &[]), shard("x", &[])]);
    lineage.observe_end(&ShardId::from("a"), &ShardEnd::new(vec![shard("c", &["a", "b"])]));
    let mut done = [ShardId::from("a")].into();
    assert_eq!(ids(lineage.announced()), ["c"]);
    assert_eq!(ids(lineage.readable(finished(&done))), ["x"]);
    lineage.observe_listing(&[shard("a", &[]), shard("b", &["x"]), shard("c", &["a", "b"]), shard("x", &[])]);
    assert_eq!(ids(lineage.announced()), [""; 0]);
    done.insert(ShardId::from("x"));
    assert_eq!(ids(lineage.readable(finished(&done))), ["b"]);
}

#[test]
fn an_announced_shard_that_expired_before_it_was_listed_blocks_nobody() {
    // Shards a and b were merged into c, which was split into d and e; by the time of the next listing c was gone. D and
    // e once waited for it for ever.
    let mut lineage = Lineage::new();
    lineage.observe_listing(&[shard("a", &[]), shard("b", &[])]);
    lineage.observe_end(&ShardId::from("a"), &ShardEnd::new(vec![shard("c", &["a", "b"])]));
    lineage.observe_listing(&[shard("d", &["c"]), shard("e", &["c"])]);
    assert!(lineage.is_beyond_retention(&ShardId::from("c")));
    assert_eq!(ids(lineage.readable(|_| Standing::Missing)), ["d", "e"]);
}

#[test]
fn a_circle_is_cut_where_it_would_close() {
    let mut lineage = Lineage::new();
    lineage.observe_listing(&[shard("a", &["a", "c"]), shard("b", &["a"]), shard("c", &["b"])]);
    assert_eq!(ids(lineage.ancestors(&ShardId::from("b"))), ["a", "c"]);
    assert_eq!(ids(lineage.parents(&ShardId::from("c"))), [""; 0]);
}
