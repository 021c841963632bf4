//! The stream that the command line names: where it is, who asks for it, and how it is read.

use std::net::IpAddr;

use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use http::Uri;
use kinesis_aws::{CreateTable, DynamoLeaseStore};
use kinesis_core::{Error, Result, StreamId};

use crate::cli::Stream;

/// What a server on this machine is told where nothing is configured: it does not look.
const LOCAL_REGION: &str = "us-east-1";

impl Stream {
    /// The stream's name or ARN.
    ///
    /// # Errors
    ///
    /// [`Invalid`](kinesis_core::ErrorKind::Invalid) when the command line names none, and the environment neither.
    pub fn named(&self) -> Result<String> {
        let named = self.stream.clone().or_else(|| std::env::var(kinesis_aws::STREAM_NAME_VARIABLE).ok());
        named.ok_or_else(|| {
            let variable = kinesis_aws::STREAM_NAME_VARIABLE;
            Error::invalid(format!("no stream is named: give --stream or set {variable}, or a file with --input"))
        })
    }

    /// What the SDK is told: as the AWS command line, but for `--endpoint`.
    ///
    /// # Errors
    ///
    /// [`Invalid`](kinesis_core::ErrorKind::Invalid) for an endpoint that is no URL.
    pub async fn config(&self) -> Result<SdkConfig> {
        config_at(self.endpoint.as_deref(), None).await
    }
}

/// The table of DynamoDB, there or at a server of the user's, that keeps the leases of a stream.
///
/// # Errors
///
/// As [`DynamoLeaseStoreBuilder::connect`](kinesis_aws::DynamoLeaseStoreBuilder::connect), and
/// [`Invalid`](kinesis_core::ErrorKind::Invalid) for an endpoint that is no URL.
pub(crate) async fn lease_table(
    table: &str,
    endpoint: Option<&str>,
    region: Option<&str>,
    stream: &StreamId,
    create: CreateTable,
) -> Result<DynamoLeaseStore> {
    let config = config_at(endpoint, region).await?;
    DynamoLeaseStore::builder(table).config(&config).stream(stream).create_table(create).connect().await
}

/// What the SDK is told, of AWS or of a server elsewhere; without a region, that of the AWS command line.
///
/// # Errors
///
/// [`Invalid`](kinesis_core::ErrorKind::Invalid) for an endpoint that is no URL.
pub(crate) async fn config_at(endpoint: Option<&str>, region: Option<&str>) -> Result<SdkConfig> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(endpoint) = endpoint {
        let host = host_of(endpoint)?;
        loader = loader.endpoint_url(endpoint);
        if is_local(&host) {
            loader = at_home(loader).await;
        }
    }
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    Ok(loader.load().await)
}

/// A server on this machine is asked without anything having been set up, and what is set up is left alone.
async fn at_home(loader: ConfigLoader) -> ConfigLoader {
    let from_environment = aws_config::environment::EnvironmentVariableCredentialsProvider::new();
    let region = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(|name| std::env::var(name).ok());
    let loader = loader.region(Region::new(region.unwrap_or_else(|| LOCAL_REGION.to_owned())));
    match from_environment.provide_credentials().await {
        Ok(credentials) => loader.credentials_provider(credentials),
        Err(_) => loader.credentials_provider(Credentials::new("local", "local", None, None, "local server")),
    }
}

/// The host of an endpoint.
pub(crate) fn host_of(endpoint: &str) -> Result<String> {
    let uri: Option<Uri> = endpoint.parse().ok();
    let usable = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
    let host = usable.as_ref().and_then(Uri::host).map(str::to_owned);
    host.ok_or_else(|| {
        Error::invalid(format!("the endpoint {endpoint:?} is no URL: something like http://127.0.0.1:4567 is wanted"))
    })
}

fn is_local(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_and_this_machine_is_known() {
        for (endpoint, local) in [
            ("http://127.0.0.1:4567", true),
            ("http://localhost:4567/", true),
            ("http://[::1]:4567", true),
            ("https://kinesis.eu-west-1.amazonaws.com", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_local(&host_of(endpoint).unwrap()), local, "{endpoint}");
        }
        for bad in ["", "localhost:4567", "ftp://127.0.0.1", "http://", "127.0.0.1"] {
            assert!(host_of(bad).is_err(), "{bad}");
        }
    }
}
