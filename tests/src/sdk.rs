//! The real SDK over the mock's wire in this process, and every way in which `KinesisSource` can read through it.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use kinesis_aws::{KinesisSource, KinesisSourceBuilder, WireFormat};
use kinesis_mock::WireClient;

/// A way to read: polled or pushed, in either format, fast or by the SDK alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// What it is called in a failure.
    pub name: &'static str,
    pushed: bool,
    format: WireFormat,
    fast: bool,
}

impl Way {
    /// Every way.
    pub const ALL: [Self; 6] = [
        Self { name: "polled", pushed: false, format: WireFormat::Json, fast: true },
        Self { name: "polled in CBOR", pushed: false, format: WireFormat::Cbor, fast: true },
        Self { name: "polled the plain way", pushed: false, format: WireFormat::Json, fast: false },
        Self { name: "pushed", pushed: true, format: WireFormat::Json, fast: true },
        Self { name: "pushed in CBOR", pushed: true, format: WireFormat::Cbor, fast: true },
        Self { name: "pushed the plain way", pushed: true, format: WireFormat::Json, fast: false },
    ];

    /// A source that reads a stream in this way, in this process.
    pub fn source(self, http: &WireClient, stream: &str) -> KinesisSourceBuilder {
        self.over(&config(http), stream)
    }

    /// A source that reads a stream of a server in this way.
    pub fn source_at(self, endpoint: &str, stream: &str) -> KinesisSourceBuilder {
        self.over(&settings().into_builder().endpoint_url(endpoint).build(), stream)
    }

    fn over(self, config: &SdkConfig, stream: &str) -> KinesisSourceBuilder {
        let source = KinesisSource::builder(config, stream).wire_format(self.format).fast_read(self.fast);
        if self.pushed { source.consumer("stories") } else { source }
    }
}

/// The SDK's configuration over this wire.
#[must_use]
pub fn config(http: &WireClient) -> SdkConfig {
    settings().into_builder().http_client(http.clone()).build()
}

fn settings() -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "key", None, None, "test")))
        .build()
}
