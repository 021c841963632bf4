//! Variables of the environment: each field has one, named after its section and itself.
//!
//! `KINESIS_FORWARDER_SOURCE_STREAM` is `stream` in `[source]`; `KINESIS_FORWARDER_SUBSCRIBERS_AUDIT_RETRY_MAX_AGE` is
//! `retry.max_age` of the subscriber `audit`. In a subscriber's name, what is no letter or digit is `_` there. One that no
//! file has is made by its `.._URL`, with its name in small letters and `-` for `_`, or that of `.._NAME`. An empty variable
//! is one that is not set.
//!
//! | field | in a variable |
//! |---|---|
//! | `channels`, `ask_again`, `networks` | with commas between, blanks around them do not count: `placed, paid` |
//! | `secrets` | the same, of `env:NAME`, `file:PATH` and secrets themselves |
//! | `headers` | a line each: `x-tenant: 7` |
//! | `url`, `bearer`, `basic.password` | as they are, or where they are: `.._BEARER`, `.._BEARER_ENV` or `.._BEARER_FILE` |
//!
//! Or as in a file: a list that begins with `[` and headers that begin with `{` are TOML, which can say all there is to say:
//! `["a,b", "c"]`, `{ x-token = { env = "TOKEN" } }`. A list takes the place of the file's whole list.

mod names;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::mistakes::{Found, Origin, meant};
use super::tree::{Field, Node, Table, Value, lay_over};

#[cfg(test)]
pub(super) use names::Written;
pub(super) use names::{FIELDS, OF_SUBSCRIBERS, variable};
use names::{PREFIX, SUBSCRIBERS};

/// The environment as it was when it was read.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Those of this process, but for what is no Unicode.
    #[must_use]
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// One that is set and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl FromIterator<(String, String)> for Variables {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

/// They hold secrets.
impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Lays what variables set over what a file does.
pub(super) fn lay(table: &mut Table, variables: &Variables, found: &Found) {
    let mut general = Vec::new();
    let mut of_subscribers = Vec::new();
    for (name, value) in variables.0.iter().filter(|(_, value)| !value.is_empty()) {
        let Some(field) = name.strip_prefix(PREFIX) else { continue };
        let origin = Origin::Variable(name.as_str().into());
        if let Some(rest) = field.strip_prefix(SUBSCRIBERS) {
            of_subscribers.push((rest, value, origin));
        } else if let Some(path) = FIELDS.into_iter().find(|path| variable(path) == field) {
            general.push((path.to_owned(), Value::Text(value.clone()), origin));
        } else if ["SOURCE_", "STATE_", "SERVER_"].iter().any(|section| field.starts_with(section)) {
            // Others are somebody else's: Kubernetes sets `.._SERVICE_HOST` and `.._PORT` for a service of that name.
            let all: Vec<String> = FIELDS.iter().map(|path| variable(path)).collect();
            let meant = meant(&field.to_lowercase(), FIELDS).map_or_else(|| all.join(", "), variable);
            found.add(&origin, "", format!("there is no field for this variable: {PREFIX} goes before {meant}"));
        }
    }
    lay_over(table, general);
    if !of_subscribers.is_empty() {
        subscribers(table, of_subscribers, found);
    }
}

/// What is set of one subscriber.
type Layer = Vec<(String, Value, Origin)>;

fn subscribers(table: &mut Table, set: Vec<(&str, &String, Origin)>, found: &Found) {
    let mut layers: BTreeMap<String, Layer> = BTreeMap::new();
    // Those that a file has, and those that variables make: no other field ends like a URL.
    let mut known: BTreeSet<String> = named(table).map(variable).collect();
    known.extend(set.iter().filter_map(|(rest, ..)| rest.strip_suffix("_URL")).map(str::to_owned));
    for (rest, value, origin) in set {
        let fields = OF_SUBSCRIBERS.into_iter().filter_map(|(path, written)| {
            let name = rest.strip_suffix(&variable(path))?.strip_suffix('_')?;
            (!name.is_empty()).then_some((path, written, name))
        });
        // A name may end like the beginning of a field: the one that is known, else the longest field.
        let Some((path, written, name)) = fields.max_by_key(|(path, _, name)| (known.contains(*name), path.len()))
        else {
            let why = "there is no field for this variable";
            let way_out = "goes before a name and URL or another field";
            found.add(&origin, "", format!("{why}: {PREFIX}{SUBSCRIBERS} {way_out}"));
            continue;
        };
        let layer = layers.entry(name.to_owned()).or_default();
        match written::read(written, value, &origin) {
            Ok(value) => layer.push((path.to_owned(), value, origin)),
            Err(why) => found.add(&origin, "", why),
        }
    }
    if layers.is_empty() {
        return;
    }
    let nobody = Origin::Variable(Rc::from(""));
    let empty = Node { value: Value::List(Vec::new()), origin: nobody.clone() };
    let is_new = !table.contains_key("subscribers");
    let list = table.entry("subscribers".to_owned()).or_insert(Field { named: nobody, node: empty });
    // What is no list is told when it is read.
    let Value::List(list) = &mut list.node.value else { return };
    for (name, layer) in layers {
        lay_over_one(list, &name, layer, found);
    }
    // A list that nobody came into is none: what is said of it has the place of the whole.
    if is_new && list.is_empty() {
        table.remove("subscribers");
    }
}

/// The names of subscribers that are in a table.
fn named(table: &Table) -> impl Iterator<Item = &str> {
    let list = match table.get("subscribers").map(|field| &field.node.value) {
        Some(Value::List(list)) => list.as_slice(),
        _ => &[],
    };
    list.iter().filter_map(name_of)
}

fn name_of(subscriber: &Node) -> Option<&str> {
    let Value::Table(table) = &subscriber.value else { return None };
    match &table.get("name")?.node.value {
        Value::Text(name) => Some(name),
        _ => None,
    }
}

/// Lays what variables set over the subscriber that they name, or makes it.
fn lay_over_one(list: &mut Vec<Node>, name: &str, layer: Layer, found: &Found) {
    let called = |node: &Node| name_of(node).is_some_and(|text| variable(text) == name);
    let named: Vec<usize> = (0..list.len()).filter(|nth| called(&list[*nth])).collect();
    let Some((_, _, origin)) = layer.first().cloned() else { return };
    one_way(&layer, found);
    match named[..] {
        [nth] => {
            if let Value::Table(table) = &mut list[nth].value {
                lay_over(table, layer);
            }
        }
        [] if layer.iter().any(|(path, ..)| path == "url" || path.starts_with("url.")) => {
            let mut made = Table::new();
            let called = Value::Text(name.to_lowercase().replace('_', "-"));
            lay_over(&mut made, [vec![("name".to_owned(), called, origin.clone())], layer].concat());
            list.push(Node { value: Value::Table(made), origin });
        }
        [] => {
            found.add(&origin, "", format!("there is no subscriber {name}: name one that there is, or set its URL"));
        }
        _ => found.add(&origin, "", format!("more than one subscriber is {name} to variables: rename one of them")),
    }
}

/// Refuses a value beside a variable that says where the value is.
fn one_way(layer: &Layer, found: &Found) {
    for (path, _, origin) in layer {
        let beside = |(whole, ..): &&(String, Value, Origin)| {
            path.strip_prefix(whole.as_str()).is_some_and(|rest| rest.starts_with('.'))
        };
        if let Some((_, _, Origin::Variable(other))) = layer.iter().find(beside) {
            found.add(origin, "", format!("{other} is set as well: leave one of the two out"));
        }
    }
}
