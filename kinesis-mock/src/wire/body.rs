//! The body of an answer: bytes that are there, or the frames of a subscription as they come; broken off where scripted.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::codec::{Encoding, Kind, frame};
use super::operations::Subscription;
use super::refusal::Refusal;

/// What a body ends with before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The connection breaks.
    Break,
    /// Nothing more comes.
    Stall,
}

/// What a subscription ends with after some events.
#[derive(Debug)]
pub(super) enum Interruption {
    Silence,
    Exception(Refusal),
}

/// The body of an answer.
pub(super) struct WireBody {
    source: Source,
    /// How many bytes are left before the body ends early, and how.
    early: Option<(usize, Ending)>,
}

enum Source {
    Whole(Option<Bytes>),
    /// The lock is never waited for: it makes a future that is only `Send` into what may be shared.
    Events(Mutex<Option<Step>>),
}

/// The wait for the next frame, which gives the stream of them back.
type Step = Pin<Box<dyn Future<Output = (Frames, Option<Bytes>)> + Send>>;

impl WireBody {
    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { source: Source::Whole(Some(bytes.into())), early: None }
    }

    /// The frames of a subscription, until it is interrupted after so many events.
    pub(super) fn events(
        subscription: Subscription,
        encoding: Encoding,
        interruption: Option<(usize, Interruption)>,
    ) -> Self {
        let frames = Frames { subscription, encoding, interruption, has_begun: false, is_over: false };
        Self { source: Source::Events(Mutex::new(Some(frames.step()))), early: None }
    }

    /// Ends after so many bytes.
    pub(super) fn ending_early(mut self, after: usize, ending: Ending) -> Self {
        self.early = Some((after, ending));
        self
    }

    /// The bytes, where all of them are there and come.
    pub(super) fn into_whole(self) -> Result<Bytes, Self> {
        match self {
            Self { source: Source::Whole(bytes), early: None } => Ok(bytes.unwrap_or_default()),
            other => Err(other),
        }
    }

    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match &mut self.source {
            Source::Whole(bytes) => Poll::Ready(bytes.take().filter(|bytes| !bytes.is_empty())),
            Source::Events(step) => {
                let step = step.get_mut().unwrap_or_else(PoisonError::into_inner);
                let Some(current) = step else { return Poll::Ready(None) };
                let (frames, bytes) = ready!(current.as_mut().poll(context));
                *step = bytes.is_some().then(|| frames.step());
                Poll::Ready(bytes)
            }
        }
    }
}

impl Body for WireBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.early {
            Some((0, Ending::Break)) => return Poll::Ready(Some(Err(broken()))),
            // Nobody wakes it: whoever waits gives up by his own clock.
            Some((0, Ending::Stall)) => return Poll::Pending,
            _ => {}
        }
        let Some(mut bytes) = ready!(self.poll_source(context)) else { return Poll::Ready(None) };
        if let Some((left, _)) = &mut self.early {
            bytes.truncate(*left);
            *left -= bytes.len();
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.source, Source::Whole(bytes) if self.early.is_none() && bytes.as_ref().is_none_or(Bytes::is_empty))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Source::Events(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for WireBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireBody").field("early", &self.early).finish_non_exhaustive()
    }
}

/// The error of a connection that breaks where the script says so.
pub(super) fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the connection broke, as scripted")
}

/// Turns events into frames.
struct Frames {
    subscription: Subscription,
    encoding: Encoding,
    interruption: Option<(usize, Interruption)>,
    has_begun: bool,
    is_over: bool,
}

impl Frames {
    fn step(mut self) -> Step {
        Box::pin(async move {
            let bytes = self.next().await;
            (self, bytes)
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        if !self.has_begun {
            self.has_begun = true;
            let nothing = self.encoding.write(&serde_json::Map::new()).unwrap_or_default();
            return Some(frame(Kind::Event("initial-response"), self.encoding.content_type(), &nothing));
        }
        match self.interruption.take() {
            Some((0, Interruption::Silence)) => std::future::pending().await,
            Some((0, Interruption::Exception(refusal))) => return Some(self.end_with(&refusal)),
            Some((left, interruption)) => self.interruption = Some((left - 1, interruption)),
            None => {}
        }
        let event = self.subscription.next().await?;
        match event.and_then(|event| self.encoding.write(&event)) {
            Ok(payload) => Some(frame(Kind::Event("SubscribeToShardEvent"), self.encoding.content_type(), &payload)),
            Err(refusal) => Some(self.end_with(&refusal)),
        }
    }

    fn end_with(&mut self, refusal: &Refusal) -> Bytes {
        self.is_over = true;
        let payload = self.encoding.write(&refusal.body()).unwrap_or_default();
        frame(Kind::Exception(&refusal.code), self.encoding.content_type(), &payload)
    }
}
