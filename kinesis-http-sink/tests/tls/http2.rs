//! HTTP/2: many requests on a connection, and what each of them does when it goes away.

use std::sync::Mutex;

use kinesis_core::Sink;
use kinesis_http_sink::{Client, HttpSink};

use crate::frames::Step::{Answer, Close, FallSilent, GoAway, Ignore, Reset};
use crate::frames::{INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, Script, Seen, scripted};
use crate::support::{SHORT, delivery};
use crate::{AUTHORITY, deliver, failure, sink};

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
