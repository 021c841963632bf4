//! The units of an answer in JSON.

use std::borrow::Cow;
use std::time::SystemTime;

use super::found::{self, Child, Fields, Found, Payload, Source};
use super::parser::State;
use super::scan::{Read, Scan, Stop};

/// How deep what is passed over may be nested.
const MAX_DEPTH: u32 = 32;
/// The most characters of a number: those of a double, written out.
const MAX_NUMBER: usize = 400;

/// Reads one unit; says where the next one is.
pub(super) fn unit(state: State, scan: &mut Scan<'_>, source: Source<'_>, found: &mut Found) -> Read<State> {
    blanks(scan);
    match state {
        State::Done if scan.rest().is_empty() => Ok(State::Done),
        State::Done => Err(Stop::Bad("something follows the answer")),
        State::Start => {
            expect(scan, b'{', "the answer is no object")?;
            Ok(State::Members { first: true, left: None })
        }
        State::Members { first, .. } => {
            if scan.peek()? == b'}' {
                scan.at += 1;
                return Ok(State::Done);
            }
            separate(scan, first)?;
            member(scan, found)
        }
        State::Records { first, .. } => {
            if scan.peek()? == b']' {
                scan.at += 1;
                return Ok(State::Members { first: false, left: None });
            }
            separate(scan, first)?;
            let fields = record(scan)?;
            found.push(fields, source)?;
            Ok(State::Records { first: false, left: None, members_left: None })
        }
    }
}

fn member(scan: &mut Scan<'_>, found: &mut Found) -> Read<State> {
    let name = name(scan)?;
    let after = State::Members { first: false, left: None };
    match name {
        b"Records" if scan.peek()? == b'[' => {
            scan.at += 1;
            found.begin_list(0);
            return Ok(State::Records { first: true, left: None, members_left: None });
        }
        b"NextShardIterator" | b"ContinuationSequenceNumber" => {
            let next = match null(scan)? {
                true => None,
                false => Some(text(scan)?.into_owned()),
            };
            found.set_next(next);
        }
        b"MillisBehindLatest" => {
            let behind = match null(scan)? {
                true => None,
                false => Some(number(scan)?.parse().map_err(|_| Stop::Bad("MillisBehindLatest is no integer"))?),
            };
            found.set_behind(behind);
        }
        b"ChildShards" => {
            let from = scan.at;
            skip(scan, 0)?;
            let children: Option<Vec<Child>> = serde_json::from_slice(&scan.bytes[from..scan.at])
                .map_err(|_| Stop::Bad("ChildShards are no list of shards"))?;
            found.set_children(children.unwrap_or_default())?;
        }
        _ => skip(scan, 0)?,
    }
    Ok(after)
}

fn record<'a>(scan: &mut Scan<'a>) -> Read<Fields<'a>> {
    expect(scan, b'{', "a record is no object")?;
    let mut fields = Fields::default();
    let mut first = true;
    loop {
        blanks(scan);
        if scan.peek()? == b'}' {
            scan.at += 1;
            return Ok(fields);
        }
        separate(scan, first)?;
        first = false;
        let name = match known_name(scan) {
            Some(name) => name,
            None => name(scan)?,
        };
        match name {
            b"Data" => fields.data = Some(Payload::Base64(plain(scan)?)),
            b"SequenceNumber" => fields.number = Some(found::number(plain(scan)?)?),
            b"PartitionKey" => fields.key = Some((&*text(scan)?).into()),
            b"ApproximateArrivalTimestamp" => fields.arrived_at = time(scan)?,
            _ => skip(scan, 0)?,
        }
    }
}

/// The name of a field that is written as the service does, which costs less than to look for its end. The value is there.
fn known_name(scan: &mut Scan<'_>) -> Option<&'static [u8]> {
    let rest = scan.rest();
    let is = |text: &[u8]| rest.len() > text.len() + 3 && rest[0] == b'"' && rest[1..].starts_with(text);
    let name: &[u8] = match rest.get(1)? {
        b'S' if is(b"SequenceNumber\":") => b"SequenceNumber",
        b'A' if is(b"ApproximateArrivalTimestamp\":") => b"ApproximateArrivalTimestamp",
        b'D' if is(b"Data\":") => b"Data",
        b'P' if is(b"PartitionKey\":") => b"PartitionKey",
        _ => return None,
    };
    let value = 1 + name.len() + 2;
    if matches!(rest[value], b' ' | b'\n' | b'\r' | b'\t') {
        return None;
    }
    scan.at += value;
    Some(name)
}

fn time(scan: &mut Scan<'_>) -> Read<Option<SystemTime>> {
    if null(scan)? {
        return Ok(None);
    }
    if let Some((time, len)) = found::plain_seconds(scan.rest()) {
        scan.at += len;
        return Ok(time);
    }
    found::seconds(number(scan)?)
}

fn blanks(scan: &mut Scan<'_>) {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = scan.bytes.get(scan.at) {
        scan.at += 1;
    }
}

fn expect(scan: &mut Scan<'_>, wanted: u8, why: &'static str) -> Read<()> {
    if scan.next()? == wanted { Ok(()) } else { Err(Stop::Bad(why)) }
}

/// The comma before everything but the first of a list.
fn separate(scan: &mut Scan<'_>, first: bool) -> Read<()> {
    if !first {
        expect(scan, b',', "a comma is missing")?;
        blanks(scan);
    }
    Ok(())
}

/// A name, and the colon after it.
fn name<'a>(scan: &mut Scan<'a>) -> Read<&'a [u8]> {
    let name = plain(scan)?;
    // Those that mean something have no others.
    if !name.iter().all(|byte| matches!(byte, 0x20..=0x7e)) {
        return Err(Stop::Bad("a name has strange characters"));
    }
    blanks(scan);
    expect(scan, b':', "a colon is missing")?;
    blanks(scan);
    // So that whoever looks at the value finds one.
    scan.peek()?;
    Ok(name)
}

/// The bytes between quotes, as they are, and whether there are escapes among them.
fn quoted<'a>(scan: &mut Scan<'a>) -> Read<(&'a [u8], bool)> {
    expect(scan, b'"', "something is no string")?;
    let from = scan.at;
    let mut escapes = false;
    loop {
        let found = memchr::memchr2(b'"', b'\\', scan.rest()).ok_or(Stop::More)?;
        scan.at += found + 1;
        if scan.bytes[scan.at - 1] == b'"' {
            return Ok((&scan.bytes[from..scan.at - 1], escapes));
        }
        escapes = true;
        scan.next()?;
    }
}

/// A string that has no escapes, as names, base64 and numbers are written.
fn plain<'a>(scan: &mut Scan<'a>) -> Read<&'a [u8]> {
    match quoted(scan)? {
        (bytes, false) => Ok(bytes),
        (_, true) => Err(Stop::Bad("a name, data or a number is written with escapes")),
    }
}

/// Any string.
fn text<'a>(scan: &mut Scan<'a>) -> Read<Cow<'a, str>> {
    let from = scan.at;
    let (bytes, escapes) = quoted(scan)?;
    if escapes {
        let text = serde_json::from_slice(&scan.bytes[from..scan.at]);
        return text.map(Cow::Owned).map_err(|_| Stop::Bad("a string has a wrong escape"));
    }
    if bytes.iter().any(|byte| *byte < 0x20) {
        return Err(Stop::Bad("a string has a control character"));
    }
    std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| Stop::Bad("a string is not UTF-8"))
}

/// Whether the value is null, which is passed over then.
fn null(scan: &mut Scan<'_>) -> Read<bool> {
    if scan.peek()? != b'n' {
        return Ok(false);
    }
    word(scan, b"null")?;
    Ok(true)
}

fn word(scan: &mut Scan<'_>, word: &[u8]) -> Read<()> {
    if scan.take(word.len())? == word { Ok(()) } else { Err(Stop::Bad("a value is unknown")) }
}

/// The characters of a number. What follows it has to be there, or it might go on.
fn number<'a>(scan: &mut Scan<'a>) -> Read<&'a str> {
    let rest = scan.rest();
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    let end = rest.iter().position(|byte| !is_part(byte));
    if end.unwrap_or(rest.len()) > MAX_NUMBER {
        return Err(Stop::Bad("a number is too long"));
    }
    let end = end.ok_or(Stop::More)?;
    if !is_number(&rest[..end]) {
        return Err(Stop::Bad("a number is none"));
    }
    scan.at += end;
    std::str::from_utf8(&rest[..end]).map_err(|_| Stop::Bad("a number is no text"))
}

/// Whether JSON calls this a number: `-2`, `1.5e-3`; others call more so.
fn is_number(text: &[u8]) -> bool {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let (mantissa, exponent) = match unsigned.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
        Some(at) => (&mantissa[..at], Some(&mantissa[at + 1..])),
        None => (mantissa, None),
    };
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let exponent = exponent.map(|text| text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text));
    digits(whole)
        && (whole.len() == 1 || whole[0] != b'0')
        && fraction.is_none_or(digits)
        && exponent.is_none_or(digits)
}

/// Passes over a value.
fn skip(scan: &mut Scan<'_>, depth: u32) -> Read<()> {
    if depth > MAX_DEPTH {
        return Err(Stop::Bad("a value is nested too deep"));
    }
    match scan.peek()? {
        b'"' => text(scan).map(drop),
        open @ (b'{' | b'[') => {
            scan.at += 1;
            let (close, named) = if open == b'{' { (b'}', true) } else { (b']', false) };
            let mut first = true;
            loop {
                blanks(scan);
                if scan.peek()? == close {
                    scan.at += 1;
                    return Ok(());
                }
                separate(scan, first)?;
                first = false;
                if named {
                    name(scan)?;
                }
                skip(scan, depth + 1)?;
            }
        }
        b't' => word(scan, b"true"),
        b'f' => word(scan, b"false"),
        b'n' => word(scan, b"null"),
        _ => number(scan).map(drop),
    }
}
