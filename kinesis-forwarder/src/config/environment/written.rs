//! Lists and tables in the one line of a variable. Nothing of a value is told: it may be a secret.

use super::names::Written;
use crate::config::file;
use crate::config::mistakes::Origin;
use crate::config::tree::{Field, Node, Table, Value};

/// Reads the value of a variable. A list that begins with `[`, and headers that begin with `{`, are TOML, as in a file.
///
/// # Errors
///
/// What is wrong with it, and the way out.
pub(super) fn read(written: Written, text: &str, origin: &Origin) -> Result<Value, String> {
    let trimmed = text.trim();
    let is_word = || !trimmed.is_empty() && trimmed.chars().all(|c| c.is_ascii_alphabetic());
    let list = |one: fn(&str, &Origin) -> Node, example| {
        if trimmed.starts_with('[') {
            return toml(trimmed, origin, example);
        }
        Ok(Value::List(trimmed.split(',').map(|text| one(text.trim(), origin)).collect()))
    };
    match written {
        Written::Plain => Ok(Value::Text(text.to_owned())),
        Written::WordOrList if is_word() => Ok(Value::Text(trimmed.to_owned())),
        Written::List | Written::WordOrList => list(self::text, "[\"a\", \"b\"]"),
        Written::Secrets => list(secret, "[{ env = \"NAME\" }]"),
        Written::Headers if trimmed.starts_with('{') => toml(trimmed, origin, "{ x-tenant = \"7\" }"),
        Written::Headers => headers(trimmed, origin),
    }
}

fn toml(text: &str, origin: &Origin, example: &str) -> Result<Value, String> {
    let way_out = || format!("begins like a value of TOML and is none: write it like {example}");
    file::value(text, origin).ok_or_else(way_out)
}

fn text(text: &str, origin: &Origin) -> Node {
    Node { value: Value::Text(text.to_owned()), origin: origin.clone() }
}

/// A secret itself, in base64, which has no colon; or `env:NAME` or `file:PATH`.
fn secret(written: &str, origin: &Origin) -> Node {
    let reference = |place: &str, name: &str| {
        let field = Field { named: origin.clone(), node: text(name, origin) };
        Node { value: Value::Table(Table::from([(place.to_owned(), field)])), origin: origin.clone() }
    };
    match written.split_once(':') {
        Some((place @ ("env" | "file"), name)) => reference(place, name.trim()),
        _ => text(written, origin),
    }
}

/// A header a line, as `Name: value`: neither has a line break, and a value may have anything else in it.
fn headers(lines: &str, origin: &Origin) -> Result<Value, String> {
    let mut table = Table::new();
    for (nth, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let Some((name, value)) = line.split_once(':') else {
            return Err(format!(
                "line {} has no colon: write a header a line, like x-tenant: 7, or all of them like {{ x-tenant = \"7\" }}",
                nth + 1
            ));
        };
        let name = name.trim();
        if table.keys().any(|known| known.eq_ignore_ascii_case(name)) {
            return Err(format!("the header {name:?} is there twice: leave one of the two out"));
        }
        table.insert(name.to_owned(), Field { named: origin.clone(), node: text(value.trim(), origin) });
    }
    Ok(Value::Table(table))
}
