//! Errors: what moves the cursor, what repeats, and what may be read in a log.

use std::error::Error as _;
use std::time::{Duration, UNIX_EPOCH};

use tokio::time::timeout;

use super::Fault;
use super::rig::Rig;
use crate::conformance::check::{Kept, checks, ensure};
use crate::error::{Error, ErrorKind};
use crate::record::SequenceNumber;
use crate::shard::{ShardId, StartPosition};

checks! { "errors", Rig;
    E1 [Faults] an_error_moves_nothing: "after an error that may pass, the next read continues without a gap and without a \
        repeat";
    E2 [Faults] throttling_says_so: "throttling is told as `Throttled`, with the wait where the backend knows it";
    E3 [Faults] a_permanent_error_repeats: "a permanent error repeats; it does not turn into an empty batch";
    E4 errors_can_be_shown: "an error is one line without secrets, and a failure of the backend keeps its cause";
    E5 foreign_positions_do_not_panic: "positions of another stream are refused or read from, without a panic";
}

async fn an_error_moves_nothing(rig: Rig) -> Kept {
    let puts = rig.fill(12).await;
    let mut tail = rig.open_at_horizon(&puts[0].shard).await?;
    for (nth, pair) in puts.chunks(2).enumerate() {
        rig.harness.fail(if nth % 2 == 0 { Fault::Transient } else { Fault::Throttled }).await;
        tail.expect_by(pair, 2).await?;
    }
    tail.expect_nothing().await
}

async fn throttling_says_so(rig: Rig) -> Kept {
    let puts = rig.fill(2).await;
    let mut tail = rig.open_at_horizon(&puts[0].shard).await?;
    rig.harness.fail(Fault::Throttled).await;
    // A wrapper that tries again by itself shows nothing of it.
    let Err(error) = tail.read_once(1).await else { return Ok(()) };
    let throttled = matches!(error.kind(), ErrorKind::Throttled { .. });
    ensure!(throttled, "throttling came as {}: {}", error.kind(), error.chain());
    ensure!(error.retry_after() != Some(Duration::ZERO), "throttling asks to wait for nothing");
    Ok(())
}

async fn a_permanent_error_repeats(rig: Rig) -> Kept {
    let puts = rig.fill(2).await;
    let mut tail = rig.open_at_horizon(&puts[0].shard).await?;
    tail.expect_by(&puts[..1], 1).await?;
    rig.harness.fail(Fault::Permanent).await;
    let mut answer = tail.read_once(1).await;
    if answer.as_ref().is_ok_and(|batch| !batch.records.is_empty()) {
        // A source that is pushed to had it before it was broken.
        answer = tail.read_once(1).await;
    }
    for nth in 1..=3 {
        if nth > 1 {
            answer = tail.read_once(1).await;
        }
        let refused = answer.as_ref().is_err_and(|error| !error.kind().is_retryable());
        ensure!(refused, "with the source broken for good, read {nth} gave {answer:?}");
    }
    Ok(())
}

async fn errors_can_be_shown(rig: Rig) -> Kept {
    let puts = rig.fill(2).await;
    let unknown = ShardId::from("shardId-000000999999");
    if let Err(error) = rig.source.open_shard(&unknown, StartPosition::TrimHorizon).await {
        can_be_shown(&rig, &error)?;
    }
    if !rig.caps().faults {
        return Ok(());
    }
    let mut tail = rig.open_at_horizon(&puts[0].shard).await?;
    for fault in [Fault::Throttled, Fault::Transient, Fault::Permanent] {
        rig.harness.fail(fault).await;
        if let Err(error) = tail.read_once(1).await {
            can_be_shown(&rig, &error)?;
            ensure!(error.source().is_some(), "a failure of the backend has no cause: {error}");
        }
    }
    Ok(())
}

fn can_be_shown(rig: &Rig, error: &Error) -> Kept {
    let text = error.to_string();
    ensure!(!text.trim().is_empty() && !text.contains('\n'), "an error is not one line: {text:?}");
    let told = [text, error.chain(), format!("{error:?}")];
    // Which one is not said: a report is read by others too.
    let secret = rig.harness.secrets().iter().any(|secret| told.iter().any(|text| text.contains(secret.as_str())));
    ensure!(!secret, "an error tells one of the secrets that the harness names");
    Ok(())
}

async fn foreign_positions_do_not_panic(rig: Rig) -> Kept {
    let shard = rig.fill(2).await.remove(0).shard;
    let foreign = |text: &str| text.parse::<SequenceNumber>().expect("a number of at most 129 digits");
    let numbers = [
        SequenceNumber::ZERO,
        SequenceNumber::ZERO.with_sub(u64::MAX),
        foreign("49590338271490256608559692538361571095921575989136588898"),
        foreign(&"9".repeat(129)),
        foreign(&"9".repeat(129)).with_sub(u64::MAX),
    ];
    let at_numbers = numbers.iter().flat_map(|n| [StartPosition::At(*n), StartPosition::After(*n)]);
    let centuries = Duration::from_secs(300 * 365 * 24 * 60 * 60);
    let at_times = [UNIX_EPOCH, UNIX_EPOCH + centuries].map(StartPosition::Timestamp);
    for from in at_numbers.chain(at_times) {
        // Whether it is refused is the source's affair, and a reader that parks has its say too.
        if let Ok(mut reader) = rig.try_open(&shard, from).await {
            let _ = timeout(rig.harness.patience(), reader.read_once(1)).await;
        }
    }
    Ok(())
}
