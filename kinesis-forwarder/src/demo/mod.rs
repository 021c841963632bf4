//! `demo`: the whole way on one machine, with a subscriber that is down at first and a split on the way.

mod story;
mod subscriber;

use std::process::ExitCode;
use std::time::Duration;

use kinesis_core::{ChannelFrom, Error, Pipeline, Result};
use kinesis_mock::MemoryStream;
use tokio::time::Instant;

use crate::cli::Demo;
use crate::output::{say, table};
use story::{CHANNELS, Put};
use subscriber::Subscriber;

/// How many shards the stream starts with.
const SHARDS: usize = 4;
/// The channels that the third subscriber takes.
const CHOSEN: [&str; 2] = [CHANNELS[0], CHANNELS[1]];
/// What takes longer than this, and so much for each record, is broken; then the demo ends and tells what is missing.
const TOO_LONG: Duration = Duration::from_secs(60);
const A_RECORD: Duration = Duration::from_millis(5);

/// Puts records on a stream in memory, delivers them to three subscribers on this machine, and checks what arrived.
///
/// # Errors
///
/// When this machine gives no ports, and when the pipeline fails.
pub async fn demo(args: Demo) -> Result<ExitCode> {
    play(args.records.get(), Pace { putting: Duration::from_secs(7), down: Duration::from_secs(2) }).await
}

/// How long things take.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Records are put.
    putting: Duration,
    /// The second subscriber is down.
    down: Duration,
}

async fn play(records: usize, pace: Pace) -> Result<ExitCode> {
    let started = Instant::now();
    let limit = TOO_LONG + A_RECORD * u32::try_from(records).unwrap_or(u32::MAX);
    let subscribers = [
        Subscriber::start("audit", None, started, started).await?,
        Subscriber::start("billing", None, started, started + pace.down).await?,
        Subscriber::start("welcome", Some(&CHOSEN), started, started).await?,
    ];
    say(&introduction(&subscribers, pace));

    let stream = MemoryStream::new("members", SHARDS);
    let mut pipeline = Pipeline::builder("demo", stream.clone()).channel_from(ChannelFrom::json_field("type"));
    for subscriber in &subscribers {
        pipeline = pipeline.subscribe(subscriber.subscription()?);
    }
    let pipeline = pipeline.build()?;
    let story = tokio::spawn(story::tell(stream, records, pace.putting, started));
    let summary = pipeline.run_until(tokio::time::sleep(limit)).await?;
    let put = story.await.map_err(|gone| Error::permanent("the demo's producer broke off").because(gone))??;
    say(&format!("{}  the stream is read to its end\n\n{}\n", since(started), table(&summary)));
    Ok(judge(&subscribers, &put))
}

fn introduction(subscribers: &[Subscriber; 3], pace: Pace) -> String {
    let mut text = format!("A stream of {SHARDS} shards in memory, and three subscribers on this machine:\n\n");
    let but_down = format!("every channel, but is down for the first {} s", pace.down.as_secs_f64());
    let takes = ["every channel", &but_down, &CHOSEN.join(" and ")];
    for (subscriber, takes) in subscribers.iter().zip(takes) {
        text.push_str(&format!("  {:<8} {}  takes {takes}\n", subscriber.name(), subscriber.url()));
    }
    text.push_str(&format!(
        "\nFor {} s records are put. Each is about one member, its partition key; its channel is in the payload.\n\
         In the end every subscriber must have every record of its channels, each member's in order.\n\n",
        pace.putting.as_secs_f64()
    ));
    text
}

/// Says of each subscriber what it got; the exit code is 0 when each got everything in order.
fn judge(subscribers: &[Subscriber], put: &[Put]) -> ExitCode {
    let mut fine = true;
    for subscriber in subscribers {
        let verdict = subscriber.verdict(put);
        fine &= verdict.is_ok();
        let (Ok(line) | Err(line)) = verdict;
        say(&format!("{:<8} {line}\n", subscriber.name()));
    }
    if fine {
        say("\nEvery subscriber has every record of its channels, each member's in order.\n");
        ExitCode::SUCCESS
    } else {
        say("\nThis is not what it must be: something is missing or out of order.\n");
        ExitCode::FAILURE
    }
}

/// The time since `start`, as the lines of the demo begin.
fn since(start: Instant) -> String {
    format!("{:>5.1} s", start.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_demo_comes_out_well() {
        let pace = Pace { putting: Duration::from_millis(200), down: Duration::from_millis(100) };
        assert_eq!(play(300, pace).await.unwrap(), ExitCode::SUCCESS);
    }
}
