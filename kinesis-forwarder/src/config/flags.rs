//! The flags of `run` and `lambda`, as the values that they are in a file.

use std::num::NonZeroUsize;
use std::path::Path;

use super::mistakes::Origin;
use super::tree::{Field, Node, Table, Value, lay_over};
use crate::cli::{Lambda, Run, Target};
use crate::subscribers;

/// Lays the flags of `run` over a table.
pub(super) fn lay(table: &mut Table, args: &Run) {
    let path = |path: &Path| path.display().to_string();
    let texts = [
        ("source.input", args.input.as_deref().map(path)),
        ("source.stream", args.stream.stream.clone()),
        ("source.endpoint", args.stream.endpoint.clone()),
        ("source.consumer", args.consumer.clone()),
        ("source.start", args.start.clone()),
        ("source.from_json_field", args.from_json_field.clone()),
        ("state.file", args.state.as_deref().map(path)),
        ("state.table", args.table.clone()),
        ("state.dynamodb", args.dynamodb.clone()),
        ("server.listen", args.listen.map(|address| address.to_string())),
    ];
    lay_over(table, texts.into_iter().filter_map(text).collect());
    to(table, &args.to);
    let each = [("retry.max_age", args.max_age.clone()), ("dead_letters", args.dead_letters.as_deref().map(path))];
    for_each(table, each.into_iter().filter_map(text).chain(number("parallel", args.parallel)));
}

/// Lays the flags of `lambda` over a table; `targets` are those of `--to`, or of the variable that stands for it.
pub(super) fn lay_for_calls(table: &mut Table, args: &Lambda, targets: &[Target]) {
    lay_over(table, text(("source.from_json_field", args.from_json_field.clone())).into_iter().collect());
    to(table, targets);
    for_each(table, number("parallel", args.parallel));
}

/// Puts those that were named in the place of all subscribers.
fn to(table: &mut Table, targets: &[Target]) {
    if !targets.is_empty() {
        let list = subscribers::subscribers(targets).into_iter().map(|subscriber| node(of(subscriber))).collect();
        table.insert("subscribers".to_owned(), Field { named: Origin::Flag, node: node(Value::List(list)) });
    }
}

/// Lays a layer over each subscriber.
fn for_each(table: &mut Table, layer: impl IntoIterator<Item = (String, Value, Origin)>) {
    let layer: Vec<_> = layer.into_iter().collect();
    let Some(Value::List(list)) = table.get_mut("subscribers").map(|field| &mut field.node.value) else { return };
    for subscriber in list {
        if let Value::Table(table) = &mut subscriber.value {
            lay_over(table, layer.clone());
        }
    }
}

fn number(path: &str, value: Option<NonZeroUsize>) -> Option<(String, Value, Origin)> {
    let value = Value::Number(i64::try_from(value?.get()).unwrap_or(i64::MAX));
    Some((path.to_owned(), value, Origin::Flag))
}

fn text((path, value): (&str, Option<String>)) -> Option<(String, Value, Origin)> {
    Some((path.to_owned(), Value::Text(value?), Origin::Flag))
}

fn node(value: Value) -> Node {
    Node { value, origin: Origin::Flag }
}

fn of(subscriber: subscribers::Subscriber) -> Value {
    let mut table = Table::new();
    let mut set = |name: &str, value| {
        table.insert(name.to_owned(), Field { named: Origin::Flag, node: node(value) });
    };
    set("name", Value::Text(subscriber.name));
    set("url", Value::Text(subscriber.url));
    if let Some(channels) = subscriber.channels {
        set("channels", Value::List(channels.into_iter().map(|channel| node(Value::Text(channel))).collect()));
    }
    Value::Table(table)
}
