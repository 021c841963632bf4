//! The settings of an HTTP sink, all checked when it is built.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use kinesis_core::{Error, Result};
use tokio::sync::Semaphore;

use super::HttpSink;
use super::health::Health;
use super::refusals::{DELAYS, Refusals};
use super::status::Counts;
use crate::WEBHOOK_ID;
use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::format::Format;
use crate::guard::NetworkPolicy;
use crate::signature::{Secret, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};

/// The settings of an [`HttpSink`].
///
/// ```
/// use std::time::Duration;
/// use kinesis_http_sink::{Client, HttpSink};
///
/// let client = Client::new();
/// let audit = HttpSink::builder("http://127.0.0.1:3000/events")
///     .client(&client)
///     .timeout(Duration::from_secs(5))
///     .header("authorization", "Bearer 5e3f")
///     .build()?;
/// let billing = HttpSink::builder("http://127.0.0.1:3001/events").client(&client).build()?;
/// # Ok::<(), kinesis_core::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct HttpSinkBuilder {
    endpoint: Result<Endpoint>,
    client: Option<Client>,
    policy: NetworkPolicy,
    connect_timeout: Option<Duration>,
    timeout: Duration,
    reply_cap: usize,
    concurrency: usize,
    rate: Option<NonZeroU32>,
    breaks: bool,
    ask_again: Vec<Duration>,
    conflict_is_delivered: bool,
    format: Format,
    secrets: Vec<Secret>,
    headers: HeaderMap,
    /// The first setting that cannot be.
    problem: Option<Error>,
}

/// Headers that say what the request is; another value would contradict it.
const OURS: [HeaderName; 10] = [
    header::HOST,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::EXPECT,
    WEBHOOK_ID,
    WEBHOOK_TIMESTAMP,
    WEBHOOK_SIGNATURE,
];

impl HttpSinkBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            endpoint: Endpoint::parse(url),
            client: None,
            policy: NetworkPolicy::default(),
            connect_timeout: None,
            timeout: Duration::from_secs(15),
            reply_cap: 64 * 1024,
            concurrency: 32,
            rate: None,
            breaks: true,
            ask_again: DELAYS.to_vec(),
            conflict_is_delivered: false,
            format: Format::default(),
            secrets: Vec::new(),
            headers: HeaderMap::new(),
            problem: None,
        }
    }

    /// Shares the connections of `client` with other sinks. Default: a pool of its own.
    pub fn client(mut self, client: &Client) -> Self {
        self.client = Some(client.clone());
        self
    }

    /// Which networks the subscriber may be in. Default: [`NetworkPolicy::private_allowed`]. Sinks that share a client
    /// share connections only where their policies are equal.
    pub fn network_policy(mut self, policy: NetworkPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// How long resolving the name and connecting may take together, within the timeout of the whole exchange.
    /// Default 5 s. For a shared client it is set there.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// How long one exchange may take, from connecting to the last byte of the reply's body. Default 15 s, within the
    /// 15 s to 30 s that Standard Webhooks advises.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many bytes of a reply's body are read before the connection is closed instead. Default 64 KiB. Of the reply to a
    /// batch 256 more are read for each of its records, so that it can name them all.
    pub fn reply_cap(mut self, bytes: usize) -> Self {
        self.reply_cap = bytes;
        self
    }

    /// How many requests may be in flight at most, over all deliveries to this sink. Default 32. How many it is at a time
    /// depends on how the [endpoint](HttpSink#the-endpoint) does.
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests;
        self
    }

    /// How many requests are sent in a second at most. Default: as many as the subscriber answers.
    pub fn rate(mut self, per_second: NonZeroU32) -> Self {
        self.rate = Some(per_second);
        self
    }

    /// Sends on to an endpoint that fails, so that every failure is an attempt. Default: a
    /// [breaker](HttpSink#the-endpoint) leaves it alone.
    pub fn without_breaker(mut self) -> Self {
        self.breaks = false;
        self
    }

    /// When a record is tried again that the subscriber refused, before it counts as
    /// [`Rejected`](kinesis_core::Outcome::Rejected): none for at once. Default: 10 s, 60 s and 530 s after the refusal before,
    /// because refusals are often a mistake that is soon mended. One that comes before its time is not sent, and waits on.
    pub fn ask_again(mut self, delays: impl IntoIterator<Item = Duration>) -> Self {
        self.ask_again = delays.into_iter().collect();
        self
    }

    /// Takes 409 for delivered, for a subscriber that answers so to a record it has already. Default: it is tried
    /// again, because 409 may also mean that the subscriber is still at work on it.
    pub fn conflict_is_delivered(mut self) -> Self {
        self.conflict_is_delivered = true;
        self
    }

    /// How records are written. Default: the [original JSON](Format::original). Sinks that are given clones of one format
    /// share what it writes.
    pub fn format(mut self, format: impl Into<Format>) -> Self {
        self.format = format.into();
        self
    }

    /// Signs every request with a key, as Standard Webhooks has it. Set more than once, all keys sign, for the time in which
    /// a subscriber changes from one to the next: give it the newest first.
    pub fn sign(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Sends `authorization: Bearer` and this token with every request.
    pub fn bearer(self, token: &str) -> Self {
        self.header(header::AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    /// Sends `authorization: Basic` with this name and password with every request.
    pub fn basic(self, user: &str, password: &str) -> Self {
        let text = BASE64_STANDARD.encode(format!("{user}:{password}"));
        self.header(header::AUTHORIZATION.as_str(), &format!("Basic {text}"))
    }

    /// Sends a header with every request, such as `authorization`. A header set twice has the last value. The value is
    /// a secret to logs and errors.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match checked_header(name, value) {
            Ok((name, value)) => {
                self.headers.insert(name, value);
            }
            Err(problem) => {
                self.problem.get_or_insert(problem);
            }
        }
        self
    }

    /// The sink. No connection is made yet. The first https sink of a process reads which certificate authorities the
    /// platform trusts, from files.
    ///
    /// # Errors
    ///
    /// `Unsupported` for an https URL without the feature `tls`. `Invalid` for a text that is no usable URL, a header that
    /// cannot be sent or is the sink's own, a format whose settings cannot be, a timeout or a concurrency of zero, a connect
    /// timeout beside a shared client, a host that is an address which the network policy does not allow, and for https
    /// where no certificate authority is trusted.
    pub fn build(self) -> Result<HttpSink> {
        let endpoint = self.endpoint?;
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        if self.timeout.is_zero() || self.connect_timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(Error::invalid(format!(
                "a timeout of 0 for {endpoint} lets no request through: set a longer one"
            )));
        }
        let concurrency = NonZeroUsize::new(self.concurrency).filter(|n| n.get() <= Semaphore::MAX_PERMITS);
        let concurrency = concurrency.ok_or_else(|| {
            let most = Semaphore::MAX_PERMITS;
            Error::invalid(format!("a concurrency of {} for {endpoint} is not from 1 to {most}", self.concurrency))
        })?;
        let client = match (self.client, self.connect_timeout) {
            (Some(_), Some(_)) => {
                let why = "shares a client: set the connect timeout where the client is built";
                return Err(Error::invalid(format!("the sink for {endpoint} {why}")));
            }
            (Some(client), None) => client,
            (None, connect_timeout) => {
                let client = Client::builder().max_idle_per_host(concurrency.get());
                match connect_timeout {
                    Some(timeout) => client.connect_timeout(timeout).build(),
                    None => client.build(),
                }
            }
        };
        self.format.check()?;
        endpoint.check(&self.policy)?;
        #[cfg(feature = "tls")]
        if endpoint.is_https() {
            client.check_trust()?;
        }
        let client = client.under(&self.policy);
        let mut headers = self.headers;
        headers.insert(header::HOST, endpoint.host());
        headers.insert(header::CONTENT_TYPE, self.format.content_type());
        headers.insert(WEBHOOK_ID, HeaderValue::from_static(""));
        Ok(HttpSink {
            endpoint,
            client,
            format: self.format,
            secrets: self.secrets,
            headers,
            timeout: self.timeout,
            reply_cap: self.reply_cap,
            conflict_is_delivered: self.conflict_is_delivered,
            concurrency,
            health: Health::new(concurrency.get(), self.rate, self.breaks),
            counts: Counts::default(),
            refusals: Refusals::new(self.ask_again),
        })
    }
}

fn checked_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue)> {
    let refused = |why: &str| Error::invalid(format!("the header {name:?} {why}"));
    let name: HeaderName = name.parse().map_err(|_| refused("has a name that HTTP does not allow"))?;
    if OURS.contains(&name) || name.as_str().starts_with("ce-") {
        return Err(refused("is set by the sink itself: leave it out"));
    }
    let mut value: HeaderValue =
        value.parse().map_err(|_| refused("has a value that HTTP does not allow: use printable ASCII"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://127.0.0.1:3000/events?key=s3cret";

    fn refusal(builder: HttpSinkBuilder) -> String {
        builder.build().unwrap_err().to_string()
    }

    #[test]
    fn every_misconfiguration_is_found_when_building() {
        let sink = || HttpSink::builder(URL);
        assert!(refusal(HttpSink::builder("nowhere")).contains("no scheme"));
        assert!(refusal(sink().timeout(Duration::ZERO)).contains("a timeout of 0"));
        assert!(refusal(sink().connect_timeout(Duration::ZERO)).contains("a timeout of 0"));
        assert!(refusal(sink().concurrency(0)).contains("a concurrency of 0"));
        assert!(refusal(sink().concurrency(usize::MAX)).contains("is not from 1 to"));
        assert!(refusal(sink().header("bad name", "x")).contains("\"bad name\" has a name"));
        assert!(refusal(sink().header("x", "a\nb")).contains("\"x\" has a value"));
        assert!(refusal(sink().header("Content-Length", "7")).contains("\"Content-Length\" is set by the sink"));
        let shared = sink().client(&Client::new()).connect_timeout(Duration::from_secs(1));
        assert!(refusal(shared).contains("where the client is built"));
    }

    #[test]
    fn neither_the_query_nor_a_header_is_shown() {
        let builder = HttpSink::builder(URL).header("authorization", "Bearer s3cret");
        assert!(!format!("{builder:?}").contains("s3cret"));
        assert!(!format!("{:?}", builder.build().unwrap()).contains("s3cret"));
        assert!(!refusal(HttpSink::builder(URL).header("authorization", "s3cret\n")).contains("s3cret"));
    }
}
