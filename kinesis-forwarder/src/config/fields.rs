//! Taking fields out of a table: each of its kind, and those that nobody asked for are mistakes.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::mistakes::{Found, Origin, meant};
use super::tree::{Field, Node, Table, Value};
use crate::cli::duration;

/// The fields of one table that were not taken yet.
pub(super) struct Fields<'a> {
    found: &'a Found,
    /// Where the table is, such as `subscribers[1]`; empty for the whole.
    path: String,
    origin: Origin,
    table: Table,
    /// Every name that was asked for.
    known: Vec<&'static str>,
}

/// A value, and its place for what is found wrong with it later.
#[derive(Clone)]
pub(super) struct Set<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// Which field, and where it was set.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) path: String,
    pub(super) origin: Origin,
}

impl<'a> Fields<'a> {
    pub(super) fn new(found: &'a Found, path: impl Into<String>, origin: Origin, table: Table) -> Self {
        Self { found, path: path.into(), origin, table, known: Vec::new() }
    }

    /// The fields of a member of a list.
    pub(super) fn of(found: &'a Found, node: Node, place: &Place) -> Option<Self> {
        match node.value {
            Value::Table(table) => Some(Self::new(found, &place.path, place.origin.clone(), table)),
            _ => place.refuse(found, "is no table: write its fields below [[subscribers]]"),
        }
    }

    pub(super) fn found(&self) -> &'a Found {
        self.found
    }

    /// The place of the table itself.
    pub(super) fn place(&self) -> Place {
        Place { path: self.path.clone(), origin: self.origin.clone() }
    }

    /// The place where a field of this name would be.
    pub(super) fn place_of(&self, name: &str) -> Place {
        Place { path: self.path_of(name), origin: self.origin.clone() }
    }

    fn path_of(&self, name: &str) -> String {
        match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }

    /// Whether a field was set, rightly or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// Whether no field was set, or all were taken.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Takes a field as it is.
    pub(super) fn take(&mut self, name: &'static str) -> Option<(Node, Place)> {
        self.known.push(name);
        #[cfg(test)]
        super::tests::ASKED.with_borrow_mut(|asked| asked.insert(self.path_of(name)));
        let Field { node, .. } = self.table.remove(name)?;
        let place = Place { path: self.path_of(name), origin: node.origin.clone() };
        Some((node, place))
    }

    /// Takes every field that is left, for a table whose names are the user's.
    pub(super) fn rest(&mut self) -> Vec<(String, Node, Place)> {
        let table = std::mem::take(&mut self.table);
        let taken = |(name, field): (String, Field)| {
            let place = Place { path: self.path_of(&name), origin: field.node.origin.clone() };
            (name, field.node, place)
        };
        table.into_iter().map(taken).collect()
    }

    pub(super) fn text(&mut self, name: &'static str, example: &str) -> Option<Set<String>> {
        let (node, place) = self.take(name)?;
        match node.value {
            Value::Text(text) => Some(Set { value: text, place }),
            other => self.wrong(&place, &other, "text", &format!("{example:?}")),
        }
    }

    /// A text that `read` understands; its refusal says the way out.
    pub(super) fn read<T>(
        &mut self,
        name: &'static str,
        example: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Set<T>> {
        let Set { value, place } = self.text(name, example)?;
        match read(&value) {
            Ok(value) => Some(Set { value, place }),
            Err(why) => {
                self.found.add(&place.origin, place.path, why);
                None
            }
        }
    }

    pub(super) fn duration(&mut self, name: &'static str, example: &str) -> Option<Set<Duration>> {
        self.read(name, example, |text| duration(text).map_err(|way_out| format!("{text:?} is no duration: {way_out}")))
    }

    /// A whole number within `range`.
    pub(super) fn number(&mut self, name: &'static str, range: RangeInclusive<u32>) -> Option<Set<u32>> {
        let (node, place) = self.take(name)?;
        let number = match (&node.value, &node.origin) {
            (Value::Number(number), _) => *number,
            // A variable is always text.
            (Value::Text(text), Origin::Variable(_)) => match text.parse() {
                Ok(number) => number,
                Err(_) => return place.refuse(self.found, format!("{text:?} is no whole number: write one like 8")),
            },
            (other, _) => return self.wrong(&place, other, "a whole number", "8"),
        };
        match u32::try_from(number).ok().filter(|number| range.contains(number)) {
            Some(value) => Some(Set { value, place }),
            None => {
                let (least, most) = range.into_inner();
                self.found.add(
                    &place.origin,
                    place.path,
                    format!("is {number}: write a number from {least} to {most}"),
                );
                None
            }
        }
    }

    pub(super) fn switch(&mut self, name: &'static str) -> Option<Set<bool>> {
        let (node, place) = self.take(name)?;
        match (&node.value, &node.origin) {
            (Value::Switch(value), _) => Some(Set { value: *value, place }),
            (Value::Text(text), Origin::Variable(_)) => match text.parse() {
                Ok(value) => Some(Set { value, place }),
                Err(_) => place.refuse(self.found, format!("{text:?} is neither true nor false: write one of them")),
            },
            (other, _) => self.wrong(&place, other, "true or false", "true"),
        }
    }

    pub(super) fn table(&mut self, name: &'static str) -> Option<Self> {
        let (node, place) = self.take(name)?;
        match node.value {
            Value::Table(table) => Some(Self::new(self.found, place.path, place.origin, table)),
            other => self.wrong(&place, &other, "a table", "name = { .. }"),
        }
    }

    /// A list; each of its members has a place of its own.
    pub(super) fn list(&mut self, name: &'static str, example: &str) -> Option<(Vec<(Node, Place)>, Place)> {
        let (node, place) = self.take(name)?;
        let Value::List(list) = node.value else { return self.wrong(&place, &node.value, "a list", example) };
        let member = |(nth, node): (usize, Node)| {
            let place = Place { path: format!("{}[{nth}]", place.path), origin: node.origin.clone() };
            (node, place)
        };
        Some((list.into_iter().enumerate().map(member).collect(), place))
    }

    /// A list of texts; none where all of them are something else.
    pub(super) fn texts(&mut self, name: &'static str, example: &str) -> Option<(Vec<Set<String>>, Place)> {
        let (list, whole) = self.list(name, example)?;
        let text = |(node, place): (Node, Place)| match node.value {
            Value::Text(value) => Some(Set { value, place }),
            other => self.wrong(&place, &other, "text", "\"text\""),
        };
        let (said, texts) = (list.len(), list.into_iter().filter_map(text).collect::<Vec<_>>());
        (said == 0 || !texts.is_empty()).then_some((texts, whole))
    }

    /// Says that a value is of another kind than is wanted.
    pub(super) fn wrong<T>(&self, place: &Place, value: &Value, wanted: &str, example: &str) -> Option<T> {
        let is = match value {
            Value::Text(_) => "text",
            Value::Number(_) => "a number",
            Value::Switch(_) => "true or false",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
            Value::Other(what) => what,
        };
        self.found.add(&place.origin, &place.path, format!("is {is}, and {wanted} is wanted: write it like {example}"));
        None
    }

    /// Says of each field that is left that there is none of that name.
    pub(super) fn end(self) {
        for (name, field) in &self.table {
            let way_out = match meant(name, self.known.iter().copied()) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("there are {}", self.known.join(", ")),
            };
            self.found.add(&field.named, self.path_of(name), format!("there is no such field: {way_out}"));
        }
    }
}

impl Place {
    pub(super) fn refuse<T>(&self, found: &Found, why: impl Into<String>) -> Option<T> {
        found.add(&self.origin, &self.path, why);
        None
    }
}
