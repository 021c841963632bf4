//! HTTP/2: many requests on a connection, and what each of them does when it goes away.
//!
//! The server writes its frames by hand (RFC 9113), because no library says what it should not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use kinesis_core::Sink;
use kinesis_http_sink::{Client, HttpSink};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::server::{GOOD, H2, Server};
use crate::support::{SHORT, delivery};
use crate::{AUTHORITY, deliver, failure, sink};

/// A request whose body is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    connection: usize,
    /// Which request of its connection it is, from 0 on.
    nth: usize,
    body: String,
}

/// What the server does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Answers 200.
    Answer,
    /// Says nothing to it, now or later.
    Ignore,
    /// Goes away for this reason, after the request or as if it had not seen it.
    GoAway { seen: bool, reason: u32 },
    /// Resets the stream for this reason.
    Reset { reason: u32 },
    /// Closes the connection.
    Close,
    /// Reads and writes nothing any more, and stays connected.
    FallSilent,
}

use Step::{Answer, Close, FallSilent, GoAway, Ignore, Reset};

const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
/// The flag of the last frame of a stream, and of an acknowledgement.
const END: u8 = 1;
/// The flags of a head that is whole and has no body.
const WHOLE: u8 = 5;

type Script = fn(&Seen) -> &'static [Step];

/// A server by script.
async fn scripted(script: Script) -> (Server, Arc<Mutex<Vec<Seen>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&seen);
    let server =
        Server::start(GOOD, H2, move |tls, connection| converse(tls, connection, script, Arc::clone(&all))).await;
    (server, seen)
}

/// Ends where the client breaks off.
async fn converse(mut tls: TlsStream<TcpStream>, connection: usize, script: Script, all: Arc<Mutex<Vec<Seen>>>) {
    let _ = follow(&mut tls, connection, script, &all).await;
}

async fn follow(
    tls: &mut TlsStream<TcpStream>,
    connection: usize,
    script: Script,
    all: &Mutex<Vec<Seen>>,
) -> std::io::Result<()> {
    let mut bodies: HashMap<u32, Vec<u8>> = HashMap::new();
    let mut nth = 0;
    tls.read_exact(&mut [0; b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len()]).await?;
    write(tls, SETTINGS, 0, 0, &[]).await?;
    loop {
        let (kind, flags, stream, payload) = read(tls).await?;
        match kind {
            SETTINGS | PING if flags & END == 0 => {
                let echo = if kind == PING { &payload[..] } else { &[] };
                write(tls, kind, END, 0, echo).await?;
            }
            DATA => bodies.entry(stream).or_default().extend(payload),
            _ => {}
        }
        if !matches!(kind, HEADERS | DATA) || flags & END == 0 {
            continue;
        }
        let body = String::from_utf8(bodies.remove(&stream).unwrap_or_default()).unwrap();
        let seen = Seen { connection, nth, body };
        nth += 1;
        all.lock().unwrap().push(seen.clone());
        for step in script(&seen) {
            match *step {
                // 0x88 is ":status: 200" in HPACK's table.
                Answer => write(tls, HEADERS, WHOLE, stream, &[0x88]).await?,
                Ignore => {}
                GoAway { seen, reason } => {
                    let last = if seen { stream } else { stream.saturating_sub(2) };
                    write(tls, GOAWAY, 0, 0, &[last.to_be_bytes(), reason.to_be_bytes()].concat()).await?;
                }
                Reset { reason } => write(tls, RST_STREAM, 0, stream, &reason.to_be_bytes()).await?,
                Close => return Ok(()),
                FallSilent => std::future::pending().await,
            }
        }
    }
}

async fn read(tls: &mut TlsStream<TcpStream>) -> std::io::Result<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    tls.read_exact(&mut head).await?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    tls.read_exact(&mut payload).await?;
    Ok((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
}

async fn write(
    tls: &mut TlsStream<TcpStream>,
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &[u8],
) -> std::io::Result<()> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    tls.write_all(&frame).await?;
    tls.flush().await
}

/// The connection and the place on it of each request.
fn places(seen: &Mutex<Vec<Seen>>) -> Vec<(usize, usize)> {
    seen.lock().unwrap().iter().map(|seen| (seen.connection, seen.nth)).collect()
}

#[tokio::test]
async fn a_request_that_the_server_went_away_from_is_sent_again_on_a_new_connection() {
    // Whether the server says that it did not look at it, or closes without an answer.
    let scripts: [Script; 3] = [
        |seen| match (seen.connection, seen.nth) {
            (0, 1) => &[GoAway { seen: false, reason: NO_ERROR }, Close],
            _ => &[Answer],
        },
        |seen| match (seen.connection, seen.nth) {
            (0, 1) => &[GoAway { seen: true, reason: INTERNAL_ERROR }, Close],
            _ => &[Answer],
        },
        |seen| match (seen.connection, seen.nth) {
            (0, 1) => &[Close],
            _ => &[Answer],
        },
    ];
    for (nth, script) in scripts.into_iter().enumerate() {
        let (server, seen) = scripted(script).await;
        let sink = sink(&server.url());
        for _ in 0..3 {
            deliver(&sink).await;
        }
        assert_eq!(places(&seen), [(0, 0), (0, 1), (1, 0), (1, 1)], "script {nth}");
        let seen = seen.lock().unwrap();
        assert_eq!(seen[1].body, seen[2].body);
    }
}

#[tokio::test]
async fn a_connection_that_goes_away_between_two_requests_is_not_used_again() {
    let (server, seen) = scripted(|seen| match seen.connection {
        0 => &[Answer, GoAway { seen: true, reason: NO_ERROR }],
        _ => &[Answer],
    })
    .await;
    let sink = sink(&server.url());
    for _ in 0..3 {
        deliver(&sink).await;
    }
    // The second may have been on its way already. No request comes more than once.
    let places = places(&seen);
    assert_eq!(places.iter().filter(|(connection, _)| *connection == 1).count(), 2, "{places:?}");
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_server_that_goes_away_in_the_middle_loses_nothing_and_doubles_nothing_that_it_answered() {
    // It answers eleven, and at the next one says that it saw no more than those.
    let (server, seen) = scripted(|seen| match (seen.connection, seen.nth) {
        (0, 0..=10) => &[Answer],
        (0, 11) => &[GoAway { seen: false, reason: NO_ERROR }],
        (0, _) => &[Ignore],
        _ => &[Answer],
    })
    .await;
    let sink = HttpSink::builder(&server.url()).client(&crate::trusting()).concurrency(16).build().unwrap();
    deliver(&sink).await;
    let keys: Vec<String> = (0..60).map(|n| format!("key {n}")).collect();
    let many = delivery(keys.iter().map(|key| (key.as_str(), key.as_str())));
    assert!(sink.deliver(&many).await.unwrap().all_delivered());

    let seen = seen.lock().unwrap();
    let of_key =
        |key: &String| -> Vec<&Seen> { seen.iter().filter(|seen| seen.body.contains(&format!("{key:?}"))).collect() };
    let answered = |seen: &&&Seen| seen.connection > 0 || seen.nth <= 10;
    for key in &keys {
        assert_eq!(of_key(key).iter().filter(answered).count(), 1, "{key} has one answer");
        assert!(of_key(key).len() <= 2, "{key}");
    }
    // Of those in flight at that moment some were lost, and no others came twice.
    let twice = keys.iter().filter(|key| of_key(key).len() == 2).count();
    assert!((1..=16).contains(&twice), "{twice} came twice");
}

#[tokio::test]
async fn a_request_that_was_not_looked_at_is_sent_again_even_from_a_new_connection() {
    let scripts: [(Script, &[(usize, usize)]); 2] = [
        (
            |seen| match seen.connection {
                0 => &[GoAway { seen: false, reason: NO_ERROR }],
                _ => &[Answer],
            },
            &[(0, 0), (1, 0)],
        ),
        (
            |seen| match seen.nth {
                0 => &[Reset { reason: REFUSED_STREAM }],
                _ => &[Answer],
            },
            // The connection is well, and is used again.
            &[(0, 0), (0, 1)],
        ),
    ];
    for (script, expected) in scripts {
        let (server, seen) = scripted(script).await;
        deliver(&sink(&server.url())).await;
        assert_eq!(places(&seen), expected);
    }
}

#[tokio::test]
async fn a_request_is_sent_again_once_and_no_more() {
    let scripts: [Script; 2] =
        [|_| &[Reset { reason: REFUSED_STREAM }], |_| &[GoAway { seen: false, reason: NO_ERROR }, Close]];
    for script in scripts {
        let (server, seen) = scripted(script).await;
        failure(&sink(&server.url())).await;
        assert_eq!(seen.lock().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_new_connection_that_fails_is_the_attempt() {
    let scripts: [Script; 2] = [|_| &[Close], |_| &[GoAway { seen: true, reason: INTERNAL_ERROR }, Close]];
    for script in scripts {
        let (server, seen) = scripted(script).await;
        assert!(failure(&sink(&server.url())).await.contains("closed the connection before it answered"));
        assert_eq!(seen.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_request_that_the_server_gave_up_is_a_failed_attempt() {
    let (server, seen) = scripted(|seen| match seen.nth {
        1 => &[Reset { reason: INTERNAL_ERROR }],
        _ => &[Answer],
    })
    .await;
    let sink = sink(&server.url());
    deliver(&sink).await;
    failure(&sink).await;
    deliver(&sink).await;
    assert_eq!(places(&seen), [(0, 0), (0, 1), (0, 2)], "and its connection serves on");
}

#[tokio::test]
async fn a_connection_behind_which_nobody_is_left_is_found_out_and_replaced() {
    // Without a ping, each request would run into its timeout until the system gives the connection up, minutes later.
    let (server, seen) = scripted(|seen| match (seen.connection, seen.nth) {
        (0, 1) => &[FallSilent],
        _ => &[Answer],
    })
    .await;
    let client = Client::builder().ca_certificates(AUTHORITY).unwrap().ping_after(SHORT).build();
    let sink = HttpSink::builder(&server.url()).client(&client).build().unwrap();
    for _ in 0..3 {
        deliver(&sink).await;
    }
    assert_eq!(places(&seen), [(0, 0), (0, 1), (1, 0), (1, 1)]);
}
