//! The receiver as a tower service: one request in, one callback, one reply.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use kinesis_core::{BoxError, Outcome};
use tower::Service;

use super::refusal::Refusal;
use super::{Event, Receiver};
use crate::JSON;

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
        Box::pin(async move { Ok(receiver.receive(request).await.unwrap_or_else(Refusal::into_response)) })
    }
}

impl Receiver {
    async fn receive<B>(&self, request: Request<B>) -> Result<Response<Full<Bytes>>, Refusal>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let (head, body) = request.into_parts();
        if head.method != Method::POST {
            return Err(Refusal::method());
        }
        require_json(&head.headers)?;
        let body = read(body, self.body_limit).await?;
        let event = Event::parse(&head.headers, body)
            .map_err(|malformed| Refusal::new(StatusCode::BAD_REQUEST, format!("the body is no event: {malformed}")))?;
        let status = self.dispatch(event).await?;
        let mut response = Response::default();
        *response.status_mut() = status;
        Ok(response)
    }

    /// Runs the callback of the event's channel.
    async fn dispatch(&self, event: Event) -> Result<StatusCode, Refusal> {
        let Some(callback) = self.callback(&event.channel) else {
            return match self.accept_unknown {
                true => Ok(StatusCode::ACCEPTED),
                false => {
                    Err(Refusal::new(StatusCode::NOT_FOUND, format!("nobody takes the channel {:?}", event.channel)))
                }
            };
        };
        let (channel, sequence_number) = (event.channel.clone(), event.sequence_number);
        // A callback that panics leaves nothing of ours half-done: it owns its event.
        let outcome = AssertUnwindSafe(async move { callback(event).await }).catch_unwind().await;
        let failed = || Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the event could not be processed");
        let refusal = match outcome {
            Ok(Outcome::Delivered) => return Ok(StatusCode::OK),
            Ok(Outcome::Busy { after }) => Refusal::busy(after),
            Ok(Outcome::Rejected { reason }) => Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, reason),
            Ok(_) => failed(),
            Err(_) => {
                tracing::error!(%channel, %sequence_number, "the callback panicked");
                return Err(failed());
            }
        };
        tracing::warn!(%channel, %sequence_number, ?refusal, "the callback did not take the event");
        Err(refusal)
    }
}

/// Browsers send any other type across origins without asking first, so that it is required also keeps a page that is
/// open somewhere from posting events to a receiver on the same machine.
fn require_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let value = headers.get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("unreadable"));
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(JSON) {
        return Ok(());
    }
    let found = if value.is_empty() { "missing".to_owned() } else { format!("{essence:?}") };
    let error = format!("the content type is {found}: send application/json");
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error))
}

async fn read<B>(body: B, limit: usize) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let mut body = pin!(body);
    let error = match Limited::new(body.as_mut(), limit).collect().await {
        Ok(whole) => return Ok(whole.to_bytes()),
        Err(error) => error,
    };
    if !error.is::<LengthLimitError>() {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "the body broke off"));
    }
    let mut dropped = 0;
    while let Some(Ok(frame)) = body.as_mut().frame().await {
        dropped += frame.data_ref().map_or(0, Bytes::len);
        if dropped > DRAIN {
            break;
        }
    }
    Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {limit} bytes")))
}
