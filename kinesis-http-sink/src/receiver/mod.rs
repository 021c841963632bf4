//! The other end of the line: requests become events, and events find the callbacks of their channels.
//!
//! # In an axum application
//!
//! ```no_run
//! use kinesis_http_sink::Receiver;
//!
//! # async fn serve() -> std::io::Result<()> {
//! let receiver = Receiver::new()
//!     .on("member-registered", |event| async move {
//!         let member: serde_json::Value = event.json()?;
//!         println!("welcome, {}", member["name"]);
//!         Ok::<(), serde_json::Error>(())
//!     })
//!     .fallback(|event| async move { println!("nobody takes {}", event.channel) });
//!
//! let app = axum::Router::new()
//!     .route("/health", axum::routing::get(|| async { "fine" }))
//!     .merge(receiver.router()); // POST /events
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener, app).await
//! # }
//! ```
//!
//! # In any tower stack
//!
//! [`Receiver::service`] answers whatever is routed to it, on every path.
//!
//! ```
//! use bytes::Bytes;
//! use http::{HeaderValue, Request, Response};
//! use http_body_util::Full;
//! use kinesis_http_sink::Receiver;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let receiver = Receiver::new().on("member-registered", |event| async move { assert_eq!(event.data, "hello") });
//! let service = ServiceBuilder::new()
//!     .map_response(|mut reply: Response<_>| {
//!         reply.headers_mut().insert("server", HeaderValue::from_static("members"));
//!         reply
//!     })
//!     .service(receiver.service());
//!
//! let body = r#"{"channel":"member-registered","sequenceNumber":"1","data":"hello"}"#;
//! let request = Request::post("/").header("content-type", "application/json").body(Full::new(Bytes::from(body)))?;
//! assert_eq!(service.oneshot(request).await?.status(), 200);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod channels;
mod event;
mod refusal;
mod seen;
mod service;
mod stop;
mod take;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use kinesis_core::sink::IntoOutcome;
use kinesis_core::{Channel, Outcome};
use serde::de::DeserializeOwned;

use crate::signature::Secret;
use channels::{Channels, boxed};
use seen::Seen;

pub use event::Event;
pub use service::ReceiverService;
pub use stop::Stop;

/// How long a body may take, where nothing is said.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(30);

/// Maps each request to the callback of its channel, and answers success only after the callback succeeded.
///
/// A callback returns nothing, a `Result`, or an [`Outcome`] of its own:
///
/// | callback | reply |
/// |---|---|
/// | nothing, `Ok`, [`Outcome::Delivered`] | 200 |
/// | `Err`, [`Outcome::Retry`], a panic | 500, without the error's text |
/// | [`Outcome::Busy`] | 503, with `Retry-After` where it says how long |
/// | [`Outcome::Rejected`] | 422, with its reason |
///
/// | request | reply |
/// |---|---|
/// | an event that was taken before | 200, without a call |
/// | an event that is being taken at the moment | 409 |
/// | a channel without a callback, and no fallback | 404, or 202 with [`accept_unknown`](Self::accept_unknown) |
/// | a channel with as many calls under way as [allowed](Self::calls) | 429, with `Retry-After` |
/// | a signature that is missing or wrong, where one is [asked for](Self::verify) | 401 |
/// | a body that is not of its format | 400, with the field or the line and column |
/// | a body that is not there [in time](Self::receive_timeout) | 408, and the connection is closed |
/// | a body over the [limit](Self::body_limit) | 413 |
/// | a content type of no format | 415 |
/// | GET or HEAD | 200: it is alive |
/// | any other method | 405 |
/// | anything once it [stops](Self::stop) | 503, with `Retry-After` |
///
/// The formats are those of a [`Format`](crate::Format), and found out by themselves. A batch of several events is always
/// answered with 200, and names those that failed as `batchItemFailures`; what comes behind a failed event in its key was
/// not tried.
///
/// Every reply but success is a JSON object with one field, `error`.
///
/// # Cancel safety
///
/// A callback runs inside its request. When the sender hangs up, the callback is dropped where it waits, and the sender
/// tries again: spawn what must not stop half-way.
#[derive(Debug)]
pub struct Receiver {
    path: String,
    channels: Channels,
    calls: Option<usize>,
    secrets: Vec<Secret>,
    seen: Seen,
    body_limit: usize,
    receive_timeout: Duration,
    accept_unknown: bool,
    stop: Stop,
}

impl Receiver {
    /// A receiver without callbacks.
    #[must_use]
    pub fn new() -> Self {
        Self {
            path: "/events".to_owned(),
            channels: Channels::default(),
            calls: None,
            secrets: Vec::new(),
            seen: Seen::new(10_000),
            body_limit: 8 * 1024 * 1024,
            receive_timeout: RECEIVE_TIMEOUT,
            accept_unknown: false,
            stop: Stop::default(),
        }
    }

    /// Calls `callback` for every event of `channel`. A second callback for the same channel replaces the first.
    #[must_use]
    pub fn on<F, Fut>(mut self, channel: impl Into<Channel>, callback: F) -> Self
    where
        F: Fn(Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoOutcome> + Send + 'static,
    {
        self.channels.set(channel.into(), boxed(callback));
        self
    }

    /// Calls `callback` for every event of `channel`, with its payload read as the JSON of a `T`. A payload that is none is
    /// refused with 422 and what is wrong with it.
    ///
    /// ```
    /// use kinesis_http_sink::Receiver;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Member {
    ///     name: String,
    /// }
    ///
    /// let receiver = Receiver::new()
    ///     .on_json("member-registered", |member: Member, _event| async move { println!("welcome, {}", member.name) });
    /// ```
    #[must_use]
    pub fn on_json<T, F, Fut>(self, channel: impl Into<Channel>, callback: F) -> Self
    where
        T: DeserializeOwned + Send,
        F: Fn(T, Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoOutcome> + Send + 'static,
    {
        self.on(channel, move |event: Event| {
            let running = event.json().map(|payload| callback(payload, event));
            async move {
                match running {
                    Ok(running) => running.await.into_outcome(),
                    Err(error) => Outcome::rejected(format!("the payload is not the JSON that is taken here: {error}")),
                }
            }
        })
    }

    /// Calls `callback` for every event whose channel begins with `prefix` and has no callback of its own. Of several
    /// prefixes the longest counts.
    #[must_use]
    pub fn on_prefix<F, Fut>(mut self, prefix: &str, callback: F) -> Self
    where
        F: Fn(Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoOutcome> + Send + 'static,
    {
        self.channels.set_prefix(prefix, boxed(callback));
        self
    }

    /// Calls `callback` for every event whose channel has no callback.
    #[must_use]
    pub fn fallback<F, Fut>(mut self, callback: F) -> Self
    where
        F: Fn(Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoOutcome> + Send + 'static,
    {
        self.channels.set_fallback(boxed(callback));
        self
    }

    /// How many calls of each callback may be under way; further events are asked to come again in a second. Default: any
    /// number.
    #[must_use]
    pub fn calls(mut self, most: usize) -> Self {
        self.calls = Some(most);
        self
    }

    /// Takes only what was signed with this key, or with one of them where it is set more than once, in the last five
    /// minutes. Default: everything is taken.
    ///
    /// Signed are `webhook-id`, `webhook-timestamp` and the body. In CloudEvents' binary mode the attributes are headers, and
    /// not signed: whoever can read and repeat a request can change the channel, the key and the id of its event, and what
    /// was taken before is known by its `webhook-id`. The other formats have all of an event in the body.
    #[must_use]
    pub fn verify(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// How many events are remembered, so that one that was taken for good is not taken again when it is repeated. Default
    /// 10,000, which takes less than 1 MB; 0 remembers none. They are forgotten with the process.
    #[must_use]
    pub fn remember(mut self, events: usize) -> Self {
        self.seen = Seen::new(events);
        self
    }

    /// What stops it, for the time in which the server ends.
    #[must_use]
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Answers 202 to a channel that nobody takes, so that the sender counts the record as delivered. Default: 404.
    #[must_use]
    pub fn accept_unknown(mut self) -> Self {
        self.accept_unknown = true;
        self
    }

    /// The largest body that is taken, in bytes. Default 8 MiB. The largest record of a stream is 10 MiB, and JSON may
    /// write a byte as six.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// How long a body may take from the end of the request's head to its own end. Default 30 s: twice what a sink gives a
    /// whole exchange, so nobody who still waits for the reply is cut off; and 8 MiB in that time are 280 KB/s. A sender that
    /// stalls holds its connection and what it has sent so far, and none of the [calls](Self::calls): those count from when
    /// the body is there.
    ///
    /// # Panics
    ///
    /// A request of the receiver panics where a body has to be waited for in a runtime whose time is not
    /// [enabled](tokio::runtime::Builder::enable_time).
    #[must_use]
    pub fn receive_timeout(mut self, timeout: Duration) -> Self {
        self.receive_timeout = timeout;
        self
    }

    /// Where the [router](Self::router) takes events. Default `/events`.
    ///
    /// # Panics
    ///
    /// When `path` does not start with a slash.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        assert!(self.path.starts_with('/'), "the path {:?} of a receiver must start with a slash", self.path);
        self
    }

    /// A router for the receiver's path alone, to serve or to merge into a larger one.
    ///
    /// # Panics
    ///
    /// When axum does not take the [path](Self::path) for a route.
    pub fn router(self) -> Router {
        let path = self.path.clone();
        Router::new().route_service(&path, self.service())
    }

    /// A tower service that takes every request, whatever its path.
    #[must_use]
    pub fn service(mut self) -> ReceiverService {
        if let Some(calls) = self.calls {
            self.channels.limit(calls);
        }
        ReceiverService::new(Arc::new(self))
    }
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}
