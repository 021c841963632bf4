//! A check: its place in the table, and how it is run so that whatever goes wrong is put down to it.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::timeout;

use super::report::{CheckResult, Report, Verdict};
use crate::error::Error;

/// One rule of a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// What it is about: `discovery`, `opening`, `reading`, `cancelling`, `errors`, `resharding`, `concurrency`, `time`,
    /// `sink` or `leases`.
    pub group: &'static str,
    /// A letter for the group and a number.
    pub id: &'static str,
    /// Its function in this crate.
    pub name: &'static str,
    /// The rule in one sentence.
    pub rule: &'static str,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}\n     rule: {}", self.id, self.name, self.rule)
    }
}

/// A rule was broken; the text says what was seen.
#[derive(Debug)]
pub(super) struct Broken(String);

impl Broken {
    pub(super) fn new(seen: impl Into<String>) -> Self {
        Self(seen.into())
    }

    /// Says first what was being done.
    pub(super) fn when(self, doing: impl fmt::Display) -> Self {
        Self(format!("{doing}: {}", self.0))
    }
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self(format!("an error where none is allowed: {} ({})", error.chain(), error.kind()))
    }
}

/// What a check returns.
pub(super) type Kept<T = ()> = Result<T, Broken>;

/// Leaves the check with what was seen unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($seen:tt)+) => {
        if !$condition {
            return Err($crate::conformance::check::Broken::new(format!($($seen)+)));
        }
    };
}

/// What a check may need of the harness. Checks whose needs are not met are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Replay,
    ManyReaders,
    Reshard,
    Trim,
    Faults,
    Polling,
    VirtualTime,
    /// A second fresh harness; always met.
    Twin,
    Restart,
}

impl Need {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "a source that is replayable",
            Self::ManyReaders => "several readers on one shard",
            Self::Reshard => "a harness that splits and merges",
            Self::Trim => "a harness that trims",
            Self::Faults => "a harness that makes calls fail",
            Self::Polling => "a source that polls",
            Self::VirtualTime => "a paused clock",
            Self::Twin => "a second harness",
            Self::Restart => "a harness that restarts the receiver",
        }
    }
}

/// What checks work with, made of a fresh harness.
pub(super) trait Bench: 'static {
    fn meets(&self, need: Need) -> bool;

    /// How long a check may take, on tokio's clock. Far more than any needs: it is there for what hangs.
    fn limit(&self) -> Duration;
}

type Run<R> = fn(R) -> Pin<Box<dyn Future<Output = Kept>>>;

/// A check with the function that decides it.
pub(super) struct Case<R> {
    pub(super) check: Check,
    pub(super) needs: &'static [Need],
    pub(super) run: Run<R>,
}

/// Makes the table of a group: `ID [needs] function: "rule"`.
macro_rules! checks {
    ($group:literal, $rig:ty; $($id:ident $([$($need:ident),+])? $run:ident: $rule:literal;)+) => {
        pub(in crate::conformance) const CHECKS: &[$crate::conformance::check::Case<$rig>] =
            &[$($crate::conformance::check::Case {
                check: $crate::conformance::check::Check {
                    group: $group,
                    id: stringify!($id),
                    name: stringify!($run),
                    rule: $rule,
                },
                needs: &[$($($crate::conformance::check::Need::$need),+)?],
                run: |rig| Box::pin($run(rig)),
            }),+];
    };
}

pub(super) use {checks, ensure};

/// Runs the cases one after the other, each with what `rig` makes for it.
pub(super) async fn run<'c, R: Bench>(
    subject: &'static str,
    cases: impl Iterator<Item = &'c Case<R>>,
    rig: impl AsyncFn(&Case<R>) -> R,
) -> Report {
    let mut results = Vec::new();
    for case in cases {
        let rig = rig(case).await;
        let verdict = match case.needs.iter().find(|need| !rig.meets(**need)) {
            Some(need) => Verdict::Skipped { needs: need.as_str() },
            None => judge(rig.limit(), (case.run)(rig)).await,
        };
        results.push(CheckResult { check: case.check, verdict });
    }
    Report { subject, results }
}

/// Runs one check to a verdict, whether it returns, panics or hangs.
async fn judge(limit: Duration, check: Pin<Box<dyn Future<Output = Kept>>>) -> Verdict {
    let seen = match timeout(limit, catching(check)).await {
        Ok(Ok(Ok(()))) => return Verdict::Kept,
        Ok(Ok(Err(Broken(seen)))) => seen,
        Ok(Err(panic)) => format!("a panic: {}", text_of(&*panic)),
        Err(_) => format!("the check hangs: a call did not come back within {} s", limit.as_secs()),
    };
    Verdict::Broken { seen }
}

async fn catching<T>(mut future: Pin<Box<dyn Future<Output = T>>>) -> Result<T, Box<dyn Any + Send>> {
    poll_fn(move |cx| {
        // The future is not polled again after a panic, so nobody sees what it left half done.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("of another type than text")
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(in crate::conformance) struct Nothing;

    impl Bench for Nothing {
        fn meets(&self, _: Need) -> bool {
            false
        }
        fn limit(&self) -> Duration {
            Duration::from_secs(60)
        }
    }

    async fn holds(_: Nothing) -> Kept {
        Ok(())
    }
    async fn fails(_: Nothing) -> Kept {
        ensure!(1 + 1 == 3, "{} instead of 3", 1 + 1);
        Ok(())
    }
    async fn panics(_: Nothing) -> Kept {
        panic!("on purpose")
    }
    async fn hangs(_: Nothing) -> Kept {
        std::future::pending().await
    }

    checks! { "test", Nothing;
        A1 holds: "it holds";
        A2 fails: "three is two";
        A3 panics: "no panic";
        A4 hangs: "no hang";
        A5 [Trim] holds: "never looked at";
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_goes_wrong_is_put_down_to_its_check() {
        let report = run("test", CHECKS.iter(), async |_| Nothing).await;
        assert_eq!(report.broken(), ["A2", "A3", "A4"]);
        assert_eq!(report.skipped(), ["A5"]);
        let text = report.to_string();
        assert!(text.contains("A2 fails\n     rule: three is two\n     seen: 2 instead of 3"), "{text}");
        assert!(text.contains("a panic: on purpose"), "{text}");
    }
}
