//! Lists, headers and secrets in variables: the long way to write them, and what is wrong with them.

use kinesis_http_sink::NetworkPolicy;

use super::*;

const OF_AUDIT: &str = "KINESIS_FORWARDER_SUBSCRIBERS_AUDIT_";

/// What comes of these fields of the subscriber `audit`, set by variables over a right file; mistakes without a secret.
fn audit(name: &str, set: &[(&str, &str)]) -> Result<Subscriber, Vec<String>> {
    let file = Temp::with(name, RIGHT);
    let own = set.iter().map(|(field, value)| (format!("{OF_AUDIT}{field}"), (*value).to_owned()));
    let named = [("TOKEN", SECRET), ("KEY", KEY)].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let read = Config::read(Some(&file.0), &own.chain(named).collect(), Need::Whole);
    read.map(|mut config| config.subscribers.remove(0)).map_err(|told| {
        let told: Vec<_> = told.iter().map(ToString::to_string).collect();
        assert!(told.iter().all(|line| !line.contains("s3cret") && !line.contains("C2FVsB")), "{told:#?}");
        told
    })
}

#[test]
fn what_commas_and_lines_cannot_say_is_written_as_in_a_file() {
    let key = Temp::with("written,key", KEY);
    let subscriber = audit(
        "toml.toml",
        &[
            ("CHANNELS", " [\"a,b\", \" c\",\n \"[d\"] "),
            ("NETWORKS", "[\"127.0.0.0/8\", \"::1\"]"),
            ("ASK_AGAIN", "[]"),
            ("SECRETS", &format!("[{{ file = {:?} }}, {{ env = \"KEY\" }}, {KEY:?}]", key.shown())),
            ("HEADERS", "{ x-token = { env = \"TOKEN\" }, x-a = \" b\" }"),
        ],
    )
    .unwrap();
    let channels = ["a,b", " c", "[d"].map(str::to_owned);
    assert_eq!(subscriber.channels, Some(BTreeSet::from(channels)));
    assert_eq!(
        (subscriber.networks.to_string().as_str(), subscriber.ask_again),
        ("no network but 127.0.0.0/8, ::1/128", Some(vec![]))
    );
    assert_eq!(subscriber.secrets.len(), 3);
    let headers: Vec<_> = subscriber.headers.iter().map(|(name, value)| (name.as_str(), value.0.as_str())).collect();
    assert_eq!(headers, [("x-a", " b"), ("x-token", SECRET)]);
}

#[test]
fn a_word_for_networks_is_no_list() {
    let networks = |value| audit("word.toml", &[("NETWORKS", value), ("URL", "http://example.com/")]).unwrap().networks;
    assert_eq!(networks("public").to_string(), NetworkPolicy::public_only().to_string());
    assert_eq!(networks(" 10.0.0.0/8,fd00::/8 ").to_string(), "no network but 10.0.0.0/8, fd00::/8");
}

#[test]
fn what_is_wrong_is_told_with_the_variable_and_the_way_out() {
    let cases = [
        ("CHANNELS", "placed,,paid", "subscribers[0].channels[1]: is empty", "write its name"),
        ("CHANNELS", "[placed]", "begins like a value of TOML and is none", "write it like [\"a\", \"b\"]"),
        (
            "CHANNELS",
            "[\"a\"]\nname = \"b\"",
            "begins like a value of TOML and is none",
            "write it like [\"a\", \"b\"]",
        ),
        ("CHANNELS", "[7]", "subscribers[0].channels[0]: is a number, and text is wanted", "like \"text\""),
        ("NETWORKS", "publik", "subscribers[0].networks: there is no set of networks \"publik\"", "[\"10.0.0.0/8\"]"),
        ("NETWORKS", "10.0.0.0/8, private", "subscribers[0].networks[1]: ", "fd00::/8"),
        ("NETWORKS", "127.0.0.0/8, 10.1.0.0/8", "subscribers[0].networks[1]: ", "is 10.0.0.0/8 meant?"),
        ("ASK_AGAIN", "10s, soon", "subscribers[0].ask_again[1]: \"soon\" is no duration", "5m or 2h"),
        (
            "SECRETS",
            "env:KEY, env:NOBODY",
            "subscribers[0].secrets[1].env: the variable NOBODY is not set",
            "name another",
        ),
        ("SECRETS", "file:no/such", "subscribers[0].secrets[0].file: cannot read the file no/such", "may read it"),
        ("SECRETS", "env:TOKEN", "subscribers[0].secrets[0]: a secret is base64", "rand -base64 32`"),
        ("SECRETS", "whsec_s3cret", "subscribers[0].secrets[0]: a secret", "rand -base64 32`"),
        ("SECRETS", "env:KEY,", "subscribers[0].secrets[1]: a secret of 0 bytes", "rand -base64 32`"),
        ("SECRETS", "[s3cret]", "begins like a value of TOML and is none", "write it like [{ env = \"NAME\" }]"),
        ("HEADERS", "x-a: 1\ns3cret", "line 2 has no colon: write a header a line", "{ x-tenant = \"7\" }"),
        ("HEADERS", "x-a: s3cret\nX-A: s3cret", "the header \"X-A\" is there twice", "leave one of the two out"),
        ("HEADERS", "{ x-a: s3cret }", "begins like a value of TOML and is none", "write it like { x-tenant = \"7\" }"),
        ("HEADERS", "content-type: s3cret", "subscribers[0].headers.content-type: the header", "leave it out"),
        ("HEADERS", "x-a: s3cret\u{1}s3cret", "subscribers[0].headers.x-a: the header \"x-a\" has a value", "ASCII"),
        ("BEARER", "s3cret\ns3cret", "subscribers[0].bearer: the header \"authorization\" has a value", "ASCII"),
        ("BATCH_MAX_BYTES", "1e6", "subscribers[0].batch.max_bytes: \"1e6\" is no whole number", "write one like 8"),
        ("NAME", " ", "subscribers[0].name: has 1 bytes", "so write 1 to 256"),
        ("BASIC_USER", "u", "subscribers[0].basic: wants user and password", "{ file = \"PATH\" }"),
    ];
    let mut wrong = Vec::new();
    for (field, value, beginning, end) in cases {
        let told = audit("wrong.toml", &[(field, value)]).expect_err(field);
        let begins = told[0].starts_with(&format!("{OF_AUDIT}{field}: {beginning}"));
        if told.len() != 1 || !begins || !told[0].contains(end) {
            wrong.push((field, value, told));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_value_and_where_it_is_are_not_both_taken() {
    for (field, beside) in [("URL", "URL_FILE"), ("BEARER", "BEARER_ENV"), ("BASIC_PASSWORD", "BASIC_PASSWORD_FILE")] {
        let key = Temp::with("beside", "http://h/");
        let told =
            audit("both.toml", &[(field, "http://h/"), (beside, &key.shown()), ("BASIC_USER", "u")]).unwrap_err();
        let expected = format!("{OF_AUDIT}{beside}: {OF_AUDIT}{field} is set as well: leave one of the two out");
        assert!(told.contains(&expected), "{told:#?}");
    }
}

#[test]
fn a_name_that_ends_like_a_field_is_the_one_that_there_is() {
    let mut set = vec![
        ("KINESIS_STREAM_NAME", "orders"),
        ("KINESIS_FORWARDER_SUBSCRIBERS_LATE_CONNECT_URL", "http://127.0.0.1/"),
        ("KINESIS_FORWARDER_SUBSCRIBERS_LATE_CONNECT_TIMEOUT", "9s"),
        ("KINESIS_FORWARDER_SUBSCRIBERS_LATE_CONNECT_NAME", "Late, connect"),
    ];
    let config = Config::read(None, &variables(&set), Need::Whole).unwrap();
    let subscriber = &config.subscribers[0];
    assert_eq!((subscriber.name.as_str(), subscriber.timeout), ("Late, connect", Duration::from_secs(9)));
    // One whose URL is in a file is another one.
    set.push(("KINESIS_FORWARDER_SUBSCRIBERS_B_URL_FILE", "no/such"));
    let told = Config::read(None, &variables(&set), Need::Whole).unwrap_err();
    let told: Vec<_> = told.iter().map(ToString::to_string).collect();
    assert!(told.len() == 1 && told[0].contains("cannot read the file no/such"), "{told:?}");
}
