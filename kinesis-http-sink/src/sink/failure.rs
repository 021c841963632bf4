//! An exchange that brought no whole reply: which one of the few things happened, and what can be done about it.

use std::io;
use std::time::Duration;

use hyper_util::client::legacy;
use kinesis_core::Error;

use crate::connect::ConnectTimeout;
use crate::endpoint::Endpoint;
use crate::guard::Refused;
use crate::repeat::cause;

/// Why there is no reply.
#[derive(Debug)]
pub(super) enum Failure {
    /// Request and reply together took longer than this.
    TimedOut(Duration),
    /// No connection, or no head of a reply.
    Exchange(legacy::Error),
    /// The reply's body broke off.
    Body(hyper::Error),
}

impl Failure {
    /// The failure as one sentence that names the endpoint and the way out, with its cause.
    pub(super) fn into_error(self, endpoint: &Endpoint) -> Error {
        match self {
            Self::TimedOut(timeout) => Error::transient(format!(
                "{endpoint} gave no whole reply within {timeout:?}; answer sooner, or set a longer timeout"
            )),
            Self::Exchange(error) => Error::transient(format!("{endpoint} {}", sentence(&error))).because(error),
            Self::Body(error) => {
                Error::transient(format!("{endpoint} broke off in the middle of its reply")).because(error)
            }
        }
    }
}

fn sentence(error: &legacy::Error) -> &'static str {
    #[cfg(feature = "tls")]
    if let Some(sentence) = crate::tls::sentence(error) {
        return sentence;
    }
    let io = cause::<io::Error>(error).map(io::Error::kind);
    if error.is_connect() {
        return match io {
            _ if cause::<Refused>(error).is_some() => {
                "is at no address that its network policy allows; is the address right, and is its network to be allowed?"
            }
            Some(io::ErrorKind::ConnectionRefused) => {
                "refused the connection; is the subscriber running at this address?"
            }
            _ if cause::<ConnectTimeout>(error).is_some() => {
                "could not be reached in time; is the address right, and does a firewall let it through?"
            }
            _ => "could not be connected to; is the address right?",
        };
    }
    match cause::<hyper::Error>(error) {
        Some(hyper) if hyper.is_parse() => "answered something that is not HTTP; is the port right?",
        _ => "closed the connection before it answered",
    }
}
