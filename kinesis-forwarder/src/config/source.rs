//! The sections `[source]`, `[state]` and `[server]`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use kinesis_core::StartPosition;

use super::fields::{Fields, Set};
use super::{Need, Server, Source, State, Stream, Subscriber, Variables};
use crate::aws::host_of;
use crate::cli::start as position;

/// How long a lane with work may stand still before the program is not ready, where nothing is said: four times the usual
/// timeout of an exchange.
const STALLED_AFTER: Duration = Duration::from_secs(60);

/// What is read, and the field of the payload that names the channel.
pub(super) fn read(all: &mut Fields<'_>, variables: &Variables, need: Need) -> (Option<Source>, Option<String>) {
    let found = all.found();
    let nothing = all.place_of("source");
    let Some(mut fields) = all.table("source") else {
        let named = variables.get(kinesis_aws::STREAM_NAME_VARIABLE).filter(|_| need == Need::Whole);
        if named.is_none() && need == Need::Whole {
            nothing.refuse::<()>(found, none_named());
        }
        return (named.map(|name| Source::Stream(Stream::named(name))), None);
    };
    let place = fields.place();
    let stream = fields.text("stream", "orders");
    let input = fields.text("input", "events.ndjson");
    let endpoint = endpoint(&mut fields, "endpoint");
    let region = fields.text("region", "eu-west-1");
    let consumer = fields.text("consumer", "billing");
    let start = start(&mut fields);
    let from_json_field = fields.text("from_json_field", "type");
    fields.end();
    let json_field = from_json_field.map(|set| set.value);
    // What belongs to a stream alone, if it was said.
    let of_streams = [
        endpoint.as_ref().map(|set| &set.place),
        region.as_ref().map(|set| &set.place),
        consumer.as_ref().map(|set| &set.place),
        start.as_ref().map(|set| &set.place),
    ];
    let source = match (stream, input) {
        (Some(_), Some(input)) => {
            input.place.refuse(found, "there is a stream as well, and one source is read: leave one of the two out")
        }
        (None, Some(input)) => {
            for place in of_streams.into_iter().flatten() {
                place.refuse::<()>(found, "belongs to a stream, and an input is read: leave it out, or name a stream");
            }
            Some(Source::Input(PathBuf::from(input.value)))
        }
        (stream, None) => {
            let named = variables.get(kinesis_aws::STREAM_NAME_VARIABLE);
            let name = stream.map(|set| set.value).or_else(|| named.map(str::to_owned));
            match name.filter(|name| !name.trim().is_empty()) {
                Some(name) => Some(Source::Stream(Stream {
                    endpoint: endpoint.map(|set| set.value),
                    region: region.map(|set| set.value),
                    consumer: consumer.map(|set| set.value),
                    start: start.map_or(StartPosition::Latest, |set| set.value),
                    ..Stream::named(&name)
                })),
                None if need == Need::Subscribers => None,
                None => place.refuse(found, none_named()),
            }
        }
    };
    (source, json_field)
}

fn none_named() -> String {
    let variable = kinesis_aws::STREAM_NAME_VARIABLE;
    format!(
        "no stream is named: give --stream or set {variable}, or a file with --input; in a configuration, stream or input \
         in [source]"
    )
}

impl Stream {
    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), endpoint: None, region: None, consumer: None, start: StartPosition::Latest }
    }
}

/// A place to begin at.
pub(super) fn start(fields: &mut Fields<'_>) -> Option<Set<StartPosition>> {
    fields.read("start", "latest", |text| position(text).map_err(|way_out| format!("{text:?} is no place: {way_out}")))
}

fn endpoint(fields: &mut Fields<'_>, name: &'static str) -> Option<Set<String>> {
    fields.read(name, "http://127.0.0.1:4567", |text| {
        host_of(text).map(|_| text.to_owned()).map_err(|error| error.message().to_owned())
    })
}

/// Where it is kept how far each subscriber is.
pub(super) fn state(all: &mut Fields<'_>, source: Option<&Source>) -> Option<State> {
    let found = all.found();
    let Some(mut fields) = all.table("state") else { return Some(State::Nowhere) };
    let place = fields.place();
    let is_empty = fields.is_empty();
    let file = fields.text("file", "forwarder.state");
    let table = fields.text("table", "orders-forwarder");
    let dynamodb = endpoint(&mut fields, "dynamodb");
    fields.end();
    match (file, table, dynamodb) {
        (Some(_), Some(table), _) => table
            .place
            .refuse(found, "there is a file as well, and state is kept in one place: leave one of the two out"),
        (_, None, Some(dynamodb)) => dynamodb.place.refuse(found, "belongs to a table: name the table as well"),
        (Some(file), None, None) => Some(State::File(PathBuf::from(file.value))),
        (None, Some(table), _) if matches!(source, Some(Source::Input(_))) => {
            let why = "a table is for the shards of a stream, and an input is read: keep its state in a file";
            table.place.refuse(found, why)
        }
        (None, Some(table), dynamodb) => {
            Some(State::Table { name: table.value, dynamodb: dynamodb.map(|set| set.value) })
        }
        // Nothing stood there, or what did was displaced by an input.
        (None, None, None) if is_empty => Some(State::Nowhere),
        // What did not say anything right was told.
        (None, None, None) => {
            place.refuse(found, "names neither a file nor a table: give one, or leave the section out")
        }
    }
}

/// Health and metrics over HTTP.
pub(super) fn server(all: &mut Fields<'_>, subscribers: &[Subscriber]) -> Option<Server> {
    let found = all.found();
    let mut fields = all.table("server")?;
    let missing = fields.place();
    let said = fields.has("listen");
    let listen = fields.read("listen", "127.0.0.1:9090", |text| {
        let way_out = "write an address and a port, like 127.0.0.1:9090, or 0.0.0.0:9090 for every network";
        text.parse::<SocketAddr>().map_err(|_| format!("{text:?} is no address to listen on: {way_out}"))
    });
    let stalled_after = fields.duration("stalled_after", "60s");
    fields.end();
    if !said {
        return missing.refuse(found, "has no listen: write it like listen = \"127.0.0.1:9090\"");
    }
    let slowest = subscribers.iter().max_by_key(|subscriber| subscriber.timeout);
    let longest = slowest.map_or(Duration::ZERO, |subscriber| subscriber.timeout);
    let stalled_after = match stalled_after {
        // A lane is not stalled while its subscriber may still answer in time.
        Some(set) if set.value <= longest => {
            let name = slowest.map_or("", |subscriber| &subscriber.name);
            return set.place.refuse(
                found,
                format!("is {:?}, within the timeout of {longest:?} that {name:?} has: make it longer", set.value),
            );
        }
        Some(set) => set.value,
        None => STALLED_AFTER.max(longest * 2),
    };
    Some(Server { listen: listen?.value, stalled_after })
}
