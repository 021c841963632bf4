//! Who a subscriber is believed to be, and what it is shown: networks, authorities, signatures, headers.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kinesis_http_sink::{Client, HttpSink, HttpSinkBuilder, NetworkPolicy, Secret};

use super::Variables;
use super::fields::{Fields, Place, Set};
use super::mistakes::{Found, not_one_of};
use super::secret::{self, Hidden};
use super::tree::{Node, Value};

/// A URL that is right, for trying other settings with.
const ANY: &str = "http://127.0.0.1/";
/// Tries one setting of a sink.
pub(super) fn tried(found: &Found, place: &Place, set: impl FnOnce(HttpSinkBuilder) -> HttpSinkBuilder) -> Option<()> {
    match set(HttpSink::builder(ANY)).build() {
        Ok(_) => Some(()),
        Err(error) => place.refuse(found, error.chain()),
    }
}

/// The keys that sign, newest first.
pub(super) fn secrets(fields: &mut Fields<'_>, variables: &Variables) -> Vec<Secret> {
    let found = fields.found();
    let Some((list, _)) = fields.list("secrets", "[{ env = \"AUDIT_SECRET\" }]") else { return Vec::new() };
    let one = |(node, place): (Node, Place)| {
        let text = secret::read(found, variables, node, &place, false)?;
        text.0.parse::<Secret>().map_or_else(|error| place.refuse(found, error.message()), Some)
    };
    list.into_iter().filter_map(one).collect()
}

/// What every request carries, `authorization` among it.
pub(super) fn headers(fields: &mut Fields<'_>, variables: &Variables) -> Vec<(String, Hidden)> {
    let found = fields.found();
    let mut read = Vec::new();
    if let Some(mut headers) = fields.table("headers") {
        for (name, node, place) in headers.rest() {
            let Some(value) = secret::read(found, variables, node, &place, true) else { continue };
            if tried(found, &place, |sink| sink.header(&name, &value.0)).is_some() {
                read.push((name, value));
            }
        }
        headers.end();
    }
    let bearer = fields.take("bearer").map(|(node, place)| {
        let token = secret::read(found, variables, node, &place, false)?;
        let value = Hidden(format!("Bearer {}", token.0));
        tried(found, &place, |sink| sink.header("authorization", &value.0))?;
        Some((place, value))
    });
    let basic = fields.table("basic").map(|mut basic| {
        let place = basic.place();
        let user = basic.text("user", "forwarder");
        let password = basic.take("password");
        basic.end();
        let (Some(user), Some((node, at))) = (user, password) else {
            return place.refuse(found, format!("wants user and password: write password = {}", secret::EXAMPLE));
        };
        let password = secret::read(found, variables, node, &at, false)?;
        Some((place, Hidden(format!("Basic {}", STANDARD.encode(format!("{}:{}", user.value, password.0))))))
    });
    if let (Some(_), Some(Some((place, _)))) = (&bearer, &basic) {
        place.refuse::<()>(found, "there is bearer as well, and one authorization is sent: leave one of the two out");
    }
    for (place, value) in [bearer, basic].into_iter().flatten().flatten() {
        if read.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
            place.refuse::<()>(found, "there is a header authorization as well: leave one of the two out");
        }
        read.push(("authorization".to_owned(), value));
    }
    read
}

/// Which networks the subscriber may be in; none where that was not understood.
pub(super) fn networks(fields: &mut Fields<'_>) -> Option<NetworkPolicy> {
    const NAMES: [&str; 2] = ["private", "public"];
    let found = fields.found();
    let Some((node, place)) = fields.take("networks") else { return Some(NetworkPolicy::default()) };
    let list = match node.value {
        Value::Text(text) if text == "private" => return Some(NetworkPolicy::private_allowed()),
        Value::Text(text) if text == "public" => return Some(NetworkPolicy::public_only()),
        Value::Text(text) => {
            let why = not_one_of("set of networks", &text, &NAMES) + ", or write a list like [\"10.0.0.0/8\"]";
            return place.refuse(found, why);
        }
        Value::List(list) => list,
        other => {
            let example = "\"private\", \"public\" or [\"10.0.0.0/8\"]";
            return fields.wrong(&place, &other, "text or a list", example);
        }
    };
    let mut policy = NetworkPolicy::nothing();
    let mut understood = true;
    for (nth, node) in list.into_iter().enumerate() {
        let place = Place { path: format!("{}[{nth}]", place.path), origin: node.origin };
        let wider = match node.value {
            Value::Text(text) => policy.clone().allow(&text).map_err(|error| error.message().to_owned()),
            _ => Err("is no text: write a network like \"10.0.0.0/8\"".to_owned()),
        };
        match wider {
            Ok(wider) => policy = wider,
            Err(why) => {
                understood = false;
                place.refuse::<()>(found, why);
            }
        }
    }
    understood.then_some(policy)
}

/// A file of certificate authorities, which is there and holds some.
pub(super) fn ca_file(fields: &mut Fields<'_>) -> Option<PathBuf> {
    let found = fields.found();
    let Set { value, place } = fields.text("ca_file", "ca.pem")?;
    let pem = std::fs::read(&value)
        .map_err(|error| format!("cannot read the file {value} ({error}): check the path and who may read it"));
    match pem.and_then(|pem| Client::builder().ca_certificates(pem).map_err(|error| error.chain())) {
        Ok(_) => Some(value.into()),
        Err(why) => place.refuse(found, why),
    }
}
