//! The HTTP client that the SDK is given: it hands requests to the router instead of to a socket.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::DateTime;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::date_time::Format;

use super::error::Refusal;
use super::router;
use super::script::{Answer, Script};
use crate::MemoryStream;

/// The content type of the protocol.
const JSON: &str = "application/x-amz-json-1.1";

/// An HTTP client for the AWS SDK, at the other end of which is `stream`.
///
/// It has no socket, so the SDK works on a paused clock, its timeouts included.
///
/// ```
/// use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
/// use kinesis_mock::MemoryStream;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stream = MemoryStream::new("orders", 4);
/// let config = aws_sdk_kinesis::Config::builder()
///     .behavior_version(BehaviorVersion::latest())
///     .region(Region::new("eu-central-1"))
///     .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
///     .http_client(kinesis_mock::http_client(&stream))
///     .build();
/// let client = aws_sdk_kinesis::Client::from_conf(config);
/// assert_eq!(client.list_shards().stream_name("orders").send().await?.shards().len(), 4);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn http_client(stream: &MemoryStream) -> WireClient {
    WireClient { stream: stream.clone(), script: Arc::default() }
}

/// What [`http_client`] makes. A clone shares the script, so keep one to steer the calls of a client that has another.
#[derive(Clone)]
pub struct WireClient {
    stream: MemoryStream,
    script: Arc<Mutex<Script>>,
}

impl WireClient {
    /// Says how the next calls of an operation, such as `GetRecords`, are answered; those after are served.
    pub fn script(&self, operation: &str, answers: impl IntoIterator<Item = Answer>) {
        let answers: Vec<_> = answers.into_iter().collect();
        self.locked().extend(operation, answers);
    }

    /// How many calls of an operation came so far.
    #[must_use]
    pub fn calls(&self, operation: &str) -> u64 {
        self.locked().calls(operation)
    }

    fn locked(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let answer = self.locked().next(router::operation_of(target).unwrap_or_default());
        let serve = |refused: &[usize]| {
            let body = request.body().bytes().ok_or_else(|| {
                Refusal::new("SerializationException", "the body is a stream, but the protocol wants it whole")
            });
            body.and_then(|body| router::route(&self.stream, target, body, refused))
        };
        let result = match answer {
            Answer::Serve => serve(&[]),
            Answer::Delay(delay) => {
                tokio::time::sleep(delay).await;
                serve(&[])
            }
            Answer::Fail { code, message } => Err(Refusal::new(code, message)),
            Answer::Body(body) => Ok(body.into_bytes()),
            Answer::Refuse(entries) => serve(&entries),
            Answer::Drop => return Err(broken_connection()),
            Answer::DropReply => {
                // Whether it was refused or applied, the caller does not learn.
                let _ = serve(&[]);
                return Err(broken_connection());
            }
            Answer::Hang => std::future::pending().await,
        };
        self.respond(result)
    }

    fn respond(&self, result: Result<Vec<u8>, Refusal>) -> Result<HttpResponse, ConnectorError> {
        let (status, body) = match result {
            Ok(body) => (200, body),
            Err(refusal) => (refusal.status(), refusal.body()),
        };
        let status = StatusCode::try_from(status).map_err(|error| ConnectorError::other(error.into(), None))?;
        let mut response = HttpResponse::new(status, SdkBody::from(body));
        response.headers_mut().insert("content-type", JSON);
        if let Ok(date) = DateTime::from(self.stream.now()).fmt(Format::HttpDate) {
            response.headers_mut().insert("date", date);
        }
        Ok(response)
    }
}

impl HttpConnector for WireClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().answer(request))
    }
}

impl HttpClient for WireClient {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl fmt::Debug for WireClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireClient").field("stream", &self.stream).finish_non_exhaustive()
    }
}

fn broken_connection() -> ConnectorError {
    ConnectorError::io(io::Error::new(io::ErrorKind::ConnectionReset, "the connection broke, as scripted").into())
}
