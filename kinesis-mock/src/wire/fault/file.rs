//! Rules as a file has them.

use std::time::Duration;

use kinesis_core::{Error, Result};
use serde::Deserialize;

use super::answer::{AS_SCRIPTED, Answer};
use super::rule::Rule;

/// One rule of the file, before it is known to be one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    operation: String,
    fault: Fault,
    nth: Option<u64>,
    from: Option<u64>,
    times: Option<u64>,
    code: Option<String>,
    message: Option<String>,
    ms: Option<u64>,
    bytes: Option<usize>,
    events: Option<usize>,
    entries: Option<Vec<usize>>,
    body: Option<String>,
    status: Option<u16>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fault {
    Throttle,
    ExpiredToken,
    InternalFailure,
    Fail,
    Delay,
    Body,
    Http,
    Refuse,
    Empty,
    Reset,
    ResetAfter,
    Hang,
    Cut,
    Stall,
    HalfOpen,
    Interrupt,
}

/// A rule whose checks run while its place in the file is known.
#[derive(Deserialize)]
#[serde(try_from = "Written")]
struct Checked(Rule);

impl TryFrom<Written> for Checked {
    type Error = String;

    fn try_from(written: Written) -> std::result::Result<Self, String> {
        let (nth, from, times) = (written.nth, written.from, written.times);
        if nth.is_some() && (from.is_some() || times.is_some()) {
            return Err("`nth` is one call: leave out `from` and `times`".to_owned());
        }
        for (field, number) in [("nth", nth), ("from", from), ("times", times)] {
            if number == Some(0) {
                return Err(format!("`{field}` is 0, but the first call is number 1"));
            }
        }
        let rule = Rule::new(written.operation.clone(), written.answer()?);
        let rule = rule.from(nth.or(from).unwrap_or(1));
        Ok(Self(match nth.map(|_| 1).or(times) {
            Some(times) => rule.times(times),
            None => rule,
        }))
    }
}

impl Written {
    fn answer(self) -> std::result::Result<Answer, String> {
        let fault = self.fault;
        let message = self.message.unwrap_or_else(|| AS_SCRIPTED.to_owned());
        let needs = |field: &str| format!("the fault {fault:?} needs the field `{field}`");
        Ok(match fault {
            Fault::Throttle => Answer::fail(match &*self.operation {
                "GetRecords" | "GetShardIterator" | "PutRecord" | "PutRecords" => {
                    "ProvisionedThroughputExceededException"
                }
                _ => "LimitExceededException",
            }),
            Fault::ExpiredToken => Answer::fail("ExpiredTokenException"),
            Fault::InternalFailure => Answer::fail("InternalFailure"),
            Fault::Fail => Answer::Fail { code: self.code.ok_or_else(|| needs("code"))?, message },
            Fault::Delay => Answer::Delay(Duration::from_millis(self.ms.ok_or_else(|| needs("ms"))?)),
            Fault::Body => Answer::Body(self.body.ok_or_else(|| needs("body"))?),
            Fault::Http => {
                let status = self.status.ok_or_else(|| needs("status"))?;
                if !(200..=999).contains(&status) {
                    return Err(format!("`status` is {status}, but an answer has one of 200 to 999"));
                }
                Answer::Http { status, body: self.body.unwrap_or_default() }
            }
            Fault::Refuse => Answer::Refuse(self.entries.ok_or_else(|| needs("entries"))?),
            Fault::Empty => Answer::Empty,
            Fault::Reset => Answer::Drop,
            Fault::ResetAfter => Answer::DropReply,
            Fault::Hang => Answer::Hang,
            Fault::Cut => Answer::Cut(self.bytes.ok_or_else(|| needs("bytes"))?),
            Fault::Stall => Answer::Stall(self.bytes.ok_or_else(|| needs("bytes"))?),
            Fault::HalfOpen => Answer::HalfOpen(self.events.ok_or_else(|| needs("events"))?),
            Fault::Interrupt => Answer::Interrupt {
                after: self.events.ok_or_else(|| needs("events"))?,
                code: self.code.ok_or_else(|| needs("code"))?,
                message,
            },
        })
    }
}

/// Reads the rules of a file.
pub(super) fn parse(json: &str) -> Result<Vec<Rule>> {
    let rules: Vec<Checked> =
        serde_json::from_str(json).map_err(|error| Error::invalid(format!("the faults cannot be read: {error}")))?;
    Ok(rules.into_iter().map(|Checked(rule)| rule).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_can_be_written() {
        let rules = parse(
            r#"[
              {"operation": "GetRecords", "nth": 3, "fault": "throttle"},
              {"operation": "ListShards", "from": 2, "times": 4, "fault": "throttle"},
              {"operation": "*", "fault": "expired-token"},
              {"operation": "*", "fault": "internal-failure"},
              {"operation": "*", "fault": "fail", "code": "KMSDisabledException", "message": "no key"},
              {"operation": "*", "fault": "delay", "ms": 1500},
              {"operation": "*", "fault": "body", "body": "rubbish"},
              {"operation": "*", "fault": "http", "status": 502},
              {"operation": "PutRecords", "fault": "refuse", "entries": [0, 2]},
              {"operation": "GetRecords", "fault": "empty"},
              {"operation": "*", "fault": "reset"},
              {"operation": "*", "fault": "reset-after"},
              {"operation": "*", "fault": "hang"},
              {"operation": "*", "fault": "cut", "bytes": 10},
              {"operation": "*", "fault": "stall", "bytes": 0},
              {"operation": "SubscribeToShard", "fault": "half-open", "events": 1},
              {"operation": "SubscribeToShard", "fault": "interrupt", "events": 2, "code": "ResourceInUseException"}
            ]"#,
        );
        let any = |answer: Answer| Rule::new("*", answer);
        let expected = vec![
            Rule::new("GetRecords", Answer::fail("ProvisionedThroughputExceededException")).nth(3),
            Rule::new("ListShards", Answer::fail("LimitExceededException")).from(2).times(4),
            any(Answer::fail("ExpiredTokenException")),
            any(Answer::fail("InternalFailure")),
            any(Answer::Fail { code: "KMSDisabledException".into(), message: "no key".into() }),
            any(Answer::Delay(Duration::from_millis(1500))),
            any(Answer::Body("rubbish".into())),
            any(Answer::Http { status: 502, body: String::new() }),
            Rule::new("PutRecords", Answer::Refuse(vec![0, 2])),
            Rule::new("GetRecords", Answer::Empty),
            any(Answer::Drop),
            any(Answer::DropReply),
            any(Answer::Hang),
            any(Answer::Cut(10)),
            any(Answer::Stall(0)),
            Rule::new("SubscribeToShard", Answer::HalfOpen(1)),
            Rule::new("SubscribeToShard", Answer::interrupt(2, "ResourceInUseException")),
        ];
        assert_eq!(rules.unwrap(), expected);
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_field() {
        let error = |line: &str| parse(&format!("[\n{line}\n]")).unwrap_err().to_string();
        for (line, expected) in [
            (r#"{"operation": "*", "fault": "hang", "nht": 3}"#, "unknown field `nht`"),
            (r#"{"operation": "*", "fault": "hnag"}"#, "unknown variant `hnag`"),
            (r#"{"fault": "hang"}"#, "missing field `operation`"),
            (r#"{"operation": "*", "fault": "cut"}"#, "the fault Cut needs the field `bytes`"),
            (r#"{"operation": "*", "fault": "hang", "nth": 0}"#, "`nth` is 0, but the first call is number 1"),
            (r#"{"operation": "*", "fault": "hang", "nth": 1, "times": 2}"#, "leave out `from` and `times`"),
            (r#"{"operation": "*", "fault": "http", "status": 7}"#, "`status` is 7"),
            (r#"{"operation": "*", "fault": "delay", "ms": "soon"}"#, "invalid type: string \"soon\""),
            (r#"{"operation": "*", "fault" "#, "expected `:`"),
        ] {
            let told = error(line);
            assert!(told.contains(expected), "{told}");
            assert!(told.contains("line 2") || told.contains("line 3 column 1"), "{told}");
        }
    }
}
