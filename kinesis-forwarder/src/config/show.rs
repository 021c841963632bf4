//! A configuration in words, for `config check`: what would run, and no secret.

use std::fmt;

use super::order::OnReject;
use super::{Config, Source, State, Subscriber};
use crate::output::columns;

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            None => {}
            Some(Source::Input(path)) => writeln!(f, "reads the input {}", path.display())?,
            Some(Source::Stream(stream)) => {
                write!(f, "reads the stream {}", stream.name)?;
                match &stream.consumer {
                    Some(consumer) => write!(f, ", pushed to the consumer {consumer}")?,
                    None => f.write_str(", by polling")?,
                }
                for (what, value) in [("in", &stream.region), ("at", &stream.endpoint)] {
                    if let Some(value) = value {
                        write!(f, ", {what} {value}")?;
                    }
                }
                writeln!(f, ", from {} on", stream.start)?;
            }
        }
        if let Some(field) = &self.from_json_field {
            writeln!(f, "takes the channel from the JSON field {field}")?;
        }
        match &self.state {
            State::Nowhere => writeln!(f, "keeps nothing: the next run begins anew")?,
            State::File(path) => writeln!(f, "keeps in {} how far each subscriber is", path.display())?,
            State::Table { name, dynamodb } => {
                write!(f, "keeps in the table {name} how far each subscriber is")?;
                match dynamodb {
                    Some(at) => writeln!(f, ", at {at}")?,
                    None => writeln!(f)?,
                }
            }
        }
        if let Some(server) = &self.server {
            write!(f, "serves /healthz, /readyz and /metrics at {}; ", server.listen)?;
            writeln!(f, "not ready when a lane with work stands still for {:?}", server.stalled_after)?;
        }
        f.write_str("posts to\n")?;
        let rows = self.subscribers.iter().map(|subscriber| self.row(subscriber)).collect::<Vec<_>>();
        f.write_str(&columns(&rows))
    }
}

impl Config {
    fn row(&self, subscriber: &Subscriber) -> [String; 4] {
        let channels = match &subscriber.channels {
            None => "every channel".to_owned(),
            Some(channels) => channels.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        };
        let mut about = vec![
            subscriber.format.name().to_owned(),
            match subscriber.secrets.len() {
                0 => "unsigned".to_owned(),
                1 => "signed".to_owned(),
                keys => format!("signed with {keys} keys"),
            },
            format!("in networks: {}", subscriber.networks),
            format!("{} at once", subscriber.concurrency),
            format!("within {:?}", subscriber.timeout),
        ];
        if let Some(rate) = subscriber.rate {
            about.push(format!("{rate} a second"));
        }
        about.push(match (self.meets_rejection(subscriber), &subscriber.dead_letters) {
            (OnReject::DeadLetter, Some(path)) => format!("dead letters to {}", path.display()),
            (OnReject::Halt, _) => "halts at what is refused".to_owned(),
            _ => "skips what is refused".to_owned(),
        });
        if !subscriber.headers.is_empty() {
            let names: Vec<&str> = subscriber.headers.iter().map(|(name, _)| name.as_str()).collect();
            about.push(format!("with {}", names.join(", ")));
        }
        [format!("  {}", subscriber.name), subscriber.shown_url().to_owned(), channels, about.join("; ")]
    }
}
