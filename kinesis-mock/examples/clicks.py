import boto3

kinesis = boto3.client("kinesis")
kinesis.create_stream(StreamName="visits", ShardCount=2)
kinesis.get_waiter("stream_exists").wait(StreamName="visits")

entries = [{"PartitionKey": f"visitor-{n % 7}", "Data": f"click {n}".encode()} for n in range(100)]
assert kinesis.put_records(StreamName="visits", Records=entries)["FailedRecordCount"] == 0

# The token of a page has to come alone. boto3's paginator does not know that, so Kinesis refuses its second page.
page = kinesis.list_shards(StreamName="visits", MaxResults=1)
shards = [shard["ShardId"] for shard in page["Shards"]]
while "NextToken" in page:
    page = kinesis.list_shards(NextToken=page["NextToken"], MaxResults=1)
    shards += [shard["ShardId"] for shard in page["Shards"]]
assert shards == ["shardId-000000000000", "shardId-000000000001"], shards

# Polled:
polled = []
for shard in shards:
    place = {"StreamName": "visits", "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    iterator = kinesis.get_shard_iterator(**place)["ShardIterator"]
    polled += kinesis.get_records(ShardIterator=iterator)["Records"]

# Pushed:
stream = kinesis.describe_stream_summary(StreamName="visits")["StreamDescriptionSummary"]
consumer = kinesis.register_stream_consumer(StreamARN=stream["StreamARN"], ConsumerName="app")["Consumer"]
pushed = []
for shard in shards:
    place = {"ConsumerARN": consumer["ConsumerARN"], "ShardId": shard}
    events = kinesis.subscribe_to_shard(**place, StartingPosition={"Type": "TRIM_HORIZON"})["EventStream"]
    # A subscription goes on for five minutes; all there is comes in its first event.
    pushed += next(iter(events))["SubscribeToShardEvent"]["Records"]
    events.close()

wanted = sorted((entry["PartitionKey"], entry["Data"]) for entry in entries)
for came in (polled, pushed):
    assert sorted((record["PartitionKey"], record["Data"]) for record in came) == wanted, came

try:
    kinesis.list_shards(StreamName="odors")
    raise AssertionError("a stream that does not exist has shards")
except kinesis.exceptions.ResourceNotFoundException as refusal:
    print(f"{len(polled)} records polled, {len(pushed)} pushed. {refusal}")
