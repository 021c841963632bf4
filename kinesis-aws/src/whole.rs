//! Puts the body of an answer together as it comes, where the SDK reads it.
//!
//! The SDK keeps every chunk until the last one is there and copies them all then, when the first have long left the
//! processor's cache. Copied as they come, their memory is used again and again for the next ones.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aws_sdk_kinesis::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame};

/// What is set aside at once for a body, whatever length it claims: 10 MiB of records are 14 MB in JSON.
const MOST_AHEAD: u64 = 16 << 20;

/// Gives the SDK the body of an answer in one piece.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole;

impl Intercept for Whole {
    fn name(&self) -> &'static str {
        "Whole"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response_mut().body_mut();
        let chunks = std::mem::replace(body, SdkBody::taken());
        let ahead = chunks.size_hint().lower().min(MOST_AHEAD);
        *body = SdkBody::from_body_1_x(WholeBody { chunks, read: Some(Vec::with_capacity(ahead as usize)) });
        Ok(())
    }
}

/// A body whose chunks come as one, when the last one has come.
struct WholeBody {
    chunks: SdkBody,
    /// What has come so far; none behind the end.
    read: Option<Vec<u8>>,
}

impl Body for WholeBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            let Some(read) = &mut this.read else { return Poll::Ready(None) };
            match ready!(Pin::new(&mut this.chunks).poll_frame(context)) {
                Some(Ok(frame)) => read.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    let whole = this.read.take().map(|read| Ok(Frame::data(Bytes::from(read))));
                    return Poll::Ready(whole);
                }
            }
        }
    }
}
