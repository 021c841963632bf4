//! What stands behind a client and a server alike: an account, a script, and the answer to a request.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use super::body::{Ending, Interruption, WireBody};
use super::codec::Encoding;
use super::fault::{Answer, Script};
use super::refusal::Refusal;
use super::router::{self, Call, Reply, Twist};
use crate::Account;

/// The content type of a subscription.
const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

/// A door to an account. A clone shares the script.
#[derive(Clone)]
pub(super) struct Door {
    account: Account,
    script: Arc<Mutex<Script>>,
    answered: Arc<AtomicU64>,
}

/// What the door needs of an HTTP request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    /// The header `x-amz-target`.
    pub(super) target: &'a str,
    /// The header `content-type`.
    pub(super) content_type: &'a str,
    pub(super) body: &'a [u8],
}

/// What becomes an HTTP response.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: WireBody,
}

/// There is no answer, because the connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

impl Door {
    pub(super) fn new(account: &Account) -> Self {
        Self { account: account.clone(), script: Arc::default(), answered: Arc::default() }
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    pub(super) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request as the script says.
    ///
    /// # Cancel safety
    ///
    /// A request is applied at once or not at all: dropped while it waits, it was not.
    pub(super) async fn answer(&self, request: Request<'_>) -> Result<Response, Broken> {
        let answer = self.script().next(router::operation_of(request.target).unwrap_or_default());
        let mut twist = Twist::default();
        let (mut early, mut interruption, mut is_lost) = (None, None, false);
        match answer {
            Answer::Serve => {}
            // Whether it was refused or applied, the caller does not learn.
            Answer::DropReply => is_lost = true,
            Answer::Delay(delay) => tokio::time::sleep(delay).await,
            Answer::Fail { code, message } => return Ok(self.refuse(request, &Refusal::new(code, message))),
            Answer::Body(body) => return Ok(self.respond(200, self.content_type(request), WireBody::whole(body))),
            Answer::Http { status, body } => return Ok(self.respond(status, "text/html", WireBody::whole(body))),
            Answer::Refuse(entries) => twist.refused.extend(entries),
            Answer::Empty => twist.empty = true,
            Answer::Drop => return Err(Broken),
            Answer::Hang => std::future::pending().await,
            Answer::Cut(bytes) => early = Some((bytes, Ending::Break)),
            Answer::Stall(bytes) => early = Some((bytes, Ending::Stall)),
            Answer::HalfOpen(events) => interruption = Some((events, Interruption::Silence)),
            Answer::Interrupt { after, code, message } => {
                interruption = Some((after, Interruption::Exception(Refusal::new(code, message))));
            }
        }
        let encoding = Encoding::of(request.content_type);
        let call = Call { account: &self.account, encoding, body: request.body, twist: &twist };
        let reply = router::route(request.target, call);
        if is_lost {
            return Err(Broken);
        }
        let (content_type, body) = match reply {
            Err(refusal) => return Ok(self.refuse(request, &refusal)),
            Ok(Reply::Whole(bytes)) => (encoding.content_type(), WireBody::whole(bytes)),
            Ok(Reply::Events(subscription)) => (EVENT_STREAM, WireBody::events(subscription, encoding, interruption)),
        };
        let body = match early {
            Some((bytes, ending)) => body.ending_early(bytes, ending),
            None => body,
        };
        Ok(self.respond(200, content_type, body))
    }

    /// The answer to a request that was refused, in its encoding.
    pub(super) fn refuse(&self, request: Request<'_>, refusal: &Refusal) -> Response {
        let body = Encoding::of(request.content_type).write(&refusal.body()).unwrap_or_default();
        self.respond(refusal.status(), self.content_type(request), WireBody::whole(body))
    }

    fn content_type(&self, request: Request<'_>) -> &'static str {
        Encoding::of(request.content_type).content_type()
    }

    fn respond(&self, status: u16, content_type: &'static str, body: WireBody) -> Response {
        // Counted, not drawn, so that every run sees the same.
        let id = self.answered.fetch_add(1, Ordering::Relaxed) + 1;
        let mut headers = vec![
            ("content-type", content_type.to_owned()),
            ("x-amzn-requestid", format!("00000000-0000-4000-8000-{id:012x}")),
        ];
        if let Ok(date) = DateTime::from(self.account.now()).fmt(Format::HttpDate) {
            headers.push(("date", date));
        }
        Response { status, headers, body }
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("account", &self.account).finish_non_exhaustive()
    }
}
