//! A tiny HTTP server that takes whatever is posted and counts it by path: where the demo's alerts
//! and traces arrive when nobody gave a real address.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Largest body that is taken, in bytes.
const BODY_MAX: usize = 4 << 20;
/// Bodies kept, the newest.
const KEPT: usize = 256;
/// Connections served at once.
const CONNECTIONS_MAX: usize = 64;

/// What arrived.
#[derive(Debug, Default)]
struct Arrived {
    counts: BTreeMap<String, u64>,
    bodies: Vec<(String, Vec<u8>)>,
}

/// A running server; it ends when dropped.
#[derive(Debug)]
pub struct Inbox {
    address: SocketAddr,
    arrived: Arc<Mutex<Arrived>>,
    _task: JoinSet<()>,
}

impl Inbox {
    /// Starts on a loopback port that the system chooses.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let arrived = Arc::new(Mutex::new(Arrived::default()));
        let mut task = JoinSet::new();
        task.spawn(accept(listener, Arc::clone(&arrived)));
        Ok(Self { address, arrived, _task: task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests so far whose path starts with `path`.
    #[must_use]
    pub fn count(&self, path: &str) -> u64 {
        let arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.counts.iter().filter(|(p, _)| p.starts_with(path)).map(|(_, n)| n).sum()
    }

    /// The newest bodies of a path, oldest first.
    #[must_use]
    pub fn bodies(&self, path: &str) -> Vec<Vec<u8>> {
        let arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.bodies.iter().filter(|(p, _)| p == path).map(|(_, body)| body.clone()).collect()
    }
}

async fn accept(listener: TcpListener, arrived: Arc<Mutex<Arrived>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        connections.spawn(serve(stream, Arc::clone(&arrived)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, arrived: Arc<Mutex<Arrived>>) {
    let mut stream = BufReader::new(stream);
    while let Ok(Some((path, body))) = request(&mut stream).await {
        {
            let mut arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
            *arrived.counts.entry(path.clone()).or_default() += 1;
            if arrived.bodies.len() == KEPT {
                arrived.bodies.remove(0);
            }
            arrived.bodies.push((path, body));
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        if stream.get_mut().write_all(answer).await.is_err() {
            return;
        }
    }
}

/// One request: its path and body; None at the end of the connection.
async fn request(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut line = String::new();
    if stream.take(8_192).read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        if stream.take(8_192).read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let header = line.trim_end();
        if header.is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(BODY_MAX + 1);
        }
    }
    if length > BODY_MAX {
        return Err(std::io::Error::other("the body is over 4 MiB"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some((path, body)))
}

#[cfg(test)]
mod tests {
    use super::Inbox;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn it_takes_and_counts_by_path() {
        let inbox = Inbox::start().await.unwrap();
        let mut stream = tokio::net::TcpStream::connect(inbox.address()).await.unwrap();
        for n in 0..3 {
            let text = format!("POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n{n}");
            stream.write_all(text.as_bytes()).await.unwrap();
            let mut answer = [0; 38];
            stream.read_exact(&mut answer).await.unwrap();
        }
        assert_eq!(inbox.count("/v1"), 3);
        assert_eq!(inbox.bodies("/v1/x"), [b"0", b"1", b"2"]);
    }
}
