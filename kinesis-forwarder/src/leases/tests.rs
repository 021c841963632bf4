use clap::Parser as _;
use kinesis_core::pipeline::stored::position;
use kinesis_core::{
    Cursor, CursorPosition, HeldLease, MemoryLeaseStore, Progress, SequenceNumber, Shard, ShardId, ShardKey,
    StartPosition, StreamId, SubscriptionRecord,
};

use super::*;
use crate::cli::{Cli, Command};

fn args(line: &str) -> LeasesCommand {
    let words = ["kinesis-forwarder", "leases"].into_iter().chain(line.split(' ')).chain(["--state", "unused"]);
    match Cli::try_parse_from(words).unwrap().command {
        Command::Leases(args) => args.command,
        other => panic!("{other:?}"),
    }
}

/// Runs a command as if on a terminal whose user says yes or no.
async fn run(store: &MemoryLeaseStore, line: &str, yes: bool) -> Result<ExitCode> {
    let opened = Opened { store: Arc::new(store.clone()), exclusive: false };
    match args(line) {
        LeasesCommand::Reset(args) => reset(&opened, &args, || Ok(yes)).await,
        LeasesCommand::Release(args) => release(&opened, &args, || Ok(yes)).await,
        LeasesCommand::List(_) => panic!("a list asks for nothing"),
    }
}

fn after(number: u64) -> CursorPosition {
    CursorPosition::Next(StartPosition::After(SequenceNumber::from(number)))
}

/// Two subscriptions on a shard that was split, one of its children begun; the parent is held.
async fn store() -> (MemoryLeaseStore, HeldLease) {
    let (store, stream) = (MemoryLeaseStore::new(), StreamId::new("orders"));
    let parent = Lease::new(&stream, &Shard::new("0"));
    let child = Lease::new(&stream, &Shard::new("1").with_parents(["0".into()]));
    for row in [&parent, &child] {
        assert!(store.create(row).await.unwrap());
    }
    for name in ["audit", "billing"] {
        let record = SubscriptionRecord::new(&stream, name.into(), StartPosition::TrimHorizon, ["0".into()]);
        assert!(store.put_subscription(None, &record).await.unwrap());
    }
    let mut held = store.claim(&parent, &"worker-1".into()).await.unwrap().unwrap();
    let progress =
        Progress::new([("audit".into(), Cursor::new(1, after(7))), ("billing".into(), Cursor::new(1, after(9)))])
            .with_children(["1".into(), "2".into()]);
    store.advance(&mut held, Some(&progress)).await.unwrap();
    (store, held)
}

/// Where a subscription is on a shard.
async fn at(store: &MemoryLeaseStore, name: &str, shard: &str) -> CursorPosition {
    let record = store.subscriptions().await.unwrap().into_iter().find(|record| record.name == name).unwrap();
    let key = ShardKey::new(&record.stream, &ShardId::from(shard));
    position(&record, &store.get(&key).await.unwrap().unwrap())
}

const HORIZON: CursorPosition = CursorPosition::Next(StartPosition::TrimHorizon);

#[tokio::test]
async fn a_reset_is_refused_while_a_worker_holds_the_lease() {
    let (store, _held) = store().await;
    let refused = run(&store, "reset --to horizon --yes", true).await.unwrap_err();
    assert!(
        refused
            .message()
            .starts_with("orders/0 is held by worker-1, which may be at work: stop it first, or give --force")
    );
    assert_eq!(at(&store, "audit", "0").await, after(7));
    run(&store, "reset --to horizon --yes --force", false).await.unwrap();
    assert_eq!((at(&store, "audit", "0").await, at(&store, "billing", "0").await), (HORIZON, HORIZON));
    // A shard that nobody holds is free to be moved on.
    run(&store, "reset --to 5 --shard 1 --yes", false).await.unwrap();
    assert_eq!(at(&store, "audit", "1").await, CursorPosition::Next(StartPosition::At(SequenceNumber::from(5))));
}

#[tokio::test]
async fn without_a_yes_nothing_is_done() {
    let (store, _held) = store().await;
    let before = (store.list().await.unwrap(), store.subscriptions().await.unwrap());
    for line in ["reset --to horizon --force", "reset --to tip --force --json", "release --force"] {
        assert_eq!(run(&store, line, false).await.unwrap(), ExitCode::from(NOT_DONE), "{line}");
        assert_eq!((store.list().await.unwrap(), store.subscriptions().await.unwrap()), before, "{line}");
    }
    run(&store, "reset --to horizon --force", true).await.unwrap();
    assert_ne!(store.subscriptions().await.unwrap(), before.1);
}

#[tokio::test]
async fn one_subscription_is_moved_alone_and_one_shard_with_what_came_from_it() {
    let (store, _held) = store().await;
    run(&store, "reset --to 3 --shard 0 --subscription audit --force --yes", false).await.unwrap();
    assert_eq!(at(&store, "audit", "0").await, CursorPosition::Next(StartPosition::At(SequenceNumber::from(3))));
    assert_eq!(at(&store, "billing", "0").await, after(9));
    let record = store.subscriptions().await.unwrap().into_iter().find(|record| record.name == "audit").unwrap();
    let sought: Vec<&str> = record.sought.keys().map(|shard| &**shard).collect();
    assert_eq!(sought, ["0", "1", "2"], "a child that has no row yet is among them");
    assert_eq!(at(&store, "audit", "1").await, HORIZON);
}

#[tokio::test]
async fn what_is_not_there_or_makes_no_sense_is_refused() {
    let (store, held) = store().await;
    for (line, says) in [
        ("reset --to 3", "a sequence number belongs to one shard: name it with --shard"),
        ("reset --to tip --shard 9", "nothing is known of such a shard of orders"),
        ("reset --to tip --subscription other", "stream orders has no such subscription; it has: audit, billing"),
        ("reset --to tip --stream other", "nothing is known of a stream other"),
    ] {
        let error = run(&store, &format!("{line} --yes --force"), false).await.unwrap_err();
        assert!(error.message().starts_with(says), "{line}: {error}");
    }
    store.create(&Lease::new(&StreamId::new("second"), &Shard::new("0"))).await.unwrap();
    let error = run(&store, "reset --to tip --yes --force", false).await.unwrap_err();
    assert_eq!(error.message(), "there are several streams: name one with --stream: orders, second");
    // It ended in an empty list of names.
    let error = run(&store, "reset --to tip --yes --force --stream second", false).await.unwrap_err();
    assert_eq!(error.message(), "nobody has subscribed to stream second yet: there is nothing to reset");
    let empty = run(&MemoryLeaseStore::new(), "reset --to tip --yes", false).await.unwrap_err();
    assert_eq!(empty.message(), "nothing is known of any stream yet");
    assert_eq!(store.get(held.key()).await.unwrap().unwrap(), *held.lease());
}

#[tokio::test]
async fn a_lease_is_let_go_and_its_owner_fenced() {
    let (store, mut held) = store().await;
    let refused = run(&store, "release --yes", true).await.unwrap_err();
    assert!(refused.message().contains("is held by worker-1"), "{refused}");
    run(&store, "release --shard 1 --yes", false).await.unwrap();
    run(&store, "release --stream other --yes", false).await.unwrap();
    assert!(store.advance(&mut held, None).await.is_ok(), "what is not named stays held");
    run(&store, "release --yes --force", false).await.unwrap();
    let row = store.get(held.key()).await.unwrap().unwrap();
    assert_eq!((row.owner, row.cursors.len()), (None, 2));
    assert_eq!(store.advance(&mut held, None).await.unwrap_err().kind(), ErrorKind::LeaseLost);
}

#[tokio::test]
async fn the_list_shows_owner_counter_and_places_in_words_and_as_json() {
    let (store, _held) = store().await;
    let view = View::of(&store, &Selection::default()).await.unwrap();
    let expected = "\
stream  shard  owner     counter  subscription  position
orders  0      worker-1  2        audit         after 7
orders  0      worker-1  2        billing       after 9
orders  1      -         0        audit         the horizon
orders  1      -         0        billing       the horizon
";
    assert_eq!(view.table(), expected);
    let json = view.json();
    assert_eq!(json["leases"][0]["owner"], "worker-1");
    assert_eq!(json["leases"][0]["children"], json!(["1", "2"]));
    let billing = json!({
        "name": "billing", "generation": 1, "paused": false, "position": { "kind": "after", "number": "9" }
    });
    assert_eq!(json["leases"][0]["subscriptions"][1], billing);
    let none = Selection { stream: Some("other".into()), shard: None };
    assert_eq!(View::of(&store, &none).await.unwrap().json(), json!({ "leases": [] }));
}
