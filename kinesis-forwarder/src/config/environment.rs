//! Variables of the environment: each scalar field has one, named after its section and itself.
//!
//! `KINESIS_FORWARDER_SOURCE_STREAM` is `stream` in `[source]`; `KINESIS_FORWARDER_SUBSCRIBERS_AUDIT_RETRY_MAX_AGE` is
//! `retry.max_age` of the subscriber `audit`. In a subscriber's name, what is no letter or digit is `_` there. One that no
//! file has is made by its `.._URL`, with its name in small letters and `-` for `_`. An empty variable is one that is not set.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::mistakes::{Found, Origin, meant};
use super::tree::{Field, Node, Table, Value, lay_over};

const PREFIX: &str = "KINESIS_FORWARDER_";
/// The section of subscribers, as variables have it.
const SUBSCRIBERS: &str = "SUBSCRIBERS_";

/// Every field outside of subscribers that a variable can set.
const FIELDS: [&str; 12] = [
    "source.stream",
    "source.endpoint",
    "source.region",
    "source.consumer",
    "source.start",
    "source.input",
    "source.from_json_field",
    "state.file",
    "state.table",
    "state.dynamodb",
    "server.listen",
    "server.stalled_after",
];

/// Every field of a subscriber that a variable can set.
const OF_SUBSCRIBERS: [&str; 30] = [
    "url",
    "format",
    "cloud_events.source",
    "cloud_events.type_prefix",
    "cloud_events.data_content_type",
    "lambda_event.stream_arn",
    "start",
    "ordering",
    "parallel",
    "batch.max_records",
    "batch.max_wait",
    "networks",
    "ca_file",
    "timeout",
    "connect_timeout",
    "concurrency",
    "rate",
    "breaker",
    "conflict_is_delivered",
    "on_reject",
    "on_gap",
    "dead_letters",
    "retry.max_age",
    "retry.attempts",
    "retry.longest_wait",
    "bearer.env",
    "bearer.file",
    "basic.user",
    "basic.password.env",
    "basic.password.file",
];

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

/// How a field, or a name, is written in a variable.
fn variable(path: &str) -> String {
    path.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// What is set of one subscriber.
type Layer = Vec<(String, Value, Origin)>;

fn subscribers(table: &mut Table, set: Vec<(&str, &String, Origin)>, found: &Found) {
    let mut layers: BTreeMap<String, Layer> = BTreeMap::new();
    for (rest, value, origin) in set {
        // The longest field: a name may end like another field.
        let fields = OF_SUBSCRIBERS.into_iter().filter_map(|path| {
            let name = rest.strip_suffix(&variable(path))?.strip_suffix('_')?;
            (!name.is_empty()).then_some((path, name))
        });
        let Some((path, name)) = fields.max_by_key(|(path, _)| path.len()) else {
            let why = "there is no field for this variable";
            let way_out = "goes before a name and URL or another field";
            found.add(&origin, "", format!("{why}: {PREFIX}{SUBSCRIBERS} {way_out}"));
            continue;
        };
        layers.entry(name.to_owned()).or_default().push((path.to_owned(), Value::Text(value.clone()), origin));
    }
    if layers.is_empty() {
        return;
    }
    let nobody = Origin::Variable(Rc::from(""));
    let empty = Node { value: Value::List(Vec::new()), origin: nobody.clone() };
    let list = table.entry("subscribers".to_owned()).or_insert(Field { named: nobody, node: empty });
    // What is no list is told when it is read.
    let Value::List(list) = &mut list.node.value else { return };
    for (name, layer) in layers {
        lay_over_one(list, &name, layer, found);
    }
}

/// Lays what variables set over the subscriber that they name, or makes it.
fn lay_over_one(list: &mut Vec<Node>, name: &str, layer: Layer, found: &Found) {
    let called = |node: &Node| match &node.value {
        Value::Table(table) => {
            let called = table.get("name").map(|field| &field.node.value);
            matches!(called, Some(Value::Text(text)) if variable(text) == name)
        }
        _ => false,
    };
    let named: Vec<usize> = (0..list.len()).filter(|nth| called(&list[*nth])).collect();
    let Some((_, _, origin)) = layer.first().cloned() else { return };
    match named[..] {
        [nth] => {
            if let Value::Table(table) = &mut list[nth].value {
                lay_over(table, layer);
            }
        }
        [] if layer.iter().any(|(path, ..)| path == "url") => {
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
