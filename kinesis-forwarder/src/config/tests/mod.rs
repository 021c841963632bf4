//! Mistakes, each told with its place and a way out; what wins over what is in a file of its own.

mod every_field;
mod layers;
mod written;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;

thread_local! {
    /// Every field that was asked for on this thread.
    pub(super) static ASKED: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// A secret that must not come out anywhere, and one that signs.
const SECRET: &str = "s3cret-s3cret";
const KEY: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// A file that is gone after the test.
struct Temp(PathBuf);

impl Temp {
    fn with(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("forwarder-config-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn shown(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn variables(set: &[(&str, &str)]) -> Variables {
    set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What is wrong with `text`, without the file's name. Nothing of it is a secret.
fn mistakes(name: &str, text: &str) -> Vec<String> {
    let file = Temp::with(name, text);
    let set = variables(&[("KEY", KEY), ("SHORT", "whsec_c2hvcnQ="), ("TOKEN", SECRET), ("LINES", "s3cret\ns3cret")]);
    let told = match Config::read(Some(&file.0), &set, Need::Whole) {
        Ok(config) => return vec![format!("none: {config}")],
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect::<Vec<_>>(),
    };
    assert!(told.iter().all(|line| !line.contains("s3cret") && !line.contains("C2FVsB")), "{told:#?}");
    let name = format!("{}:", file.shown());
    told.iter().map(|line| line.strip_prefix(&name).expect(line).to_owned()).collect()
}

/// A right source and a right subscriber, to put one mistake below.
const RIGHT: &str = "[source]\nstream = \"orders\"\n[[subscribers]]\nname = \"audit\"\nurl = \"http://127.0.0.1/\"\n";

#[test]
fn each_mistake_is_told_with_its_line_its_field_and_the_way_out() {
    // What stands below `RIGHT`, from line 6 on, and the beginning and the end of what is told.
    let below: [(&str, &str, &str); 44] = [
        ("timout = \"5s\"", "6:1: subscribers[0].timout: there is no such field", "did you mean timeout?"),
        ("zebra = 1", "6:1: subscribers[0].zebra: there is no such field", "conflict_is_delivered"),
        ("timeout = 5", "6:11: subscribers[0].timeout: is a number, and text is wanted", "like \"15s\""),
        ("timeout = \"5\"", "6:11: subscribers[0].timeout: \"5\" is no duration", "5m or 2h"),
        ("timeout = \"0s\"", "6:11: subscribers[0].timeout: \"0s\" is no duration", "5m or 2h"),
        ("connect_timeout = \"20s\"", "6:19: subscribers[0].connect_timeout: is 20s", "make it shorter"),
        ("rate = 0", "6:8: subscribers[0].rate: is 0", "from 1 to 4294967295"),
        ("concurrency = 0", "6:15: subscribers[0].concurrency: is 0", "from 1 to 268435455"),
        ("parallel = -1", "6:12: subscribers[0].parallel: is -1", "from 1 to 268435455"),
        ("breaker = \"no\"", "6:11: subscribers[0].breaker: is text, and true or false is wanted", "like true"),
        ("channels = []", "6:12: subscribers[0].channels: is empty", "leave it out for every channel"),
        ("channels = [\"a\", \"\"]", "6:18: subscribers[0].channels[1]: is empty", "write its name"),
        ("channels = [7]", "6:13: subscribers[0].channels[0]: is a number, and text is wanted", "like \"text\""),
        ("networks = \"publik\"", "6:12: subscribers[0].networks: there is no set", "a list like [\"10.0.0.0/8\"]"),
        ("networks = [\"127.0.0.0/8\", \"10.1.0.0/8\"]", "6:28: subscribers[0].networks[1]: ", "is 10.0.0.0/8 meant?"),
        ("networks = [\"nowhere\"]", "6:13: subscribers[0].networks[0]: ", "fd00::/8"),
        (
            "format = \"cloud-events-binery\"",
            "6:10: subscribers[0].format: there is no format",
            "did you mean \"cloud-events-binary\"?",
        ),
        ("format = \"xml\"", "6:10: subscribers[0].format: there is no format \"xml\"", "lambda-event"),
        (
            "format = \"cloud-events-binary\"\ncloud_events = { type-prefix = \"com.example\" }",
            "7:18: subscribers[0].cloud_events.type-prefix: there is no such field",
            "did you mean type_prefix?",
        ),
        (
            "format = \"cloud-events-batch\"\ncloud_events = { source = \"a b\" }",
            "7:27: subscribers[0].cloud_events.source: the source of CloudEvents \"a b\" is no URI",
            "stream/orders",
        ),
        (
            "cloud_events = { source = \"urn:a\" }",
            "6:16: subscribers[0].cloud_events: belongs to another",
            "change format",
        ),
        (
            "format = \"lambda-event\"",
            "6:10: subscribers[0].format: a Lambda event names its stream",
            "\"arn:aws:kinesis:..\" }",
        ),
        (
            "format = \"lambda-event\"\nlambda_event = { stream_arn = \"arn:aws:sqs:x:1:q\" }",
            "7:31: subscribers[0].lambda_event.stream_arn: \"arn:aws:sqs:x:1:q\" is no ARN",
            "stream/orders",
        ),
        (
            "secrets = [{ env = \"NOBODY\" }]",
            "6:20: subscribers[0].secrets[0].env: the variable NOBODY is not set",
            "name another",
        ),
        (
            "secrets = [{ file = \"no/such\" }]",
            "6:21: subscribers[0].secrets[0].file: cannot read the file no/such",
            "may read it",
        ),
        (
            "secrets = [{ env = \"KEY\" }, { env = \"SHORT\" }]",
            "6:29: subscribers[0].secrets[1]: a secret of 5 bytes",
            "rand -base64 32`",
        ),
        ("secrets = [{ env = \"TOKEN\" }]", "6:12: subscribers[0].secrets[0]: a secret is base64", "rand -base64 32`"),
        ("secrets = [\"s3cret\"]", "6:12: subscribers[0].secrets[0]: a secret may not stand here", "and put it there"),
        ("bearer = \"s3cret\"", "6:10: subscribers[0].bearer: a secret may not stand here", "and put it there"),
        ("bearer = {}", "6:10: subscribers[0].bearer: names no single place", "{ file = \"PATH\" }"),
        (
            "bearer = { env = \"LINES\" }",
            "6:10: subscribers[0].bearer: the header \"authorization\" has a value",
            "printable ASCII",
        ),
        ("basic = { user = \"a\" }", "6:9: subscribers[0].basic: wants user and password", "{ file = \"PATH\" }"),
        (
            "headers = { \"bad name\" = \"x\" }",
            "6:26: subscribers[0].headers.bad name: the header \"bad name\" has a name",
            "does not allow",
        ),
        ("headers = { Content-Type = \"x\" }", "6:28: subscribers[0].headers.Content-Type: the header", "leave it out"),
        ("ca_file = \"no/such\"", "6:11: subscribers[0].ca_file: cannot read the file no/such", "may read it"),
        ("start = \"tip\"", "6:9: subscribers[0].start: \"tip\" is no place", "13:00:00+01:00"),
        ("ordering = \"per-key\"", "6:12: subscribers[0].ordering: there is no ordering", "did you mean \"per_key\"?"),
        (
            "on_reject = \"dead_letter\"",
            "6:13: subscribers[0].on_reject: there is no file",
            "dead_letters = \"dead.ndjson\"",
        ),
        ("retry = { max_age = \"1d\" }", "6:21: subscribers[0].retry.max_age: \"1d\" is no duration", "5m or 2h"),
        ("ask_again = [\"soon\"]", "6:14: subscribers[0].ask_again[0]: \"soon\" is no duration", "5m or 2h"),
        (
            "[[subscribers]]\nname = \"audit\"\nurl = \"http://h/\"",
            "7:8: subscribers[1].name: another subscriber is",
            "its own name",
        ),
        ("[server]\nlisten = \"9090\"", "7:10: server.listen: \"9090\" is no address", "for every network"),
        (
            "[server]\nlisten = \"127.0.0.1:0\"\nstalled_after = \"10s\"",
            "8:17: server.stalled_after: is 10s, within",
            "make it longer",
        ),
        ("[state]\nfile = \"a\"\ntable = \"b\"", "8:9: state.table: there is a file as well", "one of the two out"),
    ];
    let mut wrong = Vec::new();
    for (text, beginning, end) in below {
        let told = mistakes("below.toml", &format!("{RIGHT}{text}\n"));
        if told.len() != 1 || !told[0].starts_with(beginning) || !told[0].ends_with(end) {
            wrong.push((text, beginning, end, told));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn mistakes_in_sources_and_urls_and_syntax_are_told_the_same_way() {
    let one = "[[subscribers]]\nname = \"a\"\n";
    let to = |url: &str| format!("[source]\nstream = \"s\"\n{one}url = \"{url}\"\n");
    let from = |source: &str| format!("{one}url = \"http://h/\"\n[source]\n{source}\n");
    let whole: [(String, &str, &str); 17] = [
        (to("nonsense"), "5:7: subscribers[0].url: the URL \"nonsense\" has no scheme", "http://host:3000/events"),
        (to("ftp://h/?key=s3cret"), "5:7: subscribers[0].url: the URL \"ftp://h/?…\" has the scheme", "are known"),
        (to("http://u:s3cret@h/"), "5:7: subscribers[0].url: the URL", "authorization header instead"),
        (
            to("http://169.254.169.254/"),
            "5:7: subscribers[0].url: the URL \"http://169.254.169.254/\" is at",
            "allow its network",
        ),
        (to("http://127.0.0.1/\"\nnetworks = \"public"), "5:7: subscribers[0].url: the URL", "allow its network"),
        (format!("[source]\nstream = \"s\"\n{one}"), "3:1: subscribers[0]: has no url", "3000/events\""),
        ("[source]\nstream = \"s\"\n".into(), "1:1: subscribers: there is no subscriber", "[[subscribers]]"),
        (format!("{one}url = \"http://h/\"\n"), "1:1: source: no stream is named", "in [source]"),
        (from("stream = \"s\"\ninput = \"i\""), "6:9: source.input: there is a stream as well", "one of the two out"),
        (from("strem = \"s\""), "5:1: source.strem: there is no such field", "did you mean stream?"),
        (from("input = \"i\"\nconsumer = \"c\""), "6:12: source.consumer: belongs to a stream", "name a stream"),
        (from("stream = \"s\"\nstart = \"yesterday\""), "6:9: source.start: \"yesterday\" is no place", "+01:00"),
        (from("stream = \"s\"\nendpoint = \"localhost\""), "6:12: source.endpoint: the endpoint", "is wanted"),
        (
            from("input = \"i\"")
                + "[[subscribers]]\nname = \"b\"\nurl = \"http://h/\"\nformat = \"cloud-events-binary\"",
            "9:10: subscribers[1].format: an input has no name",
            "in cloud_events",
        ),
        (from("input = \"i\"\n[state]\ntable = \"t\""), "7:9: state.table: a table is for the shards", "in a file"),
        (
            from("stream = \"s\"\n[state]\ndynamodb = \"http://h\""),
            "7:12: state.dynamodb: belongs to a table",
            "as well",
        ),
        (from("stream = \"s3cret"), "5:", "name = 8"),
    ];
    for (text, beginning, end) in whole {
        let told = mistakes("whole.toml", &text);
        let found = told.iter().find(|line| line.starts_with(beginning));
        assert!(found.is_some_and(|line| line.ends_with(end)), "{text}: {told:#?}");
    }
}

#[test]
fn every_mistake_is_told_in_the_order_of_the_file() {
    let text =
        "[source]\nstart = \"x\"\n[[subscribers]]\nurl = \"x\"\nrate = 0\n[[subscribers]]\nname = \"\"\n[servr]\n";
    let told = mistakes("all.toml", text);
    let places: Vec<_> = told.iter().map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(" ")).collect();
    let expected = [
        "1:1 source",
        "2:9 source.start",
        "3:1 subscribers[0]",
        "4:7 subscribers[0].url",
        "5:8 subscribers[0].rate",
        "6:1 subscribers[1]",
        "7:8 subscribers[1].name",
        "8:2 servr",
    ];
    assert_eq!(places, expected, "{told:#?}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    for path in ["no/such.toml", "."] {
        let told = Config::read(Some(Path::new(path)), &Variables::default(), Need::Whole).unwrap_err();
        let told: Vec<_> = told.iter().map(ToString::to_string).collect();
        assert!(told[0].starts_with(&format!("{path}:1:1: cannot read the file")), "{told:?}");
    }
}
