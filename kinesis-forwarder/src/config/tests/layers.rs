//! What wins over what, what nothing shows, and what is shared.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

/// The configuration of a `run` of this file.
fn of_run(file: &str, flags: &[&str], set: &Variables) -> Result<Config, Mistakes> {
    let args = [&["kinesis-forwarder", "run", "--config", file], flags].concat();
    let Command::Run(args) = Cli::try_parse_from(args).unwrap().command else { panic!("run") };
    Config::of_run(&args, set)
}

#[test]
fn variables_win_over_the_file_and_flags_over_both() {
    let file = Temp::with("layers.toml", &format!("{RIGHT}timeout = \"3s\"\nbearer = {{ env = \"A\" }}\n"));
    let set = variables(&[
        ("KINESIS_FORWARDER_SOURCE_STREAM", "of-the-environment"),
        ("KINESIS_FORWARDER_SOURCE_START", "horizon"),
        ("KINESIS_FORWARDER_SUBSCRIBERS_AUDIT_CONNECT_TIMEOUT", "2s"),
        ("KINESIS_FORWARDER_SUBSCRIBERS_AUDIT_PARALLEL", "3"),
        ("KINESIS_FORWARDER_SUBSCRIBERS_AUDIT_BEARER_FILE", &file.shown()),
        ("KINESIS_FORWARDER_SUBSCRIBERS_NEW_ONE_URL", "http://127.0.0.1/new"),
        ("KINESIS_FORWARDER_SERVER_LISTEN", ""),
        // Kubernetes sets these for a service of this name.
        ("KINESIS_FORWARDER_SERVICE_HOST", "10.0.0.7"),
        ("KINESIS_FORWARDER_PORT", "tcp://10.0.0.7:80"),
        ("KINESIS_STREAM_NAME", "nobody-asks"),
    ]);
    let of_run = |flags: &[&str]| of_run(&file.shown(), flags, &set);
    let told = of_run(&[]).unwrap_err();
    // The file is no header value, which proves that it was read in place of the variable A.
    assert!(
        told.iter()
            .all(|mistake| mistake.to_string().contains("_BEARER_FILE") || mistake.to_string().contains("bearer"))
    );
    let config =
        of_run(&["--to", "http://127.0.0.1/flag?x=1", "--stream", "of-the-flag", "--max-age", "1.5s"]).unwrap();
    let Some(Source::Stream(stream)) = &config.source else { panic!("a stream") };
    assert_eq!((stream.name.as_str(), stream.start), ("of-the-flag", StartPosition::TrimHorizon));
    assert_eq!((config.subscribers.len(), config.subscribers[0].shown_url()), (1, "http://127.0.0.1/flag"));
    assert_eq!(config.subscribers[0].max_age(), Duration::from_millis(1500));
    let config = of_run(&["--input", "-", "--to", "http://127.0.0.1/"]).unwrap();
    assert!(matches!(&config.source, Some(Source::Input(path)) if path == Path::new("-")));
}

/// The list that variables had begun for nobody came from nowhere, and what was told of it began with a colon.
#[test]
fn variables_of_a_subscriber_that_nobody_has_are_told_with_their_place() {
    let file = Temp::with("nobody.toml", "[source]\nstream = \"orders\"\n");
    for (field, value, why) in [
        ("HEADERS", "no colon", "line 1 has no colon"),
        ("FORMAT", "original", "there is no subscriber AUDIT: name one that there is, or set its URL"),
    ] {
        let variable = format!("KINESIS_FORWARDER_SUBSCRIBERS_AUDIT_{field}");
        let told = of_run(&file.shown(), &[], &variables(&[(&variable, value)])).unwrap_err();
        let told: Vec<_> = told.iter().map(ToString::to_string).collect();
        let places =
            [format!("{}:1:1: subscribers: there is no subscriber", file.shown()), format!("{variable}: {why}")];
        assert!(
            told.len() == 2 && places.iter().all(|place| told.iter().any(|line| line.starts_with(place))),
            "{told:#?}"
        );
    }
}

/// What the check had passed was refused by the run, in words of fields that no configuration has.
#[test]
fn whatever_passes_the_check_can_run() {
    for field in
        ["batch = { max_records = 10000 }", "batch = { max_bytes = 67108864 }", "retry = { longest_wait = \"1ms\" }"]
    {
        let file = Temp::with("extreme.toml", &format!("{RIGHT}{field}\n"));
        let config = Config::read(Some(&file.0), &variables(&[]), Need::Whole).unwrap();
        let sinks = config.sinks().unwrap();
        let subscriptions = config.subscriptions(&sinks, |_, http| http).unwrap();
        kinesis_core::Deliverer::new(subscriptions).unwrap_or_else(|error| panic!("{field}: {error}"));
    }
}

/// A configuration made for `run` gave a record up within a call, which Lambda then sent again behind others of its key.
#[test]
fn what_comes_again_is_not_given_up_within_a_call() {
    let retry = "retry = { attempts = 3, max_age = \"10s\", longest_wait = \"5s\" }\n";
    let file = Temp::with("calls.toml", &format!("{RIGHT}{retry}"));
    let read = || Config::read(Some(&file.0), &variables(&[]), Need::Whole).unwrap().subscribers.remove(0);
    let [mut again, mut over] = [read(), read()];
    again.fit_for_calls(Duration::from_secs(2), true);
    over.fit_for_calls(Duration::from_secs(2), false);
    assert_eq!((again.retry.attempts, again.retry.max_age), (None, Duration::from_secs(24 * 60 * 60)));
    assert_eq!((over.retry.attempts, over.retry.max_age), (NonZeroU32::new(3), Duration::from_secs(10)));
    assert_eq!([again.retry.cap, over.retry.cap], [Duration::from_secs(2); 2]);
}

#[test]
fn an_input_is_enough_to_try_the_subscribers_of_a_stream() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/forwarder.example.toml");
    let flags = ["--input", "-", "--dead-letters", "dead.ndjson"];
    let config = of_run(example, &flags, &Variables::default()).unwrap();
    assert!(matches!(&config.source, Some(Source::Input(path)) if path == Path::new("-")));
    assert_eq!(config.state, State::Nowhere);
    let subscriber = &config.subscribers[0];
    assert_eq!((subscriber.name.as_str(), subscriber.start, subscriber.on_reject), ("audit", None, None));
    assert_eq!(subscriber.dead_letters.as_deref(), Some(Path::new("dead.ndjson")));
}

#[test]
fn subscribers_can_come_from_the_environment_alone() {
    let set = variables(&[
        ("KINESIS_STREAM_NAME", "orders"),
        ("KINESIS_FORWARDER_SUBSCRIBERS_NEW_ONE_URL", "http://127.0.0.1/new"),
        ("KINESIS_FORWARDER_SUBSCRIBERS_NEW_ONE_CONNECT_TIMEOUT", "2s"),
        ("KINESIS_FORWARDER_SUBSCRIBERS_NEW_ONE_PARALLEL", "3"),
        ("KINESIS_FORWARDER_SUBSCRIBERS_NEW_ONE_BREAKER", "false"),
    ]);
    let config = Config::read(None, &set, Need::Whole).unwrap();
    let subscriber = &config.subscribers[0];
    assert_eq!((subscriber.name.as_str(), subscriber.connect_timeout), ("new-one", Some(Duration::from_secs(2))));
    // One shard alone may use all of it.
    assert_eq!((subscriber.concurrency, subscriber.breaker), (32, Some(false)));
    let wide = variables(&[
        ("KINESIS_STREAM_NAME", "orders"),
        ("KINESIS_FORWARDER_SUBSCRIBERS_A_URL", "http://127.0.0.1/new"),
        ("KINESIS_FORWARDER_SUBSCRIBERS_A_PARALLEL", "40"),
    ]);
    assert_eq!(Config::read(None, &wide, Need::Whole).unwrap().subscribers[0].concurrency, 40);
    let without_source: Variables = variables(&[("KINESIS_FORWARDER_SUBSCRIBERS_A_URL", "http://127.0.0.1/new")]);
    assert!(Config::read(None, &without_source, Need::Subscribers).unwrap().source.is_none());
    assert!(Config::read(None, &without_source, Need::Whole).is_err());
}

#[test]
fn a_variable_that_is_no_field_is_told_with_the_one_that_was_meant() {
    let file = Temp::with("variables.toml", RIGHT);
    let cases = [
        ("KINESIS_FORWARDER_SOURCE_STEAM", "x", "goes before SOURCE_STREAM"),
        ("KINESIS_FORWARDER_SUBSCRIBERS_AUDIT_COLOUR", "x", "a name and URL or another field"),
        ("KINESIS_FORWARDER_SUBSCRIBERS_ADIT_RATE", "7", "there is no subscriber ADIT"),
        ("KINESIS_FORWARDER_SUBSCRIBERS_AUDIT_RATE", "many", "\"many\" is no whole number"),
        ("KINESIS_FORWARDER_SUBSCRIBERS_AUDIT_BREAKER", "no", "\"no\" is neither true nor false"),
        (
            "KINESIS_FORWARDER_SUBSCRIBERS_AUDIT_URL",
            "nonsense",
            "subscribers[0].url: the URL \"nonsense\" has no scheme",
        ),
    ];
    for (name, value, part) in cases {
        let told = Config::read(Some(&file.0), &variables(&[(name, value)]), Need::Whole).unwrap_err();
        let told: Vec<_> = told.iter().map(ToString::to_string).collect();
        assert!(told.len() == 1 && told[0].starts_with(&format!("{name}: ")) && told[0].contains(part), "{told:?}");
    }
}

#[test]
fn no_secret_is_shown() {
    let password = Temp::with("password", &format!("{SECRET}\n"));
    let text = format!(
        "[source]\nstream = \"orders\"\n[[subscribers]]\nname = \"a\"\nurl = \"http://127.0.0.1/?t=s3cret\"\n\
         secrets = [{{ env = \"KEY\" }}]\nheaders = {{ x-key = {{ env = \"TOKEN\" }} }}\n\
         basic = {{ user = \"u\", password = {{ file = {:?} }} }}\n\
         [[subscribers]]\nname = \"b\"\nurl = {{ env = \"URL\" }}\nbearer = {{ env = \"TOKEN\" }}\n",
        password.shown()
    );
    let file = Temp::with("secrets.toml", &text);
    let set = variables(&[("KEY", KEY), ("TOKEN", SECRET), ("URL", "http://127.0.0.1/b?t=s3cret")]);
    let config = Config::read(Some(&file.0), &set, Need::Whole).unwrap();
    let basic =
        format!("Basic {}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("u:{SECRET}")));
    let headers: Vec<_> =
        config.subscribers[0].headers.iter().map(|(name, value)| (name.as_str(), value.0.as_str())).collect();
    assert_eq!(headers, [("x-key", SECRET), ("authorization", basic.as_str())]);
    for shown in
        [config.to_string(), format!("{config:?}"), format!("{set:?}"), format!("{:?}", config.sinks().unwrap())]
    {
        for secret in ["s3cret", "C2FVsB", basic.as_str()] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn equal_formats_are_shared_and_dead_letters_of_one_path_too() {
    let dead = Temp::with("dead", "");
    let one = |name: &str| {
        format!(
            "[[subscribers]]\nname = \"{name}\"\nurl = \"http://127.0.0.1/{name}\"\nformat = \"cloud-events-binary\"\n\
             dead_letters = {:?}\n",
            dead.shown()
        )
    };
    let file = Temp::with("shared.toml", &format!("[source]\nstream = \"s\"\n{}{}", one("a"), one("b")));
    let config = Config::read(Some(&file.0), &Variables::default(), Need::Whole).unwrap();
    let sinks = config.sinks().unwrap();
    let subscriptions = config.subscriptions(&sinks, |_, http| http).unwrap();
    let names: BTreeSet<_> = subscriptions.iter().map(|subscription| subscription.name().to_string()).collect();
    assert_eq!(names, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    assert_eq!(sinks.dead_letters.len(), 1);
}
