//! JSON, put behind what is there. Strings are most of what writing a record costs, so they go eight bytes at a time.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// How each byte stands in a string: as it is (0), behind a backslash with a letter of its own, or in hexadecimal digits.
const ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    let mut control = 0;
    while control < 0x20 {
        escapes[control] = b'u';
        control += 1;
    }
    escapes[0x08] = b'b';
    escapes[b'\t' as usize] = b't';
    escapes[b'\n' as usize] = b'n';
    escapes[0x0c] = b'f';
    escapes[b'\r' as usize] = b'r';
    escapes[b'"' as usize] = b'"';
    escapes[b'\\' as usize] = b'\\';
    escapes
};

/// Puts a string, escaped as `JSON.stringify` and `serde_json` escape it.
pub(super) fn put_string(json: &mut Vec<u8>, text: &str) {
    json.reserve(text.len() + 2);
    json.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let plain = 8 * rest.as_chunks().0.iter().take_while(|eight| is_plain(**eight)).count();
        json.extend_from_slice(&rest[..plain]);
        let Some((eight, behind)) = rest[plain..].split_first_chunk::<8>() else {
            rest[plain..].iter().for_each(|byte| put_byte(json, *byte));
            break;
        };
        eight.iter().for_each(|byte| put_byte(json, *byte));
        rest = behind;
    }
    json.push(b'"');
}

/// Puts a member of an object.
pub(super) fn put_member(json: &mut Vec<u8>, name: &str, value: &str) {
    put_name(json, name);
    put_string(json, value);
}

/// Puts a member whose value is bytes in base64.
pub(super) fn put_base64(json: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    put_name(json, name);
    json.push(b'"');
    let begin = json.len();
    json.resize(begin + base64::encoded_len(bytes.len(), true).expect("what is in memory is not that long"), 0);
    BASE64_STANDARD.encode_slice(bytes, &mut json[begin..]).expect("there is just the room for it");
    json.push(b'"');
}

/// Puts the name of a member, for a value that follows. It is one of ours, and has nothing to escape.
pub(super) fn put_name(json: &mut Vec<u8>, name: &str) {
    if json.last() != Some(&b'{') {
        json.push(b',');
    }
    json.push(b'"');
    json.extend_from_slice(name.as_bytes());
    json.extend_from_slice(b"\":");
}

fn put_byte(json: &mut Vec<u8>, byte: u8) {
    match ESCAPES[usize::from(byte)] {
        0 => json.push(byte),
        b'u' => {
            let digit = |half: u8| b"0123456789abcdef"[usize::from(half)];
            json.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 0x0f)]);
        }
        letter => json.extend_from_slice(&[b'\\', letter]),
    }
}

/// Whether none of eight bytes is a control character, a quote or a backslash. All at once in one word: a byte below what
/// is taken from it borrows, and so gets a highest bit that it had not.
fn is_plain(eight: [u8; 8]) -> bool {
    const fn all(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    let word = u64::from_ne_bytes(eight);
    let below = |word: u64, least: u8| word.wrapping_sub(all(least)) & !word;
    let special = below(word, 0x20) | below(word ^ all(b'"'), 1) | below(word ^ all(b'\\'), 1);
    special & all(0x80) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn string(text: &str) -> String {
        let mut json = Vec::new();
        put_string(&mut json, text);
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn every_byte_at_every_place_is_escaped_as_others_do() {
        for byte in 0..0x80u8 {
            for place in 0..20 {
                let mut text = "x".repeat(20).into_bytes();
                text[place] = byte;
                let text = String::from_utf8(text).unwrap();
                assert_eq!(string(&text), serde_json::to_string(&text).unwrap(), "{byte:#x} at {place}");
            }
        }
    }

    proptest! {
        #[test]
        fn strings_are_escaped_as_others_do(text in prop_oneof![any::<String>(), "[\"\\\\\\x00-\\x7fé]*"]) {
            prop_assert_eq!(string(&text), serde_json::to_string(&text).unwrap());
        }
    }
}
