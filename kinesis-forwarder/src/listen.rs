//! `listen`: a subscriber that prints what it gets, one line an event.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use kinesis_core::{Error, Result};
use kinesis_http_sink::Receiver;
use kinesis_http_sink::receiver::Event;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::cli::Listen;
use crate::output::{event_line, note};
use crate::shutdown;

/// The largest record as JSON, which may write a byte as six, and the fields around it.
const BODY_LIMIT: usize = 6 * (10 << 20) + (64 << 10);

/// How long requests may take to end once it was asked to stop.
const GRACE: Duration = Duration::from_secs(2);

/// Prints events until Ctrl-C.
///
/// # Errors
///
/// [`Invalid`](kinesis_core::ErrorKind::Invalid) when the address cannot be listened on.
pub async fn listen(args: Listen) -> Result<ExitCode> {
    let address = SocketAddr::new(args.host, args.port);
    let refuse =
        |error| Error::invalid(format!("cannot listen on {address}, another --port may be free")).because(error);
    let listener = TcpListener::bind(address).await.map_err(refuse)?;
    let stop = shutdown::on_signal(|| note("stopping")).map_err(refuse)?;
    let bound = listener.local_addr().map_err(refuse)?;
    note(&format!("listening on http://{bound}/events, Ctrl-C stops"));

    let mute = Arc::new(Notify::new());
    let router = receiver(&args.on, &mute).body_limit(BODY_LIMIT).router();
    let stopped = Arc::new(Notify::new());
    let stopping = Arc::clone(&stopped);
    let server = axum::serve(listener, router).with_graceful_shutdown(async move { stopping.notified().await });
    let serving = tokio::spawn(async move { server.await });
    tokio::select! {
        biased;
        () = stop => {}
        () = mute.notified() => {}
    }
    stopped.notify_one();
    // A sender that keeps its request open for ever is not waited for.
    let _ = tokio::time::timeout(GRACE, serving).await;
    Ok(ExitCode::SUCCESS)
}

/// Prints the events of `channels`, or of all when there are none; tells `mute` when nobody reads what is printed.
fn receiver(channels: &[String], mute: &Arc<Notify>) -> Receiver {
    let print = || {
        let mute = Arc::clone(mute);
        move |event: Event| {
            let printed = print(&event);
            if printed.is_err() {
                mute.notify_one();
            }
            async move { printed }
        }
    };
    // What comes again is shown again.
    let receiver = Receiver::new().remember(0);
    match channels {
        [] => receiver.fallback(print()),
        _ => channels.iter().fold(receiver, |receiver, channel| receiver.on(channel.as_str(), print())),
    }
}

fn print(event: &Event) -> std::io::Result<()> {
    let number = event.sequence_number.to_string();
    writeln!(std::io::stdout(), "{}", event_line(&event.channel, &number, event.arrived_at, &event.data))
}
