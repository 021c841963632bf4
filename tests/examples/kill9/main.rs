//! Kills `kinesis-forwarder run --state` at random moments, starts it again, and checks what arrived in the end.

mod receiver;

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Output, Stdio};
use std::time::Duration;

use kinesis_tests::forwarder;
use kinesis_tests::ledger::MadeUp;
use receiver::Receiver;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

const USAGE: &str = "usage: kill9 [--runs N] [--records N] [--seed S] [--forwarder PATH]

  --runs N          how many files are delivered (default 10)
  --records N       how many records each has (default 20,000)
  --seed S          decides the moments of killing (default: another one each time)
  --forwarder PATH  the program to kill (default: the one built into the same target folder)";

/// So often a run is killed; then it may finish.
const KILLS: usize = 6;
/// Half of the kills come within this time: while it starts. Cursors are stored every second, so the others come later,
/// while there is something to go on from.
const EARLY: Duration = Duration::from_millis(1200);
const LATE: Duration = Duration::from_millis(4500);
/// Longer than any run takes.
const TOO_LONG: Duration = Duration::from_secs(120);
const KEYS: usize = 97;

struct Options {
    runs: usize,
    records: usize,
    seed: u64,
    forwarder: PathBuf,
}

/// What a run came to.
#[derive(Default)]
struct Told {
    kills: usize,
    /// How often a subscriber was not sent the first record after a start.
    resumed: usize,
    delivered: usize,
    repeats: usize,
    violations: Vec<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let begun = Instant::now();
    let mut all = Told::default();
    for run in 0..options.runs {
        let seed = options.seed.wrapping_add(run as u64);
        let told = deliver(&options, &mut fastrand::Rng::with_seed(seed)).await;
        for violation in told.violations.iter().take(10) {
            println!("seed {seed}: {violation}");
        }
        all.kills += told.kills;
        all.resumed += told.resumed;
        all.delivered += told.delivered;
        all.repeats += told.repeats;
        all.violations.extend(told.violations);
    }
    if all.resumed == 0 {
        let nothing = "no start went on in the middle of a file, so nothing is proved: take more runs or records";
        println!("{nothing}");
        all.violations.push(nothing.to_owned());
    }
    let Told { kills, resumed, delivered, repeats, violations } = all;
    println!(
        "{} runs from seed {} on: {kills} kills, {resumed} times a subscriber went on in the middle, {delivered} records \
         delivered and {repeats} repeated, {} violations, {} s",
        options.runs,
        options.seed,
        violations.len(),
        begun.elapsed().as_secs()
    );
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Delivers a file to two subscribers, one of them slow, whatever it takes.
async fn deliver(options: &Options, rng: &mut fastrand::Rng) -> Told {
    let folder = std::env::temp_dir().join(format!("kill9-{}-{:016x}", std::process::id(), rng.u64(..)));
    std::fs::create_dir(&folder).expect("the folder for temporary files can be written");
    let made_up = MadeUp { records: options.records, keys: KEYS };
    std::fs::write(folder.join("input"), made_up.file()).expect("the folder is there");
    let receiver = Receiver::start(made_up).await;
    let mut told = Told::default();
    if let Err(violation) = run_to_the_end(&options.forwarder, &folder, &receiver, rng, &mut told).await {
        told.violations.push(violation);
    }
    for (name, ledger) in receiver.ledgers() {
        let ledger = ledger.lock().expect("nothing panics while it holds the lock");
        told.delivered += ledger.delivered();
        told.repeats += ledger.repeats();
        told.violations.extend(ledger.violations().into_iter().map(|violation| format!("{name}: {violation}")));
    }
    let _ = std::fs::remove_dir_all(&folder);
    told
}

/// Runs the program until it has delivered everything, and once more; an error is what it should not have done.
async fn run_to_the_end(
    forwarder: &Path,
    folder: &Path,
    receiver: &Receiver,
    rng: &mut fastrand::Rng,
    told: &mut Told,
) -> Result<(), String> {
    loop {
        let mut command = Command::new(forwarder);
        command.arg("run").arg("--input").arg(folder.join("input")).arg("--state").arg(folder.join("state"));
        for url in receiver.urls() {
            command.arg("--to").arg(url);
        }
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().map_err(|error| format!("cannot start it: {error}"))?;
        if told.kills < KILLS {
            let (from, to) = if rng.bool() { (Duration::ZERO, EARLY) } else { (EARLY, LATE) };
            sleep(from + (to - from).mul_f64(rng.f64())).await;
            // It may have ended already.
            let _ = child.start_kill();
        }
        let ended = timeout(TOO_LONG, child.wait_with_output()).await.map_err(|_| "it does not end".to_owned())?;
        let Output { status, stdout, stderr } = ended.map_err(|error| format!("it cannot be waited for: {error}"))?;
        told.resumed += receiver.begin();
        let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        match status.code() {
            None => told.kills += 1,
            Some(0) if said.starts_with("nothing more to do") => return Ok(()),
            Some(0) => {}
            Some(code) => return Err(format!("it ended with {code}: {said}")),
        }
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { runs: 10, records: 20_000, seed: fastrand::u64(..), forwarder: forwarder::built()? };
    while let Some(arg) = args.next() {
        let value = args.next().ok_or_else(|| format!("{arg} wants a value"))?;
        let wrong = |_| format!("{arg} wants a number, not {value:?}");
        match arg.as_str() {
            "--runs" => options.runs = value.parse().map_err(wrong)?,
            "--records" => options.records = value.parse().map_err(wrong)?,
            "--seed" => options.seed = value.parse().map_err(wrong)?,
            "--forwarder" => options.forwarder = value.into(),
            _ => return Err(format!("unknown argument {arg:?}")),
        }
    }
    forwarder::check(&options.forwarder)?;
    Ok(options)
}
