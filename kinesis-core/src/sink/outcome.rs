//! What became of each record of a delivery.

use std::time::Duration;

/// What a sink says of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It arrived for good.
    Delivered,
    /// It did not arrive; try again. Counts as an attempt.
    Retry,
    /// The sink takes nothing at the moment; try again after a while. Not an attempt.
    Busy {
        /// How long the sink asks to wait, where it says so. Zero is for a record that was not tried because of one before
        /// it: it goes again with that one, or at once where that one is settled.
        after: Option<Duration>,
    },
    /// It will never be taken, however often it is tried.
    Rejected {
        /// Why, in one sentence for whoever reads the dead letter.
        reason: String,
    },
}

impl Outcome {
    /// A rejection with its reason.
    pub fn rejected(reason: impl Into<String>) -> Self {
        Self::Rejected { reason: reason.into() }
    }

    /// A sink that is busy, and for how long where it says so.
    #[must_use]
    pub const fn busy(after: Option<Duration>) -> Self {
        Self::Busy { after }
    }
}

/// One outcome a record, in the order of the delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcomes {
    len: usize,
    marks: Marks,
}

/// Most deliveries have one outcome for all; that case costs no list.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Marks {
    All(Outcome),
    Each(Vec<Outcome>),
}

impl Outcomes {
    /// `len` records with the same outcome.
    #[must_use]
    pub const fn all(len: usize, outcome: Outcome) -> Self {
        Self { len, marks: Marks::All(outcome) }
    }

    /// `len` records, all delivered.
    #[must_use]
    pub const fn delivered(len: usize) -> Self {
        Self::all(len, Outcome::Delivered)
    }

    /// `len` records, none marked yet: each counts as [`Outcome::Retry`] until it is.
    #[must_use]
    pub const fn unmarked(len: usize) -> Self {
        Self::all(len, Outcome::Retry)
    }

    /// Marks the record at `index`.
    ///
    /// # Panics
    ///
    /// When there is no such record.
    pub fn mark(&mut self, index: usize, outcome: Outcome) {
        assert!(index < self.len, "outcome {index} marked of a delivery of {} records", self.len);
        if let Marks::All(all) = &self.marks {
            if *all == outcome {
                return;
            }
            self.marks = Marks::Each(vec![all.clone(); self.len]);
        }
        if let Marks::Each(each) = &mut self.marks {
            each[index] = outcome;
        }
    }

    /// How many records they are for.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether they are for no record.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The outcome of the record at `index`, where there is one.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Outcome> {
        match &self.marks {
            Marks::All(outcome) => (index < self.len).then_some(outcome),
            Marks::Each(each) => each.get(index),
        }
    }

    /// All outcomes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Outcome> {
        (0..self.len).map(|index| match &self.marks {
            Marks::All(outcome) => outcome,
            Marks::Each(each) => &each[index],
        })
    }

    /// Whether every record was delivered.
    #[must_use]
    pub fn all_delivered(&self) -> bool {
        match &self.marks {
            Marks::All(outcome) => self.len == 0 || *outcome == Outcome::Delivered,
            Marks::Each(each) => each.iter().all(|outcome| *outcome == Outcome::Delivered),
        }
    }
}

impl FromIterator<Outcome> for Outcomes {
    fn from_iter<I: IntoIterator<Item = Outcome>>(outcomes: I) -> Self {
        let each: Vec<Outcome> = outcomes.into_iter().collect();
        Self { len: each.len(), marks: Marks::Each(each) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_unmarked_is_tried_again() {
        let mut outcomes = Outcomes::unmarked(3);
        outcomes.mark(1, Outcome::Delivered);
        let seen: Vec<_> = outcomes.iter().cloned().collect();
        assert_eq!(seen, [Outcome::Retry, Outcome::Delivered, Outcome::Retry]);
        assert!(!outcomes.all_delivered());
        assert!(Outcomes::unmarked(0).all_delivered());
        assert!(Outcomes::delivered(2).all_delivered());
    }

    #[test]
    #[should_panic(expected = "outcome 2 marked of a delivery of 2 records")]
    fn marking_beyond_the_end_panics() {
        Outcomes::unmarked(2).mark(2, Outcome::Delivered);
    }
}
