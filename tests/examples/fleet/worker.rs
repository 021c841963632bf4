//! A worker: a process of the forwarder, killed when it is dropped.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A stop takes no longer: what is in flight is over by then.
const STOPS_WITHIN: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: usize,
    child: Child,
    /// What it writes, which has to be read for it to go on.
    said: Vec<JoinHandle<String>>,
}

impl Worker {
    pub(crate) fn start(forwarder: &Path, id: usize, args: &[&str]) -> Result<Self, String> {
        let mut command = Command::new(forwarder);
        command.args(args).env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().map_err(|error| format!("cannot start it: {error}"))?;
        let stdout = child.stdout.take().expect("it is piped");
        let stderr = child.stderr.take().expect("it is piped");
        Ok(Self { id, child, said: vec![tokio::spawn(read(stdout)), tokio::spawn(read(stderr))] })
    }

    /// Whether it works still, as it should until it is told otherwise.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal, by its name without SIG.
    pub(crate) async fn signal(&self, name: &str) -> Result<(), String> {
        let Some(pid) = self.child.id() else { return Err(format!("worker {} has ended by itself", self.id)) };
        let sent = Command::new("kill").args(["-s", name, &pid.to_string()]).status().await;
        match sent {
            Ok(status) if status.success() => Ok(()),
            sent => Err(format!("worker {} cannot be sent {name}: {sent:?}", self.id)),
        }
    }

    /// Waits for the end after a signal that asks for it; an error is what it should not have done.
    pub(crate) async fn stopped(mut self) -> Result<(), String> {
        let status = timeout(STOPS_WITHIN, self.child.wait()).await;
        let status = status.map_err(|_| format!("worker {} does not end", self.id))?;
        let status = status.map_err(|error| format!("worker {} cannot be waited for: {error}", self.id))?;
        match status.code() {
            Some(0) => Ok(()),
            _ => {
                let said = self.said().await;
                Err(format!("worker {} ended with {status}: {said}", self.id))
            }
        }
    }

    /// Kills it, whatever it does.
    pub(crate) async fn kill(mut self) -> Result<(), String> {
        self.child.kill().await.map_err(|error| format!("worker {} cannot be killed: {error}", self.id))
    }

    /// Kills it, and tells what it wrote.
    pub(crate) async fn told(mut self) -> String {
        // It may have ended by itself.
        let _ = self.child.kill().await;
        self.said().await
    }

    async fn said(&mut self) -> String {
        let mut all = String::new();
        for said in self.said.drain(..) {
            all.push_str(&said.await.unwrap_or_default());
        }
        all
    }
}

async fn read(mut from: impl AsyncRead + Unpin) -> String {
    let mut bytes = Vec::new();
    // What came before a failure is told all the same.
    let _ = from.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}
