//! The contract of a lease store.

use std::sync::Arc;

use async_trait::async_trait;
use kinesis_core::LeaseStore;
use kinesis_core::conformance::{self, leases::Harness};

use super::rig::Server;
use crate::DynamoLeaseStore;

struct InDynamo(Arc<DynamoLeaseStore>);

#[async_trait]
impl Harness for InDynamo {
    fn store(&self) -> Arc<dyn LeaseStore> {
        Arc::clone(&self.0) as _
    }
}

#[tokio::test]
async fn it_conforms() {
    conformance::leases(async || InDynamo(Server::start().await.many_streams().await)).await;
}

/// Every lease as one with a thousand subscriptions: its cursors are apart, and most progress leaves the lease alone.
#[tokio::test]
async fn it_conforms_with_all_cursors_in_the_second_table() {
    conformance::leases(async || InDynamo(Server::start().await.apart(true).await)).await;
}
