//! The connections: one pool that any number of sinks share.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::connect::Connector;
use crate::guard::NetworkPolicy;
use crate::guard::resolver::{Guarded, Resolver, System};
use crate::repeat::{self, Lost};
#[cfg(feature = "tls")]
use crate::tls::Trust;

/// A pool of connections. Cloning it is cheap and shares the pool.
///
/// Over http it speaks HTTP/1.1. Over https (feature `tls`, on by default) it speaks HTTP/2 with servers that do, with
/// all requests to a host on one connection, and HTTP/1.1 with all others.
///
/// A request that was lost with a connection which had served before, and one that an HTTP/2 server says it did not look
/// at, is sent again once and at once. No byte of a reply may have come; what a server did with it before it went away is
/// not known, so a record may come twice, as ever.
///
/// It follows no redirects, reads no proxy from the environment and keeps no cookies. It belongs to the tokio runtime
/// that it is first used on.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    pools: Arc<Pools>,
}

/// What all clones of a client share, whatever the policy of a sink.
#[derive(Debug)]
struct Shared {
    settings: ClientBuilder,
    /// A connection that one policy allowed is nothing for a sink with another. Pools last as long as their sinks.
    by_policy: Mutex<HashMap<NetworkPolicy, Weak<Pools>>>,
}

/// The connections under one policy.
#[derive(Debug)]
struct Pools {
    pooled: Http,
    /// Never reuses a connection: for the one request that found a reused one dead.
    fresh: Http,
}

type Http = legacy::Client<Connector, Full<Bytes>>;

impl Client {
    /// A pool with the defaults of [`ClientBuilder`].
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A pool to configure.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// This client for a sink with `policy`: the same settings, and the connections of all sinks with that policy.
    pub(crate) fn under(&self, policy: &NetworkPolicy) -> Self {
        let shared = Arc::clone(&self.shared);
        let pools = shared.pools(policy);
        Self { shared, pools }
    }

    /// Reads whom the platform trusts, unless that was done before: the first https sink finds out what is amiss.
    #[cfg(feature = "tls")]
    pub(crate) fn check_trust(&self) -> kinesis_core::Result<()> {
        self.shared.settings.trust.config().map(drop)
    }

    /// Sends a request and returns the reply's head.
    ///
    /// A server may close an idle connection at the very moment a request is written to it. Such a request is sent
    /// once more, at once, on a new connection; `request` makes it again, which is cheaper than keeping a copy of each.
    pub(crate) async fn send(
        &self,
        request: impl Fn() -> Request<Full<Bytes>> + Send + Sync,
    ) -> Result<Response<Incoming>, legacy::Error> {
        let error = match self.pools.pooled.request(request()).await {
            Ok(reply) => {
                #[cfg(feature = "tls")]
                repeat::note(&reply);
                return Ok(reply);
            }
            Err(error) => error,
        };
        let again = match repeat::allowed(&error) {
            None => return Err(error),
            Some(Lost::OnOwn) => &self.pools.fresh,
            // Its pool gives a dead connection to nobody, and all who lost it share the next one.
            #[cfg(feature = "tls")]
            Some(Lost::OnShared) => &self.pools.pooled,
        };
        tracing::debug!(%error, "a connection was closed before it answered; sending again");
        let answer = again.request(request()).await;
        #[cfg(feature = "tls")]
        if let Ok(reply) = &answer {
            repeat::note(reply);
        }
        answer
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    fn pools(&self, policy: &NetworkPolicy) -> Arc<Pools> {
        let mut by_policy = self.by_policy.lock().expect("nothing panics while it holds this lock");
        if let Some(pools) = by_policy.get(policy).and_then(Weak::upgrade) {
            return pools;
        }
        by_policy.retain(|_, pools| pools.strong_count() > 0);
        let pools = Arc::new(self.settings.pools(policy));
        by_policy.insert(policy.clone(), Arc::downgrade(&pools));
        pools
    }
}

/// The settings of a [`Client`].
#[derive(Clone)]
pub struct ClientBuilder {
    resolver: Arc<dyn Resolver>,
    #[cfg(feature = "tls")]
    trust: Trust,
    #[cfg(feature = "tls")]
    ping_after: Duration,
    connect_timeout: Duration,
    idle_timeout: Duration,
    max_idle_per_host: usize,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            resolver: Arc::new(System),
            #[cfg(feature = "tls")]
            trust: Trust::default(),
            #[cfg(feature = "tls")]
            ping_after: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(20),
            max_idle_per_host: 64,
        }
    }
}

impl ClientBuilder {
    /// Trusts the certificate authorities in `pem`, and no others, to vouch for subscribers. Default: those that the
    /// platform trusts, or that the file in the variable `SSL_CERT_FILE` holds.
    ///
    /// # Errors
    ///
    /// `Invalid` for a text without certificates, or with one that cannot be read.
    #[cfg(feature = "tls")]
    pub fn ca_certificates(mut self, pem: impl AsRef<[u8]>) -> kinesis_core::Result<Self> {
        self.trust = Trust::given(pem.as_ref())?;
        Ok(self)
    }

    /// How long resolving the name, connecting and the TLS handshake may take together. Default 5 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long an unused connection is kept. Default 20 s, which is less than most servers keep theirs; many Node.js
    /// servers close after 5 s.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// How long a connection of HTTP/2 may be silent while requests wait on it before it is asked whether anybody is
    /// still there, and how long it then has to answer. Default 5 s: twice that is less than the usual timeout of an
    /// exchange, which is 15 s, so that a request on a dead connection is sent again within it.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn ping_after(mut self, silence: Duration) -> Self {
        self.ping_after = silence;
        self
    }

    /// How many unused connections are kept for each host and port. Default 64. Fewer than there are requests in
    /// flight means connecting again and again.
    #[must_use]
    pub fn max_idle_per_host(mut self, connections: usize) -> Self {
        self.max_idle_per_host = connections;
        self
    }

    /// Asks `resolver` for the addresses of hosts. Default: the system's resolver.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolver) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// The pool. No connection is made yet.
    #[must_use]
    pub fn build(self) -> Client {
        let shared = Arc::new(Shared { settings: self, by_policy: Mutex::default() });
        let pools = shared.pools(&NetworkPolicy::default());
        Client { shared, pools }
    }

    fn pools(&self, policy: &NetworkPolicy) -> Pools {
        let guard = Guarded::new(Arc::clone(&self.resolver), policy.clone());
        let connector = Connector::new(
            guard,
            self.connect_timeout,
            #[cfg(feature = "tls")]
            self.trust.clone(),
        );
        let mut http = legacy::Client::builder(TokioExecutor::new());
        http.pool_timer(TokioTimer::new()).pool_idle_timeout(self.idle_timeout);
        // A request that timed out takes its HTTP/1.1 connection along. One of HTTP/2 lives on for the others, so it is
        // asked itself whether anybody is still there.
        #[cfg(feature = "tls")]
        http.timer(TokioTimer::new())
            .http2_keep_alive_interval(self.ping_after)
            .http2_keep_alive_timeout(self.ping_after);
        let pooled = http.pool_max_idle_per_host(self.max_idle_per_host).build(connector.clone());
        let fresh = http.pool_max_idle_per_host(0).build(connector);
        Pools { pooled, fresh }
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("connect_timeout", &self.connect_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("max_idle_per_host", &self.max_idle_per_host)
            .finish_non_exhaustive()
    }
}
