//! Ctrl-C and SIGTERM: the first asks to finish, the second ends the program at once.

use std::future::Future;
use std::io;

use kinesis_core::Error;
use tokio::sync::oneshot;

/// The exit code after the second signal, as shells count an interrupted program: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

/// Listens from now on; the future is ready at the first signal. `notice` is called then, to say what happens next.
///
/// # Errors
///
/// When the system does not let signals be heard.
pub(crate) fn on_signal(notice: impl FnOnce() + Send + 'static) -> io::Result<impl Future<Output = ()> + Send> {
    let mut signals = Signals::listen()?;
    let (send, first) = oneshot::channel();
    tokio::spawn(async move {
        signals.next().await;
        notice();
        let _ = send.send(());
        signals.next().await;
        std::process::exit(INTERRUPTED);
    });
    Ok(async move { first.await.unwrap_or_default() })
}

/// What it means that signals cannot be heard.
pub(crate) fn cannot_hear(error: io::Error) -> Error {
    Error::permanent("cannot listen to signals").because(error)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        // A program that cannot hear Ctrl-C is ended by it anyway.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
