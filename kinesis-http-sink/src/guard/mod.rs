//! The guard: which networks a subscriber may be in, so that a URL somebody else chose is no way into one's own.

pub(crate) mod host;
mod networks;
pub(crate) mod resolver;
#[cfg(test)]
mod table;

use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use kinesis_core::{Error, Result};

use networks::Reach;

/// Which networks a subscriber may be in.
///
/// | | public | own: private, loopback | link-local, metadata, multicast |
/// |---|---|---|---|
/// | [`private_allowed`](Self::private_allowed), the default | yes | yes | no |
/// | [`public_only`](Self::public_only) | yes | no | no |
/// | [`nothing`](Self::nothing) | no | no | no |
///
/// Each of them can be widened by [`allow`](Self::allow), network by network.
///
/// The default is for subscribers that an operator configures: they usually are one's own services, on this machine or
/// near it. Even so nobody's subscriber listens at a link-local address, and a cloud's metadata service hands out
/// credentials there; so those want to be allowed by name. `public_only` is for URLs that somebody else chooses.
///
/// # What is checked
///
/// Each address is checked when a connection is made, after the name was resolved, and the connection goes to an
/// address that was checked: a name that resolves to something else the next time ("rebinding") gains nothing. Of a
/// name with several addresses those that are allowed are tried. Addresses in the URL itself are checked in every
/// spelling (`127.1`, `0x7f.1`, `2130706433`), also when the sink is built. An IPv4 address inside an IPv6 one
/// (`::ffff:10.0.0.1`, or NAT64's `64:ff9b::10.0.0.1`) is that IPv4 address. Redirects are never followed and no proxy
/// is taken from the environment, so there is no way around the check.
///
/// Connections are shared only between sinks of equal policies.
///
/// ```
/// use kinesis_http_sink::NetworkPolicy;
///
/// let policy = NetworkPolicy::public_only().allow("10.20.0.0/16")?;
/// assert!(policy.allows("10.20.3.4".parse().unwrap()));
/// assert!(!policy.allows("10.21.3.4".parse().unwrap()));
/// # Ok::<(), kinesis_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct NetworkPolicy {
    base: Base,
    /// Sorted and each once, so that equal policies compare equal.
    allowed: Vec<IpNet>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
enum Base {
    #[default]
    PrivateAllowed,
    PublicOnly,
    Nothing,
}

impl NetworkPolicy {
    /// Every network but link-local, metadata services and multicast. The default.
    #[must_use]
    pub const fn private_allowed() -> Self {
        Self { base: Base::PrivateAllowed, allowed: Vec::new() }
    }

    /// The public internet only.
    #[must_use]
    pub const fn public_only() -> Self {
        Self { base: Base::PublicOnly, allowed: Vec::new() }
    }

    /// No network but those that are [allowed](Self::allow).
    #[must_use]
    pub const fn nothing() -> Self {
        Self { base: Base::Nothing, allowed: Vec::new() }
    }

    /// Allows a network as well: `10.0.0.0/8`, `fd12:3456::/32`, or one address, `192.168.1.7`. It counts for any
    /// address, link-local ones too.
    ///
    /// # Errors
    ///
    /// `Invalid` for a text that is no network, or one with bits set behind its prefix: `10.1.0.0/8` may mean more or
    /// less than was thought.
    pub fn allow(mut self, network: &str) -> Result<Self> {
        let network = network_of(network)?;
        if let Err(place) = self.allowed.binary_search(&network) {
            self.allowed.insert(place, network);
        }
        Ok(self)
    }

    /// Whether a connection to `address` may be made.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = networks::plain(address);
        let by_reach = match self.base {
            Base::PrivateAllowed => Reach::of(address) != Reach::Never,
            Base::PublicOnly => Reach::of(address) == Reach::Public,
            Base::Nothing => false,
        };
        by_reach || self.allowed.iter().any(|network| network.contains(&address))
    }

    pub(crate) fn refused(&self, host: &str) -> Refused {
        Refused { host: host.to_owned(), policy: self.clone() }
    }
}

/// As a message says it: `public networks only, and 10.0.0.0/8`.
impl fmt::Display for NetworkPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.base {
            Base::PrivateAllowed => "public and private networks",
            Base::PublicOnly => "public networks only",
            Base::Nothing if self.allowed.is_empty() => "no network at all",
            Base::Nothing => "no network",
        })?;
        for (nth, network) in self.allowed.iter().enumerate() {
            let before = match (nth, self.base) {
                (0, Base::Nothing) => " but ",
                (0, _) => ", and ",
                _ => ", ",
            };
            write!(f, "{before}{network}")?;
        }
        Ok(())
    }
}

/// Reads a network, or a single address as the network of it alone.
fn network_of(text: &str) -> Result<IpNet> {
    let refused = |why: String| Error::invalid(format!("the network {text:?} {why}"));
    let trimmed = text.trim();
    let network = match trimmed.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => trimmed
            .parse::<IpNet>()
            .map_err(|_| refused("cannot be read: write it like 10.0.0.0/8 or fd00::/8".to_owned()))?,
    };
    if network.addr() != network.network() {
        return Err(refused(format!("has bits set behind its prefix: is {} meant?", network.trunc())));
    }
    // Addresses are compared in their plain form, so networks have to be in theirs.
    match (network, networks::plain(network.addr()), network.prefix_len().checked_sub(96)) {
        (IpNet::V6(_), IpAddr::V4(first), Some(prefix)) => {
            let plain = Ipv4Net::new(first, prefix).map_err(|_| refused("has too long a prefix".to_owned()))?;
            Ok(IpNet::V4(plain))
        }
        _ => Ok(network),
    }
}

/// A host that is at no address which its policy allows. Which addresses it has is nobody's business.
#[derive(Debug, thiserror::Error)]
#[error("{host} has no address that the network policy allows, which is {policy}")]
pub(crate) struct Refused {
    host: String,
    policy: NetworkPolicy,
}
