//! `run --table`: a stream whose leases are in DynamoDB, against servers on this machine.

use dynoxide::Database;
use kinesis_mock::{Account, Server};
use tokio::net::TcpListener;

use crate::support::{Program, Subscriber};

async fn dynamodb() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(dynoxide::server::serve_on(listener, Database::memory().unwrap()));
    endpoint
}

#[tokio::test]
async fn a_run_goes_on_where_the_one_before_it_stopped_and_its_leases_can_be_seen_and_reset() {
    let account = Account::new();
    let stream = account.create("orders", 2);
    let (server, dynamodb) = (Server::start(&account).await.unwrap(), dynamodb().await);
    let endpoint = server.endpoint();
    let kept = ["--stream", "orders", "--endpoint", &endpoint, "--table", "forwarder", "--dynamodb", &dynamodb];
    let list = [&["leases", "list", "--json"], &kept[..]].concat();
    let none = Program::start(&list).end().await;
    assert_eq!(none.code, Some(2), "{none:?}");
    assert!(none.stderr.contains("forwarder"), "the table is not there yet, and looking makes none: {none:?}");

    let put = |from: u64| stream.put_all((from..from + 20).map(|n| (format!("key-{n}"), n.to_string()))).unwrap();
    let mut subscriber = Subscriber::start().await;
    for round in 0..2 {
        put(round * 20);
        let run = [&["run", "--start", "horizon", "--to", subscriber.url()], &kept[..]].concat();
        let run = Program::start(run);
        subscriber.has(20 * (round as usize + 1)).await;
        run.signal("INT").await;
        let done = run.end().await;
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(done.stdout.contains("20 records read"), "{done:?}");
    }
    let listed = Program::start(&list).end().await;
    assert_eq!(listed.code, Some(0), "{listed:?}");
    for shown in ["shardId-000000000000", "shardId-000000000001", "http://127.0.0.1:"] {
        assert!(listed.stdout.contains(shown), "{shown}: {listed:?}");
    }
    let reset = Program::start([&["leases", "reset", "--to", "horizon", "--yes"], &kept[..]].concat()).end().await;
    assert_eq!(reset.code, Some(0), "{reset:?}");
}
