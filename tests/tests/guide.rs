//! The guide names what proves it. Whatever it names exists: tests, invariants of the simulator, constants.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust file below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder can be read").map(|entry| entry.expect("it is there").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let rust = files.into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "rs"));
    folders.iter().flat_map(|folder| sources(folder)).chain(rust).collect()
}

/// The prose of a page: without its examples, and with every run of blanks as one.
fn prose(page: &str) -> String {
    let mut code = false;
    let lines = page.lines().filter_map(|line| line.strip_prefix("//!"));
    let text: Vec<&str> = lines
        .filter(|line| {
            let fence = line.trim_start().starts_with("```");
            code ^= fence;
            !code && !fence
        })
        .collect();
    text.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The pages with their names; the first of them explains the form, and names nothing.
fn pages() -> Vec<(String, String)> {
    let named = |path: PathBuf| (path.file_stem().expect("it has a name").to_string_lossy().into_owned(), path);
    let all = sources(&root().join("kinesis-core/src/guide")).into_iter().map(named);
    all.filter(|(name, _)| name != "mod").map(|(name, path)| (name, prose(&read(&path)))).collect()
}

/// What stands in parentheses and is a reference, cut at the semicolons.
fn references(text: &str) -> Vec<&str> {
    let is_reference =
        |part: &&str| part.starts_with("simulation: ") || part.starts_with('`') && part.contains(".rs`: `");
    let groups = text.split('(').skip(1).filter_map(|rest| rest.split_once(')')).map(|(group, _)| group);
    groups.flat_map(|group| group.split(';').map(str::trim)).filter(is_reference).collect()
}

/// What stands between two marks, again and again.
fn quoted(text: &str, mark: char) -> impl Iterator<Item = &str> {
    text.split(mark).skip(1).step_by(2)
}

/// The functions of a file that a test attribute stands above.
fn tests_of(text: &str) -> BTreeSet<&str> {
    let mut tests = BTreeSet::new();
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let name = line.strip_prefix("async fn ").or(line.strip_prefix("fn "));
        if let Some((name, _)) = name.and_then(|name| name.split_once('(')).filter(|_| marked) {
            tests.insert(name);
            marked = false;
        }
    }
    tests
}

#[test]
fn every_test_that_the_guide_names_exists() {
    let mut missing = Vec::new();
    for (page, text) in pages() {
        let mut named = 0;
        for reference in references(&text).into_iter().filter(|reference| reference.starts_with('`')) {
            let (path, tests) = reference.split_once(": ").expect("a file, then its tests");
            let path = root().join(path.trim_matches('`'));
            let source = fs::read_to_string(&path).unwrap_or_default();
            let known = tests_of(&source);
            for test in quoted(tests, '`') {
                named += 1;
                if !known.contains(test) {
                    missing.push(format!("{page}: {} has no test {test}", path.display()));
                }
            }
        }
        assert!(named >= 3, "{page} names {named} tests: is the form of the references another one?");
    }
    assert!(missing.is_empty(), "the guide names tests that do not exist:\n{}", missing.join("\n"));
}

#[test]
fn every_invariant_that_the_guide_names_is_checked_by_the_simulator() {
    let simulator: String = sources(&root().join("tests/src/simulation")).iter().map(|path| read(path)).collect();
    let mut named = 0;
    for (page, text) in pages() {
        for reference in references(&text).into_iter().filter(|reference| reference.starts_with("simulation")) {
            for promise in quoted(reference, '"') {
                named += 1;
                assert!(simulator.contains(&format!("\"{promise}\"")), "{page}: no invariant {promise:?}");
            }
        }
    }
    assert!(named >= 10, "{named} invariants are named: is the form of the references another one?");
}

/// `` `NAME` in `file` `` says where a number comes from.
#[test]
fn every_constant_that_the_guide_names_exists() {
    let mut named = 0;
    for (page, text) in pages() {
        for (before, after) in text.match_indices("` in `").map(|(at, mark)| (&text[..at], &text[at + mark.len()..])) {
            let name = before.rsplit('`').next().expect("there is a first part");
            let Some((file, _)) = after.split_once('`').filter(|(file, _)| file.ends_with(".rs")) else { continue };
            let source = read(&root().join("kinesis-core/src").join(file));
            let last = name.rsplit("::").next().expect("there is a last part");
            named += 1;
            assert!(source.contains(last), "{page}: {file} has no {name}");
        }
    }
    assert!(named >= 15, "{named} constants are named: is the form another one?");
}

#[test]
fn references_are_found_in_the_form_that_the_guide_uses() {
    let page = "//! A promise. (`a.rs`: `one`,\n//!   `two`; `b/c.rs`: `three`;\n//! simulation: \"it\n//! holds\") And (an aside).\n//! ```\n//! f(`x.rs`: `no`)\n//! ```\n";
    let text = prose(page);
    assert_eq!(references(&text), ["`a.rs`: `one`, `two`", "`b/c.rs`: `three`", "simulation: \"it holds\""]);
    assert_eq!(quoted("`a`, `b`", '`').collect::<Vec<_>>(), ["a", "b"]);
    let source = "#[test]\nfn one() {\nfn helper() {\n#[tokio::test(start_paused = true)]\n#[ignore]\nasync fn two() {";
    assert_eq!(tests_of(source).into_iter().collect::<Vec<_>>(), ["one", "two"]);
}
