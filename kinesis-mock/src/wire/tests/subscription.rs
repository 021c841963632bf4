//! Records are pushed to a consumer that subscribed.

use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::types::{ChildShard, SubscribeToShardEvent, SubscribeToShardEventStream};
use tokio::time::Instant;

use super::*;

const SHARD: &str = "shardId-000000000000";

/// A registered consumer of a stream of one shard.
struct Subscriber {
    client: Client,
    http: WireClient,
    arn: String,
}

impl Subscriber {
    async fn of(stream: &MemoryStream) -> Self {
        let http = http_client(stream);
        let client = sdk(&http);
        let register = client.register_stream_consumer().stream_arn(ORDERS).consumer_name("app");
        let arn = register.send().await.unwrap().consumer.unwrap().consumer_arn;
        Self { client, http, arn }
    }

    async fn subscribe(&self, from: From, number: Option<String>) -> Result<SubscribeToShardOutput, String> {
        let position = StartingPosition::builder().r#type(from).set_sequence_number(number).build().unwrap();
        let request = self.client.subscribe_to_shard().consumer_arn(&self.arn).shard_id(SHARD);
        coded(request.starting_position(position).send().await)
    }
}

/// The next event, an error's code, or none at the end.
async fn event(subscription: &mut SubscribeToShardOutput) -> Option<Result<SubscribeToShardEvent, String>> {
    match subscription.event_stream.recv().await {
        Ok(None) => None,
        Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event))) => Some(Ok(event)),
        Ok(Some(other)) => panic!("an event of a kind that is not known: {other:?}"),
        Err(SdkError::ServiceError(error)) => Some(Err(error.err().code().unwrap().to_owned())),
        Err(error) => Some(Err(format!("{}", DisplayErrorContext(error)))),
    }
}

fn texts_of(event: &SubscribeToShardEvent) -> Vec<&str> {
    event.records.iter().map(|record| str::from_utf8(record.data.as_ref()).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn records_are_pushed_as_they_are_put() {
    let stream = MemoryStream::new("orders", 1);
    stream.put_all([("key", "0"), ("key", "1")]).unwrap();
    let mut subscription = Subscriber::of(&stream).await.subscribe(From::TrimHorizon, None).await.unwrap();
    let first = event(&mut subscription).await.unwrap().unwrap();
    assert_eq!((texts_of(&first), first.millis_behind_latest), (vec!["0", "1"], 0));
    assert_eq!(first.continuation_sequence_number(), first.records()[1].sequence_number());

    let (waiting, start) =
        (tokio::spawn(async move { (event(&mut subscription).await, subscription) }), Instant::now());
    tokio::time::sleep(Duration::from_millis(1234)).await;
    stream.put("key", "2").unwrap();
    let (pushed, _) = waiting.await.unwrap();
    assert_eq!(texts_of(&pushed.unwrap().unwrap()), ["2"]);
    assert_eq!(start.elapsed(), Duration::from_millis(1234), "pushed at once");
}

#[tokio::test(start_paused = true)]
async fn an_idle_shard_sends_heartbeats_from_which_to_go_on() {
    let stream = MemoryStream::new("orders", 1);
    let subscriber = Subscriber::of(&stream).await;
    stream.put("key", "before").unwrap();
    let (start, mut subscription) = (Instant::now(), subscriber.subscribe(From::Latest, None).await.unwrap());
    let idle = event(&mut subscription).await.unwrap().unwrap();
    assert_eq!((idle.records().len(), start.elapsed()), (0, Duration::from_secs(5)));
    drop(subscription);
    stream.put("key", "after").unwrap();
    for from in [From::AfterSequenceNumber, From::AtSequenceNumber] {
        let mut again = subscriber.subscribe(from, Some(idle.continuation_sequence_number.clone())).await.unwrap();
        assert!(texts_of(&event(&mut again).await.unwrap().unwrap()).ends_with(&["after"]));
        tokio::time::advance(Duration::from_secs(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_ends_after_exactly_five_minutes() {
    let stream = MemoryStream::new("orders", 1);
    let subscriber = Subscriber::of(&stream).await;
    let (start, mut subscription) = (Instant::now(), subscriber.subscribe(From::Latest, None).await.unwrap());
    let mut events = 0;
    while let Some(event) = event(&mut subscription).await {
        event.unwrap();
        events += 1;
    }
    assert_eq!((events, start.elapsed()), (59, Duration::from_secs(300)));
    subscriber.subscribe(From::Latest, None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_shard_comes_with_its_children_and_without_a_number() {
    let stream = MemoryStream::new("orders", 1);
    let mut subscription = Subscriber::of(&stream).await.subscribe(From::TrimHorizon, None).await.unwrap();
    stream.put("key", "last").unwrap();
    let [low, high] = stream.split(&stream.shards()[0].id).unwrap();
    let last = event(&mut subscription).await.unwrap().unwrap();
    assert_eq!(texts_of(&last), ["last"]);
    // The SDK makes an empty text of a number that is not there.
    assert_eq!(last.continuation_sequence_number(), "");
    let children: Vec<_> = last.child_shards().iter().map(ChildShard::shard_id).collect();
    assert_eq!(children, [&*low.id, &*high.id]);
    assert_eq!(last.child_shards()[0].parent_shards(), [SHARD]);
    assert!(event(&mut subscription).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_second_subscription_is_refused_for_five_seconds_and_then_takes_over() {
    let stream = MemoryStream::new("orders", 1);
    let subscriber = Subscriber::of(&stream).await;
    let mut first = subscriber.subscribe(From::Latest, None).await.unwrap();
    assert_eq!(subscriber.subscribe(From::Latest, None).await.unwrap_err(), "ResourceInUseException");
    assert_eq!(subscriber.subscribe(From::Latest, None).await.unwrap_err(), "LimitExceededException");
    tokio::time::advance(Duration::from_millis(4999)).await;
    assert_eq!(subscriber.subscribe(From::Latest, None).await.unwrap_err(), "ResourceInUseException");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(event(&mut first).await.unwrap().is_ok(), "a heartbeat of the first");
    let ending = tokio::spawn(async move { event(&mut first).await });
    tokio::task::yield_now().await;
    let start = Instant::now();
    let mut second = subscriber.subscribe(From::Latest, None).await.unwrap();
    assert!(ending.await.unwrap().is_none(), "the first ends");
    assert_eq!(start.elapsed(), Duration::ZERO);
    stream.put("key", "x").unwrap();
    assert_eq!(texts_of(&event(&mut second).await.unwrap().unwrap()), ["x"]);
}

#[tokio::test(start_paused = true)]
async fn two_consumers_do_not_disturb_each_other() {
    let stream = MemoryStream::new("orders", 1);
    let one = Subscriber::of(&stream).await;
    let register = one.client.register_stream_consumer().stream_arn(ORDERS).consumer_name("other");
    let arn = register.send().await.unwrap().consumer.unwrap().consumer_arn;
    let other = Subscriber { client: one.client.clone(), http: one.http.clone(), arn };
    let mut both = [
        one.subscribe(From::TrimHorizon, None).await.unwrap(),
        other.subscribe(From::TrimHorizon, None).await.unwrap(),
    ];
    stream.put("key", "x").unwrap();
    for subscription in &mut both {
        assert_eq!(texts_of(&event(subscription).await.unwrap().unwrap()), ["x"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_ends_with_its_consumer_and_fails_with_its_stream() {
    let account = Account::new();
    let stream = account.create("orders", 1);
    let subscriber = Subscriber::of(&stream).await;
    let mut subscription = subscriber.subscribe(From::Latest, None).await.unwrap();
    subscriber.client.deregister_stream_consumer().consumer_arn(&subscriber.arn).send().await.unwrap();
    assert!(event(&mut subscription).await.is_none());

    let subscriber = Subscriber::of(&stream).await;
    let mut subscription = subscriber.subscribe(From::Latest, None).await.unwrap();
    account.delete("orders");
    assert_eq!(event(&mut subscription).await.unwrap().unwrap_err(), "ResourceNotFoundException");
    assert!(event(&mut subscription).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_subscribed_to_is_refused() {
    let stream = MemoryStream::new("orders", 1);
    let subscriber = Subscriber::of(&stream).await;
    let rubbish = subscriber.subscribe(From::AfterSequenceNumber, Some("17".to_owned())).await;
    assert_eq!(rubbish.unwrap_err(), "InvalidArgumentException");
    let latest = || StartingPosition::builder().r#type(From::Latest).build().unwrap();
    let request = subscriber.client.subscribe_to_shard().starting_position(latest());
    let shard = request.clone().consumer_arn(&subscriber.arn).shard_id("shardId-7").send().await;
    assert_eq!(code(shard), "ResourceNotFoundException");
    let consumer = request.shard_id(SHARD).consumer_arn(format!("{ORDERS}/consumer/nobody:1")).send().await;
    assert_eq!(code(consumer), "ResourceNotFoundException");
}

#[tokio::test(start_paused = true)]
async fn events_are_capped_and_say_how_far_behind_they_are() {
    let stream = MemoryStream::new("orders", 1);
    stream.put_all((0..3).map(|_| ("key", vec![b'x'; 600 << 10]))).unwrap();
    stream.put_all((0..10_001).map(|_| ("key", "x"))).unwrap();
    let mut subscription = Subscriber::of(&stream).await.subscribe(From::TrimHorizon, None).await.unwrap();
    let mut sizes = Vec::new();
    for _ in 0..5 {
        let event = event(&mut subscription).await.unwrap().unwrap();
        sizes.push((event.records.len(), event.millis_behind_latest > 0));
    }
    assert_eq!(sizes[..2], [(1, true), (1, true)]);
    assert_eq!(sizes.iter().map(|(size, _)| size).sum::<usize>(), 10_004);
    assert_eq!(sizes.last().map(|(_, behind)| *behind), Some(false));
}

#[tokio::test(start_paused = true)]
async fn where_reads_are_limited_two_mebibytes_a_second_are_pushed() {
    let stream = MemoryStream::builder("orders").read_limits(ReadLimits::aws()).build();
    stream.put_all((0..8).map(|_| ("key", vec![0; (1 << 20) - 3]))).unwrap();
    let mut subscription = Subscriber::of(&stream).await.subscribe(From::TrimHorizon, None).await.unwrap();
    let start = Instant::now();
    for _ in 0..8 {
        event(&mut subscription).await.unwrap().unwrap();
    }
    assert_eq!(start.elapsed(), Duration::from_millis(3500));
}

#[tokio::test(start_paused = true)]
async fn a_half_open_subscription_says_nothing_more_and_stays_open() {
    let stream = MemoryStream::new("orders", 1);
    let subscriber = Subscriber::of(&stream).await;
    subscriber.http.script("SubscribeToShard", [Answer::HalfOpen(1)]);
    let mut subscription = subscriber.subscribe(From::TrimHorizon, None).await.unwrap();
    stream.put("key", "0").unwrap();
    assert_eq!(texts_of(&event(&mut subscription).await.unwrap().unwrap()), ["0"]);
    stream.put("key", "1").unwrap();
    let silence = tokio::time::timeout(Duration::from_secs(3600), event(&mut subscription)).await;
    assert!(silence.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_exception_comes_inside_the_stream_where_scripted() {
    let stream = MemoryStream::new("orders", 1);
    let subscriber = Subscriber::of(&stream).await;
    subscriber.http.add_rules([Rule::new("SubscribeToShard", Answer::interrupt(1, "InternalFailureException")).nth(1)]);
    stream.put("key", "0").unwrap();
    let mut subscription = subscriber.subscribe(From::TrimHorizon, None).await.unwrap();
    assert_eq!(texts_of(&event(&mut subscription).await.unwrap().unwrap()), ["0"]);
    assert_eq!(event(&mut subscription).await.unwrap().unwrap_err(), "InternalFailureException");
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_cut_in_a_frame_fails() {
    let stream = MemoryStream::new("orders", 1);
    stream.put("key", "0").unwrap();
    let subscriber = Subscriber::of(&stream).await;
    // In the first frame, and in the second, which has the record.
    for (cut, begins) in [(0, false), (5, false), (150, true), (300, true)] {
        subscriber.http.script("SubscribeToShard", [Answer::Cut(cut)]);
        let position = StartingPosition::builder().r#type(From::TrimHorizon).build().unwrap();
        let request = subscriber.client.subscribe_to_shard().consumer_arn(&subscriber.arn).shard_id(SHARD);
        let subscription = request.starting_position(position).send().await;
        assert_eq!(subscription.is_ok(), begins, "cut after {cut} bytes");
        if let Ok(mut subscription) = subscription {
            assert!(event(&mut subscription).await.unwrap().is_err(), "cut after {cut} bytes");
        }
        tokio::time::advance(Duration::from_secs(6)).await;
    }
}
