//! Probes against servers on loopback: what they see, and what they say of what they cannot see.
#![expect(clippy::disallowed_methods, reason = "servers are tasks of the test, clocks its own")]

mod dns;
mod lines;
mod secure;
mod web;

use crate::{Look, Probe, ProbeConfig, What};
use core::time::Duration;
use feedpulse_core::codes::Code;
use feedpulse_core::probe::Saw;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Looks once.
async fn look(what: What) -> Look {
    look_with(what, None, Duration::from_secs(5)).await
}

async fn look_with(what: What, resolver: Option<SocketAddr>, timeout: Duration) -> Look {
    let every = Duration::from_secs(30);
    let config = ProbeConfig { name: "probe".to_owned(), every, timeout, resolver, what };
    Probe::new(&config).unwrap().look().await
}

/// What was found of a code, by part: None = good.
fn found(look: &Look, wanted: Code) -> Vec<(String, Option<String>)> {
    let checks = look.readings.iter().filter_map(|reading| match reading.saw {
        Saw::Check { code, failed } if code == wanted => {
            Some((reading.part.to_string(), failed.map(|f| f.to_string())))
        }
        _ => None,
    });
    checks.collect()
}

/// Whether the thing itself answered as it should; the class if not.
fn failed(look: &Look) -> Option<String> {
    let all = found(look, Code::ProbeFailed);
    assert_eq!(all.len(), 1, "{look:?}");
    all[0].1.clone()
}

fn numbers(look: &Look) -> Vec<(String, f64)> {
    let numbers = look.readings.iter().filter_map(|reading| match reading.saw {
        Saw::Number(value) => Some((reading.part.to_string(), value)),
        _ => None,
    });
    numbers.collect()
}

/// A server that serves each connection by `serve`.
async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Reads up to and with `end`.
async fn read_to(stream: &mut (impl tokio::io::AsyncRead + Unpin), end: &[u8]) -> Vec<u8> {
    let mut got = Vec::new();
    while !got.ends_with(end) {
        match stream.read_u8().await {
            Ok(byte) => got.push(byte),
            Err(_) => break,
        }
    }
    got
}

/// An HTTP server that answers each request with one text, and keeps the heads of requests.
async fn pages(
    answer: impl Fn(&str) -> String + Send + Sync + 'static,
) -> (SocketAddr, std::sync::Arc<std::sync::Mutex<Vec<String>>>) {
    let heads = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let (seen, answer) = (heads.clone(), std::sync::Arc::new(answer));
    let address = server(move |mut stream| {
        let (seen, answer) = (seen.clone(), answer.clone());
        async move {
            let head = read_to(&mut stream, b"\r\n\r\n").await;
            let head = String::from_utf8_lossy(&head).into_owned();
            let text = answer(&head);
            seen.lock().unwrap().push(head);
            let _ = stream.write_all(text.as_bytes()).await;
        }
    })
    .await;
    (address, heads)
}

fn page(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
