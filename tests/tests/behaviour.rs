//! The table of behaviours against kinesis-mock, which deviates nowhere; and what is said of others.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::Path;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use kinesis_core::wall_clock;
use kinesis_mock::{Account, Answer, ReadLimits, Rule, Server, WriteLimits};
use kinesis_tests::behaviour::{Backend, DEVIATIONS, Deviation, Outcome, Peer, ROWS, Row, client, judge, table};
use tokio::task::{JoinSet, LocalSet};

/// An account that limits what the service limits. To put ten mebibytes takes ten seconds then.
fn account(limits_writes: bool) -> Account {
    let account = Account::builder().start_time(wall_clock::now()).read_limits(ReadLimits::aws());
    if limits_writes { account.write_limits(WriteLimits::aws()) } else { account }.build()
}

fn row(name: &str) -> &'static Row {
    ROWS.iter().find(|row| row.name == name).expect("there is such a row")
}

/// In this process, on a paused clock, so that five minutes are over at once.
#[tokio::test(start_paused = true)]
async fn every_row_holds_with_the_time_sped_up() {
    let mut deviations = Vec::new();
    for row in ROWS {
        let backend = Backend::new(client(|config| config.http_client(account(true).http_client())));
        if let Err(does) = row.run(&backend).await {
            deviations.push((row.name, does));
        }
    }
    assert_eq!(deviations, []);
}

/// All rows at a time, because some of them wait for seconds.
#[tokio::test]
async fn every_row_that_takes_less_than_a_minute_holds_over_a_socket() {
    let mut rows = JoinSet::new();
    let local = LocalSet::new();
    for row in ROWS.iter().filter(|row| !row.slow) {
        let deviation = async move {
            let server = Server::start(&account(row.name == "mebibyte-written")).await.unwrap();
            let backend = Backend::new(client(|config| config.endpoint_url(server.endpoint())));
            row.run(&backend).await.err().map(|does| (row.name, does))
        };
        rows.spawn_local_on(deviation, &local);
    }
    let deviations: Vec<_> = local.run_until(rows.join_all()).await.into_iter().flatten().collect();
    assert_eq!(deviations, []);
}

/// An account without limits is like a server that lacks them.
#[tokio::test(start_paused = true)]
async fn what_a_server_does_otherwise_is_noticed_and_so_is_that_it_no_longer_does() {
    let unlimited = Backend::new(client(|config| config.http_client(Account::new().http_client())));
    let limited = Backend::new(client(|config| config.http_client(account(true).http_client())));
    for name in ["five-reads", "mebibyte-written"] {
        let row = row(name);
        let listed = DEVIATIONS.iter().find(|known| known.peer == Peer::Kinesalite && known.row == name).unwrap();
        let deviates = row.run(&unlimited).await;
        assert_eq!(judge(Peer::Kinesalite, row, deviates.clone(), DEVIATIONS), Outcome::AsListed(*listed));
        let unlisted = Outcome::Unlisted(listed.does.to_owned());
        assert_eq!(judge(Peer::KinesisMock, row, deviates.clone(), DEVIATIONS), unlisted);
        let otherwise = [Deviation { does: "something else", ..*listed }];
        assert_eq!(judge(Peer::Kinesalite, row, deviates, &otherwise), unlisted);
        let holds = row.run(&limited).await;
        assert_eq!(judge(Peer::Kinesalite, row, holds.clone(), DEVIATIONS), Outcome::NoLonger(*listed));
        assert_eq!(judge(Peer::KinesisMock, row, holds, DEVIATIONS), Outcome::Holds);
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_ends_though_the_server_says_nothing() {
    let http = account(true).http_client();
    http.add_rules([Rule::new("*", Answer::Hang)]);
    let silent = Backend::new(client(|config| config.http_client(http)));
    for row in ROWS {
        assert_eq!(row.run(&silent).await.unwrap_err().what(), "says nothing for too long", "{row:?}");
    }
}

#[test]
fn rows_and_deviations_have_names_of_their_own() {
    let rows: BTreeSet<_> = ROWS.iter().map(|row| row.name).collect();
    assert_eq!(rows.len(), ROWS.len());
    let deviations: BTreeSet<_> = DEVIATIONS.iter().map(|known| (known.peer.to_string(), known.row)).collect();
    assert_eq!(deviations.len(), DEVIATIONS.len());
    assert!(DEVIATIONS.iter().all(|known| rows.contains(known.row) && known.peer != Peer::KinesisMock));
}

/// What `cargo run -p kinesis-tests --example behaviour -- --table` prints.
#[test]
fn the_guide_of_the_mock_lists_every_deviation() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kinesis-mock/src/guide/other_servers.rs");
    let page = std::fs::read_to_string(path).unwrap();
    let wanted: String = table().lines().map(|line| format!("//! {line}\n")).collect();
    assert!(page.contains(&wanted), "kinesis-mock/src/guide/other_servers.rs lacks this table:\n{wanted}");
}

/// Of ours alone: where 1,500 records take more than a second, nothing can be told.
#[tokio::test(start_paused = true)]
async fn a_shard_takes_a_thousand_records_a_second() {
    let account = account(true);
    account.create("orders", 1);
    let client = client(|config| config.http_client(account.http_client()));
    let entry = |_| PutRecordsRequestEntry::builder().partition_key("k").data(Blob::new("x")).build().unwrap();
    let mut refused = Vec::new();
    for _ in 0..3 {
        let put = client.put_records().stream_name("orders").set_records(Some((0..500).map(entry).collect()));
        refused.extend(put.send().await.unwrap().failed_record_count());
    }
    assert_eq!(refused, [0, 0, 500]);
}
