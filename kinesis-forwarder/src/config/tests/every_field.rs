//! That no field is forgotten: each is in the example, does something, and has a variable that does the same.

use super::super::environment::{FIELDS, OF_SUBSCRIBERS, Written, variable};
use super::super::fields::Fields;
use super::super::file;
use super::super::tree::{Value, lay_over};
use super::*;

/// A certificate that nobody has the key of.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBgDCCASWgAwIBAgIUOAfLbmL3pnvWc/SzOIsPvJVGu5QwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJYXV0aG9yaXR5MCAXDTI2MTEyNjA1MjQwMloYDzIxMjYxMTAy
MDUyNDAyWjAUMRIwEAYDVQQDDAlhdXRob3JpdHkwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAT2qV42b/9QPUOUjpSBP4lmM8yEbDYj24BUHo32izIGBOSxWcQUoArJ
rvlT6gPb59H3RQlF/Q2hEqmuxtuvKdnYo1MwUTAdBgNVHQ4EFgQUAW9T8pxgxy00
M5iBxtCRTlo3IRAwHwYDVR0jBBgwFoAUAW9T8pxgxy00M5iBxtCRTlo3IRAwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAgacRcMmARSfyb54kcQqv
6ejmYyhhu2qTtLo4LnaNtg0CIQDczUhJ6mvUxv6TofoHXvr4G7vn/PMhXfex/GGC
LmQi4A==
-----END CERTIFICATE-----
";

/// Each field, with another value than the example has, as a file has it and as its variable has it.
const OTHERS: [(&str, &str, &str); FIELDS.len() + OF_SUBSCRIBERS.len()] = [
    ("source.stream", "\"arn:aws:kinesis:eu-west-1:1:stream/other\"", "arn:aws:kinesis:eu-west-1:1:stream/other"),
    ("source.endpoint", "\"http://127.0.0.1:1\"", "http://127.0.0.1:1"),
    ("source.region", "\"eu-north-1\"", "eu-north-1"),
    ("source.consumer", "\"other\"", "other"),
    ("source.start", "\"horizon\"", "horizon"),
    ("source.input", "\"-\"", "-"),
    ("source.from_json_field", "\"other\"", "other"),
    ("state.file", "\"other\"", "other"),
    ("state.table", "\"other\"", "other"),
    ("state.dynamodb", "\"http://127.0.0.1:1\"", "http://127.0.0.1:1"),
    ("server.listen", "\"127.0.0.1:1\"", "127.0.0.1:1"),
    ("server.stalled_after", "\"2m\"", "2m"),
    ("name", "\"other, one\"", "other, one"),
    ("url", "\"http://h/?t=a,b\"", "http://h/?t=a,b"),
    ("url.env", "\"URL\"", "URL"),
    ("url.file", "\"DIR/url\"", "DIR/url"),
    ("channels", "[\"a b\", \"c\"]", " a b,c "),
    ("format", "\"original\"", "original"),
    ("cloud_events.source", "\"urn:other\"", "urn:other"),
    ("cloud_events.type_prefix", "\"other\"", "other"),
    ("cloud_events.data_content_type", "\"text/plain\"", "text/plain"),
    ("lambda_event.stream_arn", "\"arn:aws:kinesis:eu-west-1:1:stream/x\"", "arn:aws:kinesis:eu-west-1:1:stream/x"),
    ("start", "\"latest\"", "latest"),
    ("ordering", "\"none\"", "none"),
    ("parallel", "3", "3"),
    ("batch.max_records", "7", "7"),
    ("batch.max_bytes", "70000", "70000"),
    ("batch.max_wait", "\"7ms\"", "7ms"),
    ("networks", "[\"127.0.0.1/32\"]", "127.0.0.1/32"),
    ("ca_file", "\"DIR/ca\"", "DIR/ca"),
    ("timeout", "\"7s\"", "7s"),
    ("connect_timeout", "\"7s\"", "7s"),
    ("concurrency", "7", "7"),
    ("rate", "7", "7"),
    ("breaker", "false", "false"),
    ("ask_again", "[\"1s\", \"2s\"]", "1s, 2s"),
    ("conflict_is_delivered", "true", "true"),
    ("on_reject", "\"halt\"", "halt"),
    ("on_gap", "\"jump\"", "jump"),
    ("dead_letters", "\"other\"", "other"),
    ("retry.max_age", "\"7m\"", "7m"),
    ("retry.attempts", "7", "7"),
    ("retry.longest_wait", "\"7s\"", "7s"),
    ("secrets", "[{ env = \"KEY\" }, { file = \"DIR/key\" }, { env = \"KEY\" }]", "env:KEY, file: DIR/key,whsec_KEY"),
    ("headers", "{ X-A = \"1, 2; q=3\", x-b = \"c:d\" }", "X-A: 1, 2; q=3\n\n x-b:c:d\n"),
    ("bearer", "{ env = \"TOKEN\" }", SECRET),
    ("bearer.env", "\"TOKEN\"", "TOKEN"),
    ("bearer.file", "\"DIR/token\"", "DIR/token"),
    ("basic.user", "\"other\"", "other"),
    ("basic.password", "{ env = \"TOKEN\" }", SECRET),
    ("basic.password.env", "\"TOKEN\"", "TOKEN"),
    ("basic.password.file", "\"DIR/token\"", "DIR/token"),
];

/// The example with files that are there.
struct Example {
    /// What is set in it.
    table: Table,
    /// What is commented out in it, which belongs together where lines follow one another.
    commented: Vec<Vec<(String, Value)>>,
    dir: PathBuf,
}

impl Example {
    fn read(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("forwarder-fields-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for (file, text) in [
            ("url", "http://h/file"),
            ("ca", CERTIFICATE),
            ("ca.pem", CERTIFICATE),
            ("key", KEY),
            ("audit", KEY),
            ("token", "t"),
            ("password", "p"),
        ] {
            std::fs::write(dir.join(file), text).unwrap();
        }
        let shown = dir.display().to_string();
        let text = include_str!("../../../forwarder.example.toml");
        let text = text.replace("/run/secrets", &shown).replace("\"ca.pem\"", &format!("\"{shown}/ca.pem\""));
        let found = Found::default();
        let table = file::tree(Path::new("example"), &text, &found);
        found.none_of(Some(())).unwrap();
        Self { table, commented: commented(&text), dir }
    }

    /// `text` with the directory and the key in it.
    fn filled(&self, text: &str) -> String {
        text.replace("DIR", &self.dir.display().to_string()).replace("whsec_KEY", KEY)
    }

    /// The example with more set in it.
    fn with(&self, more: &[(String, Value)]) -> Table {
        let mut table = self.table.clone();
        // As a layer, which makes void what says the same in another way.
        let general = |path: &str| FIELDS.contains(&path);
        let origin = Origin::File { name: "example".into(), line: 1, column: 1 };
        let layer = |general_ones: bool| {
            let of_kind = more.iter().filter(move |(path, _)| general(path) == general_ones);
            of_kind.map(|(path, value)| (path.clone(), value.clone(), origin.clone())).collect::<Vec<_>>()
        };
        lay_over(&mut table, layer(true));
        for (path, value, origin) in layer(false) {
            lay_over(self.subscriber(&mut table, &path), vec![(path, value, origin)]);
        }
        table
    }

    /// The subscriber of the example that has such a field.
    fn subscriber<'a>(&self, table: &'a mut Table, path: &str) -> &'a mut Table {
        let Some(Value::List(list)) = table.get_mut("subscribers").map(|field| &mut field.node.value) else { panic!() };
        let Value::Table(table) = &mut list[usize::from(path.starts_with("lambda_event"))].value else { panic!() };
        table
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The lines of an example that are values behind a `#`.
fn commented(text: &str) -> Vec<Vec<(String, Value)>> {
    let mut section = "";
    let mut groups = vec![Vec::new()];
    for line in text.lines() {
        let value = line.strip_prefix("# ").filter(|line| {
            line.split_once(" = ").is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        });
        let Some(value) = value else {
            section = line.strip_prefix('[').map_or(section, |line| line.trim_end_matches(']'));
            groups.push(Vec::new());
            continue;
        };
        let found = Found::default();
        let (name, field) = file::tree(Path::new("example"), value, &found).pop_first().unwrap();
        found.none_of(Some(())).unwrap();
        let path = if section.starts_with('[') { name } else { format!("{section}.{name}") };
        groups.last_mut().unwrap().push((path, field.node.value));
    }
    groups.retain(|group| !group.is_empty());
    groups
}

/// Loads `table`, with these variables and the ones that the example names; everything of it, secrets as well.
fn loaded(mut table: Table, set: &[(String, String)]) -> String {
    let named =
        [("AUDIT_SECRET_NEW", KEY), ("AUDIT_TOKEN", "t"), ("KEY", KEY), ("TOKEN", SECRET), ("URL", "http://h/e")];
    let named = named.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let variables: Variables = named.into_iter().chain(set.iter().cloned()).collect();
    let found = Found::default();
    environment::lay(&mut table, &variables, &found);
    let config = read(Fields::new(&found, "", Origin::Unset, table), &variables, Need::Whole);
    let config = found.none_of(config).unwrap_or_else(|told| panic!("{set:?}: {told:#?}"));
    let hidden = |subscriber: &Subscriber| {
        let headers: Vec<_> = subscriber.headers.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
        (subscriber.url.0.clone(), headers)
    };
    format!("{config:?} {:?}", config.subscribers.iter().map(hidden).collect::<Vec<_>>())
}

/// A path without the number of its subscriber.
fn field(path: &str) -> &str {
    let below = path.strip_prefix("subscribers[").and_then(|rest| rest.split_once("]."));
    below.map_or(path, |(_, field)| field)
}

fn names() -> BTreeSet<&'static str> {
    FIELDS.into_iter().chain(OF_SUBSCRIBERS.into_iter().map(|(path, _)| path)).collect()
}

#[test]
fn every_field_that_is_read_has_a_variable() {
    let example = Example::read("asked");
    loaded(example.table.clone(), &[]);
    for group in &example.commented {
        loaded(example.with(group), &[]);
    }
    // The one that is a text in the example, and may be a reference.
    loaded(example.with(&[("url.env".to_owned(), Value::Text("URL".to_owned()))]), &[]);
    let asked = ASKED.take();
    let asked: BTreeSet<&str> = asked.iter().map(|path| field(path)).collect();
    // What stands in a list, or under a name of the user's, is set with the whole of it.
    let within = |path: &str| {
        let whole = |(name, written): &(&str, Written)| *written != Written::Plain && below(path, name);
        path.contains('[') || OF_SUBSCRIBERS.iter().any(whole)
    };
    let names = names();
    for path in asked.iter().filter(|path| !within(path)) {
        let is_table = asked.iter().any(|other| below(other, path)) || *path == "subscribers";
        assert!(names.contains(path) || is_table, "{path} has no variable");
    }
    for name in names {
        assert!(asked.contains(name), "nobody reads {name}");
    }
}

fn below(path: &str, table: &str) -> bool {
    path.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'))
}

#[test]
fn every_field_is_in_the_example_and_each_line_of_it_does_something() {
    let example = Example::read("lines");
    let base = loaded(example.table.clone(), &[]);
    let mut said = BTreeSet::new();
    let mut say = |path: &str, value: &Value| {
        said.insert(path.to_owned());
        if let Value::Table(table) = value {
            said.extend(table.keys().map(|name| format!("{path}.{name}")));
        }
    };
    for (section, whole) in &example.table {
        match &whole.node.value {
            Value::Table(table) => {
                table.iter().for_each(|(name, field)| say(&format!("{section}.{name}"), &field.node.value));
            }
            Value::List(list) => {
                for subscriber in list {
                    let Value::Table(table) = &subscriber.value else { panic!("a table") };
                    table.iter().for_each(|(name, field)| say(name, &field.node.value));
                }
            }
            _ => panic!("{section}"),
        }
    }
    assert!(example.commented.len() >= 6, "{}", example.commented.len());
    for group in &example.commented {
        group.iter().for_each(|(path, value)| say(path, value));
        let paths: Vec<_> = group.iter().map(|(path, _)| path).collect();
        assert_ne!(loaded(example.with(group), &[]), base, "{paths:?}");
    }
    for name in names() {
        // A value may be somewhere else, everywhere in the same two words.
        let whole = name.strip_suffix(".env").or(name.strip_suffix(".file")).filter(|whole| *whole != "state");
        assert!(said.contains(whole.unwrap_or(name)), "{name} is not in the example");
    }
}

#[test]
fn a_variable_of_each_field_does_what_the_field_does_in_a_file() {
    let example = Example::read("others");
    assert_eq!(OTHERS.iter().map(|(path, ..)| *path).collect::<BTreeSet<_>>(), names());
    for (path, other, text) in OTHERS {
        // What stands alone nowhere: a user has a password.
        let basic = example.commented.iter().flatten().find(|(name, _)| name == "basic" && path.starts_with("basic"));
        let basic = basic.cloned().into_iter().collect::<Vec<_>>();
        // Settings of one format are refused with another.
        let mut before = example.with(&basic);
        if path == "format" {
            example.subscriber(&mut before, path).remove("cloud_events");
        }
        let base = Example { table: before, commented: Vec::new(), dir: PathBuf::new() };
        let value = file::value(&example.filled(other), &Origin::Unset).expect(path);
        let by_file = loaded(base.with(&[(path.to_owned(), value)]), &[]);
        assert_ne!(by_file, loaded(base.table.clone(), &[]), "{path} does nothing");
        let subscriber = if path.starts_with("lambda_event") { "WELCOME" } else { "AUDIT" };
        let name = if FIELDS.contains(&path) {
            variable(path)
        } else {
            format!("SUBSCRIBERS_{subscriber}_{}", variable(path))
        };
        let set = [(format!("KINESIS_FORWARDER_{name}"), example.filled(text))];
        assert_eq!(loaded(base.table.clone(), &set), by_file, "{set:?}");
    }
}
