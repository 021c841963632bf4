//! The server: the door on a socket, for programs in any language.

mod connection;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::door::Door;
use super::fault::{Answer, Rule};
use crate::Account;

/// How long accepting pauses after it failed, so that running out of sockets does not turn into a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// An account on a socket: HTTP/1.1 and, for whoever knows beforehand, HTTP/2, both without TLS and on one port.
///
/// It takes any credentials. It stops when it is dropped, and its connections break.
///
/// ```
/// use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
/// use kinesis_mock::{Account, Server};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let account = Account::new();
/// account.create("orders", 4);
/// let server = Server::start(&account).await?;
///
/// let config = aws_sdk_kinesis::Config::builder()
///     .behavior_version(BehaviorVersion::latest())
///     .region(Region::new("eu-central-1"))
///     .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
///     .endpoint_url(server.endpoint())
///     .build();
/// let client = aws_sdk_kinesis::Client::from_conf(config);
/// assert_eq!(client.list_shards().stream_name("orders").send().await?.shards().len(), 4);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    door: Door,
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Serves the account on a free port of 127.0.0.1. It takes requests as soon as this returns.
    ///
    /// # Errors
    ///
    /// When there is no free port.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O and time enabled.
    pub async fn start(account: &Account) -> io::Result<Self> {
        Self::bind(account, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
    }

    /// Serves the account on this address; with port 0 on a free one.
    ///
    /// # Errors
    ///
    /// When the address is taken or is none of this machine.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub async fn bind(account: &Account, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let (door, address) = (Door::new(account), listener.local_addr()?);
        let accepting = tokio::spawn(accept(listener, door.clone()));
        Ok(Self { door, address, accepting })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint URL for an SDK, such as `http://127.0.0.1:4567`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The account that is served.
    #[must_use]
    pub fn account(&self) -> &Account {
        self.door.account()
    }

    /// Says how the next calls of an operation, such as `GetRecords`, are answered; those after are served.
    pub fn script(&self, operation: &str, answers: impl IntoIterator<Item = Answer>) {
        let answers: Vec<_> = answers.into_iter().collect();
        self.door.script().extend(operation, answers);
    }

    /// Adds rules, which answer the calls that the [script](Self::script) leaves to them. The first that fits wins.
    pub fn add_rules(&self, rules: impl IntoIterator<Item = Rule>) {
        let rules: Vec<_> = rules.into_iter().collect();
        self.door.script().add_rules(rules);
    }

    /// How many calls of an operation came so far.
    #[must_use]
    pub fn calls(&self, operation: &str) -> u64 {
        self.door.script().calls(operation)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The connections are the task's own, so they end with it.
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, door: Door) {
    let door = Arc::new(door);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    connections.spawn(connection::serve(socket, Arc::clone(&door)));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            // Those that ended are taken out, or they would pile up.
            Some(_) = connections.join_next() => {}
        }
    }
}
