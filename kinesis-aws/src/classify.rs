//! What a failure of the SDK means to the one who has to react.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use kinesis_core::{Error, ErrorKind, StreamName};

/// Texts of the service are cut here: a page of HTML in front of it is no message.
const MAX_MESSAGE: usize = 300;

/// Turns a failed call about a stream into an error of ours that keeps it as its cause.
pub(crate) fn classify<E>(operation: &str, stream: &StreamName, error: SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    classify_on(operation, &format!("the stream {stream}"), error)
}

/// Turns a failed call into an error of ours that says what it was about.
pub(crate) fn classify_on<E>(operation: &str, place: &str, error: SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let call = format!("{operation} on {place}");
    let (kind, message) = match &error {
        SdkError::ServiceError(context) => {
            let kind = kind_of(error.code().unwrap_or_default(), context.raw().status().as_u16());
            let code = error.code().unwrap_or("no code");
            (kind, format!("{call} was refused: {code}: {}", one_line(error.message().unwrap_or("no message"))))
        }
        _ if lacks_credentials(&error) => {
            let way_out = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role";
            (ErrorKind::Denied, format!("{call} was not sent, because no AWS credentials could be loaded: {way_out}"))
        }
        SdkError::TimeoutError(_) => (ErrorKind::Transient, format!("{call} was not answered in time")),
        SdkError::DispatchFailure(failure) if failure.is_user() => {
            (ErrorKind::Invalid, format!("{call} could not be sent: check endpoint and TLS settings"))
        }
        SdkError::DispatchFailure(_) => (ErrorKind::Transient, format!("{call} did not reach the service")),
        SdkError::ResponseError(_) => (ErrorKind::Transient, format!("{call} was answered with something unreadable")),
        _ => (ErrorKind::Invalid, format!("{call} could not be made: check the AWS configuration")),
    };
    Error::new(kind, message).because(error)
}

/// The meaning of an error code, or of the HTTP status where the code is unknown.
pub(crate) fn kind_of(code: &str, status: u16) -> ErrorKind {
    match code {
        "ProvisionedThroughputExceededException"
        | "KMSThrottlingException"
        | "LimitExceededException"
        | "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "TooManyRequestsException"
        | "SlowDown" => ErrorKind::Throttled { retry_after: None },
        "ResourceNotFoundException" => ErrorKind::NotFound,
        "AccessDeniedException"
        | "AccessDenied"
        | "IncompleteSignature"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "KMSAccessDeniedException"
        | "KMSDisabledException"
        | "KMSInvalidStateException"
        | "KMSNotFoundException"
        | "KMSOptInRequired"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "OptInRequired"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => ErrorKind::Denied,
        "DryRunOperationException"
        | "InvalidArgumentException"
        | "SerializationException"
        | "UnknownOperationException"
        | "ValidationException" => ErrorKind::Invalid,
        // An iterator, a page token, a session token or a signature that is too old is made anew by the next attempt.
        "ExpiredIteratorException"
        | "ExpiredNextTokenException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InternalFailure"
        | "InternalFailureException"
        | "InternalServerError"
        | "ReplicatedWriteConflictException"
        | "RequestExpired"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "ResourceInUseException"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => ErrorKind::Transient,
        _ => match status {
            429 => ErrorKind::Throttled { retry_after: None },
            401 | 403 => ErrorKind::Denied,
            408 | 500.. => ErrorKind::Transient,
            _ => ErrorKind::Permanent,
        },
    }
}

fn lacks_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        // With no provider at all the SDK finds no way to sign, and its private type says so only in its text.
        if error.is::<CredentialsError>() || error.to_string().contains("no identity resolver") {
            return true;
        }
        cause = error.source();
    }
    false
}

pub(crate) fn one_line(text: &str) -> String {
    text.chars().take(MAX_MESSAGE).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_who_has_to_react() {
        let throttled = ErrorKind::Throttled { retry_after: None };
        for (code, status, kind) in [
            ("ProvisionedThroughputExceededException", 400, throttled),
            ("KMSThrottlingException", 400, throttled),
            ("ThrottlingException", 400, throttled),
            ("ResourceNotFoundException", 400, ErrorKind::NotFound),
            ("KMSDisabledException", 400, ErrorKind::Denied),
            ("UnrecognizedClientException", 400, ErrorKind::Denied),
            ("InvalidArgumentException", 400, ErrorKind::Invalid),
            ("RequestExpired", 400, ErrorKind::Transient),
            ("InternalFailure", 500, ErrorKind::Transient),
            ("SomethingNew", 502, ErrorKind::Transient),
            ("SomethingNew", 429, throttled),
            ("", 403, ErrorKind::Denied),
            ("SomethingNew", 400, ErrorKind::Permanent),
        ] {
            assert_eq!(kind_of(code, status), kind, "{code} {status}");
        }
    }

    #[test]
    fn a_text_of_the_service_becomes_one_short_line() {
        assert_eq!(one_line("two\nlines"), "two lines");
        assert_eq!(one_line(&"ü".repeat(1000)).chars().count(), MAX_MESSAGE);
    }
}
