//! The subscribers: this program again, in a process of its own, so that their work is not on our processor account.

use std::hint::black_box;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::sleep;

/// The argument with which this program is started as the server.
pub(crate) const SERVE: &str = "serve";

/// Where a subscriber takes its time.
pub(crate) const SLOW: &str = "/slow";
const TAKES: Duration = Duration::from_secs(5);

/// Starts this program as the server of so many subscribers; their URLs. It ends with the handle.
pub(crate) async fn start(subscribers: usize) -> (Vec<String>, Child) {
    let program = std::env::current_exe().expect("a running program has a path");
    let mut server = Command::new(program)
        .args([SERVE, &subscribers.to_string()])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("this program can be started again");
    let mut lines = BufReader::new(server.stdout.take().expect("the output is piped")).lines();
    let mut urls = Vec::new();
    while urls.len() < subscribers {
        let address = lines.next_line().await.expect("the output can be read");
        urls.push(format!("http://{}/events", address.expect("the server prints all of its addresses")));
    }
    (urls, server)
}

/// Reads every request to its end and answers 200, each subscriber on a port of its own.
pub(crate) async fn serve(subscribers: usize) {
    for _ in 1..subscribers {
        tokio::spawn(listen());
    }
    listen().await;
}

async fn listen() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    println!("{}", listener.local_addr().expect("a bound socket has an address"));
    loop {
        let (socket, _) = listener.accept().await.expect("the listener stays open");
        socket.set_nodelay(true).expect("TCP can be told not to delay");
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(answer));
        tokio::spawn(connection);
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let is_slow = request.uri().path() == SLOW;
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        black_box(frame?);
    }
    if is_slow {
        sleep(TAKES).await;
    }
    Ok::<_, hyper::Error>(Response::new(Empty::new()))
}
