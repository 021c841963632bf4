//! Proves that imports point one way: a module uses what stands above it in the list, or beside it, and nothing below.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules of one line may use each other and those of the lines above.
const LAYERS: &[&[&str]] = &[
    &["name", "wall_clock", "signal", "broken", "budget"],
    &["error", "record", "shard"],
    &["limit"],
    &["source", "sink", "lease"],
    &["observe", "watermark", "demand", "retry", "assignment", "lineage", "selector"],
    // The store in memory stands here because a pipeline without another one takes it.
    &["wrap", "memory", "file"],
    &["deliver", "feed", "lane", "worker", "pipeline"],
    // The guide has no code.
    &["deliverer", "stream", "conformance", "guide"],
];

#[test]
fn imports_point_up_the_list_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let library = code_of(&fs::read_to_string(root.join("lib.rs")).expect("the crate has a lib.rs"));
    let exports = exports(&library);
    let mut wrong = Vec::new();
    for file in sources(&root) {
        let inside = file.strip_prefix(&root).expect("the file lies below src");
        let module = module_of(inside);
        if module == "lib" {
            continue;
        }
        let code = code_of(&fs::read_to_string(&file).expect("a source file is text"));
        let place = |name: &str| LAYERS.iter().position(|layer| layer.contains(&name));
        let Some(own) = place(&module) else {
            wrong.push(format!("{}: give the module {module} a place in LAYERS", inside.display()));
            continue;
        };
        for used in uses(&code, depth(inside)) {
            let target = exports.get(&used).unwrap_or(&used);
            match place(target) {
                Some(layer) if layer <= own => {}
                Some(_) => wrong.push(format!("{}: {module} may not use {target} (crate::{used})", inside.display())),
                None => wrong.push(format!("{}: crate::{used} leads to no module in LAYERS", inside.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the order of the layers:\n{}", wrong.join("\n"));
}

/// Every source file but those that hold tests alone.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the entry can be read").path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") && !is_test_only(&path) {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Whether the module that declares the file does so under `#[cfg(test)]`.
fn is_test_only(file: &Path) -> bool {
    let name = file.file_stem().expect("a source file has a name").to_string_lossy();
    let folder = file.parent().expect("a source file lies in a folder");
    let parents = [folder.join("mod.rs"), folder.join("lib.rs"), folder.with_extension("rs")];
    let declared = |parent: &PathBuf| {
        let text = fs::read_to_string(parent).unwrap_or_default();
        let mut lines = text.lines().map(str::trim).peekable();
        while let Some(line) = lines.next() {
            let next = lines.peek().copied().unwrap_or_default();
            if line == "#[cfg(test)]" && next.ends_with(&format!("mod {name};")) {
                return true;
            }
        }
        false
    };
    parents.iter().any(declared)
}

/// The top-level module that a file belongs to.
fn module_of(inside: &Path) -> String {
    let first = inside.iter().next().expect("the path has a first part");
    Path::new(first).file_stem().expect("the part has a name").to_string_lossy().into_owned()
}

/// How many modules deep a file lies in the crate, and so how many `super`s lead to the crate itself.
fn depth(inside: &Path) -> usize {
    inside.components().count() - usize::from(inside.ends_with("mod.rs"))
}

/// The text without comments, and without the tests, which stand at the end of a file.
fn code_of(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    let code: Vec<&str> = lines.take_while(|line| line.trim() != "mod tests {").collect();
    code.join("\n")
}

/// What `pub use module::{Name, ..}` of the library makes of `crate::Name`.
fn exports(library: &str) -> BTreeMap<String, String> {
    let mut exports = BTreeMap::new();
    for statement in library.split(';') {
        let Some((_, path)) = statement.split_once("pub use ") else { continue };
        let Some((module, names)) = path.split_once("::") else { continue };
        for name in words(names) {
            exports.insert(name, module.trim().to_owned());
        }
    }
    exports
}

/// The first name after each `crate::`, those of a group included; and after as many `super::` as lead there.
fn uses(code: &str, depth: usize) -> Vec<String> {
    let prefixes = ["crate::".to_owned(), "super::".repeat(depth)];
    let mut used = Vec::new();
    for prefix in prefixes {
        for (at, _) in code.match_indices(prefix.as_str()) {
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(group) => used.extend(heads(group)),
                None => used.extend(words(rest).into_iter().next()),
            }
        }
    }
    used
}

/// The first name of each path in a group, up to the brace that closes it.
fn heads(group: &str) -> Vec<String> {
    let (mut depth, mut heads, mut head) = (0, Vec::new(), String::new());
    for letter in group.chars() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(std::mem::take(&mut head)),
            _ if depth == 0 => head.push(letter),
            _ => {}
        }
    }
    heads.push(head);
    heads.iter().filter_map(|head| words(head).into_iter().next()).collect()
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[test]
fn every_way_to_write_an_import_is_seen() {
    let code = "use crate::a::B;\nuse crate::{c::{D, E}, f, G};\nfn h() -> crate::i::J { super::k::l() }";
    assert_eq!(uses(code, 1), ["a", "c", "f", "G", "i", "k"]);
    assert_eq!(uses(code, 2), ["a", "c", "f", "G", "i"]);
    assert_eq!([depth(Path::new("a.rs")), depth(Path::new("a/mod.rs")), depth(Path::new("a/b.rs"))], [1, 1, 2]);
    assert_eq!(code_of("a // crate::b\n/// crate::c\nd\nmod tests {\n e"), "a \n\nd");
    assert_eq!(exports("pub mod a;\npub use a::{B, C};\npub use d::E;")["C"], "a");
}
