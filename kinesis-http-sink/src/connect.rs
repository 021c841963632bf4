//! How connections are made: TCP, bounded in time, and each connection knows how far its current exchange came.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use kinesis_core::BoxError;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower::Service;

use crate::guard::resolver::Guarded;

/// Opens connections, to those addresses only that the guard lets through. Name resolution, every address tried and
/// the handshake share one timeout.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    tcp: HttpConnector<Guarded>,
    guard: Guarded,
    timeout: Duration,
}

impl Connector {
    pub(crate) fn new(guard: Guarded, timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(guard.clone());
        // A request is written at once and in full; waiting for more of it only adds latency.
        tcp.set_nodelay(true);
        Self { tcp, guard, timeout }
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
        let connecting = self.tcp.call(uri);
        let timeout = self.timeout;
        Box::pin(async move {
            let tcp = tokio::time::timeout(timeout, connecting).await.map_err(|_| ConnectTimeout(timeout))??;
            Ok(TokioIo::new(Line { tcp: tcp.into_inner(), progress: Progress::default() }))
        })
    }
}

/// No connection came about in time.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {0:?}")]
pub(crate) struct ConnectTimeout(Duration);

/// How far the current exchange on a connection came. Shared between the connection and whoever asks after a failure.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<AtomicU8>);

impl Progress {
    /// Nothing was ever answered here.
    const NEW: u8 = 0;
    /// The last thing that happened is that bytes of a reply came.
    const ANSWERED: u8 = 1;
    /// After a reply, another request was written.
    const ASKED_AGAIN: u8 = 2;

    fn wrote(&self) {
        // One task drives a connection, so a plain load and store lose nothing.
        if self.0.load(Ordering::Relaxed) == Self::ANSWERED {
            self.0.store(Self::ASKED_AGAIN, Ordering::Relaxed);
        }
    }

    fn read(&self) {
        self.0.store(Self::ANSWERED, Ordering::Relaxed);
    }

    /// Whether the connection had served before and no byte of a reply came to the last request. Then the server most
    /// likely closed an idle connection while the request was on its way to it.
    pub(crate) fn is_unanswered_reuse(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::ASKED_AGAIN
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.load(Ordering::Relaxed) {
            Self::NEW => "New",
            Self::ANSWERED => "Answered",
            _ => "AskedAgain",
        })
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Line {
    tcp: TcpStream,
    progress: Progress,
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.progress.clone())
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.tcp).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.progress.read();
        }
        polled
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.progress.wrote();
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.progress.wrote();
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
