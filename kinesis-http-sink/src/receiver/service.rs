//! The receiver as a tower service: a request is believed, read, and answered when its events are taken.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use kinesis_core::BoxError;
use tokio::time::{Instant, timeout};
use tower::Service;

use super::refusal::Refusal;
use super::{Event, Receiver};
use crate::format::{self, Carried, Malformed};
use crate::{JSON, WEBHOOK_ID, signature};

/// How much of a body over the limit is read and dropped, so that the sender gets to read why it was refused: a server
/// that closes on a sender in mid-sentence is not heard.
const DRAIN: usize = 64 * 1024 * 1024;

/// A [`Receiver`] at work. Cloning it shares the callbacks.
#[derive(Debug, Clone)]
pub struct ReceiverService {
    receiver: Arc<Receiver>,
}

impl ReceiverService {
    pub(super) fn new(receiver: Arc<Receiver>) -> Self {
        Self { receiver }
    }
}

impl<B> Service<Request<B>> for ReceiverService
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let receiver = Arc::clone(&self.receiver);
        Box::pin(async move { Ok(receiver.answer(request).await.unwrap_or_else(Refusal::into_response)) })
    }
}

impl Receiver {
    async fn answer<B>(&self, request: Request<B>) -> Result<Response<Full<Bytes>>, Refusal>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        if self.stop.is_stopping() {
            return Err(Refusal::stopping());
        }
        let (head, body) = request.into_parts();
        match head.method {
            Method::POST => self.receive(&head, body).await,
            Method::GET | Method::HEAD => Ok(json(StatusCode::OK, r#"{"status":"ok"}"#)),
            _ => Err(Refusal::method()),
        }
    }

    async fn receive<B>(&self, head: &Parts, body: B) -> Result<Response<Full<Bytes>>, Refusal>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let late = || Refusal::late(self.receive_timeout, head.version);
        let body = read(body, self.body_limit, self.receive_timeout).await?.ok_or_else(late)?;
        // Before anything is read in it: a body that is not believed is not parsed.
        if !self.secrets.is_empty()
            && let Err(why) = signature::verify(&self.secrets, &head.headers, &body)
        {
            tracing::warn!(%why, "a request was not believed");
            return Err(Refusal::unbelieved());
        }
        let (parsed, carried) = format::read(&head.headers, &body).map_err(refusal_of)?;
        let mut events: Vec<Event> = parsed.into_iter().map(|parsed| Event::of(parsed, body.clone())).collect();
        if carried == Carried::InHeaders && !self.secrets.is_empty() {
            // Its own id is a header that is not signed, and the request's is one that is.
            events.iter_mut().for_each(|event| event.signed_id = head.headers.get(WEBHOOK_ID).cloned());
        }
        match (events.len(), events.pop()) {
            // What stands alone is answered by itself, and can say more than that it failed.
            (1, Some(only)) => self.take(only).await.map(|status| json(status, "")),
            (_, last) => {
                events.extend(last);
                Ok(json(StatusCode::OK, &self.take_all(events).await))
            }
        }
    }
}

fn json(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = status;
    if !body.is_empty() {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    }
    response
}

fn refusal_of(malformed: Malformed) -> Refusal {
    match malformed {
        Malformed::ContentType(_) => Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, malformed.to_string()),
        malformed => Refusal::new(StatusCode::BAD_REQUEST, format!("the body is no event: {malformed}")),
    }
}

/// The whole body, if it is not over the limit; none for one that is not there in time.
async fn read<B>(body: B, limit: usize, time: Duration) -> Result<Option<Bytes>, Refusal>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let begun = Instant::now();
    let mut body = pin!(body);
    match within(time, joined(body.as_mut(), limit)).await {
        Some(Ok(Some(whole))) => return Ok(Some(whole)),
        Some(Ok(None)) => {}
        Some(Err(refusal)) => return Err(refusal),
        None => return Ok(None),
    }
    // Why it is refused is known; whether the sender gets to its end is not waited for any longer.
    within(time.saturating_sub(begun.elapsed()), drained(body)).await;
    Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {limit} bytes")))
}

/// What a sender has to send, if that is there in time.
async fn within<T>(time: Duration, sent: impl Future<Output = T>) -> Option<T> {
    let mut sent = pin!(sent);
    // Most of it is there already, and needs no timer.
    match sent.as_mut().now_or_never() {
        Some(sent) => Some(sent),
        None => timeout(time, sent).await.ok(),
    }
}

/// Reads and drops what is left of a body, to its end or to [`DRAIN`].
async fn drained<B>(mut body: Pin<&mut B>)
where
    B: Body<Data = Bytes>,
{
    let mut dropped = 0;
    while let Some(Ok(frame)) = body.as_mut().frame().await {
        dropped += frame.data_ref().map_or(0, Bytes::len);
        if dropped > DRAIN {
            break;
        }
    }
}

/// A body as one piece; none for one over the limit. Its frames are joined as they come: kept apart, a body of frames of
/// one byte would take forty times its size.
async fn joined<B>(mut body: Pin<&mut B>, limit: usize) -> Result<Option<Bytes>, Refusal>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let (mut first, mut joined) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.as_mut().frame().await {
        let frame = frame.map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = first.len() + joined.len();
        if data.len() > limit.saturating_sub(length) {
            return Ok(None);
        }
        if length == 0 {
            first = data;
        } else {
            joined.extend_from_slice(&std::mem::take(&mut first));
            joined.extend_from_slice(&data);
        }
    }
    Ok(Some(if joined.is_empty() { first } else { joined.freeze() }))
}
