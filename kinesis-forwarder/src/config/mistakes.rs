//! What is wrong with a configuration: every mistake, each with its place and the way out.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// In a file: line and column, from 1 on.
    File { name: Rc<str>, line: usize, column: usize },
    /// By an environment variable.
    Variable(Rc<str>),
    /// On the command line.
    Flag,
    /// Nowhere.
    Unset,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    origin: Origin,
    /// Which field, such as `subscribers[1].url`; empty for the whole.
    field: String,
    /// What is wrong, and the way out. Never holds a secret.
    why: String,
}

impl Mistake {
    pub(super) fn new(origin: &Origin, field: impl Into<String>, why: impl Into<String>) -> Self {
        Self { origin: origin.clone(), field: field.into(), why: why.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File { name, line, column } => write!(f, "{name}:{line}:{column}: ")?,
            Origin::Variable(name) => write!(f, "{name}: ")?,
            // Whoever just typed it knows where.
            Origin::Flag | Origin::Unset => return f.write_str(&self.why),
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.why)
    }
}

/// All mistakes that were found, in the order of their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }
}

impl From<Mistake> for Mistakes {
    fn from(mistake: Mistake) -> Self {
        Self(vec![mistake])
    }
}

/// Where mistakes are put while a configuration is read.
#[derive(Debug, Default)]
pub(super) struct Found(RefCell<Vec<Mistake>>);

impl Found {
    pub(super) fn add(&self, origin: &Origin, field: impl Into<String>, why: impl Into<String>) {
        self.0.borrow_mut().push(Mistake::new(origin, field, why));
    }

    /// What was read, if nothing is wrong with it.
    pub(super) fn none_of<T>(self, read: Option<T>) -> Result<T, Mistakes> {
        let mut all = self.0.into_inner();
        all.sort();
        all.dedup();
        match read {
            Some(read) if all.is_empty() => Ok(read),
            _ => Err(Mistakes(all)),
        }
    }
}

/// The one of `known` that was meant by `name`, if it is near enough to one.
pub(super) fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.into_iter().map(|known| (strsim::jaro_winkler(&name.to_lowercase(), known), known));
    let best = near.max_by(|(one, _), (other, _)| one.total_cmp(other));
    best.filter(|(likeness, _)| *likeness > 0.8).map(|(_, known)| known)
}

/// What is said where one of `known` was wanted and `name` came.
pub(super) fn not_one_of(what: &str, name: &str, known: &[&str]) -> String {
    match meant(name, known.iter().copied()) {
        Some(meant) => format!("there is no {what} {name:?}: did you mean {meant:?}?"),
        None => format!("there is no {what} {name:?}: there are {}", known.join(", ")),
    }
}

/// Counts how often each of `names` comes, and gives those that come again.
pub(super) fn repeated<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<usize> {
    let mut seen = BTreeMap::new();
    let mut again = Vec::new();
    for (nth, name) in names.into_iter().enumerate() {
        if seen.insert(name, nth).is_some() {
            again.push(nth);
        }
    }
    again
}
