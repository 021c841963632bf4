//! Both ends of HTTP push by themselves, for implementations of others to talk to: `.ci/peers` has the SDKs of Standard
//! Webhooks and CloudEvents verify and read what is sent, and sign and write what is received.
//!
//! `formats send URL FORMAT SECRET` posts a few awkward records and prints each as a line of JSON. `formats receive SECRET`
//! prints where it listens, and each event that it takes as a line of JSON.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use kinesis_core::{Delivery, Entry, Record, SequenceNumber, Sink, StreamId};
use kinesis_http_sink::{CloudEvents, Event, Format, HttpSink, Receiver, Secret};
use serde_json::json;
use tokio::net::TcpListener;

const USAGE: &str = "usage: formats send URL binary|structured|batch|original|lambda SECRET
       formats receive SECRET";
const ARN: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";
const SHARD: &str = "shardId-000000000006";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["send", url, format, secret] => send(url, format, secret).await,
        ["receive", secret] => receive(secret).await,
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Keys and payloads with which a careless writer or reader comes to grief.
const RECORDS: [(&str, &[u8]); 8] = [
    ("member-registered", br#"{"name":"Ana","age":7}"#),
    ("text", b"we are streaming events"),
    ("quoted \"and\" 100% spaced", br#""a JSON string with \" and \\""#),
    ("Zo\u{eb} \u{1f980}", "\u{fc}ber \u{1f980}".as_bytes()),
    ("bytes", &[0, 159, 146, 150, 255]),
    ("null", b"null"),
    ("number", b" 12345678901234567890 "),
    ("list", br#"[1, {"deep": [null, true]}]"#),
];

async fn send(url: &str, format: &str, secret: &str) -> Result<()> {
    let events = |events: CloudEvents| Format::from(events.source(ARN).type_prefix("com.example"));
    let format = match format {
        "binary" => events(CloudEvents::binary()),
        "structured" => events(CloudEvents::structured()),
        "batch" => events(CloudEvents::batch()),
        "original" => Format::original(),
        "lambda" => Format::lambda_event(ARN),
        _ => return Err(USAGE.into()),
    };
    // A receiver that changes to a new key knows one of the two.
    let retired = Secret::from_bytes(&[0; 32])?;
    let sink = HttpSink::builder(url).format(format).sign(retired).sign(secret.parse()?).ask_again([]).build()?;
    let first: SequenceNumber = "49590338271490256608559692538361571095921575989136588898".parse()?;
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_545_084_650_987);
    let record = |(nth, (key, data)): (usize, &(&str, &'static [u8]))| {
        Record::new(first.plus(nth as u64), *key, *data).with_arrived_at(at)
    };
    let records = RECORDS.iter().enumerate().map(record).collect();
    let delivery = Delivery::new(StreamId::new("orders"), SHARD, "audit", records);
    for entry in delivery.iter() {
        println!("{}", sent(&entry));
    }
    let outcomes = sink.deliver(&delivery).await?;
    if !outcomes.all_delivered() {
        return Err(format!("not all were taken: {outcomes:?}").into());
    }
    Ok(())
}

fn sent(entry: &Entry<'_>) -> serde_json::Value {
    json!({
        "id": entry.id(),
        "channel": entry.channel().to_string(),
        "partition_key": entry.partition_key.to_string(),
        "sequence_number": entry.sequence_number.to_string(),
        "data": entry.data.to_vec(),
    })
}

async fn receive(secret: &str) -> Result<()> {
    let receiver = Receiver::new().verify(secret.parse()?).fallback(|event: Event| async move {
        let taken = json!({
            "id": event.id,
            "channel": event.channel.to_string(),
            "partition_key": event.partition_key.map(|key| key.to_string()),
            "sequence_number": event.sequence_number.to_string(),
            "data": event.data.to_vec(),
        });
        println!("{taken}");
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listens on http://{}/events", listener.local_addr()?);
    let service = hyper_util::service::TowerToHyperService::new(receiver.service());
    loop {
        let (socket, _) = listener.accept().await?;
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(hyper_util::rt::TokioIo::new(socket), service.clone());
        tokio::spawn(connection);
    }
}
