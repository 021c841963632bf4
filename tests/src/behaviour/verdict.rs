//! How a row says what a server did instead of what the service does.

use std::fmt::{self, Debug};

use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};

/// What came of a row.
pub type Verdict<T = ()> = Result<T, Deviates>;

/// What a server did that the service does not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deviates(String);

impl Deviates {
    /// What it did, in words that are the same every time.
    pub(super) fn by(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// The words.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Deviates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Compares what a server says with what the service would.
pub(super) fn same<T: PartialEq + Debug + Copy>(what: &str, found: T, wanted: T) -> Verdict {
    if found == wanted { Ok(()) } else { Err(Deviates::by(format!("{what}: {found:?} instead of {wanted:?}"))) }
}

/// Holds, or the server did this.
pub(super) fn holds(condition: bool, otherwise: &str) -> Verdict {
    if condition { Ok(()) } else { Err(Deviates::by(otherwise)) }
}

/// The result of a call.
pub(super) trait Answered<T>: Sized {
    /// The answer of this operation, which should have been given.
    fn of(self, operation: &str) -> Verdict<T>;

    /// The code of the refusal, or what there was instead.
    fn code(self) -> Verdict<String>;

    /// Whether it was refused with one of these codes, as it should be.
    fn refused(self, operation: &str, codes: &[&str]) -> Verdict {
        match self.code() {
            Ok(code) if codes.contains(&code.as_str()) => Ok(()),
            Ok(code) => Err(Deviates::by(format!("{operation}: {code} instead of {}", codes.join(" or ")))),
            Err(other) => Err(Deviates::by(format!("{operation}: {other} instead of {}", codes.join(" or ")))),
        }
    }
}

impl<T, E: ProvideErrorMetadata, R> Answered<T> for Result<T, SdkError<E, R>> {
    fn of(self, operation: &str) -> Verdict<T> {
        self.map_err(|error| {
            let code = Err::<T, _>(error).code().unwrap_or_else(|other| other.0);
            Deviates::by(format!("{operation}: {code}"))
        })
    }

    fn code(self) -> Verdict<String> {
        match self {
            Ok(_) => Err(Deviates::by("an answer")),
            Err(SdkError::ServiceError(error)) => {
                error.err().code().map(str::to_owned).ok_or_else(|| Deviates::by("an error without a code"))
            }
            // Such as an empty body with the status 500, of which the SDK can make no error of the service.
            Err(SdkError::ResponseError(_)) => Err(Deviates::by("an error without a code")),
            Err(SdkError::DispatchFailure(_)) => Err(Deviates::by("a broken connection")),
            Err(_) => Err(Deviates::by("no answer")),
        }
    }
}
