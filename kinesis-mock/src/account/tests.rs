//! An account's streams come and go.

use std::time::Duration;

use tokio::time::Instant;

use super::{Account, Phase};
use crate::MemoryStream;

#[tokio::test(start_paused = true)]
async fn a_stream_is_created_and_deleted_over_time() {
    let account = Account::builder().transition(Duration::from_secs(10)).build();
    assert!(account.begin_create("orders", 1, false).is_some());
    assert!(account.begin_create("orders", 1, false).is_none(), "the name is taken");
    let status = || account.entry("orders").map(|entry| entry.phase.status());
    assert_eq!(status(), Some("CREATING"));
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(status(), Some("ACTIVE"));
    account.enter("orders", |until| Phase::Deleting { until });
    assert_eq!(status(), Some("DELETING"));
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(status(), None);
}

#[tokio::test(start_paused = true)]
async fn without_a_transition_everything_is_done_at_once() {
    let account = Account::new();
    account.begin_create("orders", 1, false).unwrap();
    assert!(account.entry("orders").unwrap().phase.is_active());
    account.enter("orders", |until| Phase::Deleting { until });
    assert!(account.stream("orders").is_none());
    assert!(!account.delete("orders"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_created_again_is_another() {
    let made_here = Account::new();
    made_here.create("orders", 1);
    let made_elsewhere = Account::of(&MemoryStream::new("orders", 1));
    for account in [made_here, made_elsewhere] {
        let first = account.stream("orders").unwrap();
        let (_, number) = first.put("key", "x").unwrap();
        assert!(account.delete("orders"));
        let second = account.create("orders", 1);
        assert!(second.id().created_at > first.id().created_at);
        assert!(second.put("key", "x").unwrap().1 > number.plus(1 << 40));
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_of_one_stream_shows_its_time() {
    let stream = MemoryStream::new("orders", 1);
    tokio::time::advance(Duration::from_secs(7)).await;
    let account = Account::of(&stream);
    assert_eq!(account.now(), stream.now());
    assert_eq!(account.entry("orders").map(|entry| entry.phase), Some(Phase::Active));
    assert!(Phase::Updating { until: Instant::now() }.settle(Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn only_the_stream_whose_name_another_took_is_gone() {
    let account = Account::new();
    let first = account.create("orders", 1);
    account.add(&first);
    assert!(!first.is_abandoned(), "it is the same stream");
    let second = account.create("orders", 1);
    assert!(first.is_abandoned() && !second.is_abandoned());
    account.add(&first);
    assert!(second.is_abandoned() && !first.is_abandoned());
}
