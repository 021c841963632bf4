//! Which networks an address can belong to: the public internet, one's own networks, or none that a subscriber is in.
//!
//! After the registries of special-purpose addresses of IANA for IPv4 and IPv6, read in November 2026, and the
//! documentation of the clouds whose metadata services are named.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// From where an address can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The public internet.
    Public,
    /// This machine, or a network of one's own: private, shared, or set apart for documentation and tests.
    Own,
    /// Nowhere a subscriber listens: link-local, metadata services of clouds, multicast, and what is retired.
    Never,
}

use Reach::{Never, Own, Public};

/// A block of addresses: its first one, how many bits of it are fixed, and its reach.
type Block<A> = (A, u32, Reach);

/// The first block that holds an address counts. What is in none is public.
const V4: [Block<Ipv4Addr>; 20] = [
    // On Linux a connection to 0.0.0.0 reaches this machine, and people write it so.
    (Ipv4Addr::UNSPECIFIED, 32, Own),
    (Ipv4Addr::new(0, 0, 0, 0), 8, Never),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Own),
    // Alibaba Cloud's metadata service, in the midst of the shared addresses.
    (Ipv4Addr::new(100, 100, 100, 200), 32, Never),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Own),
    (Ipv4Addr::LOCALHOST, 8, Own),
    // Azure's metadata and DNS service: public by its number, answered by the machine below.
    (Ipv4Addr::new(168, 63, 129, 16), 32, Never),
    // Link-local: the metadata services of AWS (169.254.169.254, and 169.254.170.2 of ECS), Google Cloud and others.
    (Ipv4Addr::new(169, 254, 0, 0), 16, Never),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Own),
    // Oracle Cloud's older metadata service.
    (Ipv4Addr::new(192, 0, 0, 192), 32, Never),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Own),
    (Ipv4Addr::new(192, 0, 2, 0), 24, Own),
    // The relays of 6to4, retired by RFC 7526.
    (Ipv4Addr::new(192, 88, 99, 0), 24, Never),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Own),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Own),
    (Ipv4Addr::new(198, 51, 100, 0), 24, Own),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Own),
    (Ipv4Addr::new(224, 0, 0, 0), 4, Never),
    (Ipv4Addr::BROADCAST, 32, Never),
    // Reserved for a future that will not come; large networks use it inside.
    (Ipv4Addr::new(240, 0, 0, 0), 4, Own),
];

/// The first block that holds an address counts. What is in none is never: all that is public is in 2000::/3.
const V6: [Block<Ipv6Addr>; 11] = [
    (Ipv6Addr::LOCALHOST, 128, Own),
    (Ipv6Addr::UNSPECIFIED, 128, Own),
    // The services of AWS that each machine sees: metadata (fd00:ec2::254), credentials of EKS pods, DNS, time.
    (Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0), 32, Never),
    // The metadata services of Google Cloud and Oracle Cloud.
    (Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254), 128, Never),
    (Ipv6Addr::new(0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), 128, Never),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Own),
    (Ipv6Addr::new(0x2001, 0x0db8, 0, 0, 0, 0, 0, 0), 32, Own),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Own),
    // Protocol assignments, Teredo among them, and 6to4: the latter two carry an IPv4 address past any check of it.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Never),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, Never),
    (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3, Public),
];

/// Addresses that a network with NAT64 translates to the IPv4 address in their last four bytes.
pub(crate) const NAT64: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);

/// The prefixes after which an IPv6 address is an IPv4 one in its last four bytes, 96 bits each: mapped, and NAT64.
const CARRIERS: [Ipv6Addr; 2] = [Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), NAT64];

impl Reach {
    /// The reach of an address in its [plain form](plain).
    pub(crate) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => {
                let within =
                    |&&(first, fixed, _): &&Block<Ipv4Addr>| (v4.to_bits() ^ first.to_bits()).leading_zeros() >= fixed;
                V4.iter().find(within).map_or(Public, |block| block.2)
            }
            IpAddr::V6(v6) => {
                let within =
                    |&&(first, fixed, _): &&Block<Ipv6Addr>| (v6.to_bits() ^ first.to_bits()).leading_zeros() >= fixed;
                V6.iter().find(within).map_or(Never, |block| block.2)
            }
        }
    }
}

/// Whether `address` is an IPv4 address in the clothes of an IPv6 one.
pub(crate) fn carries_v4(address: Ipv6Addr) -> bool {
    CARRIERS.iter().any(|carrier| (address.to_bits() ^ carrier.to_bits()) >> 32 == 0)
}

/// The address that a connection to `address` ends up at: the IPv4 one, where an IPv6 one only carries it.
pub(crate) fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if carries_v4(v6) => IpAddr::V4(Ipv4Addr::from_bits(v6.to_bits() as u32)),
        other => other,
    }
}
