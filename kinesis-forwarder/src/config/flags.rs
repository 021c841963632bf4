//! The flags of `run`, as the values that they are in a file.

use std::path::Path;

use super::mistakes::Origin;
use super::tree::{Field, Node, Table, Value, lay_over};
use crate::cli::Run;
use crate::subscribers;

/// Lays the flags over a table.
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
    if !args.to.is_empty() {
        let list = subscribers::subscribers(&args.to).into_iter().map(|subscriber| node(of(subscriber))).collect();
        table.insert("subscribers".to_owned(), Field { named: Origin::Flag, node: node(Value::List(list)) });
    }
    let Some(Value::List(list)) = table.get_mut("subscribers").map(|field| &mut field.node.value) else { return };
    for subscriber in list {
        let Value::Table(table) = &mut subscriber.value else { continue };
        let mut layer: Vec<_> =
            [("retry.max_age", args.max_age.clone()), ("dead_letters", args.dead_letters.as_deref().map(path))]
                .into_iter()
                .filter_map(text)
                .collect();
        if let Some(parallel) = args.parallel {
            let parallel = Value::Number(i64::try_from(parallel.get()).unwrap_or(i64::MAX));
            layer.push(("parallel".to_owned(), parallel, Origin::Flag));
        }
        lay_over(table, layer);
    }
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
