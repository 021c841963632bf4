//! The receiver as a target: text becomes a request, which is answered with what the receiver's documentation lists.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use kinesis_http_sink::{Event, Receiver, Secret};
use kinesis_tests::hostile::request::{self, KEY, SIGNED};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;

/// What a receiver may answer whose callbacks take everything.
const LISTED: [StatusCode; 6] = [
    StatusCode::OK,
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
];
/// Its largest body, in bytes; some inputs are longer.
const LIMIT: usize = 1500;
/// The longest error, in bytes: JSON may write each of 1024 as six.
const LONGEST_ERROR: usize = 7000;
/// The shortest event of a batch, in bytes.
const SHORTEST: usize = 60;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().expect("a runtime of one thread needs nothing");
}

/// Answers a request whose body comes in frames of these lengths; says whether it brought events.
pub(crate) fn answer(text: &[u8], chunks: &[usize]) -> bool {
    let mut read = request::Request::read(text);
    read.sign();
    let is_signed = read.line.windows(SIGNED.len()).any(|part| part == SIGNED.as_bytes());
    let Some(request) = sent(&read, chunks) else { return false };
    let taken = Arc::new(Mutex::new(Vec::<Event>::new()));
    let events = Arc::clone(&taken);
    let mut receiver = Receiver::new().body_limit(LIMIT).fallback(move |event| {
        events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        async {}
    });
    if is_signed {
        receiver = receiver.verify(Secret::from_bytes(&KEY).expect("the key has 32 bytes"));
    }
    let (status, reply) = RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let Ok(response) = receiver.service().oneshot(request).await;
            let status = response.status();
            let Ok(reply) = response.into_body().collect().await;
            (status, reply.to_bytes())
        })
    });
    let taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(LISTED.contains(&status), "answered {status}");
    assert!(
        status != StatusCode::OK || read.body.len() <= LIMIT || taken.is_empty(),
        "a body over the limit was taken"
    );
    assert!(status == StatusCode::OK || reply.len() <= LONGEST_ERROR, "an error of {} bytes", reply.len());
    assert!(status == StatusCode::OK || taken.is_empty(), "{status} after {} events", taken.len());
    let bytes: usize = taken.iter().map(|event| event.data.len()).sum();
    let in_proportion = taken.len() <= 1 || taken.len() * SHORTEST <= read.body.len();
    assert!(in_proportion && bytes <= read.body.len(), "{} events with {bytes} bytes", taken.len());
    !taken.is_empty()
}

type Body = StreamBody<tokio_stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

/// The request as a server hands it on; none for what no server would.
fn sent(read: &request::Request, chunks: &[usize]) -> Option<Request<Body>> {
    let method = read.line.split(|byte| *byte == b' ').next().unwrap_or_default();
    let mut rest = Bytes::from(read.body.clone());
    let mut frames = Vec::new();
    for chunk in chunks.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        frames.push(Ok(Frame::data(rest.split_to(rest.len().min(*chunk)))));
    }
    let mut request = Request::new(StreamBody::new(tokio_stream::iter(frames)));
    *request.method_mut() = Method::from_bytes(method).ok()?;
    for (name, value) in &read.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            request.headers_mut().append(name, value);
        }
    }
    Some(request)
}
