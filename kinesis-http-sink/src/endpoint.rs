//! Where a subscriber listens: a URL that is checked once, and its text without what may be secret.

use std::fmt;

use http::{HeaderValue, Uri};
use kinesis_core::{Error, Result};

use crate::guard::{self, NetworkPolicy};

/// A checked URL. Its text form leaves the query out, because tokens travel there.
#[derive(Clone)]
pub(crate) struct Endpoint {
    uri: Uri,
    host: HeaderValue,
    shown: String,
}

impl Endpoint {
    /// Checks `url`: the scheme is http or https, there is a host and no user name, and the port is a port.
    ///
    /// # Errors
    ///
    /// `Unsupported` for https without the feature `tls`, `Invalid` for everything else that is wrong; the message
    /// repeats no secret.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let refused = |why: &str| Error::invalid(format!("the URL {:?} {why}", redacted(url)));
        let example = "write it like http://host:3000/events";
        let uri: Uri = url.parse().map_err(|error| refused(&format!("cannot be read ({error}): {example}")))?;
        let usual_port = match uri.scheme_str() {
            Some("http") => ":80",
            Some("https") if cfg!(feature = "tls") => ":443",
            Some("https") => {
                let why = "is https, which this build does not speak: build with the feature \"tls\", or use http";
                return Err(Error::unsupported(format!("the URL {:?} {why}", redacted(url))));
            }
            Some(other) => return Err(refused(&format!("has the scheme {other:?}; only http and https are known"))),
            None => return Err(refused(&format!("has no scheme: {example}"))),
        };
        let authority = uri.authority().map_or("", http::uri::Authority::as_str);
        if authority.contains('@') {
            return Err(refused("holds a user name or password: send them in an authorization header instead"));
        }
        let host = uri.host().unwrap_or_default();
        if host.is_empty() || host == "[]" {
            return Err(refused(&format!("names no host: {example}")));
        }
        if authority.len() > host.len() && !matches!(uri.port_u16(), Some(1..)) {
            return Err(refused("has no usable port: it is a number from 1 to 65535"));
        }
        let shown = format!(
            "{}://{authority}{}{}",
            uri.scheme_str().unwrap_or_default(),
            uri.path(),
            if uri.query().is_some() { "?…" } else { "" }
        );
        // HTTP/2 says twice where a request goes, in the header and in the URL, and both have to be the same.
        let authority = authority.strip_suffix(usual_port).unwrap_or(authority).to_owned();
        let host = authority.parse().map_err(|_| refused("names a host that no header can carry"))?;
        let mut parts = uri.into_parts();
        parts.authority = Some(authority.parse().map_err(|_| refused("names a host that cannot be read"))?);
        let uri = Uri::from_parts(parts).map_err(|_| refused("cannot be read"))?;
        Ok(Self { host, shown, uri })
    }

    /// Whether it is reached over TLS.
    #[cfg(feature = "tls")]
    pub(crate) fn is_https(&self) -> bool {
        self.uri.scheme() == Some(&http::uri::Scheme::HTTPS)
    }

    /// Checks a host that is an address in itself; a name is checked when it is connected to.
    ///
    /// # Errors
    ///
    /// `Invalid` for an address that `policy` does not allow.
    pub(crate) fn check(&self, policy: &NetworkPolicy) -> Result<()> {
        match guard::host::literal(self.uri.host().unwrap_or_default()) {
            Some(address) if !policy.allows(address) => Err(Error::invalid(format!(
                "the URL {:?} is at an address that the network policy does not allow, which is {policy}: \
                 have the subscriber elsewhere, or allow its network",
                self.shown
            ))),
            _ => Ok(()),
        }
    }

    /// The URL to request. Cloning it copies no text.
    pub(crate) fn uri(&self) -> Uri {
        self.uri.clone()
    }

    /// The value of the host header.
    pub(crate) fn host(&self) -> HeaderValue {
        self.host.clone()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.shown, f)
    }
}

/// Any text that was meant as a URL, without user name, password, query and fragment. It hides too much rather than
/// too little: the text may be broken in any way.
fn redacted(url: &str) -> String {
    const MOST: usize = 200;
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (mark, rest) = rest.rsplit_once('@').map_or(("", rest), |(_, after)| ("…@", after));
    let shown = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
    let separator = if scheme.is_empty() { "" } else { "://" };
    let hidden = if shown.len() < rest.len() { "?…" } else { "" };
    format!("{scheme}{separator}{mark}{shown}{hidden}").chars().take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(not(feature = "tls"))]
    use kinesis_core::ErrorKind;

    fn refusal(url: &str) -> String {
        Endpoint::parse(url).unwrap_err().to_string()
    }

    #[test]
    fn a_url_keeps_its_query_and_does_not_show_it() {
        let endpoint = Endpoint::parse("http://example.test:3000/events?token=s3cret").unwrap();
        assert_eq!(endpoint.uri().query(), Some("token=s3cret"));
        assert_eq!(endpoint.to_string(), "http://example.test:3000/events?…");
        assert_eq!(format!("{endpoint:?}"), "\"http://example.test:3000/events?…\"");
    }

    #[test]
    fn the_host_header_leaves_the_usual_port_out() {
        let host = |url: &str| Endpoint::parse(url).unwrap().host().to_str().unwrap().to_owned();
        assert_eq!(host("http://example.test:80/"), "example.test");
        assert_eq!(host("http://example.test:8080"), "example.test:8080");
        assert_eq!(host("HTTP://[::1]:3000/x"), "[::1]:3000");
    }

    #[test]
    fn refusals_say_what_to_write() {
        assert!(refusal("localhost").contains("no scheme"));
        assert!(refusal("").contains("write it like http://host:3000/events"));
        assert!(refusal("/events").contains("no scheme"));
        assert!(refusal("ftp://example.test/").contains("only http and https are known"));
        assert!(refusal("http://:80/").contains("http://host:3000/events"));
        assert!(refusal("http://example.test:99999/").contains("1 to 65535"));
        assert!(refusal("http://example.test:/").contains("1 to 65535"));
        assert!(refusal("http://example.test:0/").contains("1 to 65535"));
        assert!(refusal("http://exa mple.test/").contains("cannot be read"));
    }

    #[test]
    #[cfg(feature = "tls")]
    fn https_has_its_own_usual_port() {
        let endpoint = |url: &str| Endpoint::parse(url).unwrap();
        let usual = endpoint("HTTPS://example.test:443/x?y");
        assert_eq!(
            (usual.host(), usual.uri().to_string()),
            ("example.test".parse().unwrap(), "https://example.test/x?y".to_owned())
        );
        assert_eq!(usual.to_string(), "https://example.test:443/x?…");
        assert_eq!(endpoint("https://example.test:80/").host(), "example.test:80");
        assert_eq!(endpoint("http://example.test:443/").host(), "example.test:443");
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn https_is_said_to_be_unsupported() {
        let error = Endpoint::parse("https://example.test/").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("https"));
    }

    #[test]
    fn no_refusal_repeats_a_secret() {
        let urls = [
            "http://user:s3cret@example.test/",
            "https://user:s3cret@example.test/",
            "http://user:s3/cret@example.test/",
            "http://user:s3?cret@exa mple.test/",
            "ftp://example.test/?key=s3cret",
            "http://exa mple.test/?key=s3cret#s3cret",
            "user:s3cret@example.test",
        ];
        for url in urls {
            let error = refusal(url);
            assert!(!error.contains("s3") && !error.contains("cret"), "{url}: {error}");
            assert!(error.contains("example.test") || error.contains("exa mple.test"), "{url}: {error}");
        }
    }
}
