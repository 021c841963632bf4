//! Asks a server, row by row, whether it does what the service does, and compares what it does instead with what is known.

use std::process::ExitCode;

use kinesis_tests::behaviour::{Backend, DEVIATIONS, Outcome, Peer, ROWS, Row, client, judge, table};
use tokio::time::Instant;

const USAGE: &str =
    "usage: behaviour --server kinesis-mock|kinesalite|kinesis-local --endpoint URL [--speed N] [--row NAME]
       behaviour --table

  --server NAME   whose deviations are known
  --endpoint URL  where it listens, such as http://127.0.0.1:4567
  --speed N       its time runs N times as fast: asks only what takes five minutes, which is else left out
  --row NAME      asks this alone
  --table         prints what is known of all servers, for the documentation";

struct Options {
    server: Peer,
    endpoint: String,
    speed: Option<u32>,
    row: Option<&'static Row>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("--table") {
        print!("{}", table());
        return ExitCode::SUCCESS;
    }
    match parse(std::env::args().skip(1)) {
        Ok(options) => run(&options).await,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

async fn run(options: &Options) -> ExitCode {
    let server = options.server;
    let backend = Backend::new(client(|config| config.endpoint_url(&options.endpoint)));
    let backend = backend.with_speed(options.speed.unwrap_or(1));
    let (mut held, mut listed, mut wrong) = (0, 0, 0);
    let asked = ROWS.iter().filter(|row| row.slow == options.speed.is_some());
    for row in asked.filter(|row| options.row.is_none_or(|only| only.name == row.name)) {
        let start = Instant::now();
        let outcome = judge(server, row, row.run(&backend).await, DEVIATIONS);
        let seconds = start.elapsed().as_secs_f64();
        let (word, told) = match &outcome {
            Outcome::Holds => ("ok", row.rule.to_owned()),
            Outcome::AsListed(known) => ("deviates", known.does.to_owned()),
            Outcome::Unlisted(does) => ("UNLISTED", format!("{does}. The service: {} ({})", row.rule, row.source)),
            Outcome::NoLonger(known) => ("NO LONGER", format!("it does what the service does; listed: {}", known.does)),
        };
        match outcome {
            Outcome::Holds => held += 1,
            Outcome::AsListed(_) => listed += 1,
            Outcome::Unlisted(_) | Outcome::NoLonger(_) => wrong += 1,
        }
        println!("{word:9} {:22} {seconds:4.1} s  {told}", row.name);
    }
    println!("{server}: {held} rows ok, {listed} deviate as listed, {wrong} otherwise than listed");
    if wrong == 0 {
        return ExitCode::SUCCESS;
    }
    eprintln!("Find out whose that is, then correct the server or tests/src/behaviour/deviations.rs.");
    ExitCode::FAILURE
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let (mut server, mut endpoint, mut speed, mut row) = (None, None, None, None);
    while let Some(arg) = args.next() {
        let value = args.next().ok_or_else(|| format!("{arg} wants a value"))?;
        match arg.as_str() {
            "--server" => server = Some(value.parse()?),
            "--endpoint" => endpoint = Some(value),
            "--speed" => {
                let number = value.parse().ok().filter(|number| *number > 0);
                speed = Some(number.ok_or_else(|| format!("--speed wants a number from 1 on, not {value:?}"))?);
            }
            "--row" => {
                let found = ROWS.iter().find(|row| row.name == value);
                row = Some(found.ok_or_else(|| format!("there is no row {value:?}"))?);
            }
            _ => return Err(format!("unknown argument {arg:?}")),
        }
    }
    let (server, endpoint) = (server.ok_or("--server is missing")?, endpoint.ok_or("--endpoint is missing")?);
    Ok(Options { server, endpoint, speed, row })
}
