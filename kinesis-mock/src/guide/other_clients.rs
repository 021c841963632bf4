//! boto3 and the AWS command line.
//!
//! Both talk to the program `kinesis-mock` as they talk to Kinesis, once they know where it is:
//!
//! ```text
//! cargo run -p kinesis-mock --features server -- --listen 127.0.0.1:4567 --stream orders:2 --limits aws
//! ```
//!
//! Any credentials and any region do, but there have to be some:
//!
//! ```sh
//! export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_DEFAULT_REGION=us-east-1
//! export AWS_ENDPOINT_URL_KINESIS=http://127.0.0.1:4567
//! ```
//!
//! # The AWS command line
//!
//! `kinesis-mock/examples/clicks.sh`:
//!
//! ```sh
#![doc = include_str!("../../examples/clicks.sh")]
//! ```
//!
//! It prints the names of both streams, the ids of the new one's shards, and what was put, in base64:
//!
//! ```text
//! clicks  orders
//! shardId-000000000000    shardId-000000000001
//! visitor-7       aGVsbG8K
//! ```
//!
//! # boto3
//!
//! `kinesis-mock/examples/clicks.py`, which puts records and has them back, polled and pushed:
//!
//! ```python
#![doc = include_str!("../../examples/clicks.py")]
//! ```
//!
//! Both are run with boto3 1.44.8 and version 1.46.2 of the command line. That `list_shards` cannot be paginated by
//! `get_paginator` is [boto3's own](https://github.com/boto/botocore/issues/2009): it sends the stream's name together with the
//! token, which the service refuses, and so does this crate. The command line's `--page-size` does the same.
