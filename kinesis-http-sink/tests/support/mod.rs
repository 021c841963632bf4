//! A server on a real socket that answers as it is told, rightly or wrongly, and remembers what it was sent.

#![allow(dead_code, unreachable_pub, reason = "each story is a crate of its own and uses a part of this")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kinesis_core::{Delivery, Record, SequenceNumber, StreamId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The one wait of these tests: real sockets need the real clock.
pub const SHORT: Duration = Duration::from_millis(200);

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Which connection it came on, from 0 on.
    pub connection: usize,
    /// Which request of that connection it is, from 0 on.
    pub nth: usize,
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().filter_map(|line| line.split_once(": ")).find_map(|(n, value)| (n == name).then_some(value))
    }
}

/// What the server does once it has read a request.
#[derive(Debug)]
pub enum Answer {
    /// Sends this and reads the next request.
    Say(String),
    /// Sends this and closes the connection.
    SayAndClose(String),
    /// Sends this, then nothing, and stays connected.
    SayAndStall(String),
    /// Sends this, then bytes without end: all it can, or one each millisecond.
    SayAndGoOn { head: String, slowly: bool },
    /// Closes the connection in such a way that the other side sees a reset.
    Reset,
}

impl Answer {
    /// A whole reply with an empty body.
    pub fn status(status: u16) -> Self {
        Self::Say(format!("HTTP/1.1 {status} Any\r\ncontent-length: 0\r\n\r\n"))
    }

    /// A whole reply with a header and a body.
    pub fn with(status: u16, header: &str, body: &str) -> Self {
        Self::Say(format!("HTTP/1.1 {status} Any\r\n{header}\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
    }
}

#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    accepted: Arc<Mutex<usize>>,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, accepted) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let (all, count, answer) = (Arc::clone(&seen), Arc::clone(&accepted), Arc::new(answer));
        let task = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let connection = *count.lock().unwrap();
                *count.lock().unwrap() += 1;
                tokio::spawn(converse(socket, connection, Arc::clone(&answer), Arc::clone(&all)));
            }
        });
        Self { address, seen, accepted, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many connections were made.
    pub fn accepted(&self) -> usize {
        *self.accepted.lock().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse<F>(mut socket: TcpStream, connection: usize, answer: Arc<F>, all: Arc<Mutex<Vec<Seen>>>)
where
    F: Fn(&Seen) -> Answer,
{
    for nth in 0.. {
        let Some((head, body)) = read_request(&mut socket).await else { return };
        let seen = Seen { connection, nth, head, body };
        all.lock().unwrap().push(seen.clone());
        let mut say = async |text: String| socket.write_all(text.as_bytes()).await;
        match answer(&seen) {
            Answer::Say(text) => say(text).await.unwrap(),
            Answer::SayAndClose(text) => return say(text).await.unwrap(),
            Answer::SayAndStall(text) => {
                say(text).await.unwrap();
                // Ends when the other side closes.
                let _ = socket.read(&mut [0]).await;
                return;
            }
            Answer::SayAndGoOn { head, slowly } => {
                say(head).await.unwrap();
                let more = "x".repeat(if slowly { 1 } else { 4096 });
                while say(more.clone()).await.is_ok() {
                    if slowly {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
                return;
            }
            Answer::Reset => return socket.set_zero_linger().unwrap(),
        }
    }
}

/// One request, or `None` when the connection was closed instead.
async fn read_request(socket: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut body = bytes.split_off(end);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    while body.len() < length {
        if socket.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, body))
}

/// A delivery of records with these keys and payloads, numbered from 0 on.
pub fn delivery<'a>(records: impl IntoIterator<Item = (&'a str, &'a str)>) -> Delivery {
    let record = |(n, (key, data)): (usize, (&str, &str))| {
        Record::new(SequenceNumber::from(n as u64), key, data.as_bytes().to_vec())
    };
    let records = records.into_iter().enumerate().map(record).collect();
    Delivery::new(StreamId::new("stream"), "shard", "subscription", records)
}

/// A delivery of one record.
pub fn one() -> Delivery {
    delivery([("key", "data")])
}
