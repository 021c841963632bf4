//! Takes the body of an answer from the SDK: chunks go to a parser, and the SDK is left an empty object.
//!
//! The SDK still signs, sends, drives the read and watches the time, and reads what is an error.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use aws_sdk_kinesis::config::Intercept;
use aws_sdk_kinesis::error::BoxError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame};

use super::exchange::Exchange;
use super::{Parser, Refused, encode};
use crate::WireFormat;
use crate::answer::Answer;

/// What the SDK is left with.
const NOTHING: &[u8] = b"{}";

/// Where what came of one call's body is put.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tee(Arc<Mutex<Option<Result<Answer, Refused>>>>);

impl Tee {
    /// What takes the body of the call's answer.
    pub(crate) fn interceptor(&self, format: WireFormat) -> impl Intercept + 'static {
        let tee = self.clone();
        Exchange::new(format, move |body, format| {
            let parser = Some(Ok(Parser::new(format)));
            SdkBody::from_body_1_x(TeeBody { body, parser, tee: tee.clone() })
        })
    }

    /// What the body held; none when there was no body to read, because the answer was an error.
    pub(crate) fn take(&self) -> Option<Result<Answer, Refused>> {
        self.locked().take()
    }

    fn locked(&self) -> MutexGuard<'_, Option<Result<Answer, Refused>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of an error in CBOR, in JSON.
pub(super) fn in_json(body: SdkBody) -> SdkBody {
    SdkBody::from_body_1_x(ErrorBody { body, read: Vec::new(), over: false })
}

/// A body whose chunks go to a parser.
struct TeeBody {
    body: SdkBody,
    /// What has come of it so far; none behind the end.
    parser: Option<Result<Parser, Refused>>,
    tee: Tee,
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
                    *this.tee.locked() = this.parser.take().map(|parser| parser.and_then(Parser::finish));
                    return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(NOTHING)))));
                }
            }
        }
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
