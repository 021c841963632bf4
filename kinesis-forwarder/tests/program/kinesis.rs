//! `run --stream`, `publish` and `tail`, against a server on this machine.

use kinesis_mock::{Account, Answer, MemoryStream, Server};

use crate::support::{Program, Subscriber, TempFile, events};

/// A server with one stream.
async fn server() -> (Server, MemoryStream) {
    let account = Account::new();
    let stream = account.create("orders", 2);
    (Server::start(&account).await.unwrap(), stream)
}

fn at(server: &Server, args: &[&str]) -> Vec<String> {
    let endpoint = server.endpoint();
    let stream = ["--stream", "orders", "--endpoint", &endpoint];
    args.iter().copied().chain(stream).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_stream_is_followed_until_it_is_stopped() {
    let (server, stream) = server().await;
    stream.put_all((0..20).map(|n| (format!("key-{n}"), n.to_string()))).unwrap();
    for consumer in [&[][..], &["--consumer", "tests"]] {
        let mut subscriber = Subscriber::start().await;
        let args = [&["run", "--to", subscriber.url(), "--start", "horizon"], consumer].concat();
        let program = Program::start(at(&server, &args));
        subscriber.has(20).await;
        program.signal("INT").await;
        let done = program.end().await;
        assert_eq!(done.code, Some(0), "{done:?}");
        let mut payloads: Vec<u64> = subscriber.payloads().iter().map(|text| text.parse().unwrap()).collect();
        payloads.sort_unstable();
        assert_eq!(payloads, (0..20).collect::<Vec<_>>());
        assert!(done.stdout.contains("20 records read"), "{done:?}");
    }
    assert!(server.calls("SubscribeToShard") >= 2);
}

#[tokio::test]
async fn made_up_records_and_those_of_an_input_are_put() {
    let (server, stream) = server().await;
    let done = Program::start(at(&server, &["publish", "--count", "1234"])).end().await;
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "1,234 records put on orders\n"), "{done:?}");
    let input = TempFile::with("publish.ndjson", events("a", 3));
    let done = Program::start(at(&server, &["publish", "--input", input.path()])).end().await;
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "3 records put on orders\n"), "{done:?}");
    assert_eq!(stream.shards().len(), 2);
    assert!(server.calls("PutRecords") > 1);
}

#[tokio::test]
async fn a_line_that_is_no_record_is_named_and_what_comes_before_is_put() {
    let (server, _) = server().await;
    let input = TempFile::with("publish-broken.ndjson", events("a", 2) + "{\"data\":\"no key\"}\n");
    let done = Program::start(at(&server, &["publish", "--input", input.path()])).end().await;
    assert_eq!((done.code, done.stdout.as_str()), (Some(2), "2 records put on orders\n"), "{done:?}");
    assert!(done.stderr.contains("publish-broken.ndjson, line 3, column"), "{done:?}");
    assert!(done.stderr.contains("the event has neither \"channel\" nor \"partitionKey\""), "{done:?}");
}

#[tokio::test]
async fn a_tail_prints_a_line_for_each_record_and_one_shard_alone() {
    let (server, stream) = server().await;
    let (shard, number) = stream.put("customer-7", "an order\n").unwrap();
    stream.finish();
    let all = Program::start(at(&server, &["tail", "--start", "horizon"])).end().await;
    let one = Program::start(at(&server, &["tail", "--start", "horizon", "--shard", &shard])).end().await;
    let line = format!("customer-7  {number}  2024-01-01T00:00:");
    for done in [all, one] {
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(done.stdout.starts_with(&line) && done.stdout.ends_with("Z  an order\\n\n"), "{done:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_says_why_and_what_to_do() {
    let (server, _) = server().await;
    let endpoint = server.endpoint();
    let cases: [(&[&str], &str); 5] = [
        (
            &["tail", "--stream", "odors", "--endpoint", &endpoint],
            "error: there is no stream odors in us-east-1: check",
        ),
        (&["tail", "--stream", "orders", "--endpoint", "nonsense"], "error: the endpoint \"nonsense\" is no URL"),
        (&["tail"], "error: no stream is named: give --stream or set KINESIS_STREAM_NAME"),
        (
            &["tail", "--stream", "orders", "--endpoint", "http://127.0.0.1:9"],
            "error: the stream orders in us-east-1 cannot be asked",
        ),
        (
            &["tail", "--stream", "arn:aws:sqs:x:1:q", "--endpoint", &endpoint],
            "error: arn:aws:sqs:x:1:q is not the ARN",
        ),
    ];
    for (args, beginning) in cases {
        let done = Program::start(args).end().await;
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{done:?}");
        assert!(done.stderr.starts_with(beginning), "{beginning}: {done:?}");
    }
    let shard = Program::start(at(&server, &["tail", "--shard", "shardId-9", "--start", "horizon"])).end().await;
    assert_eq!(shard.code, Some(2), "{shard:?}");
    assert!(shard.stderr.contains("shardId-9"), "{shard:?}");
}

#[tokio::test]
async fn a_stream_that_ignores_partition_keys_is_warned_about() {
    let (server, _) = server().await;
    let summary = "{\"StreamDescriptionSummary\":{\"StreamName\":\"orders\",\"StreamStatus\":\"ACTIVE\",\"OpenShardCount\":2,\
                   \"StreamARN\":\"arn:aws:kinesis:us-east-1:000000000000:stream/orders\",\"RetentionPeriodHours\":24,\
                   \"StreamCreationTimestamp\":1700000000,\"EnhancedMonitoring\":[],\"RecordDistributionStrategy\":\"AUTO\"}}";
    server.script("DescribeStreamSummary", [Answer::Body(summary.to_owned())]);
    let program = Program::start(at(&server, &["tail", "--shard", "shardId-9", "--start", "horizon"]));
    let done = program.end().await;
    assert!(done.stderr.contains("ignores their partition keys"), "{done:?}");
}
