//! `lambda`: the forwarder as the function that AWS Lambda calls with the records of a stream.
//!
//! # What a call does
//!
//! The records of the [event] are delivered to every subscriber at the same time, by the same lanes as in
//! a pipeline; aggregates are unpacked first. The answer names the lowest sequence number that is not settled for all of
//! them, of the stored record where it came in an aggregate. Lambda goes on there with its next call. Whoever had records
//! behind it is spared them for as long as the process lives; from another one they come again, under the same ids.
//!
//! # When it ends
//!
//! As soon as everything is settled; at the latest [`MARGIN`](handler::MARGIN) before the time of the call is up. What is with
//! a subscriber then is dropped there and counts as not delivered, so that no exchange lasts longer than the call.
//!
//! # What is different from `run`
//!
//! - The sinks live as long as the process, over many calls: so do their connections. They have no circuit breaker: a
//!   breaker's pause is counted on a clock that may stand still while the process is frozen between calls, and an open one
//!   would spend calls without a single attempt. (A 410 is kept in mind, until the process is ended.) The time of a call
//!   bounds what a dead subscriber gets, and Lambda's own wait between its calls takes the breaker's place.
//! - A refusal counts at once, and is not asked about again after minutes: no call lasts that long. The record counts as not
//!   delivered, or is passed over, as `--on-reject` says; what comes behind it of its key goes on either way, because
//!   another attempt is likely to end the same, and what Lambda gives up it gives up with everything behind it.
//! - A record that fails in passing is tried until the call ends, whatever `retry` says of attempts and age: given up
//!   within the call, it would come again behind others of its key. With `--on-reject skip` it does not come again, and
//!   `retry` holds.

mod cannot_start;
pub mod event;
mod had;
pub mod handler;
mod refused;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use kinesis_core::{Deliverer, Error, OnReject, Result};
use lambda_runtime::{LambdaEvent, Runtime, service_fn};
use serde_json::value::RawValue;

use crate::cli::{Lambda, OnRefusal};
use crate::config::{Config, Variables};
use crate::output::note;
use crate::run::UNUSABLE;
use crate::subscribers::channel_from;

pub use cannot_start::report;
pub use handler::Handler;
pub use refused::Refused;

/// The longest wait between two attempts: within a call of a minute there should be several.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What Lambda tells a function by. The runtime reads them, and cannot do without.
const VARIABLES: [&str; 4] =
    [cannot_start::API, "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION"];

/// Answers the calls of Lambda until the process is ended. Where it cannot start, because there is no subscriber, a URL cannot
/// be used or this is no Lambda, it says so, [to Lambda](report) as well.
///
/// # Errors
///
/// When the server that hands out the calls is away.
pub async fn lambda(args: Lambda) -> Result<ExitCode> {
    let handler = match handler(&args) {
        Ok(handler) => handler,
        Err(why) => {
            why.iter().for_each(|line| note(&format!("error: {line}")));
            report(&why.join("\n")).await;
            return Ok(ExitCode::from(UNUSABLE));
        }
    };
    serve(handler).await?;
    Ok(ExitCode::SUCCESS)
}

/// What answers calls, or all that is wrong, a line each.
fn handler(args: &Lambda) -> Result<Handler, Vec<String>> {
    let refused = Refused::default();
    let on_reject = match args.on_reject {
        OnRefusal::Fail => OnReject::dead_letter(refused.clone()),
        OnRefusal::Skip => OnReject::Skip,
    };
    let config = Config::of_lambda(args, &Variables::of_process())
        .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let one = |error: Error| vec![error.chain()];
    let deliverer = deliverer(config, &on_reject).map_err(one)?;
    check(&VARIABLES.map(|name| (name, std::env::var(name).ok())).into()).map_err(one)?;
    Ok(Handler::new(deliverer, refused).max_age(args.max_age))
}

/// Delivers to the subscribers of a configuration. What it says of refusals is for a run: here the trigger takes care of them.
fn deliverer(mut config: Config, on_reject: &OnReject) -> Result<Deliverer> {
    for subscriber in &mut config.subscribers {
        subscriber.fit_for_calls(LONGEST_WAIT, !matches!(on_reject, OnReject::Skip));
    }
    let sinks = config.sinks()?;
    let subscriptions = config.subscriptions(&sinks, |_, http| http)?;
    let subscriptions = subscriptions.into_iter().map(|subscription| subscription.on_reject(on_reject.clone()));
    let claimed = config.subscribers.iter().map(|subscriber| subscriber.channels.as_ref());
    let channels = channel_from(config.from_json_field.as_ref(), claimed, &Arc::default());
    Ok(Deliverer::new(subscriptions)?.channel_from(channels))
}

/// Answers calls with `handler`.
async fn serve(handler: Handler) -> Result<()> {
    let handler = &handler;
    let answer = |call: LambdaEvent<Box<RawValue>>| async move {
        handler.handle(call.payload.get(), call.context.deadline()).await
    };
    let ended = Runtime::new(service_fn(answer)).run().await;
    ended.map_err(|error| Error::transient("the server that hands out Lambda's calls cannot be reached").because(error))
}

/// Whether this is a Lambda: the runtime panics where it is not.
fn check(variables: &BTreeMap<&str, Option<String>>) -> Result<()> {
    if let Some((name, _)) = variables.iter().find(|(_, value)| value.is_none()) {
        return Err(Error::invalid(format!(
            "{name} is not set: `lambda` is started by AWS Lambda, which sets it; use `run` elsewhere"
        )));
    }
    let memory = variables.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").and_then(Option::as_deref).unwrap_or_default();
    match memory.parse::<i32>() {
        Ok(_) => Ok(()),
        Err(_) => {
            Err(Error::invalid(format!("AWS_LAMBDA_FUNCTION_MEMORY_SIZE is {memory:?}, which is no number of MB")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_lambda_is_told_by_the_variable_that_is_missing() {
        let with = |memory: Option<&str>| {
            let value = |name| if name == VARIABLES[2] { memory } else { Some("x") }.map(str::to_owned);
            check(&VARIABLES.map(|name| (name, value(name))).into()).map_err(|error| error.to_string())
        };
        assert_eq!(with(Some("128")), Ok(()));
        assert!(with(None).unwrap_err().contains("AWS_LAMBDA_FUNCTION_MEMORY_SIZE is not set"));
        assert!(with(Some("much")).unwrap_err().contains("\"much\""));
    }
}
