//! What a subscription sends: the SDK subscribes, and its body is read here, event by event.
//!
//! The fast way takes the body from the SDK before it is read: signing, sending and refusals stay the SDK's work, frames
//! and events are ours. The plain way leaves the body to the SDK, whose events are converted.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_sdk_kinesis::config::StalledStreamProtectionConfig;
use aws_sdk_kinesis::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardError;
use aws_sdk_kinesis::primitives::event_stream::EventReceiver;
use aws_sdk_kinesis::types::error::SubscribeToShardEventStreamError;
use aws_sdk_kinesis::types::{StartingPosition, SubscribeToShardEventStream};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::event_stream::RawMessage;
use http_body_util::BodyExt as _;
use kinesis_core::{Error, Result, ShardId, wall_clock};

use super::frames::{Frame, Frames};
use super::reader::FanOut;
use crate::answer::Answer;
use crate::classify::{classify, kind_of, one_line};
use crate::fast::encode::format_of;
use crate::fast::exchange::Exchange;
use crate::place::Place;
use crate::served_at::{ServedAt, date_of};
use crate::{convert, fast};

type Receiver = EventReceiver<SubscribeToShardEventStream, SubscribeToShardEventStreamError>;

/// What came of a call.
pub(super) enum Subscribed {
    /// It stands; at this time of the service, where known.
    Stands(Events, Option<SystemTime>),
    /// Another subscription of the consumer has the shard, or was asked for a moment ago.
    InUse,
    /// The time to begin at is still to come.
    TooEarly,
}

/// Subscribes once.
pub(super) async fn subscribe(fan_out: &FanOut, shard: &ShardId, from: Place) -> Result<Subscribed> {
    let (kind, number, time) = from.in_words();
    let position = StartingPosition::builder().r#type(kind).set_sequence_number(number).set_timestamp(time);
    let position = position.build().map_err(|error| Error::contract("a position has a type").because(error))?;
    let (served_at, taken) = (ServedAt::default(), Arc::new(Mutex::new(None)));
    // Silence is normal here, and is watched by whoever reads.
    let patient =
        aws_sdk_kinesis::config::Builder::new().stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    let request = fan_out.client.subscribe_to_shard().consumer_arn(&fan_out.consumer).shard_id(shard.as_str());
    let mut request = request.starting_position(position).customize().config_override(patient);
    request = request.interceptor(served_at.clone());
    if fan_out.is_fast() {
        let slot = Arc::clone(&taken);
        request = request.interceptor(Exchange::new(fan_out.wire_format, move |body, _| {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
            SdkBody::empty()
        }));
    }
    match request.send().await {
        Ok(output) => {
            let taken = taken.lock().unwrap_or_else(PoisonError::into_inner).take();
            let events = match taken {
                Some(body) => Events::Fast { body: Box::pin(body), frames: Frames::default() },
                None => Events::Plain(Box::new(output.event_stream)),
            };
            Ok(Subscribed::Stands(events, served_at.get()))
        }
        Err(error) => refusal(fan_out, shard, from, error),
    }
}

fn refusal(
    fan_out: &FanOut,
    shard: &ShardId,
    from: Place,
    error: SdkError<SubscribeToShardError>,
) -> Result<Subscribed> {
    let refused = error.as_service_error();
    let in_use = |refused: &SubscribeToShardError| {
        refused.is_resource_in_use_exception() || refused.is_limit_exceeded_exception()
    };
    if refused.is_some_and(in_use) {
        return Ok(Subscribed::InUse);
    }
    let now = error.raw_response().and_then(date_of).unwrap_or_else(wall_clock::now);
    if refused.is_some_and(SubscribeToShardError::is_invalid_argument_exception) && from.is_later_than(now) {
        return Ok(Subscribed::TooEarly);
    }
    Err(classify("SubscribeToShard", &fan_out.stream, error).on_shard(shard))
}

/// The events of one subscription.
#[derive(Debug)]
pub(super) enum Events {
    /// The body as it comes.
    Fast { body: Pin<Box<SdkBody>>, frames: Frames },
    /// What the SDK makes of it.
    Plain(Box<Receiver>),
}

impl Events {
    /// The next event; none when the subscription is over. Dropping the future loses nothing of the fast way; the plain way
    /// is asked by one task that never does.
    pub(super) async fn next(&mut self, fan_out: &FanOut) -> Result<Option<Answer>> {
        match self {
            Self::Plain(receiver) => loop {
                match receiver.recv().await {
                    Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event))) => {
                        return convert::event(event).map(Some);
                    }
                    // What is not known yet says nothing of records.
                    Ok(Some(_)) => {}
                    Ok(None) => return Ok(None),
                    Err(error) => return Err(refused_inside(error, fan_out)),
                }
            },
            Self::Fast { body, frames } => loop {
                while let Some(frame) = frames.next()? {
                    if let Some(answer) = read(&frame, fan_out)? {
                        return Ok(Some(answer));
                    }
                }
                match body.frame().await {
                    Some(Ok(chunk)) => chunk.into_data().into_iter().for_each(|data| frames.push(data)),
                    Some(Err(error)) => return Err(broken_off().because(error)),
                    None if frames.is_cut() => return Err(broken_off()),
                    None => return Ok(None),
                }
            },
        }
    }
}

/// Reads a frame; none for one that says nothing of records.
fn read(frame: &Frame, fan_out: &FanOut) -> Result<Option<Answer>> {
    match frame.header(":message-type") {
        Some("event") if frame.header(":event-type") == Some("SubscribeToShardEvent") => {
            match fast::read(format_of(frame.header(":content-type")), &frame.payload) {
                Ok(answer) => Ok(Some(answer)),
                Err(refused) => {
                    fan_out.go_the_plain_way(refused);
                    Err(Error::transient("an event could not be read, and is asked for again").because(refused))
                }
            }
        }
        Some("exception" | "error") => Err(exception(frame, fan_out)),
        _ => Ok(None),
    }
}

/// What the service says inside the stream, in the words of a refused call.
fn exception(frame: &Frame, fan_out: &FanOut) -> Error {
    let code = frame.header(":exception-type").or_else(|| frame.header(":error-code")).unwrap_or("no code");
    let message = || {
        let text: serde_json::Value = serde_json::from_slice(&frame.payload).ok()?;
        Some(text.get("message").or_else(|| text.get("Message"))?.as_str()?.to_owned())
    };
    let message = frame.header(":error-message").map(str::to_owned).or_else(message);
    ended(code, message.as_deref(), fan_out)
}

/// The same, as the SDK tells it.
fn refused_inside(error: SdkError<SubscribeToShardEventStreamError, RawMessage>, fan_out: &FanOut) -> Error {
    match error.as_service_error() {
        Some(refused) => ended(refused.code().unwrap_or("no code"), refused.message(), fan_out),
        None => broken_off().because(error),
    }
}

fn ended(code: &str, message: Option<&str>, fan_out: &FanOut) -> Error {
    let message = one_line(message.unwrap_or("no message"));
    let text = format!("the subscription to the stream {} was ended: {code}: {message}", fan_out.stream);
    // What is unknown here can be no fault of the request, which was taken.
    Error::new(kind_of(code, 500), text)
}

fn broken_off() -> Error {
    Error::transient("the connection of the subscription broke off")
}
