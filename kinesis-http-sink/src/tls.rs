//! TLS: whose certificates are trusted, the handshake, and what a failed one means to whoever has to mend it.

use std::error::Error as StdError;
use std::io;
use std::sync::{Arc, OnceLock};

use kinesis_core::{Error, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore, crypto};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::guard::host;

/// HTTP/2, as ALPN names it.
const H2: &[u8] = b"h2";
/// HTTP/1.1, as ALPN names it.
const HTTP_1_1: &[u8] = b"http/1.1";

/// Whose certificates are trusted.
#[derive(Clone, Debug, Default)]
pub(crate) enum Trust {
    /// Issuers that the platform trusts.
    #[default]
    Platform,
    /// Issuers that were given, and no others.
    Given(Arc<ClientConfig>),
}

impl Trust {
    /// Trusts the certificates in `pem` alone.
    pub(crate) fn given(pem: &[u8]) -> Result<Self> {
        let refused = |why: String| Error::invalid(format!("the CA certificates {why}"));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| refused(format!("cannot be read as PEM: {error}")))?;
            roots.add(certificate).map_err(|error| refused(format!("hold one that cannot be used: {error}")))?;
        }
        if roots.is_empty() {
            return Err(refused("hold none: give PEM text with \"-----BEGIN CERTIFICATE-----\"".to_owned()));
        }
        Ok(Self::Given(config(roots)))
    }

    /// The settings of a handshake. The platform's roots are read once in the life of the process.
    ///
    /// # Errors
    ///
    /// `Invalid` when the platform has no roots.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>> {
        static PLATFORM: OnceLock<Arc<ClientConfig>> = OnceLock::new();
        match self {
            Self::Given(config) => Ok(Arc::clone(config)),
            Self::Platform => match PLATFORM.get() {
                Some(config) => Ok(Arc::clone(config)),
                None => {
                    let read = config(platform_roots()?);
                    Ok(Arc::clone(PLATFORM.get_or_init(|| read)))
                }
            },
        }
    }

    /// Makes a connection to `host` one over TLS, verified for that host.
    ///
    /// # Errors
    ///
    /// A [`Handshake`], or the error of [`config`](Self::config).
    pub(crate) async fn handshake(
        &self,
        host: &str,
        tcp: TcpStream,
    ) -> Result<TlsStream<TcpStream>, kinesis_core::BoxError> {
        let name = match host::literal(host) {
            Some(address) => ServerName::IpAddress(address.into()),
            None => ServerName::try_from(host.to_owned()).map_err(|error| Handshake(io::Error::other(error)))?,
        };
        let connecting = TlsConnector::from(self.config()?).connect(name, tcp);
        Ok(connecting.await.map_err(Handshake)?)
    }
}

/// Whether both sides agreed on HTTP/2.
pub(crate) fn is_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(H2)
}

fn config(roots: RootCertStore) -> Arc<ClientConfig> {
    // The provider is named: a process may hold several, and then there is no default.
    let mut config = ClientConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
    Arc::new(config)
}

fn platform_roots() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Stores hold odd certificates beside the good ones; those are nobody's to mend.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or_else(String::new, |error| format!(" ({error})"));
        return Err(Error::invalid(format!(
            "no certificate authority is trusted on this machine{why}, so https is not possible: install the system's \
             CA certificates, or give some to the client"
        )));
    }
    Ok(roots)
}

/// A handshake that failed. Its cause says why.
#[derive(Debug, thiserror::Error)]
#[error("no TLS connection")]
pub(crate) struct Handshake(#[source] io::Error);

/// What an error of TLS behind `error` means, as the end of a sentence that begins with the URL.
pub(crate) fn sentence(error: &(dyn StdError + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    let mut failed_handshake = false;
    while let Some(error) = next {
        failed_handshake |= error.is::<Handshake>();
        // An I/O error leaves out of its sources what it was made of.
        let within = error.downcast_ref::<io::Error>().and_then(|io| io.get_ref()).map(|inner| inner as &dyn StdError);
        if let Some(error) = within.and_then(<dyn StdError>::downcast_ref).or_else(|| error.downcast_ref()) {
            return Some(meaning(error));
        }
        next = error.source();
    }
    failed_handshake.then_some("broke off the TLS handshake; is the port right, and is it https?")
}

fn meaning(error: &rustls::Error) -> &'static str {
    use CertificateError as Bad;
    match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::Expired | Bad::ExpiredContext { .. } => {
                "showed a certificate that has expired; it is to be renewed there, unless the clock here is wrong"
            }
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                "showed a certificate that is not valid yet; is the clock right, here and there?"
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                "showed a certificate for another host; use the host that it was issued for, or have one issued for this"
            }
            Bad::UnknownIssuer => {
                "showed a certificate of an issuer that is not trusted here; give the client that issuer's CA certificate, \
                 and have the subscriber send its whole chain"
            }
            Bad::Revoked => "showed a certificate that was revoked; it is to be replaced there",
            _ => "showed a certificate that cannot be verified; have one issued by a certificate authority",
        },
        rustls::Error::InvalidMessage(_) => {
            "does not speak TLS; is the port right, or is the URL to begin with http://?"
        }
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "wants a certificate of the client's, and there is none to give"
        }
        rustls::Error::NoApplicationProtocol
        | rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "speaks neither HTTP/1.1 nor HTTP/2 over TLS; is the port right?"
        }
        rustls::Error::PeerIncompatible(_) | rustls::Error::AlertReceived(_) => {
            "refused the TLS handshake; it has to speak TLS 1.2 or 1.3, and to know the host of the URL"
        }
        _ => "broke TLS; is a proxy in between?",
    }
}
