//! Inputs that are nearly right: sound ones, changed at a few places. The same seed makes the same input.

use fastrand::Rng;

/// What parsers stumble over: brackets and escapes, numbers at their limits, and the heads of large things.
const PIECES: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"\\u",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"=",
    b"==",
    b"\0",
    b"-",
    b"1e999",
    b".",
    b"99999999999999999999",
    b"{\"a\":[",
    b"\"Data\":\"",
    b"\xff",
    b"\x7f",
    b"\x5f",
    b"\x9f",
    b"\xbf",
    b"\xf6",
    b"\xf9\x7e\0",
    b"\xfb\x7f\xf0\0\0\0\0\0\0",
    b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xbb\x40\0\0\0\0\0\0\0",
    b"\xc1",
    b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x3b\x7f\xff\xff\xff\xff\xff\xff\xff",
];
const MOST_CHANGES: usize = 6;
const LONGEST_COPY: usize = 64;

/// The input of a seed, from sound ones.
#[must_use]
pub fn input(corpus: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut random = Rng::with_seed(seed);
    let mut input = pick(&mut random, corpus);
    for _ in 0..random.usize(..=MOST_CHANGES) {
        change(&mut input, corpus, &mut random);
    }
    input
}

/// The lengths of the chunks in which the input of a seed comes.
#[must_use]
pub fn chunks(seed: u64) -> Vec<usize> {
    let mut random = Rng::with_seed(!seed);
    let longest = *random.choice([1, 5, 50, 5000].as_slice()).unwrap_or(&1);
    (0..random.usize(1..5)).map(|_| random.usize(1..=longest)).collect()
}

fn pick(random: &mut Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
    random.choice(corpus).cloned().unwrap_or_default()
}

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Rng) {
    let at = random.usize(..=input.len());
    let end = input.len().min(at + random.usize(..LONGEST_COPY));
    match random.u8(..8) {
        0 => input.truncate(at),
        1 => drop(input.drain(at..end)),
        2 => {
            let copy = input[at..end].to_vec();
            let to = random.usize(..=input.len());
            input.splice(to..to, copy);
        }
        3 => {
            let other = pick(random, corpus);
            let from = random.usize(..=other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        4 | 5 => {
            let piece = random.choice(PIECES).copied().unwrap_or_default();
            let replaced = if random.bool() { piece.len() } else { 0 };
            input.splice(at..input.len().min(at + replaced), piece.iter().copied());
        }
        6 if at < input.len() => input[at] = random.u8(..),
        _ if at < input.len() => input[at] ^= 1 << random.u8(..8),
        _ => input.push(random.u8(..)),
    }
}
