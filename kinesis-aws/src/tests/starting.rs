//! A start that fails says why and what to do, and soon.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future};
use kinesis_core::{ErrorKind, StreamSource};
use kinesis_mock::{Account, Answer, MemoryStream, http_client};
use tokio::time::Instant;

use super::config;
use crate::KinesisSource;

/// Credentials that cannot be had.
#[derive(Debug)]
struct NoCredentials;

impl ProvideCredentials for NoCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("nowhere to be found")))
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_cannot_succeed_says_why_and_what_to_do() {
    let http = http_client(&MemoryStream::new("orders", 1));
    let failed = async |config: SdkConfig, name: &str| {
        let error = KinesisSource::connect(&config, name).await.unwrap_err();
        (error.kind(), error.to_string())
    };
    assert_eq!(
        failed(config(&http), "odors").await,
        (ErrorKind::NotFound, "there is no stream odors in eu-central-1: check its name and the region".into())
    );
    assert_eq!(
        failed(config(&http).into_builder().region(None).build(), "orders").await,
        (ErrorKind::Invalid, "no AWS region is configured: set AWS_REGION, or a region in the profile".into())
    );
    http.script("DescribeStreamSummary", [Answer::fail("AccessDeniedException")]);
    assert_eq!(
        failed(config(&http), "orders").await,
        (
            ErrorKind::Denied,
            "the stream orders in eu-central-1 cannot be opened: DescribeStreamSummary on the stream orders was \
             refused: AccessDeniedException: as scripted"
                .into()
        )
    );
    let missing = config(&http).into_builder().credentials_provider(SharedCredentialsProvider::new(NoCredentials));
    let mut none = config(&http).into_builder();
    none.set_credentials_provider(None);
    for config in [missing.build(), none.build()] {
        let (kind, message) = failed(config, "orders").await;
        assert_eq!(kind, ErrorKind::Denied, "{message}");
        assert!(message.contains("no AWS credentials could be loaded: set AWS_ACCESS_KEY_ID"), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_never_answers_is_given_up_after_ten_seconds() {
    let http = http_client(&MemoryStream::new("orders", 1));
    http.script("DescribeStreamSummary", [Answer::Hang]);
    let began = Instant::now();
    let error = KinesisSource::connect(&config(&http), "orders").await.unwrap_err();
    assert!(began.elapsed() <= Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(error.to_string().contains("check the network, the region and the endpoint"), "{error}");
}

#[tokio::test]
async fn an_endpoint_that_is_none_or_where_nobody_listens_is_told_at_once() {
    let http = http_client(&MemoryStream::new("orders", 1));
    for endpoint in ["http://127.0.0.1:1", "no endpoint at all"] {
        let mut config = config(&http).into_builder().endpoint_url(endpoint);
        config.set_http_client(None);
        let error = KinesisSource::connect(&config.build(), "orders").await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Transient | ErrorKind::Invalid), "{endpoint}: {error:?}");
        assert!(error.to_string().contains("endpoint"), "{endpoint}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_comes_or_goes_is_told_apart_from_one_that_is_missing() {
    let account = Account::builder().transition(Duration::from_secs(5)).build();
    let http = account.http_client();
    let sdk = aws_sdk_kinesis::Client::new(&config(&http));
    sdk.create_stream().stream_name("orders").shard_count(1).send().await.unwrap();
    let failed = async || KinesisSource::connect(&config(&http), "orders").await.unwrap_err();
    let error = failed().await;
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(error.to_string().contains("is still being created: try again when"), "{error}");
    tokio::time::sleep(Duration::from_secs(6)).await;
    sdk.delete_stream().stream_name("orders").send().await.unwrap();
    let error = failed().await;
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("is being deleted"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_consumer_too_many_says_what_can_be_done() {
    let http = http_client(&MemoryStream::new("orders", 1));
    let connect = |nth: usize| KinesisSource::builder(&config(&http), "orders").consumer(format!("c-{nth}")).connect();
    // Twenty to a stream (quotas page of the developer guide).
    for nth in 0..20 {
        connect(nth).await.unwrap();
    }
    let error = connect(20).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("the consumer c-20 cannot be registered"), "{error}");
    assert!(error.to_string().contains("Use one of those registered, deregister one, or poll"), "{error}");
}

/// Another stream of the same name has other records under numbers that mean nothing to the cursors of the first one.
#[tokio::test(start_paused = true)]
async fn a_stream_that_was_deleted_and_made_anew_is_not_taken_for_the_same() {
    let account = Account::new();
    account.create("orders", 1);
    let http = account.http_client();
    let source = KinesisSource::connect(&config(&http), "orders").await.unwrap();
    source.list_shards().await.unwrap();
    assert!(account.delete("orders"));
    let error = source.list_shards().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    tokio::time::sleep(Duration::from_secs(60)).await;
    account.create("orders", 1);
    let error = source.list_shards().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permanent, "{error}");
    assert!(error.to_string().contains("was deleted and another one of its name created"), "{error}");
}
