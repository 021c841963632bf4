//! Values before anybody knows what they are for: from files, variables and the command line, laid one over the other.

use std::collections::BTreeMap;

use super::mistakes::Origin;

/// A value and where it was set. Not shown by `Debug`: it may be a secret.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

#[derive(Clone)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    Switch(bool),
    List(Vec<Node>),
    Table(Table),
    /// What no field wants, by what it is called.
    Other(&'static str),
}

/// Fields by their names.
pub(super) type Table = BTreeMap<String, Field>;

/// A named value.
#[derive(Clone)]
pub(super) struct Field {
    /// Where the name stands.
    pub(super) named: Origin,
    pub(super) node: Node,
}

/// A value that is set makes these void that were set before: they say the same thing in another way.
const DISPLACED: [(&str, &[&str]); 7] = [
    ("source.input", &OF_STREAMS),
    ("source.stream", &["source.input"]),
    ("state.file", &["state.table", "state.dynamodb"]),
    ("state.table", &["state.file"]),
    ("dead_letters", &["on_reject"]),
    ("env", &["file"]),
    ("file", &["env"]),
];

/// What an input has no use for.
const OF_STREAMS: [&str; 7] = [
    "source.stream",
    "source.endpoint",
    "source.region",
    "source.consumer",
    "source.start",
    "state.table",
    "state.dynamodb",
];

/// Sets a value, over whatever was there.
pub(super) fn set(mut table: &mut Table, path: &str, value: Value, origin: &Origin) {
    let (way, last) = path.rsplit_once('.').unwrap_or(("", path));
    for name in way.split('.').filter(|name| !name.is_empty()) {
        let field = table.entry(name.to_owned()).or_insert_with(|| empty(origin));
        if !matches!(field.node.value, Value::Table(_)) {
            *field = empty(origin);
        }
        let Value::Table(inner) = &mut field.node.value else { return };
        table = inner;
    }
    table.insert(last.to_owned(), Field { named: origin.clone(), node: Node { value, origin: origin.clone() } });
}

fn empty(origin: &Origin) -> Field {
    Field { named: origin.clone(), node: Node { value: Value::Table(Table::new()), origin: origin.clone() } }
}

/// Lays values over a table. Those of one layer do not make one another void: that is a mistake of whoever set them.
pub(super) fn lay_over(table: &mut Table, layer: Vec<(String, Value, Origin)>) {
    for (path, ..) in &layer {
        for (set, void) in DISPLACED {
            if path == set {
                void.iter().for_each(|path| remove(table, path));
            } else if let Some(way) = path.strip_suffix(set).and_then(|way| way.strip_suffix('.')) {
                void.iter().for_each(|name| remove(table, &format!("{way}.{name}")));
            }
        }
    }
    if layer.iter().any(|(path, ..)| path == "source.input")
        && let Some(Value::List(subscribers)) = table.get_mut("subscribers").map(|field| &mut field.node.value)
    {
        for subscriber in subscribers {
            if let Value::Table(subscriber) = &mut subscriber.value {
                subscriber.remove("start");
            }
        }
    }
    for (path, value, origin) in layer {
        set(table, &path, value, &origin);
    }
}

fn remove(mut table: &mut Table, path: &str) {
    let (way, last) = path.rsplit_once('.').unwrap_or(("", path));
    for name in way.split('.').filter(|name| !name.is_empty()) {
        let Some(Value::Table(inner)) = table.get_mut(name).map(|field| &mut field.node.value) else { return };
        table = inner;
    }
    table.remove(last);
}
