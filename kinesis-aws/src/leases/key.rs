//! The key of a lease in the KCL's table: the shard's id alone, or with the stream in front of it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use kinesis_core::{Error, Result, ShardId, ShardKey, StreamId};

/// What stands between the parts of a key.
const BETWEEN: char = ':';

/// How leases are keyed, and which streams they are of.
#[derive(Debug, Clone)]
pub(super) enum Keys {
    /// All leases are of one stream; their keys are ids of shards.
    OneStream(StreamId),
    /// Keys begin with a stream: `account:stream:epoch`. These streams have a name of their own, or were created at a time
    /// that whole seconds do not tell.
    ManyStreams(BTreeMap<String, StreamId>),
}

/// A key that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spelled {
    /// The key of the item.
    pub(super) lease_key: String,
    /// The stream, where many share the table.
    pub(super) stream: Option<String>,
}

impl Keys {
    /// The key of a shard's lease.
    ///
    /// # Errors
    ///
    /// [`Invalid`](kinesis_core::ErrorKind::Invalid) for a stream that this table cannot hold.
    pub(super) fn spell(&self, key: &ShardKey) -> Result<Spelled> {
        match self {
            Self::OneStream(stream) if *stream == key.stream => {
                Ok(Spelled { lease_key: key.shard.to_string(), stream: None })
            }
            Self::OneStream(stream) => Err(Error::invalid(format!(
                "the lease table is of the stream {stream} alone, and a lease of {} is asked for: use multi_stream(true), \
                 or a table for each stream",
                key.stream
            ))),
            Self::ManyStreams(_) => {
                let stream = self.spell_stream(&key.stream)?;
                Ok(Spelled { lease_key: format!("{stream}{BETWEEN}{}", key.shard), stream: Some(stream) })
            }
        }
    }

    /// What is noted in a lease whose key does not tell its stream.
    pub(super) fn of_stream(&self) -> Option<String> {
        match self {
            Self::OneStream(stream) => Some(spell(stream)),
            Self::ManyStreams(_) => None,
        }
    }

    /// Whether a lease in which this is noted belongs to another stream, by all that is known of both.
    pub(super) fn is_of_another(&self, noted: &str) -> bool {
        let (Self::OneStream(ours), Some(noted)) = (self, read_stream(noted)) else { return false };
        let differ = |a: Option<u64>, b: Option<u64>| a.zip(b).is_some_and(|(a, b)| a != b);
        let epoch = |stream: &StreamId| stream.created_at.map(|at| since_epoch(at).as_secs());
        let accounts = ours.account.as_ref().zip(noted.account.as_ref());
        ours.name != noted.name
            || accounts.is_some_and(|(ours, noted)| ours != noted)
            || differ(epoch(ours), epoch(&noted))
    }

    /// The name of a stream, as the KCL writes it.
    fn spell_stream(&self, stream: &StreamId) -> Result<String> {
        if let Self::ManyStreams(known) = self
            && let Some((name, _)) = known.iter().find(|(_, known)| *known == stream)
        {
            return Ok(name.clone());
        }
        let whole = stream.created_at.is_none_or(|at| since_epoch(at).subsec_nanos() == 0);
        if !whole {
            return Err(Error::invalid(format!(
                "the stream {stream} was created at a fraction of a second, which the key of a lease does not hold: name the \
                 stream to the store, with stream(..)"
            )));
        }
        Ok(spell(stream))
    }

    /// The shard whose lease has this key; `None` when it is no key of this kind.
    pub(super) fn read(&self, lease_key: &str, stream: Option<&str>, shard: Option<&str>) -> Option<ShardKey> {
        match (self, stream) {
            (Self::OneStream(id), None) => Some(ShardKey::new(id, &ShardId::from(lease_key))),
            (Self::ManyStreams(known), Some(stream)) => {
                let shard_of_key = lease_key.strip_prefix(stream)?.strip_prefix(BETWEEN)?;
                let shard = ShardId::from(shard.filter(|shard| *shard == shard_of_key)?);
                let id = known.get(stream).cloned().or_else(|| read_stream(stream))?;
                Some(ShardKey::new(&id, &shard))
            }
            _ => None,
        }
    }
}

/// `account:stream:epoch`, with nothing where something is not known.
pub(super) fn spell(stream: &StreamId) -> String {
    let account = stream.account.as_deref().unwrap_or_default();
    let epoch = stream.created_at.map_or_else(String::new, |at| since_epoch(at).as_secs().to_string());
    format!("{account}{BETWEEN}{}{BETWEEN}{epoch}", stream.name)
}

fn read_stream(text: &str) -> Option<StreamId> {
    let mut parts = text.split(BETWEEN);
    let (account, name, epoch) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || name.is_empty() {
        return None;
    }
    let mut stream = StreamId::new(name);
    stream.account = (!account.is_empty()).then(|| account.to_owned());
    if !epoch.is_empty() {
        let epoch = Duration::from_secs(epoch.parse().ok()?);
        stream.created_at = Some(SystemTime::UNIX_EPOCH.checked_add(epoch)?);
    }
    Some(stream)
}

/// No stream is older than the service.
fn since_epoch(at: SystemTime) -> Duration {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders() -> StreamId {
        StreamId::new("orders")
            .with_account("111122223333")
            .with_created_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
    }

    #[test]
    fn a_key_is_read_as_it_was_spelled() {
        let many = Keys::ManyStreams(BTreeMap::new());
        for stream in [orders(), StreamId::new("orders"), StreamId::new("orders").with_account("1")] {
            let key = ShardKey::new(&stream, &"shardId-000000000000".into());
            let spelled = many.spell(&key).unwrap();
            let read = many.read(&spelled.lease_key, spelled.stream.as_deref(), Some("shardId-000000000000"));
            assert_eq!(read, Some(key.clone()), "{spelled:?}");
            assert_eq!(many.read(&spelled.lease_key, spelled.stream.as_deref(), Some("shardId-000000000001")), None);
            let one = Keys::OneStream(stream);
            let spelled = one.spell(&key).unwrap();
            assert_eq!(one.read(&spelled.lease_key, None, None), Some(key));
        }
        let key = ShardKey::new(&orders(), &"shardId-000000000000".into());
        let spelled = many.spell(&key).unwrap();
        assert_eq!(spelled.lease_key, "111122223333:orders:1700000000:shardId-000000000000");
    }

    #[test]
    fn a_stream_that_was_named_keeps_its_name_and_its_milliseconds() {
        let mut stream = orders();
        stream.created_at = stream.created_at.map(|at| at + Duration::from_millis(5));
        let key = ShardKey::new(&stream, &"0".into());
        let error = Keys::ManyStreams(BTreeMap::new()).spell(&key).unwrap_err();
        assert_eq!(error.kind(), kinesis_core::ErrorKind::Invalid);
        let keys = Keys::ManyStreams([("111122223333:orders:7".to_owned(), stream)].into());
        assert_eq!(keys.spell(&key).unwrap().lease_key, "111122223333:orders:7:0");
        assert_eq!(keys.read("111122223333:orders:7:0", Some("111122223333:orders:7"), Some("0")), Some(key));
    }

    #[test]
    fn a_stream_that_was_created_anew_is_another_one() {
        let one = Keys::OneStream(orders());
        assert_eq!(one.of_stream().as_deref(), Some("111122223333:orders:1700000000"));
        for same in ["111122223333:orders:1700000000", ":orders:1700000000", "111122223333:orders:", ":orders:"] {
            assert!(!one.is_of_another(same), "{same}");
        }
        for other in ["111122223333:orders:1700000001", "1:orders:1700000000", ":other:"] {
            assert!(one.is_of_another(other), "{other}");
        }
    }

    #[test]
    fn a_table_of_one_stream_takes_no_other() {
        let one = Keys::OneStream(orders());
        let error = one.spell(&ShardKey::new(&StreamId::new("other"), &"0".into())).unwrap_err();
        assert!(error.message().contains("multi_stream(true)"), "{error}");
    }
}
