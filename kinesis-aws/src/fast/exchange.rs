//! The interceptor of a call whose answer is read here: it has the request written in the format that was asked for, gives
//! the SDK errors in its own, and hands the body of a success to whoever reads it.

use std::fmt;

use aws_sdk_kinesis::config::interceptors::{
    BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;
use aws_smithy_types::body::SdkBody;

use super::encode;
use super::tee::in_json;
use crate::WireFormat;

/// One call. `on_success` takes the body and what it is written in, and answers what is left to the SDK.
pub(crate) struct Exchange<F> {
    format: WireFormat,
    on_success: F,
}

impl<F: Fn(SdkBody, WireFormat) -> SdkBody> Exchange<F> {
    pub(crate) fn new(format: WireFormat, on_success: F) -> Self {
        Self { format, on_success }
    }
}

impl<F: Fn(SdkBody, WireFormat) -> SdkBody + Send + Sync> Intercept for Exchange<F> {
    fn name(&self) -> &'static str {
        "Exchange"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // Answers and events come in what was asked in.
        if self.format == WireFormat::Cbor {
            encode::to_cbor(context.request_mut())?;
        }
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        let format = encode::format_of(response.headers().get("content-type"));
        let body = std::mem::replace(response.body_mut(), SdkBody::taken());
        *response.body_mut() = match (response.status().is_success(), format) {
            (true, _) => (self.on_success)(body, format),
            (false, WireFormat::Json) => body,
            (false, WireFormat::Cbor) => in_json(body),
        };
        Ok(())
    }
}

impl<F> fmt::Debug for Exchange<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("format", &self.format).finish_non_exhaustive()
    }
}
