//! Which requests may be sent once more at once: those that were lost with their connection before anything was answered.

use std::error::Error as StdError;

use http::Extensions;
use hyper_util::client::legacy;

use crate::connect::Progress;

/// A request that was lost, by its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// On one of HTTP/1.1, which has one request at a time.
    OnOwn,
    /// On one of HTTP/2, which many requests share.
    #[cfg(feature = "tls")]
    OnShared,
}

/// Whether the request that failed with `error` may be sent again, and what connection it was lost with.
///
/// A connection that never answered anything is no victim of bad timing: its failure is that of the attempt. Only a
/// server that says it did not look at the request may do so on a new one.
pub(crate) fn allowed(error: &legacy::Error) -> Option<Lost> {
    let connected = error.connect_info()?;
    let mut extras = Extensions::new();
    connected.get_extras(&mut extras);
    let progress = extras.get::<Progress>()?;
    #[cfg(feature = "tls")]
    if connected.is_negotiated_h2() {
        return was_lost(error, progress.has_served()).then_some(Lost::OnShared);
    }
    progress.is_unanswered_reuse().then_some(Lost::OnOwn)
}

/// Notes on a shared connection that it answered.
#[cfg(feature = "tls")]
pub(crate) fn note<B>(reply: &http::Response<B>) {
    if reply.version() == http::Version::HTTP_2
        && let Some(progress) = reply.extensions().get::<Progress>()
    {
        progress.read();
    }
}

/// Whether a request over HTTP/2 is unanswered because its connection ended, or because the server let it be.
#[cfg(feature = "tls")]
fn was_lost(error: &legacy::Error, served: bool) -> bool {
    match cause::<h2::Error>(error) {
        // The connection lives. One reason only says that nothing was done (RFC 9113, 8.7).
        Some(h2) if h2.is_reset() => h2.is_remote() && h2.reason() == Some(h2::Reason::REFUSED_STREAM),
        // Going away without an error, a server names the last request it looked at, and this one came after it.
        Some(h2) if h2.is_go_away() => h2.is_remote() && (served || h2.reason() == Some(h2::Reason::NO_ERROR)),
        Some(h2) => h2.is_io() && served,
        // Closed before the request was written, or no answer to a ping.
        None => served,
    }
}

/// The first cause of type `T` behind `error`.
pub(crate) fn cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
