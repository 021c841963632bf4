//! One connection: bytes go out as they are, and the heads of answers come back.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

/// The longest answer to a single event or to none, in bytes; a batch names each event that failed.
const LONGEST: usize = 4096;

/// What came back on a connection until so many answers were there, or until it was closed.
#[derive(Debug, Default)]
pub(super) struct Came {
    pub(super) statuses: Vec<u16>,
    /// The length of an error that is longer than any has to be.
    pub(super) too_long: Option<usize>,
}

/// Sends bytes, then says that no more will come if `cut`, and reads up to `answers`.
pub(super) async fn talk(stream: TcpStream, bytes: &[u8], cut: bool, answers: usize, is_head: bool) -> Came {
    // A reset instead of an end: otherwise tens of thousands of ports wait to be used again.
    let _ = stream.set_zero_linger();
    let (read, mut write) = stream.into_split();
    let mut came = Came::default();
    let sending = async {
        // The other side may close before it has read all.
        let _ = write.write_all(bytes).await;
        if cut {
            let _ = write.shutdown().await;
        }
    };
    let mut read = BufReader::new(read);
    let reading = async {
        while came.statuses.len() < answers {
            match answer(&mut read, is_head).await {
                Ok((status, _)) if (100..200).contains(&status) => {}
                Ok((status, length)) => {
                    came.statuses.push(status);
                    if status != 200 && length > LONGEST {
                        came.too_long = Some(length);
                    }
                }
                Err(_) => break,
            }
        }
    };
    tokio::join!(sending, reading);
    came
}

/// Status and length of the next answer, whose body is read and dropped.
async fn answer(read: &mut BufReader<OwnedReadHalf>, is_head: bool) -> io::Result<(u16, usize)> {
    let none = || io::Error::from(io::ErrorKind::InvalidData);
    let mut line = String::new();
    read.read_line(&mut line).await?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(none)?;
    let mut length = 0;
    loop {
        line.clear();
        if read.read_line(&mut line).await? == 0 {
            return Err(none());
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        if name == "content-length" {
            length = value.parse().map_err(|_| none())?;
        }
    }
    if !is_head {
        let mut body = vec![0; length];
        read.read_exact(&mut body).await?;
    }
    Ok((status, length))
}
