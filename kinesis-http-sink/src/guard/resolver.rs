//! From a host to the addresses that may be connected to: resolved anew for each connection, and each one checked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::{fmt, io};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use kinesis_core::BoxError;
use tower::Service;

use super::{NetworkPolicy, Refused, host};

/// Turns the name of a host into addresses. The system's resolver is used unless a
/// [`Client`](crate::ClientBuilder::resolver) is given another, such as one with answers of its own in a test.
///
/// It is asked for each connection, not for each request. Whatever it answers is checked against the subscriber's
/// [`NetworkPolicy`] afterwards, so an implementation needs no check of its own. Hosts that are addresses in themselves
/// are not asked for.
#[async_trait]
pub trait Resolver: Send + Sync + 'static {
    /// All addresses of `host`, in the order to be tried. Their ports are not looked at.
    ///
    /// # Errors
    ///
    /// Any error is an attempt that failed, and is tried again like a connection that was refused. No address at all
    /// is an error too, which the caller makes of an empty answer.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the connect timeout passes.
    async fn resolve(&self, host: &str) -> io::Result<Vec<SocketAddr>>;
}

/// Asks the system, as every other program on the machine does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct System;

#[async_trait]
impl Resolver for System {
    async fn resolve(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.collect())
    }
}

/// Lets only those addresses of a host through that a policy allows.
#[derive(Clone)]
pub(crate) struct Guarded {
    resolver: Arc<dyn Resolver>,
    policy: NetworkPolicy,
}

impl Guarded {
    pub(crate) fn new(resolver: Arc<dyn Resolver>, policy: NetworkPolicy) -> Self {
        Self { resolver, policy }
    }

    /// Refuses a host that is itself an address which the policy does not allow.
    pub(crate) fn check_literal(&self, host: &str) -> Result<(), Refused> {
        match host::literal(host) {
            Some(address) if !self.policy.allows(address) => Err(self.policy.refused(host)),
            _ => Ok(()),
        }
    }

    /// The allowed addresses of `host`, of which there is one at least.
    pub(crate) async fn addresses(&self, host: &str) -> Result<Vec<SocketAddr>, BoxError> {
        // An address in an odd spelling is what its spelling says, whatever the resolver would make of it.
        let mut addresses = match host::literal(host) {
            Some(address) => vec![SocketAddr::new(address, 0)],
            None => self.resolver.resolve(host).await?,
        };
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into());
        }
        addresses.retain(|address| self.policy.allows(address.ip()));
        if addresses.is_empty() {
            return Err(self.policy.refused(host).into());
        }
        // Port 0 stands for the port of the URL, or the usual one of its scheme.
        addresses.iter_mut().for_each(|address| address.set_port(0));
        Ok(addresses)
    }
}

impl Service<Name> for Guarded {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let guarded = self.clone();
        Box::pin(async move { Ok(guarded.addresses(name.as_str()).await?.into_iter()) })
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").field("policy", &self.policy).finish_non_exhaustive()
    }
}
