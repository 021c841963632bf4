//! The host of a URL that is an address in itself, in every spelling that a URL parser or a resolver takes for one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that `host` spells: `[::1]`, `[fe80::1%eth0]` (the zone chooses a way, not another address),
/// `127.0.0.1.`, and as `inet_aton` and browsers read IPv4: `127.1`, `0x7f.1`, `0177.0.0.1`, `2130706433`.
///
/// `None` is a name for a resolver. Should one still take it for an address, its answer is checked like any other.
pub(crate) fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if bare.contains(':') {
        let address = bare.split_once('%').map_or(bare, |(address, _zone)| address);
        return address.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    // In brackets too, because the connector takes them off before it looks.
    short_v4(bare.strip_suffix('.').unwrap_or(bare)).map(IpAddr::V4)
}

/// One to four numbers with dots between, the last of which fills all bytes that are left.
fn short_v4(text: &str) -> Option<Ipv4Addr> {
    let mut bits = 0;
    let mut parts = text.split('.').peekable();
    for nth in 0..4 {
        let part = number(parts.next()?)?;
        if parts.peek().is_none() {
            let room = u64::from(u32::MAX) >> (8 * nth);
            return (part <= room).then(|| Ipv4Addr::from_bits(bits | part as u32));
        }
        let byte = u8::try_from(part).ok()?;
        bits |= u32::from(byte) << (24 - 8 * nth);
    }
    None
}

/// A number as C writes it: hexadecimal after 0x, octal after 0, otherwise decimal.
fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    if radix == 16 && digits.is_empty() {
        return Some(0);
    }
    // A sign is no digit, though the parser would take one.
    if !digits.bytes().all(|digit| char::from(digit).is_digit(radix)) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn every_spelling_of_an_address_is_that_address() {
        let loopback = [
            "127.0.0.1",
            "127.0.0.1.",
            "127.1",
            "127.0.1",
            "0x7f.1",
            "0X7F.0x0.0x0.0x1",
            "0177.0.0.1",
            "0177.1",
            "00000177.1",
            "2130706433",
            "0x7f000001",
            "0x7F000001.",
            "017700000001",
            "127.0x1",
            "127.000.000.001",
            "[127.0.0.1]",
            "[127.1]",
        ];
        for host in loopback {
            assert_eq!(literal(host), address("127.0.0.1"), "{host}");
        }
        assert_eq!(literal("0"), address("0.0.0.0"));
        assert_eq!(literal("0x"), address("0.0.0.0"));
        assert_eq!(literal("010.8"), address("8.0.0.8"));
        assert_eq!(literal("1.16777215"), address("1.255.255.255"));
        assert_eq!(literal("4294967295"), address("255.255.255.255"));
        assert_eq!(literal("[::1]"), address("::1"));
        assert_eq!(literal("::1"), address("::1"));
        assert_eq!(literal("[0:0:0:0:0:0:0:1]"), address("::1"));
        assert_eq!(literal("[FE80::1%25eth0]"), address("fe80::1"));
        assert_eq!(literal("[fe80::1%eth0]"), address("fe80::1"));
        assert_eq!(literal("[::ffff:10.0.0.1]"), address("::ffff:10.0.0.1"));
    }

    #[test]
    fn what_no_one_takes_for_an_address_is_a_name() {
        let names = [
            "",
            ".",
            "..",
            "localhost",
            "127..1",
            "127.0.0.1..",
            "1.2.3.4.5",
            "256.0.0.1",
            "1.2.3.256",
            "1.16777216",
            "4294967296",
            "99999999999999999999999",
            "08.1.1.1",
            "0x7g.1",
            "+1.2.3.4",
            "-1",
            "127.0.0.1.nip.io",
            "a.1",
            "[::1",
            "::1]",
            "[]",
            "[::1%]x",
            ":",
            "12:34",
            "１２７.0.0.1",
            "1 .1",
        ];
        for name in names {
            assert_eq!(literal(name), None, "{name}");
        }
    }
}
