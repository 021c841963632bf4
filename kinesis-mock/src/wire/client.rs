//! The HTTP client that the SDK is given: it hands requests to the router instead of to a socket.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;

use super::body::broken;
use super::door::{Door, Request};
use super::fault::{Answer, Rule};
use super::refusal::Refusal;
use crate::{Account, MemoryStream};

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
    Account::of(stream).http_client()
}

impl Account {
    /// An HTTP client for the AWS SDK, at the other end of which is this account: see [`http_client`].
    #[must_use]
    pub fn http_client(&self) -> WireClient {
        WireClient { door: Door::new(self) }
    }
}

/// What [`http_client`] makes. A clone shares the script, so keep one to steer the calls of a client that has another.
#[derive(Debug, Clone)]
pub struct WireClient {
    door: Door,
}

impl WireClient {
    /// Says how the next calls of an operation, such as `GetRecords`, are answered; those after are served.
    pub fn script(&self, operation: &str, answers: impl IntoIterator<Item = Answer>) {
        let answers: Vec<_> = answers.into_iter().collect();
        self.door.script().extend(operation, answers);
    }

    /// Adds rules, which answer the calls that the [script](Self::script) leaves to them. The first that fits wins.
    pub fn add_rules(&self, rules: impl IntoIterator<Item = Rule>) {
        let rules: Vec<_> = rules.into_iter().collect();
        self.door.script().add_rules(rules);
    }

    /// How many calls of an operation came so far.
    #[must_use]
    pub fn calls(&self, operation: &str) -> u64 {
        self.door.script().calls(operation)
    }

    /// The account at the other end.
    #[must_use]
    pub fn account(&self) -> &Account {
        self.door.account()
    }

    async fn answer(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let header = |name| request.headers().get(name).unwrap_or_default();
        let (target, content_type) = (header("x-amz-target"), header("content-type"));
        let read = Request { target, content_type, body: request.body().bytes().unwrap_or_default() };
        let response = match request.body().bytes() {
            Some(_) => self.door.answer(read).await.map_err(|_| ConnectorError::io(broken().into()))?,
            None => {
                let why = "the body is a stream, but the protocol wants it whole";
                self.door.refuse(read, &Refusal::new("SerializationException", why))
            }
        };
        let status =
            StatusCode::try_from(response.status).map_err(|error| ConnectorError::other(error.into(), None))?;
        let body = response.body.into_whole().map_or_else(SdkBody::from_body_1_x, SdkBody::from);
        let mut answer = HttpResponse::new(status, body);
        for (name, value) in response.headers {
            answer.headers_mut().insert(name, value);
        }
        Ok(answer)
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
