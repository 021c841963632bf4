//! HTTP push to one subscriber, and the receiver that turns the requests back into callbacks.
//!
//! [`HttpSink`] posts records to a URL, one request each. [`Receiver`] stands at that URL: it answers success only
//! after the callback of the record's channel succeeded. Between them travels a small JSON document, in one line:
//!
//! ```text
//! POST /events HTTP/1.1
//! content-type: application/json
//! webhook-id: shardId-000000000000:49569625073747986051284015760176917265900404709609439234
//!
//! {"channel":"member-registered","sequenceNumber":"49569625073747986051284015760176917265900404709609439234",
//!  "data":"we are streaming events","approximateArrivalTimestamp":1485507652.516}
//! ```
//!
//! `data` is the payload as text; a payload that is not UTF-8 travels as base64, marked by `"encoding":"base64"`. The
//! number of a record out of an aggregate ends in `.` and its sub-number. The time is in seconds, with milliseconds
//! where there are any, and left out where it is not known. `webhook-id` names the record: it is the same over
//! retries, re-reads and restarts, so a subscriber can recognise what it has already seen.
//!
//! # A subscriber of a pipeline
//!
//! ```
//! # fn pipeline(source: impl kinesis_core::StreamSource) -> kinesis_core::Result<()> {
//! use kinesis_core::{Pipeline, Subscription};
//! use kinesis_http_sink::HttpSink;
//!
//! let sink = HttpSink::new("http://127.0.0.1:3000/events")?;
//! let pipeline = Pipeline::builder("billing", source)
//!     .subscribe(Subscription::new("audit", sink).channels(["member-registered"]))
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where a subscriber may be
//!
//! The URL may be https, with the feature `tls`, which is on by default: the certificate is verified against what the
//! platform trusts, or against [authorities of your own](ClientBuilder::ca_certificates). Which networks may be connected
//! to is a sink's [`NetworkPolicy`]: by default public and private ones, and not those where clouds keep credentials.
//!
//! ```
//! # #[cfg(feature = "tls")]
//! # fn sink(authority: &[u8]) -> kinesis_core::Result<kinesis_http_sink::HttpSink> {
//! use kinesis_http_sink::{Client, HttpSink, NetworkPolicy};
//!
//! let client = Client::builder().ca_certificates(authority)?.build();
//! HttpSink::builder("https://subscriber.example.com/events")
//!     .client(&client)
//!     .network_policy(NetworkPolicy::public_only())
//!     .build()
//! # }
//! ```
//!
//! # The service behind the URL
//!
//! ```no_run
//! # async fn serve() -> std::io::Result<()> {
//! use kinesis_http_sink::Receiver;
//!
//! let receiver = Receiver::new()
//!     .on("member-registered", |event| async move { println!("{}", String::from_utf8_lossy(&event.data)) });
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener, receiver.router()).await
//! # }
//! ```

mod client;
mod connect;
mod endpoint;
mod format;
mod guard;
pub mod receiver;
mod repeat;
mod reply;
mod signature;
mod sink;
#[cfg(feature = "tls")]
mod tls;

use http::HeaderName;

pub use client::{Client, ClientBuilder};
pub use format::{CloudEvents, Format};
pub use guard::NetworkPolicy;
pub use guard::resolver::Resolver;
pub use receiver::{Event, Receiver, ReceiverService, Stop};
pub use signature::Secret;
pub use sink::{BreakerState, HttpSink, HttpSinkBuilder, RequestCount, SinkStatus};

/// The header that names a record, as Standard Webhooks calls it.
pub(crate) const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");

/// The content type of the original JSON.
pub(crate) const JSON: &str = "application/json";
