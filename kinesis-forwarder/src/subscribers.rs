//! Who gets the records: a subscriber for each URL, the channels that it takes, and what nobody takes.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering as Atomic};
use std::sync::{Arc, Mutex, PoisonError};

use kinesis_core::{Channel, ChannelFrom};

use crate::cli::Target;
use crate::output::count;

/// One URL, and the channels that go there.
#[derive(Debug, PartialEq)]
pub(crate) struct Subscriber {
    /// The URL without its query, where tokens travel; unlike any other.
    pub(crate) name: String,
    pub(crate) url: String,
    /// `None` for every channel.
    pub(crate) channels: Option<BTreeSet<String>>,
}

/// One subscriber for each URL, in the order they are named first; channels of the same URL come together.
pub(crate) fn subscribers(targets: &[Target]) -> Vec<Subscriber> {
    let mut subscribers: Vec<Subscriber> = Vec::new();
    for Target { channel, url } in targets {
        let known = subscribers.iter_mut().find(|subscriber| subscriber.url == *url);
        match (known, channel) {
            (Some(Subscriber { channels: Some(channels), .. }), Some(channel)) => {
                channels.insert(channel.clone());
            }
            (Some(subscriber), _) => subscriber.channels = None,
            (None, _) => {
                let shown = url.split(['?', '#']).next().unwrap_or_default();
                let alike =
                    subscribers.iter().filter(|other| other.url.split(['?', '#']).next() == Some(shown)).count();
                let name = if alike == 0 { shown.to_owned() } else { format!("{shown} ({})", alike + 1) };
                let channels = channel.clone().map(|channel| BTreeSet::from([channel]));
                subscribers.push(Subscriber { name, url: url.clone(), channels });
            }
        }
    }
    subscribers
}

/// Records of channels that no subscriber takes, and the first few of those channels.
#[derive(Debug, Default)]
pub(crate) struct Unclaimed {
    records: AtomicU64,
    channels: Mutex<BTreeSet<Channel>>,
}

/// How many channels are named; the input may have any number.
const NAMED: usize = 5;

impl Unclaimed {
    /// Whether there were none.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.load(Atomic::Relaxed) == 0
    }

    fn count(&self, channel: &Channel) {
        self.records.fetch_add(1, Atomic::Relaxed);
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        // One more than is named, to know that there are more.
        if channels.len() <= NAMED && !channels.contains(channel) {
            channels.insert(channel.clone());
        }
    }
}

impl fmt::Display for Unclaimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<String> = channels.iter().take(NAMED).map(|channel| format!("{channel:?}")).collect();
        let more = if channels.len() > NAMED { " and others" } else { "" };
        let records = count(self.records.load(Atomic::Relaxed));
        write!(f, "{records} records went nowhere: no subscriber takes {}{more}", names.join(", "))
    }
}

/// How channels are found; on the way, records that nobody takes are counted.
pub(crate) fn channel_from<'a>(
    json_field: Option<&String>,
    claimed: impl IntoIterator<Item = Option<&'a BTreeSet<String>>>,
    unclaimed: &Arc<Unclaimed>,
) -> ChannelFrom {
    let from = json_field.map_or(ChannelFrom::PartitionKey, ChannelFrom::json_field);
    let claimed: Option<Vec<_>> = claimed.into_iter().collect();
    let Some(claimed) = claimed else { return from };
    let claimed: BTreeSet<String> = claimed.into_iter().flatten().cloned().collect();
    let unclaimed = Arc::clone(unclaimed);
    ChannelFrom::function(move |record| {
        let channel = from.channel_of(record);
        if !claimed.contains(&*channel) {
            unclaimed.count(&channel);
        }
        Some(channel)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinesis_core::{Record, SequenceNumber};

    fn to(channel: Option<&str>, url: &str) -> Target {
        Target { channel: channel.map(str::to_owned), url: url.to_owned() }
    }

    #[test]
    fn channels_of_one_url_come_together_and_all_channels_win() {
        let found =
            subscribers(&[to(Some("b"), "http://h/1"), to(None, "http://h/2?x=1"), to(Some("a"), "http://h/1")]);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].channels, Some(BTreeSet::from(["a".into(), "b".into()])));
        assert_eq!((&*found[1].name, &found[1].channels), ("http://h/2", &None));
        let found = subscribers(&[to(Some("b"), "http://h/1"), to(None, "http://h/1"), to(Some("c"), "http://h/1")]);
        assert_eq!((found.len(), &found[0].channels), (1, &None));
    }

    #[test]
    fn names_hide_the_query_and_differ() {
        let found = subscribers(&[to(None, "http://h/?token=1"), to(None, "http://h/?token=2")]);
        assert_eq!((&*found[0].name, &*found[1].name), ("http://h/", "http://h/ (2)"));
    }

    #[test]
    fn records_that_nobody_takes_are_counted_and_a_few_of_their_channels_named() {
        let unclaimed = Arc::new(Unclaimed::default());
        let wanted = BTreeSet::from(["wanted".to_owned()]);
        let ChannelFrom::Function(channel_of) = channel_from(Some(&"type".into()), [Some(&wanted)], &unclaimed) else {
            panic!("a function counts")
        };
        let channel = |data: String| channel_of(&Record::new(SequenceNumber::ZERO, "key", data)).unwrap();
        assert_eq!(channel(r#"{"type":"wanted"}"#.to_owned()), "wanted");
        assert_eq!(unclaimed.records.load(Atomic::Relaxed), 0);
        for n in 0..10 {
            channel(format!(r#"{{"type":{n}}}"#));
        }
        let expected = "10 records went nowhere: no subscriber takes \"0\", \"1\", \"2\", \"3\", \"4\" and others";
        assert_eq!(unclaimed.to_string(), expected);
    }
}
