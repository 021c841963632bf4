//! How records travel.

/// What answers with records are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WireFormat {
    /// JSON, with payloads in base64: what the SDK speaks.
    #[default]
    Json,
    /// CBOR (`application/x-amz-cbor-1.1`), with payloads as they are: a quarter less to carry, and less to read. The AWS
    /// SDK for Java speaks it by default; from here it was tried against servers other than AWS only.
    Cbor,
}
