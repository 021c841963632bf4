//! The server as such: its protocols, its faults, its end, and what it makes of rubbish.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

mod common;

use std::time::Duration;

use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, ShardIteratorType};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kinesis_mock::{Account, Answer, Rule, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use common::{code, sdk};

async fn served() -> (Server, aws_sdk_kinesis::Client) {
    let account = Account::new();
    account.create("orders", 1);
    let server = Server::start(&account).await.unwrap();
    let client = sdk(&server.endpoint());
    (server, client)
}

#[tokio::test]
async fn it_speaks_http_2_to_whoever_knows_beforehand() {
    let (server, _) = served().await;
    let socket = TcpStream::connect(server.address()).await.unwrap();
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::post(server.endpoint())
        .header("x-amz-target", "Kinesis_20131202.ListStreams")
        .header("content-type", "application/x-amz-json-1.1")
        .body(Full::new(Bytes::from_static(b"{}")))
        .unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!((response.version(), response.status().as_u16()), (hyper::Version::HTTP_2, 200));
    assert!(response.headers().contains_key("x-amzn-requestid"));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(str::from_utf8(&body).unwrap().contains(r#""StreamNames":["orders"]"#));
}

#[tokio::test]
async fn ten_mebibytes_come_and_go_in_one_request() {
    let (server, client) = served().await;
    let entry =
        |size| PutRecordsRequestEntry::builder().partition_key("k").data(Blob::new(vec![7; size])).build().unwrap();
    let records = (0..10).map(|_| entry((1 << 20) - 1)).collect();
    let put = client.put_records().stream_name("orders").set_records(Some(records)).send().await.unwrap();
    assert_eq!(put.failed_record_count(), Some(0));
    let iterator = client.get_shard_iterator().stream_name("orders").shard_id("shardId-000000000000");
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
    let read = client.get_records().set_shard_iterator(iterator.shard_iterator).send().await.unwrap();
    assert_eq!(read.records.iter().map(|record| record.data.as_ref().len()).sum::<usize>(), (10 << 20) - 10);
    assert_eq!((server.calls("PutRecords"), server.calls("GetRecords")), (1, 1));
    let too_many = (0..11).map(|_| entry(1 << 20)).collect();
    let refused = client.put_records().stream_name("orders").set_records(Some(too_many)).send().await;
    assert_eq!(code(refused), "InvalidArgumentException");
}

#[tokio::test]
async fn a_request_that_is_too_long_is_refused() {
    let (server, client) = served().await;
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    let head =
        "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: Kinesis_20131202.PutRecord\r\ncontent-length: 40000000\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = socket.into_split();
    let writing = tokio::spawn(async move {
        for _ in 0..40 {
            if writer.write_all(&[b' '; 1_000_000]).await.is_err() {
                break;
            }
        }
    });
    let mut answer = [0; 12];
    reader.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    writing.abort();
    client.list_streams().send().await.unwrap();
}

#[tokio::test]
async fn faults_by_script_reach_the_socket() {
    let (server, client) = served().await;
    server.script("ListStreams", [Answer::Drop, Answer::DropReply, Answer::Cut(0), Answer::Cut(20)]);
    for fault in 0..4 {
        let error = client.list_streams().send().await.unwrap_err();
        assert!(matches!(error, SdkError::DispatchFailure(_) | SdkError::ResponseError(_)), "fault {fault}: {error:?}");
    }
    server.script("ListStreams", [Answer::Hang, Answer::Stall(20)]);
    for _ in 0..2 {
        let call = client.list_streams().send();
        assert!(tokio::time::timeout(Duration::from_millis(200), call).await.is_err());
    }
    server.add_rules([
        Rule::new("ListStreams", Answer::Delay(Duration::from_millis(150))).nth(7),
        Rule::new("ListStreams", Answer::fail("ExpiredTokenException")).from(8),
    ]);
    let start = Instant::now();
    client.list_streams().send().await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(150));
    assert_eq!(code(client.list_streams().send().await), "ExpiredTokenException");
    assert_eq!(server.calls("ListStreams"), 8);
}

#[tokio::test]
async fn a_lost_reply_was_applied() {
    let (server, client) = served().await;
    server.script("CreateStream", [Answer::Drop, Answer::DropReply]);
    let create = || client.create_stream().stream_name("second").shard_count(1).send();
    create().await.unwrap_err();
    assert!(server.account().stream("second").is_none());
    create().await.unwrap_err();
    assert!(server.account().stream("second").is_some());
}

#[tokio::test]
async fn rubbish_and_broken_connections_do_not_kill_it() {
    let (server, client) = served().await;
    for rubbish in [
        &b"\x00\xff\x16\x03\x01"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 100\r\n\r\n{",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrubbish",
        b"",
    ] {
        let mut socket = TcpStream::connect(server.address()).await.unwrap();
        socket.write_all(rubbish).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // It may answer or break the connection, but it has to let go.
        let reading = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut answer)).await;
        assert!(reading.is_ok(), "{rubbish:?}");
    }
    assert_eq!(client.list_streams().send().await.unwrap().stream_names(), ["orders"]);
}

#[tokio::test]
async fn it_stops_when_it_is_dropped_and_another_can_take_its_place() {
    let (server, client) = served().await;
    client.list_streams().send().await.unwrap();
    let (account, address) = (server.account().clone(), server.address());
    let taken = Server::bind(&account, address).await.unwrap_err();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    drop(server);
    tokio::task::yield_now().await;
    client.list_streams().send().await.unwrap_err();
    let server = Server::bind(&account, address).await.unwrap();
    assert_eq!(sdk(&server.endpoint()).list_streams().send().await.unwrap().stream_names(), ["orders"]);
}
