//! A function that cannot start tells Lambda why, which would know no more than that a process ended.
//!
//! The message is then in the answer of the call that failed and in the function's log
//! (docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, "Initialization error").

use std::time::Duration;

use http::Uri;
use http::header::CONTENT_TYPE;
use lambda_runtime_api_client::{PooledClient, body::Body, build_request};
use tokio::time::timeout;

use crate::output::note;

/// Where Lambda hands out calls and takes reports.
pub(super) const API: &str = "AWS_LAMBDA_RUNTIME_API";
/// How long a report may take: the server is on the same machine, and a start is given up after 10 s.
const LONGEST: Duration = Duration::from_secs(2);
/// What kind of error it is, as `category.reason`, one that the page proposes: what the function is told is not right.
const KIND: &str = "Runtime.ConfigInvalid";

/// Reports to Lambda, where this is one, why the function cannot start. Without a secret: it ends in logs. That it cannot be
/// reported is noted, and no more: the process ends either way.
pub async fn report(why: &str) {
    let Ok(api) = std::env::var(API) else { return };
    let sent = timeout(LONGEST, post(&api, why)).await;
    let failed = sent.unwrap_or_else(|_| Err(format!("no answer within {LONGEST:?}")));
    if let Err(failed) = failed {
        note(&format!("this could not be reported to Lambda at {api}: {failed}"));
    }
}

async fn post(api: &str, why: &str) -> Result<(), String> {
    let endpoint: Uri = api.parse().map_err(|error| format!("{API} is no address ({error})"))?;
    if endpoint.authority().is_none() {
        return Err(format!("{API} is no address"));
    }
    let body = serde_json::json!({ "errorMessage": why, "errorType": KIND, "stackTrace": [] }).to_string();
    let request = build_request()
        .method("POST")
        .uri("/2018-06-01/runtime/init/error")
        .header(CONTENT_TYPE, "application/json")
        .header("lambda-runtime-function-error-type", KIND)
        .body(Body::from(body))
        .map_err(|error| error.to_string())?;
    let client = PooledClient::builder().with_endpoint(endpoint).build();
    let response = client.call(request).await.map_err(|error| error.to_string())?;
    match response.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("it answered {status}")),
    }
}
