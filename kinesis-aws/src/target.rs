//! The stream as a call names it: by its name, or by its ARN, which alone reaches into another account.

use std::fmt;

use kinesis_core::{Error, Result, StreamName};

/// What a stream's ARN begins with, the partition left out.
const SERVICE: &str = "kinesis";

/// Which stream, in the words of whoever asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    name: StreamName,
    arn: Option<Arn>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Arn {
    text: String,
    region: String,
}

impl Target {
    /// Reads a name or an ARN.
    ///
    /// # Errors
    ///
    /// [`Invalid`](kinesis_core::ErrorKind::Invalid) for an empty name, and for an ARN that is none of a stream.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if !text.starts_with("arn:") {
            return match text {
                "" => Err(Error::invalid("the stream has no name: give the name of a stream, or its ARN")),
                name => Ok(Self { name: name.into(), arn: None }),
            };
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let name = match parts[..] {
            [_, _, SERVICE, region, account, resource] if !region.is_empty() && !account.is_empty() => {
                resource.strip_prefix("stream/").filter(|name| !name.is_empty() && !name.contains('/'))
            }
            _ => None,
        };
        let name = name.ok_or_else(|| {
            Error::invalid(format!(
                "{text} is not the ARN of a stream: arn:aws:kinesis:REGION:ACCOUNT:stream/NAME is wanted"
            ))
        })?;
        let arn = Arn { text: text.to_owned(), region: parts[3].to_owned() };
        Ok(Self { name: name.into(), arn: Some(arn) })
    }

    /// The name of the stream.
    pub(crate) fn name(&self) -> &StreamName {
        &self.name
    }

    /// What a call is given as the name: nothing, where it is given the ARN.
    pub(crate) fn call_name(&self) -> Option<String> {
        self.arn.is_none().then(|| self.name.to_string())
    }

    /// What a call is given as the ARN.
    pub(crate) fn call_arn(&self) -> Option<String> {
        self.arn.as_ref().map(|arn| arn.text.clone())
    }

    /// The region that the ARN names.
    pub(crate) fn region(&self) -> Option<&str> {
        self.arn.as_ref().map(|arn| &*arn.region)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_named_by_its_name_or_its_arn() {
        let by_name = Target::parse("orders").unwrap();
        assert_eq!((by_name.call_name(), by_name.call_arn()), (Some("orders".to_owned()), None));
        let arn = "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/orders";
        let by_arn = Target::parse(arn).unwrap();
        assert_eq!((by_arn.name().as_str(), by_arn.region()), ("orders", Some("cn-north-1")));
        assert_eq!((by_arn.call_name(), by_arn.call_arn()), (None, Some(arn.to_owned())));
    }

    #[test]
    fn what_names_no_stream_is_refused() {
        for bad in [
            "",
            "arn:aws:kinesis:eu-west-1:1:stream/",
            "arn:aws:kinesis:eu-west-1:1:stream/orders/consumer/app:1",
            "arn:aws:sqs:eu-west-1:1:orders",
            "arn:aws:kinesis::1:stream/orders",
            "arn:aws:kinesis",
        ] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }
}
