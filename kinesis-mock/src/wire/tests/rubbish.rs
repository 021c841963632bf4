//! What no client of good will sends: it is refused, and the door stays open.

use proptest::prelude::*;

use super::encodings::{CBOR, call};
use crate::Account;
use crate::wire::door::Door;

const JSON: &str = "application/x-amz-json-1.1";

/// The operations that need something of their request.
const OPERATIONS: [&str; 20] = [
    "AddTagsToStream",
    "CreateStream",
    "DecreaseStreamRetentionPeriod",
    "DeleteStream",
    "DeregisterStreamConsumer",
    "DescribeStreamConsumer",
    "DescribeStreamSummary",
    "GetRecords",
    "GetShardIterator",
    "IncreaseStreamRetentionPeriod",
    "ListStreamConsumers",
    "MergeShards",
    "PutRecord",
    "PutRecords",
    "RegisterStreamConsumer",
    "RemoveTagsFromStream",
    "SplitShard",
    "SubscribeToShard",
    "UpdateMaxRecordSize",
    "UpdateShardCount",
];

#[tokio::test(start_paused = true)]
async fn rubbish_is_refused_and_the_door_stays_open() {
    let account = Account::new();
    account.create("orders", 1);
    let door = Door::new(&account);
    for operation in OPERATIONS {
        for (content_type, body, codes) in [
            (JSON, &b"{}"[..], &["ValidationException", "InvalidArgumentException"][..]),
            (JSON, b"", &["SerializationException"]),
            (JSON, b"{\"StreamName\": 7", &["SerializationException"]),
            (JSON, b"\xff\x00", &["SerializationException"]),
            ("", b"rubbish", &["SerializationException"]),
            (CBOR, b"\xa0", &["ValidationException", "InvalidArgumentException"]),
            (CBOR, b"{}", &["SerializationException"]),
            (CBOR, b"\xbf\x61", &["SerializationException"]),
        ] {
            let (status, answer) = call(&door, content_type, operation, body).await;
            let text = String::from_utf8_lossy(&answer);
            assert_eq!(status, 400, "{operation} of {body:?}: {text}");
            assert!(codes.iter().any(|code| text.contains(code)), "{operation} of {body:?}: {text}");
        }
    }
    for (operation, status) in [("Rubbish", 400), ("", 400), ("ListStreams", 200)] {
        assert_eq!(call(&door, JSON, operation, b"{}").await.0, status);
    }
}

/// Requests that are right in parts: members of all operations with values of all kinds.
fn halfway() -> impl Strategy<Value = serde_json::Value> {
    let member = prop::sample::select(vec![
        "StreamName",
        "StreamARN",
        "ShardId",
        "ShardIterator",
        "ShardIteratorType",
        "StartingSequenceNumber",
        "Timestamp",
        "Limit",
        "Records",
        "Data",
        "PartitionKey",
        "ExplicitHashKey",
        "ShardCount",
        "TargetShardCount",
        "ScalingType",
        "ShardToSplit",
        "NewStartingHashKey",
        "ShardToMerge",
        "AdjacentShardToMerge",
        "NextToken",
        "MaxResults",
        "ShardFilter",
        "Type",
        "ConsumerName",
        "ConsumerARN",
        "StartingPosition",
        "SequenceNumber",
        "RetentionPeriodHours",
        "MaxRecordSizeInKiB",
        "Tags",
        "TagKeys",
        "StreamModeDetails",
        "StreamMode",
    ]);
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-3..30_i64).prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,8}".prop_map(Into::into),
        prop::sample::select(vec![
            "orders",
            "arn:aws:kinesis:us-east-1:000000000000:stream/orders",
            "shardId-000000000000",
            "TRIM_HORIZON",
            "AT_TIMESTAMP",
            "AT_SEQUENCE_NUMBER",
            "AFTER_SHARD_ID",
            "UNIFORM_SCALING",
            "ON_DEMAND",
            "e30=",
            "eyJ9",
        ])
        .prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 32, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
            prop::collection::vec((member.clone(), inner), 1..8).prop_map(|members| {
                members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_request_makes_it_panic(
        operation in prop::sample::select(OPERATIONS.to_vec()),
        value in halfway(),
        noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        is_cbor in any::<bool>(),
    ) {
        let mut body = Vec::new();
        if is_cbor {
            ciborium::into_writer(&value, &mut body).unwrap();
        } else {
            body = value.to_string().into_bytes();
        }
        for (at, byte) in noise {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (status, _) = runtime.block_on(async {
            let account = Account::new();
            account.create("orders", 2);
            let door = Door::new(&account);
            let status = call(&door, if is_cbor { CBOR } else { JSON }, operation, &body).await;
            assert_eq!(call(&door, JSON, "ListStreams", b"{}").await.0, 200);
            status
        });
        prop_assert!(status == 200 || status == 400, "{}", status);
    }
}
