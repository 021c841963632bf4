//! Takes the body of an answer from the SDK: chunks go to a parser, and the SDK is left an empty object.
//!
//! The SDK still signs, sends, drives the read and watches the time, and reads what is an error. With CBOR its request is
//! written anew before it is signed.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use aws_sdk_kinesis::config::http::HttpResponse;
use aws_sdk_kinesis::config::interceptors::{
    BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{Parser, Refused, encode};
use crate::WireFormat;
use crate::answer::Answer;

/// What the SDK is left with.
const NOTHING: &[u8] = b"{}";

/// The interceptor of one call.
#[derive(Debug, Clone)]
pub(crate) struct Tee {
    format: WireFormat,
    slot: Slot,
}

/// Where the parser is while the body is read, and then what came of it.
#[derive(Debug, Clone, Default)]
struct Slot(Arc<Mutex<Option<Result<Answer, Refused>>>>);

impl Slot {
    fn locked(&self) -> MutexGuard<'_, Option<Result<Answer, Refused>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tee {
    pub(crate) fn new(format: WireFormat) -> Self {
        Self { format, slot: Slot::default() }
    }

    /// What the body held; none when there was no body to read, because the answer was an error.
    pub(crate) fn take(&self) -> Option<Result<Answer, Refused>> {
        self.slot.locked().take()
    }
}

impl Intercept for Tee {
    fn name(&self) -> &'static str {
        "Tee"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.format == WireFormat::Cbor {
            encode::to_cbor(context.request_mut())?;
        }
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        let format = encode::format_of(response.headers().get("content-type"));
        if !response.status().is_success() {
            errors_in_json(response);
            return Ok(());
        }
        let body = std::mem::replace(response.body_mut(), SdkBody::taken());
        let tee = TeeBody { body, parser: Some(Ok(Parser::new(format))), slot: self.slot.clone() };
        *response.body_mut() = SdkBody::from_body_1_x(tee);
        Ok(())
    }
}

/// Gives the SDK the body of an error in JSON, whatever it is written in.
pub(crate) fn errors_in_json(response: &mut HttpResponse) {
    if encode::format_of(response.headers().get("content-type")) == WireFormat::Cbor {
        let error = std::mem::replace(response.body_mut(), SdkBody::taken());
        *response.body_mut() = SdkBody::from_body_1_x(ErrorBody { body: error, read: Vec::new(), over: false });
    }
}

/// A body whose chunks go to a parser.
struct TeeBody {
    body: SdkBody,
    /// What has come of it so far; none behind the end.
    parser: Option<Result<Parser, Refused>>,
    slot: Slot,
}

impl Body for TeeBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            if this.parser.is_none() {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    if let Ok(chunk) = frame.into_data()
                        && let Some(Ok(parser)) = &mut this.parser
                        && let Err(refused) = parser.feed(&chunk)
                    {
                        this.parser = Some(Err(refused));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    *this.slot.locked() = this.parser.take().map(|parser| parser.and_then(Parser::finish));
                    return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(NOTHING)))));
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// The body of an error in CBOR, which the SDK is given in JSON.
struct ErrorBody {
    body: SdkBody,
    read: Vec<u8>,
    over: bool,
}

/// An error is a code and a sentence. What is longer is none.
const MAX_ERROR: usize = 64 << 10;

impl Body for ErrorBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            if this.over {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    let chunk = frame.into_data().unwrap_or_default();
                    if this.read.len() + chunk.len() <= MAX_ERROR {
                        this.read.extend_from_slice(&chunk);
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    this.over = true;
                    let json = encode::error_to_json(&this.read);
                    return Poll::Ready(Some(Ok(Frame::data(json.into()))));
                }
            }
        }
    }
}
