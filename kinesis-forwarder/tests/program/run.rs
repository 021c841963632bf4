//! `run`: what goes in comes out, at everybody who wants it, or is left where it can be sent again.

use crate::support::{Program, Subscriber, TempFile, events, refusing, row};

const LAMBDA: &str = r#"{
  "Records": [
    {
      "kinesis": {
        "kinesisSchemaVersion": "1.0",
        "partitionKey": "member-registered",
        "sequenceNumber": "49569625073747986051284015760176917265900404709609439234",
        "data": "d2UgYXJlIHN0cmVhbWluZyBldmVudHM=",
        "approximateArrivalTimestamp": 1485507652.516
      },
      "eventSource": "aws:kinesis",
      "eventVersion": "1.0",
      "eventID": "shardId-000000000000:49569625073747986051284015760176917265900404709609439234",
      "eventName": "aws:kinesis:record",
      "invokeIdentityArn": "arn:aws:iam::123456789012:role/stream-consumer",
      "awsRegion": "ap-southeast-2",
      "eventSourceARN": "arn:aws:kinesis:ap-southeast-2:123456789012:stream/a-stream"
    }
  ]
}
"#;

const ORIGINAL: &str = concat!(
    r#"{"channel":"member-registered","#,
    r#""sequenceNumber":"49569625073747986051284015760176917265900404709609439234","#,
    r#""data":"we are streaming events","approximateArrivalTimestamp":1485507652.516}"#,
);

#[tokio::test]
async fn a_lambda_event_arrives_as_the_original_body_byte_for_byte() {
    let subscriber = Subscriber::start().await;
    let input = TempFile::with("lambda-event.json", LAMBDA);
    let to = format!("member-registered={}", subscriber.url());
    let done = Program::start(["run", "--input", input.path(), "--to", &to]).end().await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(subscriber.bodies(), [ORIGINAL]);
    assert_eq!(row(&done, subscriber.url()), [1, 0, 0, 0, 0, 0]);
    assert!(done.stdout.ends_with("1 records read\n"), "{}", done.stdout);
}

/// Numbers out of order once broke the shard's order; they must reach the subscriber as they are.
#[tokio::test]
async fn events_out_of_order_and_without_numbers_arrive_as_they_are() {
    let subscriber = Subscriber::start().await;
    let lines = [
        r#"{"channel":"a","sequenceNumber":"9","data":"nine"}"#,
        r#"{"channel":"a","sequenceNumber":"8","data":"eight"}"#,
        r#"{"channel":"a","sequenceNumber":"9","data":"//4=","encoding":"base64"}"#,
    ];
    let input =
        TempFile::with("out-of-order.ndjson", lines.join("\r\n") + "\r\n\r\n{\"partitionKey\":\"a\",\"data\":\"\"}");
    let done = Program::start(["run", "--input", input.path(), "--to", subscriber.url()]).end().await;
    assert_eq!(done.code, Some(0), "{done:?}");
    let short = r#"{"channel":"a","sequenceNumber":"4","data":""}"#;
    assert_eq!(subscriber.bodies(), [&lines[..], &[short]].concat());
}

#[tokio::test]
async fn channels_find_their_subscribers_and_the_rest_is_told() {
    let (left, right) = (Subscriber::start().await, Subscriber::start().await);
    let input = TempFile::with("channels.ndjson", [events("a", 3), events("b", 2), events("c", 1)].concat());
    let to = [format!("a={}", left.url()), format!("b={}", left.url()), format!("b={}", right.url())];
    let args = ["run", "--input", input.path(), "--to", &to[0], "--to", &to[1], "--to", &to[2]];
    let done = Program::start(args).end().await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(left.payloads(), ["0", "0", "1", "1", "2"]);
    assert_eq!(right.payloads(), ["0", "1"]);
    assert_eq!(row(&done, left.url()), [5, 1, 0, 0, 0, 0]);
    assert_eq!(row(&done, right.url()), [2, 4, 0, 0, 0, 0]);
    assert!(done.stdout.contains("1 records went nowhere: no subscriber takes \"c\"\n"), "{}", done.stdout);
}

#[tokio::test]
async fn the_channel_may_be_a_field_of_the_payload() {
    let subscriber = Subscriber::start().await;
    let input =
        "{\"partitionKey\":\"k\",\"data\":\"{\\\"type\\\":\\\"joined\\\"}\"}\n{\"partitionKey\":\"k\",\"data\":\"{}\"}";
    let input = TempFile::with("field.ndjson", input);
    let to = format!("joined={}", subscriber.url());
    let args = ["run", "--input", input.path(), "--from-json-field", "type", "--to", &to];
    let done = Program::start(args).end().await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(subscriber.bodies(), [r#"{"channel":"joined","sequenceNumber":"1","data":"{\"type\":\"joined\"}"}"#]);
}

/// With thousands of records each waiting on its own, a dead subscriber would take for ever.
#[tokio::test]
async fn a_subscriber_that_stays_down_is_given_up_and_its_records_can_be_sent_again() {
    let alive = Subscriber::start().await;
    let (_held, dead) = refusing();
    let input = TempFile::with("one-dead.ndjson", events("a", 300) + &events("b", 300));
    let dead_letters = TempFile::none("one-dead-letters.ndjson");
    let args = ["run", "--input", input.path(), "--to", alive.url(), "--to", &dead];
    let done = Program::start([&args[..], &["--max-age", "500ms", "--dead-letters", dead_letters.path()]].concat());
    let done = done.end().await;
    assert_eq!(done.code, Some(1), "{done:?}");
    assert_eq!(alive.bodies().len(), 600);
    assert_eq!(row(&done, alive.url()), [600, 0, 0, 0, 0, 0]);
    let [delivered, _, dead_lettered, failed, _, unsettled] = row(&done, &dead)[..] else { panic!("six counts") };
    assert_eq!((delivered, dead_lettered, failed, unsettled), (0, 600, 0, 0));
    let text = dead_letters.text();
    assert_eq!(text.lines().count(), 600);
    assert!(text.contains("refused") && text.contains("given up after"), "{}", text.lines().last().unwrap());

    let again = Subscriber::start().await;
    let done = Program::start(["run", "--input", dead_letters.path(), "--to", again.url()]).end().await;
    assert_eq!(done.code, Some(0), "{done:?}");
    let sorted = |subscriber: &Subscriber| {
        let mut bodies = subscriber.bodies();
        bodies.sort();
        bodies
    };
    assert_eq!(sorted(&again), sorted(&alive));
}

#[tokio::test]
async fn without_dead_letters_what_failed_is_counted() {
    let (_held, dead) = refusing();
    let input = TempFile::with("no-dead-letters.ndjson", events("a", 5));
    let done = Program::start(["run", "--input", input.path(), "--to", &dead, "--max-age", "200ms"]).end().await;
    assert_eq!(done.code, Some(1), "{done:?}");
    assert_eq!(row(&done, &dead)[3], 5);
    assert!(done.stdout.contains("at first because: given up after"), "{}", done.stdout);
    assert_eq!(done.stderr, "");
}

#[tokio::test]
async fn a_pipe_is_read_as_it_comes_with_one_dead_subscriber_of_two() {
    let mut alive = Subscriber::start().await;
    let (_held, dead) = refusing();
    let dead_letters = TempFile::none("pipe-dead-letters.ndjson");
    let args = ["run", "--input", "-", "--to", alive.url(), "--to", &dead];
    let mut program =
        Program::start([&args[..], &["--max-age", "200ms", "--dead-letters", dead_letters.path()]].concat());
    for n in 1..=20 {
        program.write(&events("a", 1)).await;
        alive.has(n).await;
    }
    let done = program.end().await;
    assert_eq!(done.code, Some(1), "{done:?}");
    assert_eq!(dead_letters.text().lines().count(), 20);
}

/// More records than any buffer on the way holds, so that memory and order are put to the test.
#[tokio::test]
async fn many_records_arrive_each_key_in_order() {
    let subscriber = Subscriber::start().await;
    let line = |n: usize| format!("{{\"partitionKey\":\"key-{}\",\"data\":\"{n}\"}}\n", n % 7);
    let input = TempFile::with("many.ndjson", (0..5_000).map(line).collect::<String>());
    let done = Program::start(["run", "--input", input.path(), "--to", subscriber.url()]).end().await;
    assert_eq!(done.code, Some(0), "{done:?}");
    let mut next: Vec<usize> = (0..7).collect();
    for body in subscriber.bodies() {
        let event: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let n: usize = event["data"].as_str().unwrap().parse().unwrap();
        assert_eq!(n, next[n % 7], "{event}");
        next[n % 7] += 7;
    }
    assert_eq!(next.iter().sum::<usize>(), (5_000..5_007).sum::<usize>());
}

#[tokio::test]
async fn an_empty_input_is_delivered_completely() {
    let done = Program::start(["run", "--input", "-", "--to", "http://127.0.0.1:9/events"]).end().await;
    assert_eq!(done.code, Some(0), "{done:?}");
}
