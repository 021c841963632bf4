//! What is left of a delivery, in lines: within a line one part waits for the one before it, lines do not wait for each
//! other.
//!
//! A delivery begins as one line. When a record has been found to fail alone, it keeps what must stay behind it and the
//! rest becomes a line of its own: a poison record holds its key, not its neighbours.

use tokio::time::Instant;

use super::verdict::Verdict;
use super::{History, Holds};
use crate::broken::{self, Part};
use crate::sink::Delivery;

/// A part of a delivery that is tried together.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) delivery: Delivery,
    /// How often each record was tried and failed; empty before the first failure.
    pub(super) attempts: Vec<u32>,
    /// Failures in a row, which the wait grows with.
    pub(super) failures: u32,
    /// Whether it is a half of something that failed as a whole.
    pub(super) halved: bool,
}

impl Work {
    fn new(delivery: Delivery, history: Option<History>) -> Self {
        match history {
            None => Self { delivery, attempts: Vec::new(), failures: 0, halved: false },
            Some(History { attempts, failures, .. }) => {
                let attempt = attempts.max(failures).saturating_add(1);
                let attempts = vec![attempts; delivery.len()];
                Self { delivery: delivery.with_attempt(attempt), attempts, failures, halved: false }
            }
        }
    }

    pub(super) fn with_attempts(mut self) -> Self {
        self.attempts.resize(self.delivery.len(), 0);
        self
    }

    /// Puts what is to be tried again on top of `line`, in halves where it failed as a whole.
    pub(super) fn push_rest(&self, verdict: &Verdict, line: &mut Line) {
        let progressed = !verdict.delivered.is_empty() || !verdict.rejected.is_empty();
        let failures = if progressed { 1 } else { self.failures + 1 };
        if verdict.halve {
            let (mut first, mut second) = verdict.again.split_at(verdict.again.len() / 2);
            if broken::is(Part::HalvingReorders) {
                (first, second) = (second, first);
            }
            line.works.push(Self { failures, halved: true, ..self.part(second) });
            line.works.push(Self { failures, halved: true, ..self.part(first) });
        } else {
            line.works.push(Self { failures, ..self.part(&verdict.again) });
        }
    }

    fn part(&self, nths: &[usize]) -> Self {
        let mut attempts: Vec<u32> = nths.iter().filter_map(|nth| self.attempts.get(*nth).copied()).collect();
        attempts.resize(nths.len(), 0);
        // The one that was just made counts in both.
        let made = attempts.iter().copied().max().unwrap_or_default().max(self.failures + 1);
        let delivery = self.delivery.subset(nths).without_neighbours().with_attempt(made.saturating_add(1));
        Self { delivery, attempts, failures: self.failures, halved: self.halved }
    }

    /// Parts the records whose key hash is `key` from the others.
    fn divide(&self, key: Option<u64>) -> (Option<Self>, Option<Self>) {
        let same = |hash: u64| key == Some(hash);
        let (behind, free): (Vec<_>, Vec<_>) =
            self.delivery.key_hashes().enumerate().partition(|(_, hash)| same(*hash));
        let part = |nths: Vec<(usize, u64)>| {
            let nths: Vec<usize> = nths.into_iter().map(|(nth, _)| nth).collect();
            (!nths.is_empty()).then(|| self.part(&nths))
        };
        (part(behind), part(free))
    }
}

/// Parts in turn, the next on top.
#[derive(Debug)]
pub(super) struct Line {
    works: Vec<Work>,
    /// When the next part may be tried; `None`: at once. A timer costs up to a millisecond even when it is due.
    pub(super) due: Option<Instant>,
}

/// Every line of a delivery.
#[derive(Debug)]
pub(super) struct Lines(Vec<Line>);

impl Lines {
    pub(super) fn new(delivery: Delivery, history: Option<History>) -> Self {
        let due = history.and_then(|history| history.due);
        Self(vec![Line { works: vec![Work::new(delivery, history)], due }])
    }

    /// Takes out the line that is due first, and its next part.
    pub(super) fn next(&mut self) -> Option<(Line, Work)> {
        let (index, _) = self.0.iter().enumerate().min_by_key(|(_, line)| line.due)?;
        let mut line = self.0.remove(index);
        let work = line.works.pop()?;
        Some((line, work))
    }

    /// Puts back what [`next`](Self::next) took.
    pub(super) fn put_back_first(&mut self, mut line: Line, work: Work) {
        line.works.push(work);
        self.put_back(line);
    }

    /// Everything that is left, with what each record has been through; nothing, where none was tried before.
    pub(super) fn returned(self, first_tried: Option<Instant>) -> Vec<(Delivery, Vec<Option<History>>)> {
        let returned = |(work, due): (Work, Option<Instant>)| {
            let history = |nth: usize| {
                let attempts = work.attempts.get(nth).copied().unwrap_or_default();
                first_tried.map(|first_tried| History { attempts, failures: work.failures, first_tried, due })
            };
            let histories = (0..work.delivery.len()).map(history).collect();
            (work.delivery, histories)
        };
        let lines = self.0.into_iter();
        // Only the part on top of a line has a time; what comes after it waits for it alone.
        let works = lines.flat_map(|line| {
            let top = line.works.len() - 1;
            line.works.into_iter().enumerate().map(move |(nth, work)| (work, line.due.filter(|_| nth == top)))
        });
        works.map(returned).collect()
    }

    pub(super) fn put_back(&mut self, line: Line) {
        if !line.works.is_empty() {
            self.0.push(line);
        }
    }

    /// Puts a line back whose last attempt left something; frees the others from a record that failed alone.
    pub(super) fn put_back_split(&mut self, mut line: Line, holds: Holds) {
        let alone = line.works.last().is_some_and(|work| work.delivery.len() == 1 && work.failures > 0);
        if !alone || line.works.len() == 1 || holds == Holds::Shard {
            return self.put_back(line);
        }
        let poison = line.works.pop().expect("a record that failed alone is on top");
        let key = poison.delivery.key_hashes().next().filter(|_| holds == Holds::Key);
        let (behind, free): (Vec<_>, Vec<_>) = line.works.iter().map(|work| work.divide(key)).unzip();
        let mut behind: Vec<Work> = behind.into_iter().flatten().collect();
        behind.push(poison);
        self.put_back(Line { works: behind, due: line.due });
        self.put_back(Line { works: free.into_iter().flatten().collect(), due: None });
    }
}
