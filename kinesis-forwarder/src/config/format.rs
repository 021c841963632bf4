//! The format of a subscriber: its name, and the settings that belong to it.

use kinesis_http_sink::{CloudEvents, Format};

use super::Source;
use super::fields::{Fields, Set};
use super::mistakes::not_one_of;
use super::reach::tried;

/// How records are written. Subscribers with equal ones share what is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FormatOf {
    Original,
    CloudEvents { mode: Mode, source: Option<String>, type_prefix: Option<String>, data_content_type: Option<String> },
    LambdaEvent { stream_arn: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Binary,
    Structured,
    Batch,
}

const NAMES: [&str; 5] =
    ["original", "cloud-events-binary", "cloud-events-structured", "cloud-events-batch", "lambda-event"];

impl FormatOf {
    /// Its name, as a configuration has it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Original => NAMES[0],
            Self::CloudEvents { mode: Mode::Binary, .. } => NAMES[1],
            Self::CloudEvents { mode: Mode::Structured, .. } => NAMES[2],
            Self::CloudEvents { mode: Mode::Batch, .. } => NAMES[3],
            Self::LambdaEvent { .. } => NAMES[4],
        }
    }

    pub(super) fn format(&self) -> Format {
        let (mode, source, type_prefix, data_content_type) = match self {
            Self::Original => return Format::original(),
            Self::LambdaEvent { stream_arn } => return Format::lambda_event(stream_arn),
            Self::CloudEvents { mode, source, type_prefix, data_content_type } => {
                (mode, source, type_prefix, data_content_type)
            }
        };
        let mut events = match mode {
            Mode::Binary => CloudEvents::binary(),
            Mode::Structured => CloudEvents::structured(),
            Mode::Batch => CloudEvents::batch(),
        };
        if let Some(source) = source {
            events = events.source(source);
        }
        if let Some(prefix) = type_prefix {
            events = events.type_prefix(prefix);
        }
        if let Some(kind) = data_content_type {
            events = events.data_content_type(kind);
        }
        events.into()
    }
}

/// The format, with what belongs to it; settings of another one are a mistake.
pub(super) fn read(fields: &mut Fields<'_>, source: Option<&Source>) -> Option<FormatOf> {
    let found = fields.found();
    let whole = fields.place();
    let said = fields.has("format");
    let named = fields.read("format", "cloud-events-structured", |text| match NAMES.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(not_one_of("format", text, &NAMES)),
    });
    let (events, lambda) = (fields.table("cloud_events"), fields.table("lambda_event"));
    if said && named.is_none() {
        return None;
    }
    let place = named.as_ref().map_or(whole, |set| set.place.clone());
    let name = named.map_or(NAMES[0].to_owned(), |set| set.value);
    for (table, prefix) in [(&events, "cloud-events"), (&lambda, "lambda-event")] {
        if let Some(table) = table.as_ref().filter(|_| !name.starts_with(prefix)) {
            let why = format!("belongs to another format, and this one is {name}: leave it out, or change format");
            table.place().refuse::<()>(found, why);
        }
    }
    let is_input = matches!(source, Some(Source::Input(_)));
    let mode = match name.as_str() {
        "cloud-events-binary" => Mode::Binary,
        "cloud-events-structured" => Mode::Structured,
        "cloud-events-batch" => Mode::Batch,
        "lambda-event" => return lambda_event(lambda, &place, source, fields),
        _ => return Some(FormatOf::Original),
    };
    let place = events.as_ref().map_or(place, Fields::place);
    let [origin, type_prefix, data_content_type] = match events {
        Some(mut events) => {
            let read = [
                events.text("source", "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"),
                events.text("type_prefix", "com.example.orders"),
                events.text("data_content_type", "application/json"),
            ];
            events.end();
            read
        }
        None => [None, None, None],
    };
    // A stream says itself which one it is; a file has no name that anybody else knows.
    if is_input && origin.is_none() {
        let why = "an input has no name for the source of events: write it like source = \"urn:example:orders\" in cloud_events";
        return place.refuse(found, why);
    }
    // Each alone, so that each has its place.
    let alone = |set: &Option<Set<String>>, with: fn(CloudEvents, &str) -> CloudEvents| {
        let Some(set) = set else { return };
        tried(found, &set.place, |sink| sink.format(with(CloudEvents::structured(), &set.value)));
    };
    alone(&origin, |events, value| events.source(value));
    alone(&type_prefix, |events, value| events.type_prefix(value));
    alone(&data_content_type, |events, value| events.data_content_type(value));
    let value = |set: Option<Set<String>>| set.map(|set| set.value);
    Some(FormatOf::CloudEvents {
        mode,
        source: value(origin),
        type_prefix: value(type_prefix),
        data_content_type: value(data_content_type),
    })
}

fn lambda_event(
    lambda: Option<Fields<'_>>,
    place: &super::fields::Place,
    source: Option<&Source>,
    fields: &Fields<'_>,
) -> Option<FormatOf> {
    let found = fields.found();
    let said = lambda.and_then(|mut lambda| {
        let arn = lambda.text("stream_arn", "arn:aws:kinesis:eu-west-1:123456789012:stream/orders");
        lambda.end();
        arn
    });
    let (stream_arn, place) = match (said, source) {
        (Some(set), _) => (set.value, set.place),
        (None, Some(Source::Stream(stream))) if stream.name.starts_with("arn:") => (stream.name.clone(), place.clone()),
        (None, _) => {
            let why = "a Lambda event names its stream: write lambda_event = { stream_arn = \"arn:aws:kinesis:..\" }";
            return place.refuse(found, why);
        }
    };
    let format = FormatOf::LambdaEvent { stream_arn };
    tried(found, &place, |sink| sink.format(format.format()))?;
    Some(format)
}
