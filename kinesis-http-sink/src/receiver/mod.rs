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

mod event;
mod refusal;
mod service;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use kinesis_core::sink::IntoOutcome;
use kinesis_core::{Channel, Outcome};

pub use event::Event;
pub use service::ReceiverService;

type Callback = Box<dyn Fn(Event) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync>;

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
/// | a channel without a callback, and no fallback | 404, or 202 with [`accept_unknown`](Self::accept_unknown) |
/// | a body that is not the original JSON | 400, with the field or the line and column |
/// | another method than POST | 405 |
/// | a body over the [limit](Self::body_limit) | 413 |
/// | another content type than `application/json` | 415 |
///
/// Every reply but success is a JSON object with one field, `error`.
///
/// # Cancel safety
///
/// A callback runs inside its request. When the sender hangs up, the callback is dropped where it waits, and the sender
/// tries again: spawn what must not stop half-way.
pub struct Receiver {
    path: String,
    callbacks: HashMap<Channel, Callback>,
    fallback: Option<Callback>,
    body_limit: usize,
    accept_unknown: bool,
}

impl Receiver {
    /// A receiver without callbacks.
    #[must_use]
    pub fn new() -> Self {
        Self {
            path: "/events".to_owned(),
            callbacks: HashMap::new(),
            fallback: None,
            body_limit: 8 * 1024 * 1024,
            accept_unknown: false,
        }
    }

    /// Calls `callback` for every event of `channel`. A second callback for the same channel replaces the first.
    #[must_use]
    pub fn on<F, Fut>(mut self, channel: impl Into<Channel>, callback: F) -> Self
    where
        F: Fn(Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoOutcome> + Send + 'static,
    {
        self.callbacks.insert(channel.into(), boxed(callback));
        self
    }

    /// Calls `callback` for every event whose channel has no callback.
    #[must_use]
    pub fn fallback<F, Fut>(mut self, callback: F) -> Self
    where
        F: Fn(Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoOutcome> + Send + 'static,
    {
        self.fallback = Some(boxed(callback));
        self
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
    pub fn service(self) -> ReceiverService {
        ReceiverService::new(Arc::new(self))
    }

    fn callback(&self, channel: &str) -> Option<&Callback> {
        self.callbacks.get(channel).or(self.fallback.as_ref())
    }
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut channels: Vec<&Channel> = self.callbacks.keys().collect();
        channels.sort_unstable();
        f.debug_struct("Receiver")
            .field("path", &self.path)
            .field("channels", &channels)
            .field("fallback", &self.fallback.is_some())
            .field("body_limit", &self.body_limit)
            .field("accept_unknown", &self.accept_unknown)
            .finish()
    }
}

fn boxed<F, Fut>(callback: F) -> Callback
where
    F: Fn(Event) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoOutcome> + Send + 'static,
{
    Box::new(move |event| {
        let running = callback(event);
        Box::pin(async move { running.await.into_outcome() })
    })
}
