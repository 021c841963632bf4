//! A subscriber of the demo: an HTTP receiver on this machine that remembers what arrived and in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kinesis_core::{Error, Outcome, Result, StartPosition, Subscription};
use kinesis_http_sink::receiver::Event;
use kinesis_http_sink::{HttpSink, Receiver};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::since;
use super::story::Put;
use crate::output::{count, say};

/// A running subscriber. Its server ends with the program.
#[derive(Debug)]
pub(super) struct Subscriber {
    name: &'static str,
    address: SocketAddr,
    /// `None` for every channel.
    channels: Option<&'static [&'static str]>,
    inbox: Arc<Mutex<Inbox>>,
}

/// What arrived.
#[derive(Debug, Default)]
struct Inbox {
    /// Each member's records, in the order in which they arrived first.
    of_member: BTreeMap<usize, Vec<usize>>,
    seen: BTreeSet<usize>,
    repeated: u64,
    refused: u64,
}

/// The payload of a record of the demo.
#[derive(Debug, Deserialize)]
struct Payload {
    member: usize,
    nth: usize,
}

impl Subscriber {
    /// Starts one that refuses everything until `up_at`.
    pub(super) async fn start(
        name: &'static str,
        channels: Option<&'static [&'static str]>,
        started: Instant,
        up_at: Instant,
    ) -> Result<Self> {
        let no_port = |error| Error::permanent("cannot listen on any port of 127.0.0.1").because(error);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(no_port)?;
        let address = listener.local_addr().map_err(no_port)?;
        let inbox = Arc::new(Mutex::new(Inbox::default()));
        let arrivals = Arc::clone(&inbox);
        let receiver = Receiver::new().fallback(move |event: Event| {
            let outcome = take(&event, &mut lock(&arrivals), Instant::now() >= up_at, || {
                say(&format!("{}  {name} is up\n", since(started)));
            });
            async move { outcome }
        });
        tokio::spawn(async move { axum::serve(listener, receiver.router()).await });
        Ok(Self { name, address, channels, inbox })
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    /// The subscription that posts to it.
    pub(super) fn subscription(&self) -> Result<Subscription> {
        let sink = HttpSink::new(&self.url())?;
        let subscription = Subscription::new(self.name, sink).start_at(StartPosition::TrimHorizon);
        Ok(match self.channels {
            None => subscription,
            Some(channels) => subscription.channels(channels.iter().copied()),
        })
    }

    /// Compares what arrived with what was put: one line, as an error when they differ.
    pub(super) fn verdict(&self, put: &[Put]) -> Result<String, String> {
        let wanted = |put: &&Put| self.channels.is_none_or(|channels| channels.contains(&put.channel));
        let inbox = lock(&self.inbox);
        let mut expected: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for put in put.iter().filter(wanted) {
            expected.entry(put.member).or_default().push(put.nth);
        }
        let due: usize = expected.values().map(Vec::len).sum();
        let out_of_order = inbox.of_member.iter().filter(|(_, nths)| !nths.is_sorted()).count();
        let line = format!(
            "got {} of {} records; {} requests refused while down, {} records came again; {} members out of order",
            count(inbox.seen.len() as u64),
            count(due as u64),
            count(inbox.refused),
            count(inbox.repeated),
            out_of_order,
        );
        if inbox.of_member == expected { Ok(line) } else { Err(line) }
    }
}

/// Notes an event, or refuses it while down. `came_up` is called for the first that is taken after others were refused.
fn take(event: &Event, inbox: &mut Inbox, is_up: bool, came_up: impl FnOnce()) -> Outcome {
    let Ok(Payload { member, nth }) = event.json() else {
        return Outcome::rejected("this is no record of the demo");
    };
    if !is_up {
        inbox.refused += 1;
        return Outcome::Retry;
    }
    if inbox.refused > 0 && inbox.seen.is_empty() {
        came_up();
    }
    if inbox.seen.insert(nth) {
        inbox.of_member.entry(member).or_default().push(nth);
    } else {
        inbox.repeated += 1;
    }
    Outcome::Delivered
}

fn lock(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscriber(arrivals: &[usize], channels: Option<&'static [&'static str]>) -> Subscriber {
        let mut inbox = Inbox::default();
        for nth in arrivals {
            inbox.seen.insert(*nth);
            inbox.of_member.entry(Put::new(*nth).member).or_default().push(*nth);
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        Subscriber { name: "x", address, channels, inbox: Arc::new(Mutex::new(inbox)) }
    }

    #[test]
    fn the_verdict_finds_what_is_missing_too_much_or_out_of_order() {
        let put: Vec<Put> = (0..120).map(Put::new).collect();
        let all: Vec<usize> = (0..120).collect();
        assert!(subscriber(&all, None).verdict(&put).is_ok());
        let other_members_first: Vec<usize> = (50..100).chain(100..120).chain(0..50).collect();
        assert!(subscriber(&other_members_first, None).verdict(&put).unwrap_err().ends_with("50 members out of order"));
        let swapped_members: Vec<usize> = (0..50).rev().chain(50..120).collect();
        assert!(subscriber(&swapped_members, None).verdict(&put).is_ok(), "members may overtake one another");
        assert!(subscriber(&all[1..], None).verdict(&put).unwrap_err().starts_with("got 119 of 120"));
        assert!(subscriber(&all, Some(&["member-left"])).verdict(&put).is_err(), "too much");
    }
}
