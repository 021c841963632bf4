//! A configuration file, read into a tree that knows the line and column of each value.

use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistakes::{Found, Mistake, Mistakes, Origin};
use super::tree::{Field, Node, Table, Value};

/// More than any configuration has; a log or a dump that was named by mistake is not read into memory.
const LARGEST: u64 = 1 << 20;

/// Reads the text of the file at `path`.
pub(super) fn text(path: &Path) -> Result<String, Mistakes> {
    let at = |why: String| Mistakes::from(Mistake::new(&start(&name(path)), "", why));
    let unreadable = |error| at(format!("cannot read the file ({error}): check the path and who may read it"));
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > LARGEST {
        return Err(at(format!("has {size} bytes, and a configuration has at most {LARGEST}: name another file")));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// Reads TOML. Mistakes in the syntax are found, and what can be read is read all the same.
pub(super) fn tree(path: &Path, text: &str, found: &Found) -> Table {
    let lines = Lines { name: name(path), text };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let origin = error.span().map_or_else(|| start(&lines.name), |span| lines.at(&span));
        // The first line says it; the parser's text may go on with the source, where a secret could stand.
        let what = error.message().lines().next().unwrap_or_default();
        found.add(
            &origin,
            "",
            format!("this is no TOML ({what}): values are written like name = \"text\" or name = 8"),
        );
    }
    table_of(table.into_inner(), &|span| lines.at(span))
}

/// Reads one value of TOML, all of which is at `origin`. `None` for what is none.
pub(super) fn value(text: &str, origin: &Origin) -> Option<Value> {
    let text = format!("value = {text}");
    let mut table = table_of(DeTable::parse(&text).ok()?.into_inner(), &|_| origin.clone());
    let value = table.remove("value")?.node.value;
    // A line break may have begun another one.
    table.is_empty().then_some(value)
}

fn name(path: &Path) -> Rc<str> {
    path.display().to_string().into()
}

fn start(name: &Rc<str>) -> Origin {
    Origin::File { name: Rc::clone(name), line: 1, column: 1 }
}

struct Lines<'a> {
    name: Rc<str>,
    text: &'a str,
}

impl Lines<'_> {
    fn at(&self, span: &Range<usize>) -> Origin {
        let mut end = span.start.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Origin::File { name: Rc::clone(&self.name), line, column }
    }
}

/// Where what stands at a span was set.
type At<'a> = &'a dyn Fn(&Range<usize>) -> Origin;

fn table_of(table: DeTable<'_>, at: At<'_>) -> Table {
    let field = |(key, value): (Spanned<_>, Spanned<DeValue<'_>>)| {
        let named = at(&key.span());
        let key: std::borrow::Cow<'_, str> = key.into_inner();
        (key.into_owned(), Field { named, node: node(value, at) })
    };
    table.into_iter().map(field).collect()
}

fn node(value: Spanned<DeValue<'_>>, at: At<'_>) -> Node {
    let origin = at(&value.span());
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix());
            number.map_or(Value::Other("a number that is too large"), Value::Number)
        }
        DeValue::Boolean(switch) => Value::Switch(switch),
        DeValue::Array(list) => Value::List(list.into_iter().map(|value| node(value, at)).collect()),
        DeValue::Table(table) => Value::Table(table_of(table, at)),
        DeValue::Float(_) => Value::Other("a number with a fraction"),
        DeValue::Datetime(_) => Value::Other("a time without quotes"),
    };
    Node { value, origin }
}
