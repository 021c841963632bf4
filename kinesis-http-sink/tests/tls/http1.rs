//! HTTP/1.1 over TLS: a connection that died is found out, and costs a request no attempt.

use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt;

use crate::server::{self, GOOD, H1, Server};
use crate::{deliver, failure, sink};

/// What a server says to the requests of a connection one after another; then it closes.
type Script = fn(usize) -> &'static [&'static str];

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A server by script, and each request with the number of its connection.
async fn scripted(script: Script, politely: bool) -> (Server, Arc<Mutex<Vec<(usize, String)>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&seen);
    let server = Server::start(GOOD, H1, move |mut tls, nth| {
        let all = Arc::clone(&all);
        async move {
            for answer in script(nth) {
                let Some(request) = server::read_request(&mut tls).await else { return };
                all.lock().unwrap().push((nth, request));
                tls.write_all(answer.as_bytes()).await.unwrap();
                tls.flush().await.unwrap();
            }
            if politely {
                tls.shutdown().await.unwrap();
            } else {
                tls.get_ref().0.set_zero_linger().unwrap();
            }
        }
    })
    .await;
    (server, seen)
}

#[tokio::test]
async fn a_request_that_a_reused_connection_swallowed_is_sent_again_at_once() {
    for politely in [true, false] {
        // The second request of the first connection is read, and then the connection is closed.
        let (_server, seen) = scripted(|nth| if nth == 0 { &[OK, ""] } else { &[OK] }, politely).await;
        let sink = sink(&_server.url());
        deliver(&sink).await;
        deliver(&sink).await;
        let seen = seen.lock().unwrap();
        assert_eq!(seen.iter().map(|(nth, _)| *nth).collect::<Vec<_>>(), [0, 0, 1], "politely: {politely}");
        assert_eq!(seen[1].1, seen[2].1, "the same request, its id included");
    }
}

#[tokio::test]
async fn a_request_is_sent_again_once_and_no_more() {
    let (server, seen) = scripted(|nth| if nth == 0 { &[OK, ""] } else { &[""] }, true).await;
    let sink = sink(&server.url());
    deliver(&sink).await;
    assert!(failure(&sink).await.contains("closed the connection before it answered"));
    assert_eq!(seen.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_new_connection_that_fails_is_the_attempt() {
    let (server, seen) = scripted(|_| &[""], true).await;
    assert!(failure(&sink(&server.url())).await.contains("closed the connection before it answered"));
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_request_that_was_half_answered_is_not_sent_again() {
    let (server, seen) = scripted(|_| &[OK, "HTTP/1.1 20"], true).await;
    let sink = sink(&server.url());
    deliver(&sink).await;
    failure(&sink).await;
    assert_eq!(seen.lock().unwrap().len(), 2);
}
