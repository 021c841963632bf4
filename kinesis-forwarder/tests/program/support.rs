//! What the stories need: the program as a process, subscribers that remember, a port nobody answers on, files.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use kinesis_http_sink::Receiver;
use kinesis_http_sink::receiver::Event;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;

/// Longer than any story takes; a program that hangs fails its test.
const TOO_LONG: Duration = Duration::from_secs(60);

/// A program that runs, and what it has to say in the end.
pub(crate) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
}

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    pub(crate) fn start<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        Self::start_with(args, [])
    }

    /// Starts it with more in its environment.
    pub(crate) fn start_with<'a, S: AsRef<std::ffi::OsStr>>(
        args: impl IntoIterator<Item = S>,
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_kinesis-forwarder"))
            .args(args)
            .env_remove("RUST_LOG")
            .envs(variables)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        Self { child, stdin }
    }

    /// Writes to the program's input and leaves it open.
    pub(crate) async fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).await.unwrap();
        stdin.flush().await.unwrap();
    }

    /// Sends a signal, by its name without SIG.
    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().await.unwrap().success());
    }

    /// Waits for this line, or its beginning, on standard error, and returns the rest of it.
    pub(crate) async fn noted(&mut self, beginning: &str) -> String {
        let stderr = self.child.stderr.as_mut().unwrap();
        let mut line = Vec::new();
        let found = async {
            loop {
                match stderr.read_u8().await.unwrap() {
                    b'\n' if line.starts_with(beginning.as_bytes()) => break,
                    b'\n' => line.clear(),
                    byte => line.push(byte),
                }
            }
        };
        tokio::time::timeout(TOO_LONG, found).await.unwrap();
        String::from_utf8(line.split_off(beginning.len())).unwrap()
    }

    /// Ends it at once, as a container does; returns what it said until then.
    pub(crate) async fn kill(mut self) -> Done {
        self.child.start_kill().unwrap();
        self.end().await
    }

    /// Leaves the input open and waits for the end.
    pub(crate) async fn end_with_input_open(mut self) -> Done {
        let _held = self.stdin.take();
        self.end().await
    }

    /// Closes the input and waits for the end.
    pub(crate) async fn end(mut self) -> Done {
        drop(self.stdin.take());
        let output = tokio::time::timeout(TOO_LONG, self.child.wait_with_output()).await.expect("it ends").unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let done = Done { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
        assert!(!done.stderr.contains("panicked"), "{done:?}");
        done
    }
}

/// A subscriber in this process that remembers what it got.
pub(crate) struct Subscriber {
    url: String,
    events: Arc<Mutex<Vec<Event>>>,
    count: watch::Receiver<usize>,
}

impl Subscriber {
    /// One that takes everything.
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0").await
    }

    /// One at this address.
    pub(crate) async fn start_at(address: &str) -> Self {
        Self::answering(address, watch::channel(usize::MAX).1).await
    }

    /// One that leaves all but the first `events` without an answer, until more of them are to have one.
    pub(crate) async fn answering_first(events: usize) -> (watch::Sender<usize>, Self) {
        let (answered, first) = watch::channel(events);
        (answered, Self::answering("127.0.0.1:0", first).await)
    }

    async fn answering(address: &str, first: watch::Receiver<usize>) -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let arrivals = Arc::clone(&events);
        let (send, count) = watch::channel(0);
        let receiver = Receiver::new().remember(0).body_limit(1 << 30).fallback(move |event: Event| {
            let mut events = arrivals.lock().unwrap();
            events.push(event);
            let (nth, mut first) = (events.len(), first.clone());
            let _ = send.send(nth);
            async move { drop(first.wait_for(|first| nth <= *first).await) }
        });
        Self { url: serve_at(address, receiver).await, events, count }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The bodies it got, in the order they came.
    pub(crate) fn bodies(&self) -> Vec<Bytes> {
        self.events.lock().unwrap().iter().map(|event| event.body.clone()).collect()
    }

    /// The payloads it got, sorted: keys may overtake one another.
    pub(crate) fn payloads(&self) -> Vec<String> {
        let text = |event: &Event| String::from_utf8(event.data.to_vec()).unwrap();
        let mut payloads: Vec<String> = self.events.lock().unwrap().iter().map(text).collect();
        payloads.sort();
        payloads
    }

    /// Waits until it has this many events.
    pub(crate) async fn has(&mut self, events: usize) {
        let enough = self.count.wait_for(|count| *count >= events);
        tokio::time::timeout(TOO_LONG, enough).await.expect("they arrive").unwrap();
    }
}

/// Serves `receiver` on this machine and returns its URL.
pub(crate) async fn serve(receiver: Receiver) -> String {
    serve_at("127.0.0.1:0", receiver).await
}

async fn serve_at(address: &str, receiver: Receiver) -> String {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, receiver.router()).await });
    format!("http://{address}/events")
}

/// Serves `receiver` on this machine; returns its URL, and counts the connections to it.
pub(crate) async fn counting(receiver: Receiver) -> (String, Arc<AtomicUsize>) {
    struct Counting(TcpListener, Arc<AtomicUsize>);
    impl axum::serve::Listener for Counting {
        type Io = tokio::net::TcpStream;
        type Addr = std::net::SocketAddr;
        async fn accept(&mut self) -> (Self::Io, Self::Addr) {
            let accepted = axum::serve::Listener::accept(&mut self.0).await;
            self.1.fetch_add(1, Ordering::Relaxed);
            accepted
        }
        fn local_addr(&self) -> std::io::Result<Self::Addr> {
            self.0.local_addr()
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    let count = Arc::<AtomicUsize>::default();
    let listener = Counting(listener, Arc::clone(&count));
    tokio::spawn(async move { axum::serve(listener, receiver.router()).await });
    (url, count)
}

/// A URL where every connection is refused, for as long as the socket is held: its port is taken and nobody listens.
pub(crate) fn refusing() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!("http://{}/events", socket.local_addr().unwrap());
    (socket, url)
}

/// A file that is gone after the test.
pub(crate) struct TempFile(PathBuf);

impl TempFile {
    /// A path with no file yet; `name` is unlike that of any other test.
    pub(crate) fn none(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }

    pub(crate) fn with(name: &str, content: impl AsRef<[u8]>) -> Self {
        let file = Self::none(name);
        std::fs::write(&file.0, content).unwrap();
        file
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    pub(crate) fn text(&self) -> String {
        std::fs::read_to_string(&self.0).unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// NDJSON of this many events of one channel, the payloads of which are `0`, `1`, ..
pub(crate) fn events(channel: &str, count: usize) -> String {
    let line = |n: usize| format!("{{\"channel\":\"{channel}\",\"sequenceNumber\":\"{}\",\"data\":\"{n}\"}}\n", n + 1);
    (0..count).map(line).collect()
}

/// A row of the summary table without its name: its counts.
pub(crate) fn row(done: &Done, subscription: &str) -> Vec<u64> {
    let row = done.stdout.lines().find_map(|line| line.strip_prefix(subscription)).expect("a row of the table");
    row.split_whitespace().map(|cell| cell.replace(',', "").parse().unwrap()).collect()
}
