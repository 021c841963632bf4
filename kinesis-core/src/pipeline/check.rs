//! What is wrong with a subscription, found before it runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{OnReject, Subscription};
use crate::error::{Error, Result};
use crate::selector::Selector;
use crate::shard::StartPosition;
use crate::source::SourceCaps;

/// The longest name of a subscription, in bytes: it is part of every stored row.
const LONGEST_NAME: usize = 256;

/// Whether subscriptions can work within a byte budget, and are told apart by their names.
///
/// # Errors
///
/// [`Invalid`](crate::ErrorKind::Invalid), naming the subscription, the field, its value and the way out.
pub(crate) fn check(subscriptions: &[Subscription], budget: usize, caps: SourceCaps) -> Result<()> {
    let mut names = BTreeSet::new();
    for subscription in subscriptions {
        let name = &subscription.name;
        if let Some(why) = problem(subscription, budget, caps) {
            return Err(Error::invalid(format!("subscription {name:?}: {why}")));
        }
        if !names.insert(name) {
            return Err(Error::invalid(format!("two subscriptions are named {name:?}; names must differ")));
        }
    }
    Ok(())
}

/// The rest of a sentence that names the subscription.
fn problem(subscription: &Subscription, budget: usize, caps: SourceCaps) -> Option<String> {
    let Subscription { name, selector, batch, demand, retry, on_reject, sink, start, cap, .. } = subscription;
    if name.trim().is_empty() {
        return Some("the name is empty, and cursors are stored under it; give it another one".into());
    }
    if name.len() > LONGEST_NAME {
        return Some(format!("the name has {} bytes; at most {LONGEST_NAME} are allowed; shorten it", name.len()));
    }
    if let Selector::Only(channels) = selector
        && channels.is_empty()
    {
        return Some("`channels` is empty, so it would take nothing; leave it out to take every channel".into());
    }
    if let StartPosition::At(number) | StartPosition::After(number) = start {
        return Some(format!(
            "`start_at` is record {number}, but a sequence number belongs to one shard; start elsewhere, and use \
             `Handle::seek_shard` for that shard"
        ));
    }
    if let StartPosition::Timestamp(_) = start
        && !caps.timestamps
    {
        return Some(format!("`start_at` is {start}, but the source cannot be read from a time on; start elsewhere"));
    }
    let cap = cap.unwrap_or_else(|| default_cap(budget));
    for (field, value) in [
        ("batch.max_records", batch.max_records),
        ("batch.max_bytes", batch.max_bytes),
        ("demand.max", demand.max),
        ("demand.max_bytes", demand.max_bytes),
        ("demand.max_ahead", demand.max_ahead),
        ("cap", cap),
    ] {
        if value == 0 {
            return Some(format!("`{field}` is 0; it has to be at least 1"));
        }
    }
    for (field, value, bound, limit) in [
        ("demand.min", demand.min, "demand.max", demand.max.saturating_sub(1)),
        ("batch.max_records", batch.max_records, "demand.max", demand.max),
        ("batch.max_bytes", batch.max_bytes, "demand.max_bytes", demand.max_bytes),
        ("demand.max", demand.max, "demand.max_ahead", demand.max_ahead),
        ("cap", cap, "byte_budget", budget),
    ] {
        if value > limit {
            return Some(format!(
                "`{field}` is {value}, which `{bound}` allows up to {limit}; lower the one or raise the other"
            ));
        }
    }
    if retry.base > retry.cap {
        let (base, cap) = (retry.base, retry.cap);
        return Some(format!(
            "`retry.base` is {base:?}, more than `retry.cap`, {cap:?}; lower the one or raise the other"
        ));
    }
    if retry.max_age == Duration::ZERO {
        return Some("`retry.max_age` is 0, so no record would be tried twice; use `retry.attempts` for that".into());
    }
    if let OnReject::DeadLetter(letters) = on_reject
        && std::ptr::addr_eq(Arc::as_ptr(letters), Arc::as_ptr(sink))
    {
        return Some(
            "`on_reject` sends dead letters to the sink itself, which just refused the record; use another one".into(),
        );
    }
    None
}

/// What a subscription may hold unless it says so itself.
pub(crate) fn default_cap(budget: usize) -> usize {
    (budget / 4).max(1)
}
