//! Sends hostile requests to a receiver that runs: whatever comes, it answers, goes on, and keeps its size.

use std::process::ExitCode;

use kinesis_tests::hostile::attack;
use tokio::time::Instant;

const USAGE: &str = "usage: hostile [--requests N] [--from S]

  --requests N  how many are sent (default 100,000)
  --from S      the first seed, one for each request (default 0)";

#[tokio::main]
async fn main() -> ExitCode {
    let (requests, from) = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let begun = Instant::now();
    let told = attack(requests, from).await;
    for violation in told.violations.iter().take(20) {
        println!("{violation}");
    }
    for (status, times) in &told.statuses {
        println!("{status}: {times}");
    }
    println!(
        "{requests} hostile requests, {} without an answer; {} good ones between them",
        told.unanswered, told.good
    );
    println!("memory grew by {} MiB; {:.1} s", told.grown >> 20, begun.elapsed().as_secs_f64());
    if told.violations.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("{} violations; one seed again: --requests 1 --from SEED", told.violations.len());
    ExitCode::FAILURE
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<(u64, u64), String> {
    let (mut requests, mut from) = (100_000, 0);
    while let Some(arg) = args.next() {
        let value = args.next().ok_or_else(|| format!("{arg} wants a value"))?;
        let number = value.parse().map_err(|_| format!("{arg} wants a number, not {value:?}"))?;
        match arg.as_str() {
            "--requests" => requests = number,
            "--from" => from = number,
            _ => return Err(format!("unknown argument {arg:?}")),
        }
    }
    Ok((requests, from))
}
