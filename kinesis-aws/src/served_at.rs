//! When the service answered, by its own clock: a position in time must not depend on how well a local clock runs.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use aws_sdk_kinesis::config::http::HttpResponse;
use aws_sdk_kinesis::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;
use aws_sdk_kinesis::primitives::{DateTime, DateTimeFormat};

/// Notes the date of the first answer of one call.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServedAt(Arc<OnceLock<SystemTime>>);

impl ServedAt {
    /// The date, rounded down to a second; none before the answer, or when that had none.
    pub(crate) fn get(&self) -> Option<SystemTime> {
        self.0.get().copied()
    }
}

impl Intercept for ServedAt {
    fn name(&self) -> &'static str {
        "ServedAt"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = date_of(context.response()) {
            self.0.get_or_init(|| date);
        }
        Ok(())
    }
}

/// The `Date` of an answer.
pub(crate) fn date_of(response: &HttpResponse) -> Option<SystemTime> {
    let date = response.headers().get("date")?;
    DateTime::from_str(date, DateTimeFormat::HttpDate).ok()?.try_into().ok()
}
