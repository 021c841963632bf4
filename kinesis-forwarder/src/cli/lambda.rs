//! `lambda`: the arguments of the function, each of which may come from the environment, where a function has its settings.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{Target, duration, target};

/// Where the subscribers are looked for that no `--to` names.
pub(crate) const TO: &str = "KINESIS_FORWARDER_TO";

const LAMBDA_HELP: &str = "\
Lambda calls it with the records of one shard. It answers with the lowest sequence number that was not delivered to every
subscriber, from which Lambda calls again; so the trigger has to be set to ReportBatchItemFailures. It ends half a second
before the time of the call is up, or after --max-age. Started without arguments, as Lambda does, the program is this
command. deploy/ has a template and a container file.

KINESIS_FORWARDER_TO holds any number of [CHANNEL=]URL, with blanks or commas between; write %2C for a comma in a URL.

Example:
  KINESIS_FORWARDER_TO='https://a.example/events placed=https://b.example/orders' kinesis-forwarder lambda";

/// Arguments of `lambda`.
#[derive(Debug, Args)]
#[command(after_help = LAMBDA_HELP)]
pub struct Lambda {
    /// The configuration whose subscribers get the records, each as it says; what it says of source, state and refusals is
    /// not for a function. What the other flags say wins over it.
    #[arg(long, value_name = "FILE", env = "KINESIS_FORWARDER_CONFIG")]
    pub config: Option<PathBuf>,
    /// A subscriber, and the channel it takes (default: every channel); may be given several times. Default: what
    /// KINESIS_FORWARDER_TO says.
    #[arg(long, value_name = "[CHANNEL=]URL", value_parser = target)]
    pub to: Vec<Target>,
    /// Take the channel from this field of a JSON payload instead of the partition key.
    #[arg(long, value_name = "NAME", env = "KINESIS_FORWARDER_FROM_JSON_FIELD")]
    pub from_json_field: Option<String>,
    /// How many records of a shard a subscriber gets at once; the order within a partition key is kept.
    /// Default: 8.
    #[arg(long, value_name = "N", env = "KINESIS_FORWARDER_PARALLEL")]
    pub parallel: Option<NonZeroUsize>,
    /// How long one call goes on trying. Default: as long as it may last.
    #[arg(long, value_name = "DURATION", value_parser = duration, env = "KINESIS_FORWARDER_MAX_AGE")]
    pub max_age: Option<Duration>,
    /// What becomes of a record that a subscriber refuses for good.
    #[arg(long, value_name = "WHAT", value_enum, default_value = "fail", env = "KINESIS_FORWARDER_ON_REJECT")]
    pub on_reject: OnRefusal,
}

/// What becomes of a record that a subscriber refuses for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnRefusal {
    /// It counts as not delivered: Lambda tries it again as often as the trigger says, then reports it to the trigger's
    /// on-failure destination.
    Fail,
    /// It is passed over, and told in the log.
    Skip,
}

impl Lambda {
    /// The subscribers of the command line, or those of the environment's `variable` where it names none.
    ///
    /// # Errors
    ///
    /// What is wrong with the environment's.
    pub(crate) fn targets(&self, variable: Option<&str>) -> Result<Vec<Target>, String> {
        if !self.to.is_empty() {
            return Ok(self.to.clone());
        }
        targets(variable.unwrap_or_default())
    }
}

/// Reads any number of targets.
fn targets(text: &str) -> Result<Vec<Target>, String> {
    let texts = text.split(|c: char| c.is_whitespace() || c == ',').filter(|text| !text.is_empty());
    texts.enumerate().map(|(n, text)| target(text).map_err(|why| format!("number {}: {why}", n + 1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_of_the_environment_have_blanks_or_commas_between() {
        let found = targets(" https://a/e?t=1,placed=https://b/o\n\tc=http://c ").unwrap();
        let shown: Vec<_> = found.iter().map(|t| (t.channel.as_deref(), &*t.url)).collect();
        assert_eq!(shown, [(None, "https://a/e?t=1"), (Some("placed"), "https://b/o"), (Some("c"), "http://c")]);
        assert_eq!(targets(" , "), Ok(vec![]));
        assert!(targets("http://a =http://b").unwrap_err().starts_with("number 2: the channel"));
    }
}
