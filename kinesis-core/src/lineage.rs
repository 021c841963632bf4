//! Which shard came from which, and so which may be read already: the order of splits and merges.
//!
//! Records of a key move from a parent to its child, so a child is read after its parents. What is known of the family
//! comes from listings and from the ends of parents, each of which may leave something out. Pure: it asks nobody.

use std::collections::{BTreeMap, BTreeSet};

use crate::shard::{Shard, ShardId};
use crate::source::ShardEnd;

/// How far a subscription is with a shard, as far as the store can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Standing {
    /// The shard has no row.
    Missing,
    /// The shard has a row, without a cursor of the subscription.
    Unread,
    /// The subscription has a cursor in the shard.
    Reading,
    /// The subscription has settled the shard to its end.
    Finished,
}

/// The shards of a stream and their descent, as a source told it so far.
///
/// A shard is known from the moment it is observed until it is beyond retention: when a listing omits it that had been
/// listed before, or names a descendant of it without naming it. A shard that was only announced by the end of a parent
/// stays known otherwise, because a listing may lag.
///
/// Descent is free of circles, whatever a source claims: a parent that would close one is not taken in.
///
/// ```
/// use kinesis_core::lineage::{Lineage, Standing};
/// use kinesis_core::{Shard, ShardId};
///
/// let (parent, child) = (ShardId::from("0"), ShardId::from("1"));
/// let mut lineage = Lineage::new();
/// lineage.observe_listing(&[Shard::new("0"), Shard::new("1").with_parents([parent.clone()])]);
/// assert!(!lineage.may_start(&child, |_| Standing::Unread));
/// assert!(lineage.may_start(&child, |shard| if *shard == parent { Standing::Finished } else { Standing::Unread }));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Lineage {
    nodes: BTreeMap<ShardId, Node>,
    /// The reverse of [`Node::parents`]; its keys may be shards that nobody has described.
    children: BTreeMap<ShardId, BTreeSet<ShardId>>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    parents: BTreeSet<ShardId>,
    state: State,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Named by the end of a parent, and by no listing yet.
    #[default]
    Announced,
    /// Named by the last listing.
    Listed,
    /// Beyond retention. Remembered without its parents, and only while a child is known.
    Gone,
}

impl Lineage {
    /// A lineage that knows no shard.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in one shard that somebody named, a listing aside.
    pub fn observe(&mut self, shard: &Shard) {
        self.nodes.entry(shard.id.clone()).or_default();
        for parent in &shard.parents {
            self.descend(parent, &shard.id);
        }
    }

    /// Takes in the end of `parent` and the children that carry on, whether or not they name it as their parent.
    pub fn observe_end(&mut self, parent: &ShardId, end: &ShardEnd) {
        for child in &end.children {
            self.observe(child);
            self.descend(parent, &child.id);
        }
    }

    /// Takes in a whole listing.
    pub fn observe_listing(&mut self, listing: &[Shard]) {
        for shard in listing {
            self.nodes.entry(shard.id.clone()).or_default().state = State::Listed;
            self.observe(shard);
        }
        let listed: BTreeSet<&ShardId> = listing.iter().map(|shard| &shard.id).collect();
        let omitted = self.shards().filter(|shard| !listed.contains(shard));
        let is_gone = |shard: &&ShardId| {
            self.is(shard, State::Listed) || self.descendants(shard).iter().any(|shard| listed.contains(shard))
        };
        let gone: Vec<ShardId> = omitted.filter(is_gone).cloned().collect();
        for shard in &gone {
            self.forget(shard);
        }
    }

    /// The shards that are known, in the order of their ids.
    pub fn shards(&self) -> impl Iterator<Item = &ShardId> {
        self.nodes.iter().filter(|(_, node)| node.state != State::Gone).map(|(shard, _)| shard)
    }

    /// The known shards that no listing has named yet. A new listing may tell more about them and their parents.
    pub fn announced(&self) -> impl Iterator<Item = &ShardId> {
        self.shards().filter(|shard| self.is(shard, State::Announced))
    }

    /// Whether the shard is known: announced or listed, and still within retention.
    #[must_use]
    pub fn contains(&self, shard: &ShardId) -> bool {
        self.is(shard, State::Announced) || self.is(shard, State::Listed)
    }

    /// The shards that this one came from, known or not.
    pub fn parents<'a>(&'a self, shard: &ShardId) -> impl Iterator<Item = &'a ShardId> + use<'a> {
        self.nodes.get(shard).into_iter().flat_map(|node| &node.parents)
    }

    /// The known shards that came from this one.
    pub fn children<'a>(&'a self, shard: &ShardId) -> impl Iterator<Item = &'a ShardId> + use<'a> {
        self.children.get(shard).into_iter().flatten()
    }

    /// The parents, their parents and so on, as far back as is known.
    #[must_use]
    pub fn ancestors(&self, shard: &ShardId) -> BTreeSet<&ShardId> {
        closure(shard, |shard| self.parents(shard))
    }

    /// The children, their children and so on.
    #[must_use]
    pub fn descendants(&self, shard: &ShardId) -> BTreeSet<&ShardId> {
        closure(shard, |shard| self.children(shard))
    }

    /// The known shards without a row, in the order of their ids.
    pub fn missing<'a>(&'a self, has_row: impl Fn(&ShardId) -> bool + 'a) -> impl Iterator<Item = &'a ShardId> {
        self.shards().filter(move |shard| !has_row(shard))
    }

    /// Whether a subscription of this standing is done with `shard`.
    ///
    /// Where it has no cursor, it is done when the shard is beyond retention: there is nothing left to read.
    /// Where the row is missing, it is also done when it has a cursor in a descendant, where it could not have come
    /// otherwise.
    pub fn is_finished(&self, shard: &ShardId, standing: impl Fn(&ShardId) -> Standing) -> bool {
        match standing(shard) {
            Standing::Finished => true,
            Standing::Unread => self.is_beyond_retention(shard),
            // What it has not read is gone, which has to be told to it first.
            Standing::Reading => false,
            Standing::Missing => {
                let read = |shard: &&ShardId| matches!(standing(shard), Standing::Reading | Standing::Finished);
                self.is_beyond_retention(shard) || self.descendants(shard).iter().any(read)
            }
        }
    }

    /// Whether the source retains nothing of the shard any more: a listing omits it that named it before, or names a
    /// child without it.
    ///
    /// A child that was only announced proves nothing: its other parent may be younger than the last listing.
    #[must_use]
    pub fn is_beyond_retention(&self, shard: &ShardId) -> bool {
        self.is(shard, State::Gone)
            || !self.nodes.contains_key(shard) && self.children(shard).any(|child| self.is(child, State::Listed))
    }

    /// Whether a subscription of this standing is done with all parents of `shard`.
    pub fn may_start(&self, shard: &ShardId, standing: impl Fn(&ShardId) -> Standing) -> bool {
        self.parents(shard).all(|parent| self.is_finished(parent, &standing))
    }

    /// The shards that a subscription of this standing may read now: not finished, all their parents are.
    pub fn readable<'a>(&'a self, standing: impl Fn(&ShardId) -> Standing + 'a) -> impl Iterator<Item = &'a ShardId> {
        self.shards().filter(move |shard| !self.is_finished(shard, &standing) && self.may_start(shard, &standing))
    }

    fn is(&self, shard: &ShardId, state: State) -> bool {
        self.nodes.get(shard).is_some_and(|node| node.state == state)
    }

    /// Notes that `child` came from `parent`, unless that would close a circle.
    fn descend(&mut self, parent: &ShardId, child: &ShardId) {
        if parent == child || !self.contains(child) || self.ancestors(parent).contains(child) {
            return;
        }
        if let Some(node) = self.nodes.get_mut(child) {
            node.parents.insert(parent.clone());
            self.children.entry(parent.clone()).or_default().insert(child.clone());
        }
    }

    fn forget(&mut self, shard: &ShardId) {
        let Some(node) = self.nodes.get_mut(shard) else { return };
        node.state = State::Gone;
        for parent in std::mem::take(&mut node.parents) {
            let Some(siblings) = self.children.get_mut(&parent) else { continue };
            siblings.remove(shard);
            if siblings.is_empty() {
                self.children.remove(&parent);
                self.forget_childless(&parent);
            }
        }
        self.forget_childless(shard);
    }

    /// Nobody asks for a shard beyond retention but on behalf of its children.
    fn forget_childless(&mut self, shard: &ShardId) {
        if self.is(shard, State::Gone) && !self.children.contains_key(shard) {
            self.nodes.remove(shard);
        }
    }
}

/// Everything that `next` leads to from `start`, which itself is left out.
fn closure<'a, I: Iterator<Item = &'a ShardId>>(
    start: &ShardId,
    next: impl Fn(&ShardId) -> I,
) -> BTreeSet<&'a ShardId> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&'a ShardId> = next(start).collect();
    while let Some(shard) = open.pop() {
        if found.insert(shard) {
            open.extend(next(shard));
        }
    }
    found
}

#[cfg(test)]
mod tests;
