//! Servers behind TLS: a listener with a certificate, and whatever it is to do with each connection.

#![allow(dead_code, unreachable_pub, reason = "each story is a crate of its own and uses a part of this")]

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, crypto};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

const KEY: &str = include_str!("../certificates/server.key");
pub(crate) const GOOD: &str = include_str!("../certificates/server.pem");

pub(crate) const H1: &[&str] = &["http/1.1"];
pub(crate) const H2: &[&str] = &["h2"];
pub(crate) const BOTH: &[&str] = &["h2", "http/1.1"];

pub(crate) struct Server {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens with `certificate`, offers the protocols `alpn`, and converses with each client that shook hands. The
    /// conversation is told the number of its connection, from 0 on.
    pub(crate) async fn start<F, C>(certificate: &'static str, alpn: &[&str], converse: F) -> Self
    where
        F: Fn(TlsStream<TcpStream>, usize) -> C + Send + Sync + 'static,
        C: Future<Output = ()> + Send + 'static,
    {
        let acceptor = acceptor(certificate, alpn);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, converse) = (Arc::new(AtomicUsize::new(0)), Arc::new(converse));
        let count = Arc::clone(&accepted);
        let task = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (nth, acceptor, converse) =
                    (count.fetch_add(1, Ordering::SeqCst), acceptor.clone(), Arc::clone(&converse));
                tokio::spawn(async move {
                    if let Ok(tls) = acceptor.accept(tcp).await {
                        converse(tls, nth).await;
                    }
                });
            }
        });
        Self { address, accepted, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}/events", self.address)
    }

    /// The same place by another name.
    pub(crate) fn url_of(&self, host: &str) -> String {
        format!("https://{host}:{}/events", self.address.port())
    }

    /// How many connections were made.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn acceptor(certificate: &str, alpn: &[&str]) -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// The next request of HTTP/1.1, head and body, or `None` when the connection was closed instead.
pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() >= length.parse().unwrap() {
                return Some(text.into_owned());
            }
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}
