//! What has to be allowed: the least that each way of reading and writing needs, and the store of leases.
//!
//! | for | actions | on |
//! |---|---|---|
//! | every source | `kinesis:DescribeStreamSummary`, `kinesis:ListShards` | the stream |
//! | polling, and catching up beside fan-out | `kinesis:GetShardIterator`, `kinesis:GetRecords` | the stream |
//! | fan-out | `kinesis:SubscribeToShard` | the consumer |
//! | fan-out with a consumer by [name](crate::KinesisSourceBuilder::consumer) | `kinesis:DescribeStreamConsumer` | the consumer |
//! | the same, where nobody else registers it | `kinesis:RegisterStreamConsumer` | the stream |
//! | the sink | `kinesis:PutRecords`, `kinesis:DescribeStreamSummary` | the stream |
//! | leases in DynamoDB | `dynamodb:DescribeTable`, `dynamodb:GetItem`, `dynamodb:PutItem`, `dynamodb:UpdateItem`, `dynamodb:DeleteItem`, `dynamodb:Scan`, `dynamodb:Query` | the lease table and the one with `-subscriptions` behind its name |
//! | the same, where the tables may be missing | `dynamodb:CreateTable` | both tables |
//! | a stream encrypted with a key of your own | `kms:Decrypt` to read, `kms:GenerateDataKey` to write | the key |
//!
//! A consumer has an ARN of its own below that of its stream, with the second of its creation at the end, which nobody
//! knows before: hence the asterisk.
//!
//! # Polling
//!
//! ```json
//! {
//!   "Version": "2012-10-17",
//!   "Statement": [
//!     {
//!       "Effect": "Allow",
//!       "Action": [
//!         "kinesis:DescribeStreamSummary",
//!         "kinesis:ListShards",
//!         "kinesis:GetShardIterator",
//!         "kinesis:GetRecords"
//!       ],
//!       "Resource": "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"
//!     }
//!   ]
//! }
//! ```
//!
//! # Enhanced fan-out
//!
//! The statement of polling, because readers that catch up poll, and:
//!
//! ```json
//! [
//!   {
//!     "Effect": "Allow",
//!     "Action": "kinesis:RegisterStreamConsumer",
//!     "Resource": "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"
//!   },
//!   {
//!     "Effect": "Allow",
//!     "Action": ["kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"],
//!     "Resource": "arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/billing:*"
//!   }
//! ]
//! ```
//!
//! With [`consumer_arn`](crate::KinesisSourceBuilder::consumer_arn) only `kinesis:SubscribeToShard` is left of them.
//!
//! # Leases in DynamoDB
//!
//! ```json
//! {
//!   "Effect": "Allow",
//!   "Action": [
//!     "dynamodb:DescribeTable",
//!     "dynamodb:GetItem",
//!     "dynamodb:PutItem",
//!     "dynamodb:UpdateItem",
//!     "dynamodb:DeleteItem",
//!     "dynamodb:Scan",
//!     "dynamodb:Query"
//!   ],
//!   "Resource": [
//!     "arn:aws:dynamodb:eu-west-1:123456789012:table/billing",
//!     "arn:aws:dynamodb:eu-west-1:123456789012:table/billing-subscriptions"
//!   ]
//! }
//! ```
//!
//! # A stream of another account
//!
//! Name it by its ARN. The same actions have to be allowed twice: by the policy of whoever reads, and by the resource
//! policy of the stream (and of the consumer) in the account that owns it. That account's key has to allow `kms:Decrypt` too.
//!
//! # When something is not allowed
//!
//! Starting fails at once, with the action and the stream in the message. When a permission or the stream's key is taken
//! away later, the run ends with [`Denied`](kinesis_core::ErrorKind::Denied), because only somebody else can mend that.
//! Cursors are stored before: nothing is lost for whoever starts again within the retention. A session token that has
//! expired is no such refusal: it is asked for anew, and the call is made again.
