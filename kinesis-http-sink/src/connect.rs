//! How connections are made: TCP, and TLS over it, bounded in time. Each connection knows how far it came.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use kinesis_core::BoxError;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(feature = "tls")]
use tokio_rustls::client::TlsStream;
use tower::Service;

use crate::guard::resolver::Guarded;
#[cfg(feature = "tls")]
use crate::tls::{self, Trust};

/// Opens connections, to those addresses only that the guard lets through. Name resolution, every address tried and
/// the handshakes share one timeout.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    tcp: HttpConnector<Guarded>,
    guard: Guarded,
    timeout: Duration,
    #[cfg(feature = "tls")]
    trust: Trust,
}

impl Connector {
    pub(crate) fn new(guard: Guarded, timeout: Duration, #[cfg(feature = "tls")] trust: Trust) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(guard.clone());
        // A request is written at once and in full; waiting for more of it only adds latency.
        tcp.set_nodelay(true);
        tcp.enforce_http(cfg!(not(feature = "tls")));
        Self {
            tcp,
            guard,
            timeout,
            #[cfg(feature = "tls")]
            trust,
        }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Line>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        // A host that is plainly an address never comes to the resolver.
        if let Err(refused) = self.guard.check_literal(uri.host().unwrap_or_default()) {
            return Box::pin(std::future::ready(Err(refused.into())));
        }
        #[cfg(feature = "tls")]
        if uri.scheme() == Some(&http::uri::Scheme::HTTPS) {
            let (timeout, trust, connecting) = (self.timeout, self.trust.clone(), self.tcp.call(uri.clone()));
            return in_time(timeout, async move {
                let tcp = connecting.await?.into_inner();
                let tls = trust.handshake(uri.host().unwrap_or_default(), tcp).await?;
                Ok(Line { shared: tls::is_http2(&tls), wire: Wire::Tls(Box::new(tls)), progress: Progress::default() })
            });
        }
        let connecting = self.tcp.call(uri);
        in_time(self.timeout, async move {
            let tcp = connecting.await?.into_inner();
            Ok(Line { wire: Wire::Plain(tcp), shared: false, progress: Progress::default() })
        })
    }
}

fn in_time<F>(timeout: Duration, connecting: F) -> <Connector as Service<Uri>>::Future
where
    F: Future<Output = Result<Line, BoxError>> + Send + 'static,
{
    Box::pin(async move {
        let line = tokio::time::timeout(timeout, connecting).await.map_err(|_| ConnectTimeout(timeout))??;
        Ok(TokioIo::new(line))
    })
}

/// No connection came about in time.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {0:?}")]
pub(crate) struct ConnectTimeout(Duration);

/// How far the current exchange on a connection came. Shared between the connection and whoever asks after a failure.
///
/// Over HTTP/1.1 the bytes of the connection tell. Over HTTP/2 exchanges overlap and the protocol has bytes of its own,
/// so whoever gets a reply notes that there was one.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<Exchanges>);

#[derive(Default)]
struct Exchanges {
    state: AtomicU8,
    /// Whether a whole head of a reply came before.
    has_replied: AtomicBool,
}

impl Progress {
    /// Nothing was ever answered here.
    const NEW: u8 = 0;
    /// The last thing that happened is that bytes of a reply came.
    const ANSWERED: u8 = 1;
    /// After a reply, another request was written.
    const ASKED_AGAIN: u8 = 2;

    fn wrote(&self) {
        // One task drives a connection, so a plain load and store lose nothing.
        if self.0.state.load(Ordering::Relaxed) == Self::ANSWERED {
            self.0.state.store(Self::ASKED_AGAIN, Ordering::Relaxed);
        }
    }

    /// Bytes of a reply came.
    pub(crate) fn read(&self) {
        self.0.state.store(Self::ANSWERED, Ordering::Relaxed);
    }

    /// A reply came. Whether it was not the first of this connection.
    pub(crate) fn replied(&self) -> bool {
        self.0.has_replied.swap(true, Ordering::Relaxed)
    }

    /// Whether the connection had served before and no byte of a reply came to the last request. Then the server most
    /// likely closed an idle connection while the request was on its way to it.
    pub(crate) fn is_unanswered_reuse(&self) -> bool {
        self.0.state.load(Ordering::Relaxed) == Self::ASKED_AGAIN
    }
}

#[cfg(feature = "tls")]
impl Progress {
    /// Whether anything was ever answered here.
    pub(crate) fn has_served(&self) -> bool {
        self.0.state.load(Ordering::Relaxed) != Self::NEW
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.state.load(Ordering::Relaxed) {
            Self::NEW => "New",
            Self::ANSWERED => "Answered",
            _ => "AskedAgain",
        })
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Line {
    wire: Wire,
    /// Whether exchanges overlap on it, as they do over HTTP/2.
    shared: bool,
    progress: Progress,
}

#[derive(Debug)]
enum Wire {
    Plain(TcpStream),
    /// Boxed, because it is many times as large.
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<TcpStream>>),
}

/// Does the same with either kind of wire.
macro_rules! on_wire {
    ($line:expr, $wire:ident => $do:expr) => {
        match &mut $line.wire {
            Wire::Plain($wire) => $do,
            #[cfg(feature = "tls")]
            Wire::Tls($wire) => $do,
        }
    };
}

impl Line {
    fn wrote(&self) {
        if !self.shared {
            self.progress.wrote();
        }
    }
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        let connected = Connected::new().extra(self.progress.clone());
        if self.shared { connected.negotiated_h2() } else { connected }
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = on_wire!(self, wire => Pin::new(wire).poll_read(cx, buf));
        if buf.filled().len() > before && !self.shared {
            self.progress.read();
        }
        polled
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.wrote();
        on_wire!(self, wire => Pin::new(wire).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.wrote();
        on_wire!(self, wire => Pin::new(wire).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.wire {
            Wire::Plain(wire) => wire.is_write_vectored(),
            #[cfg(feature = "tls")]
            Wire::Tls(wire) => wire.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_wire!(self, wire => Pin::new(wire).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_wire!(self, wire => Pin::new(wire).poll_shutdown(cx))
    }
}
