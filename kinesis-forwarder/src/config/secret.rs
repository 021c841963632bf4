//! Secrets: they stand in a variable of the environment or in a file of their own, and never in the configuration's file.

use std::fmt;

use super::Variables;
use super::fields::{Fields, Place};
use super::mistakes::{Found, Origin};
use super::tree::{Node, Value};

/// How a secret is written.
pub(super) const EXAMPLE: &str = "{ env = \"NAME\" } or { file = \"PATH\" }";

/// A text that nothing shows.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Hidden(pub(super) String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Reads what a reference leads to. Text in its place is refused, unless `plain` says that it may stand there, or it is a
/// variable's: secrets are at home there.
pub(super) fn read(found: &Found, variables: &Variables, node: Node, place: &Place, plain: bool) -> Option<Hidden> {
    let plain = plain || matches!(node.origin, Origin::Variable(_));
    let table = match node.value {
        Value::Table(table) => table,
        Value::Text(text) if plain => return Some(Hidden(text)),
        _ if plain => return place.refuse(found, format!("is no text: write \"text\", {EXAMPLE}")),
        _ => {
            return place.refuse(found, format!("a secret may not stand here: write {EXAMPLE}, and put it there"));
        }
    };
    let mut fields = Fields::new(found, &place.path, place.origin.clone(), table);
    let (env, file) = (fields.text("env", "NAME"), fields.text("file", "PATH"));
    fields.end();
    match (env, file) {
        (Some(env), None) => match variables.get(&env.value) {
            Some(text) => Some(Hidden(text.to_owned())),
            None => env.place.refuse(found, format!("the variable {} is not set: set it, or name another", env.value)),
        },
        (None, Some(file)) => match std::fs::read_to_string(&file.value) {
            // Editors and `echo` end a file with a line break, which is no part of the secret.
            Ok(text) => Some(Hidden(text.trim_end_matches(['\r', '\n']).to_owned())),
            Err(error) => {
                let why = format!("cannot read the file {} ({error}): check the path and who may read it", file.value);
                file.place.refuse(found, why)
            }
        },
        _ => place.refuse(found, format!("names no single place: write {EXAMPLE}")),
    }
}
