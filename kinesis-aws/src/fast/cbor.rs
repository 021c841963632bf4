//! The units of an answer in CBOR (RFC 8949), of definite and of indefinite length.

use std::time::SystemTime;

use super::found::{self, Child, Fields, Found, Payload, Source};
use super::parser::State;
use super::scan::{Read, Scan, Stop};

/// How deep what is passed over may be nested.
const MAX_DEPTH: u32 = 32;
/// Ends what has an indefinite length.
const BREAK: u8 = 0xff;
/// A bare number from here on is a time in milliseconds, below one in seconds: 100 milliards of seconds are three thousand
/// years, and as milliseconds they were in 1973, long before there was a stream.
const MILLIS_FROM: f64 = 1e11;

/// Reads one unit; says where the next one is.
pub(super) fn unit(state: State, scan: &mut Scan<'_>, source: Source<'_>, found: &mut Found) -> Read<State> {
    match state {
        State::Done => Err(Stop::Bad("something follows the answer")),
        State::Start => {
            let left = length(scan, 5, "the answer is no map")?;
            Ok(members(left))
        }
        State::Members { left, .. } => {
            if is_over(scan, left)? {
                return Ok(State::Done);
            }
            member(scan, found, left.map(|left| left - 1))
        }
        State::Records { left, members_left, .. } => {
            if is_over(scan, left)? {
                return Ok(members(members_left));
            }
            let fields = record(scan)?;
            found.push(fields, source)?;
            Ok(records(left.map(|left| left - 1), members_left))
        }
    }
}

/// Between members, of which so many are left.
fn members(left: Option<u64>) -> State {
    if left == Some(0) { State::Done } else { State::Members { first: false, left } }
}

/// Between records, of which so many are left.
fn records(left: Option<u64>, members_left: Option<u64>) -> State {
    if left == Some(0) { members(members_left) } else { State::Records { first: false, left, members_left } }
}

fn member(scan: &mut Scan<'_>, found: &mut Found, left: Option<u64>) -> Read<State> {
    match text(scan)?.as_bytes() {
        b"Records" if !is_null(scan)? => {
            let count = length(scan, 4, "Records are no list")?;
            found.begin_list(count.unwrap_or_default().try_into().unwrap_or(usize::MAX));
            return Ok(records(count, left));
        }
        b"NextShardIterator" | b"ContinuationSequenceNumber" => {
            let next = if null(scan)? { None } else { Some(text(scan)?.to_owned()) };
            found.set_next(next);
        }
        b"MillisBehindLatest" => {
            let behind = if null(scan)? { None } else { Some(number(scan)? as i64) };
            found.set_behind(behind);
        }
        b"ChildShards" => {
            let shards = if null(scan)? { Vec::new() } else { list(scan, child)? };
            found.set_children(shards)?;
        }
        _ => skip(scan, 0)?,
    }
    Ok(members(left))
}

fn record<'a>(scan: &mut Scan<'a>) -> Read<Fields<'a>> {
    let mut fields = Fields::default();
    map(scan, |name, scan| {
        match name {
            "Data" => fields.data = Some(Payload::Plain(string(scan, 2, "data are no bytes")?)),
            "SequenceNumber" => fields.number = Some(found::number(text(scan)?.as_bytes())?),
            "PartitionKey" => fields.key = Some(text(scan)?.into()),
            "ApproximateArrivalTimestamp" if !null(scan)? => fields.arrived_at = time(scan)?,
            "ApproximateArrivalTimestamp" => {}
            _ => skip(scan, 0)?,
        }
        Ok(())
    })?;
    Ok(fields)
}

fn child(scan: &mut Scan<'_>) -> Read<Child> {
    let mut child = Child { shard_id: String::new(), parent_shards: Vec::new(), hash_key_range: None };
    map(scan, |name, scan| {
        match name {
            "ShardId" => child.shard_id = text(scan)?.to_owned(),
            "ParentShards" => child.parent_shards = list(scan, |scan| text(scan).map(str::to_owned))?,
            "HashKeyRange" if !null(scan)? => child.hash_key_range = Some(range(scan)?),
            "HashKeyRange" => {}
            _ => skip(scan, 0)?,
        }
        Ok(())
    })?;
    if child.shard_id.is_empty() { Err(Stop::Bad("a child shard has no id")) } else { Ok(child) }
}

fn range(scan: &mut Scan<'_>) -> Read<found::HashKeys> {
    let mut range = found::HashKeys { starting_hash_key: String::new(), ending_hash_key: String::new() };
    map(scan, |name, scan| {
        match name {
            "StartingHashKey" => range.starting_hash_key = text(scan)?.to_owned(),
            "EndingHashKey" => range.ending_hash_key = text(scan)?.to_owned(),
            _ => skip(scan, 0)?,
        }
        Ok(())
    })?;
    Ok(range)
}

/// Calls `read` for every name of a map.
fn map<'a>(scan: &mut Scan<'a>, mut read: impl FnMut(&'a str, &mut Scan<'a>) -> Read<()>) -> Read<()> {
    let mut left = length(scan, 5, "a record or a shard is no map")?;
    while !is_over(scan, left)? {
        left = left.map(|left| left - 1);
        let name = text(scan)?;
        read(name, scan)?;
    }
    Ok(())
}

fn list<'a, T>(scan: &mut Scan<'a>, mut read: impl FnMut(&mut Scan<'a>) -> Read<T>) -> Read<Vec<T>> {
    let mut left = length(scan, 4, "a list is none")?;
    let mut all = Vec::new();
    while !is_over(scan, left)? {
        left = left.map(|left| left - 1);
        all.push(read(scan)?);
    }
    Ok(all)
}

/// Whether a map or a list is over, of which so much is left. Takes the break that ends one of indefinite length.
fn is_over(scan: &mut Scan<'_>, left: Option<u64>) -> Read<bool> {
    if left.is_some() {
        return Ok(left == Some(0));
    }
    let over = scan.peek()? == BREAK;
    scan.at += usize::from(over);
    Ok(over)
}

/// The first byte of an item, and its argument; none where the length is indefinite.
fn head(scan: &mut Scan<'_>) -> Read<(u8, u8, Option<u64>)> {
    let first = scan.next()?;
    let (major, minor) = (first >> 5, first & 31);
    let big_endian = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let argument = match minor {
        0..=23 => Some(u64::from(minor)),
        24..=27 => Some(big_endian(scan.take(1 << (minor - 24))?)),
        31 => None,
        _ => return Err(Stop::Bad("an item has a reserved length")),
    };
    Ok((major, minor, argument))
}

/// How much a map or a list has.
fn length(scan: &mut Scan<'_>, wanted: u8, why: &'static str) -> Read<Option<u64>> {
    match head(scan)? {
        (major, _, length) if major == wanted => Ok(length),
        _ => Err(Stop::Bad(why)),
    }
}

/// The bytes of a string of bytes or of text, in one piece.
fn string<'a>(scan: &mut Scan<'a>, wanted: u8, why: &'static str) -> Read<&'a [u8]> {
    let length = length(scan, wanted, why)?.ok_or(Stop::Bad("a string comes in pieces"))?;
    scan.take(usize::try_from(length).map_err(|_| Stop::Bad("a string is too long"))?)
}

fn text<'a>(scan: &mut Scan<'a>) -> Read<&'a str> {
    std::str::from_utf8(string(scan, 3, "something is no text")?).map_err(|_| Stop::Bad("a text is not UTF-8"))
}

fn is_null(scan: &Scan<'_>) -> Read<bool> {
    // Null and undefined.
    Ok(matches!(scan.peek()?, 0xf6 | 0xf7))
}

/// Whether the value is null, which is passed over then.
fn null(scan: &mut Scan<'_>) -> Read<bool> {
    let null = is_null(scan)?;
    scan.at += usize::from(null);
    Ok(null)
}

fn number(scan: &mut Scan<'_>) -> Read<f64> {
    match head(scan)? {
        (0, _, Some(number)) => Ok(number as f64),
        (1, _, Some(number)) => Ok(-1.0 - number as f64),
        (7, 26, Some(bits)) => Ok(f64::from(f32::from_bits(bits as u32))),
        (7, 27, Some(bits)) => Ok(f64::from_bits(bits)),
        _ => Err(Stop::Bad("something is no number")),
    }
}

/// A time: a number, with or without the tag that says so.
fn time(scan: &mut Scan<'_>) -> Read<Option<SystemTime>> {
    if scan.peek()? >> 5 == 6 {
        head(scan)?;
    }
    let number = number(scan)?;
    Ok(if number.abs() >= MILLIS_FROM { found::from_millis(number) } else { found::from_seconds(number) })
}

/// Passes over a value.
fn skip(scan: &mut Scan<'_>, depth: u32) -> Read<()> {
    if depth > MAX_DEPTH {
        return Err(Stop::Bad("a value is nested too deep"));
    }
    match head(scan)? {
        (0 | 1, _, Some(_)) | (7, _, Some(_)) => Ok(()),
        (2 | 3, _, Some(length)) => {
            let length = usize::try_from(length).map_err(|_| Stop::Bad("a string is too long"))?;
            scan.take(length).map(drop)
        }
        (6, _, Some(_)) => skip(scan, depth + 1),
        (major @ (2..=5), _, length) => {
            let mut left = length;
            while !is_over(scan, left)? {
                left = left.map(|left| left - 1);
                if major == 5 {
                    skip(scan, depth + 1)?;
                }
                skip(scan, depth + 1)?;
            }
            Ok(())
        }
        _ => Err(Stop::Bad("a value is unknown")),
    }
}

/// The texts of a map, by their names; what is not whole is left out.
pub(super) fn texts(bytes: &[u8]) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    // What cannot be read on is the end of what is told.
    let _ = map(&mut Scan::new(bytes, 0), |name, scan| {
        if scan.peek()? >> 5 == 3 {
            texts.push((name.to_owned(), text(scan)?.to_owned()));
            return Ok(());
        }
        skip(scan, 0)
    });
    texts
}
