//! Reads the text format of Prometheus, strictly, to check what is told in it.

/// A sample's name, its labels and its value.
pub(crate) type Sample = (String, Vec<(String, String)>, f64);

/// Reads the text format of Prometheus strictly: each sample is of the family whose HELP and TYPE stand before it.
pub(crate) fn parse(text: &str) -> Vec<Sample> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !name.as_bytes()[0].is_ascii_digit()
    };
    let (mut family, mut kind, mut seen, mut samples) = (String::new(), String::new(), Vec::new(), Vec::new());
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap().to_owned();
            assert!(is_name(&family) && !seen.contains(&family), "{line}");
            seen.push(family.clone());
            continue;
        }
        if let Some(kind_of) = line.strip_prefix("# TYPE ") {
            let (name, is) = kind_of.split_once(' ').unwrap();
            assert!(name == family && ["counter", "gauge", "histogram"].contains(&is), "{line}");
            kind = is.to_owned();
            continue;
        }
        let (named, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) =
            named.split_once('{').map_or((named, ""), |(name, rest)| (name, rest.strip_suffix('}').unwrap()));
        let of = name.strip_prefix(&family).unwrap_or_else(|| panic!("{line} is not of {family}"));
        assert!(
            is_name(name) && of.is_empty() || kind == "histogram" && ["_bucket", "_sum", "_count"].contains(&of),
            "{line}"
        );
        let mut rest = labels;
        let mut read = Vec::new();
        while !rest.is_empty() {
            let (label, quoted) = rest.split_once("=\"").unwrap();
            assert!(is_name(label), "{line}");
            let (mut value, mut chars, mut end) = (String::new(), quoted.char_indices(), None);
            while let Some((nth, c)) = chars.next() {
                match c {
                    '"' => {
                        end = Some(nth + 1);
                        break;
                    }
                    '\\' => value.push(match chars.next().unwrap().1 {
                        'n' => '\n',
                        c @ ('\\' | '"') => c,
                        c => panic!("\\{c} in {line}"),
                    }),
                    c => value.push(c),
                }
            }
            read.push((label.to_owned(), value));
            rest = &quoted[end.unwrap()..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        samples.push((name.to_owned(), read, value.parse().unwrap()));
    }
    samples
}
