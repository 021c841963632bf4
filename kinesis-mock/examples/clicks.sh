aws kinesis create-stream --stream-name clicks --shard-count 2
aws kinesis wait stream-exists --stream-name clicks
aws kinesis list-streams --output text --query StreamNames
aws kinesis list-shards --stream-name clicks --output text --query 'Shards[].ShardId'

shard=$(echo hello | aws kinesis put-record --stream-name clicks --partition-key visitor-7 \
    --data fileb:///dev/stdin --output text --query ShardId)
iterator=$(aws kinesis get-shard-iterator --stream-name clicks --shard-id "$shard" \
    --shard-iterator-type TRIM_HORIZON --output text --query ShardIterator)
aws kinesis get-records --shard-iterator "$iterator" --output text --query 'Records[].[PartitionKey, Data]'
