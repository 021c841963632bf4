//! How a world's stream is read: as a source itself, or over its wire by the real SDK.

use std::sync::Arc;

use kinesis_core::StreamSource;
use kinesis_core::limit::Limits as Rates;
use kinesis_mock::{MemoryStream, http_client};

use super::super::Door;
use super::super::plan::{Limits, Plan};

/// The stream behind a door.
pub(super) async fn through(door: Door, stream: &MemoryStream, plan: &Plan) -> Arc<dyn StreamSource> {
    let Door::Sdk(way) = door else { return Arc::new(stream.clone()) };
    let source = way.source(&http_client(stream), "sim");
    let source = match kept(plan) {
        Some(rates) => source.limits(rates),
        None => source.unlimited(),
    };
    Arc::new(source.connect().await.expect("nothing fails yet"))
}

/// The limits within which the source keeps by itself.
pub(super) fn kept(plan: &Plan) -> Option<Rates> {
    let Limits { calls_per_second, bytes_per_second, .. } = plan.limits.filter(|limits| limits.kept)?;
    Some(Rates {
        calls_per_second: calls_per_second.try_into().ok()?,
        bytes_per_second: u64::from(bytes_per_second).try_into().ok()?,
        ..Rates::kinesis_shard()
    })
}
