//! The guard's table: every address and spelling of a host that matters, decided under each policy.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;

use super::resolver::{Guarded, Resolver};
use super::{NetworkPolicy, Refused};
use crate::endpoint::Endpoint;

/// Resolves a host to what is written in it: `10.0.0.1_8.8.8.8.test` has two addresses.
struct Written;

#[async_trait]
impl Resolver for Written {
    async fn resolve(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        let written = host.strip_suffix(".test").ok_or(io::ErrorKind::NotFound)?;
        // A colon cannot be in a name, so that of IPv6 is written as a dash here.
        Ok(written.split('_').map(|text| SocketAddr::new(text.replace('-', ":").parse().unwrap(), 9)).collect())
    }
}

/// What a host is under the policies of [`policies`], one letter each: `y`es, `n`o, or a `p`art of its addresses.
const TABLE: &[(&str, &str)] = &[
    // host, [private allowed, public only, public and 10.0.0.0/8, 10.0.0.0/8 and metadata alone]
    // Public.
    ("8.8.8.8", "yyyn"),
    ("1.1.1.1", "yyyn"),
    ("9.255.255.255", "yyyn"),
    ("11.0.0.0", "yyyn"),
    ("100.63.255.255", "yyyn"),
    ("100.128.0.0", "yyyn"),
    ("126.255.255.255", "yyyn"),
    ("128.0.0.1", "yyyn"),
    ("169.253.255.255", "yyyn"),
    ("169.255.0.0", "yyyn"),
    ("172.15.255.255", "yyyn"),
    ("172.32.0.0", "yyyn"),
    ("192.0.1.0", "yyyn"),
    ("192.167.255.255", "yyyn"),
    ("192.169.0.0", "yyyn"),
    ("198.17.255.255", "yyyn"),
    ("198.20.0.0", "yyyn"),
    ("223.255.255.255", "yyyn"),
    ("[2606:4700:4700::1111]", "yyyn"),
    ("[2001:200::1]", "yyyn"),
    ("[2a00:1450::1]", "yyyn"),
    ("[::ffff:8.8.8.8]", "yyyn"),
    ("[64:ff9b::8.8.8.8]", "yyyn"),
    ("0x08080808", "yyyn"),
    ("010.8.8.8", "yyyn"),
    // Of one's own.
    ("10.0.0.0", "ynyy"),
    ("10.255.255.255", "ynyy"),
    ("127.0.0.1", "ynnn"),
    ("127.255.255.254", "ynnn"),
    ("0.0.0.0", "ynnn"),
    ("0", "ynnn"),
    ("100.64.0.1", "ynnn"),
    ("100.127.255.255", "ynnn"),
    ("172.16.0.1", "ynnn"),
    ("172.31.255.255", "ynnn"),
    ("192.0.0.8", "ynnn"),
    ("192.0.2.1", "ynnn"),
    ("192.168.0.1", "ynnn"),
    ("198.18.0.1", "ynnn"),
    ("198.19.255.255", "ynnn"),
    ("198.51.100.1", "ynnn"),
    ("203.0.113.1", "ynnn"),
    ("240.0.0.1", "ynnn"),
    ("255.255.255.254", "ynnn"),
    ("[::1]", "ynnn"),
    ("[::]", "ynnn"),
    ("[fc00::1]", "ynnn"),
    ("[fd12:3456::1]", "ynnn"),
    ("[2001:db8::1]", "ynnn"),
    ("[3fff::1]", "ynnn"),
    // Spellings of what is one's own.
    ("[::ffff:10.0.0.1]", "ynyy"),
    ("[::ffff:a00:1]", "ynyy"),
    ("[0:0:0:0:0:FFFF:127.0.0.1]", "ynnn"),
    ("[64:ff9b::10.0.0.1]", "ynyy"),
    ("[64:ff9b::7f00:1]", "ynnn"),
    ("[127.0.0.1]", "ynnn"),
    ("127.0.0.1.", "ynnn"),
    ("127.1", "ynnn"),
    ("0x7f.1", "ynnn"),
    ("0X7F.0.0.1", "ynnn"),
    ("0177.0.0.1", "ynnn"),
    ("2130706433", "ynnn"),
    ("0x7f000001", "ynnn"),
    ("017700000001", "ynnn"),
    ("10.1", "ynyy"),
    ("012.0.0.1", "ynyy"),
    ("167772161", "ynyy"),
    ("0xa.1", "ynyy"),
    ("192.168.257", "ynnn"),
    // Where nobody listens, and metadata services.
    ("169.254.169.254", "nnny"),
    ("169.254.170.2", "nnnn"),
    ("169.254.0.1", "nnnn"),
    ("0xa9fea9fe", "nnny"),
    ("2852039166", "nnny"),
    ("0251.0376.0251.0376", "nnny"),
    ("169.254.43518", "nnny"),
    ("169.254.169.254.", "nnny"),
    ("[::ffff:169.254.169.254]", "nnny"),
    ("[::ffff:a9fe:a9fe]", "nnny"),
    ("[64:ff9b::169.254.169.254]", "nnny"),
    ("[::169.254.169.254]", "nnnn"),
    ("[::ffff:0:169.254.169.254]", "nnnn"),
    ("[64:ff9b:1::a9fe:a9fe]", "nnnn"),
    ("[2002:a9fe:a9fe::]", "nnnn"),
    ("[2002:a00:1::]", "nnnn"),
    ("[2001:0:a00:1::]", "nnnn"),
    ("[fd00:ec2::254]", "nnnn"),
    ("[fd00:ec2::23]", "nnnn"),
    ("[fd20:ce::254]", "nnnn"),
    ("[fd00:c1::a9fe:a9fe]", "nnnn"),
    ("100.100.100.200", "nnnn"),
    ("168.63.129.16", "nnnn"),
    ("192.0.0.192", "nnnn"),
    ("0.0.0.1", "nnnn"),
    ("192.88.99.1", "nnnn"),
    ("224.0.0.1", "nnnn"),
    ("239.255.255.255", "nnnn"),
    ("255.255.255.255", "nnnn"),
    ("[fe80::1]", "nnnn"),
    ("[febf::1]", "nnnn"),
    ("[fe80::1%25eth0]", "nnnn"),
    ("[fe80::1%eth0]", "nnnn"),
    ("[::1%25lo]", "ynnn"),
    ("[::ffff:169.254.169.254%25eth0]", "nnny"),
    ("[fec0::1]", "nnnn"),
    ("[ff02::1]", "nnnn"),
    ("[100::1]", "nnnn"),
    ("[5f00::1]", "nnnn"),
    ("[4000::1]", "nnnn"),
    // Names, by what they resolve to.
    ("8.8.8.8.test", "yyyn"),
    ("127.0.0.1.test", "ynnn"),
    ("10.0.0.1.test", "ynyy"),
    ("10.0.0.1_8.8.8.8.test", "ypyp"),
    ("8.8.8.8_127.0.0.1_169.254.169.254.test", "pppp"),
    ("--1.test", "ynnn"),
    ("--ffff-169.254.169.254.test", "nnny"),
    ("fe80--1.test", "nnnn"),
    ("FD00-ec2--254_169.254.170.2.test", "nnnn"),
];

fn policies() -> [NetworkPolicy; 4] {
    let alone = ["10.0.0.0/8", "169.254.169.254"];
    [
        NetworkPolicy::private_allowed(),
        NetworkPolicy::public_only(),
        NetworkPolicy::public_only().allow("10.0.0.0/8").unwrap(),
        alone.iter().try_fold(NetworkPolicy::nothing(), |policy, network| policy.allow(network)).unwrap(),
    ]
}

/// What becomes of a connection to `host`, as a letter of the table.
async fn decided(host: &str, policy: &NetworkPolicy) -> char {
    let guard = Guarded::new(Arc::new(Written), policy.clone());
    let by_literal = guard.check_literal(host);
    let bare = host.trim_matches(['[', ']']);
    let by_address = match guard.addresses(bare).await {
        Ok(addresses) => {
            let all = bare.split('_').count();
            assert!(addresses.iter().all(|address| policy.allows(address.ip()) && address.port() == 0));
            if addresses.len() == all { 'y' } else { 'p' }
        }
        Err(error) => {
            assert!(error.is::<Refused>(), "{host}: {error}");
            'n'
        }
    };
    if super::host::literal(host).is_some() {
        assert_eq!(by_literal.is_ok(), by_address == 'y', "{host}: both doors decide alike");
        // Building a sink for it decides the same.
        let endpoint = Endpoint::parse(&format!("http://{host}:8080/events")).unwrap();
        assert_eq!(endpoint.check(policy).is_ok(), by_address == 'y', "{host}");
    }
    by_address
}

#[tokio::test]
async fn every_host_is_decided_as_expected_under_each_policy() {
    assert!(TABLE.len() >= 60);
    for (host, expected) in TABLE {
        let mut letters = String::new();
        for policy in policies() {
            letters.push(decided(host, &policy).await);
        }
        assert_eq!(letters, *expected, "{host}");
    }
}

#[test]
fn spellings_that_are_no_url_never_get_to_the_guard() {
    // Percent signs, other alphabets' digits and letters: whatever a resolver would make of them.
    let hosts = [
        "%31%32%37.0.0.1",
        "127%2e0.0.1",
        "１２７.0.0.1",
        "127。0。0。1",
        "ⓛocalhost",
        "localhost%00",
        "127.0.0.1\\@8.8.8.8",
        "[::1",
        "::1",
        "[]",
        "127.0.0.1 ",
        "a b",
        "8.8.8.8@127.0.0.1",
    ];
    for host in hosts {
        assert!(Endpoint::parse(&format!("http://{host}/")).is_err(), "{host}");
    }
}

#[test]
fn a_policy_says_what_it_allows() {
    let shown = policies().map(|policy| policy.to_string());
    let expected = [
        "public and private networks",
        "public networks only",
        "public networks only, and 10.0.0.0/8",
        "no network but 10.0.0.0/8, 169.254.169.254/32",
    ];
    assert_eq!(shown, expected);
    assert_eq!(NetworkPolicy::nothing().to_string(), "no network at all");
}

#[test]
fn a_network_is_read_strictly() {
    let reason = |text: &str| NetworkPolicy::nothing().allow(text).unwrap_err().to_string();
    for text in ["", "ten", "10.0.0.0/33", "10.0.0/8", "fd00::/129", "10.0.0.0/", "0x0a.0.0.0/8", "10.0.0.0/-1"] {
        assert!(reason(text).contains("write it like 10.0.0.0/8"), "{text}: {}", reason(text));
    }
    assert!(reason("10.1.0.0/8").contains("is 10.0.0.0/8 meant?"), "{}", reason("10.1.0.0/8"));
    assert!(reason("fd00::1/8").contains("is fd00::/8 meant?"));
}

#[test]
fn a_network_of_ipv4_in_ipv6_is_the_ipv4_one() {
    let allows = |network: &str, address: &str| {
        NetworkPolicy::nothing().allow(network).unwrap().allows(address.parse::<IpAddr>().unwrap())
    };
    assert!(allows("::ffff:10.0.0.0/104", "10.1.2.3"));
    assert!(allows("64:ff9b::/96", "192.168.0.1"));
    assert!(allows("::ffff:10.0.0.7", "10.0.0.7"));
    assert!(!allows("::ffff:10.0.0.0/104", "11.1.2.3"));
    assert!(allows("10.0.0.0/8", "::ffff:10.1.2.3"));
    assert!(allows(" fe80::/10 ", "fe80::7"));
    assert!(allows("0.0.0.0/0", "169.254.169.254") && !allows("0.0.0.0/0", "::1") && !allows("::/0", "10.0.0.1"));
}

#[test]
fn equal_policies_are_equal_whatever_the_order() {
    let allowing = |networks: [&str; 3]| networks.iter().try_fold(NetworkPolicy::nothing(), |p, n| p.allow(n)).unwrap();
    assert_eq!(
        allowing(["10.0.0.0/8", "fd00::/8", "10.0.0.0/8"]),
        allowing(["fd00::/8", "10.0.0.0/8", "::ffff:10.0.0.0/104"])
    );
}
