//! Real loopback connections: limits, the Host check with a real port, a graceful end.

use super::fixture::{Fixture, trouble};
use super::key;
use crate::{ServeLimits, UiConfig, bind, serve, ui};
use axum::Router;
use axum::routing::get;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Runs `client` against a served router, then stops it; both must end.
async fn against<T>(
    make: impl FnOnce(SocketAddr) -> Router,
    limits: ServeLimits,
    client: impl AsyncFnOnce(SocketAddr, CancellationToken) -> T,
) -> T {
    let listener = bind("test", ANY).await.unwrap();
    let local = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let asks = async {
        let result = client(local, stop.clone()).await;
        stop.cancel();
        result
    };
    tokio::join!(serve(listener, make(local), limits, stop.clone()), asks).1
}

async fn talk(addr: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn pages_are_served_on_the_port_that_was_chosen() {
    let make = |local| {
        let config = UiConfig::new(local, None, key()).unwrap();
        ui(&config, local, Fixture::new(trouble()))
    };
    against(make, ServeLimits::default(), async |addr, _| {
        let own = format!("GET / HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
        let answer = talk(addr, &own).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("lab-results"), "{answer}");
        let other = own.replace(&addr.to_string(), "evil.example");
        assert!(talk(addr, &other).await.starts_with("HTTP/1.1 421 "));
        assert!(talk(addr, "nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    })
    .await;
}

#[tokio::test]
async fn a_slow_head_is_cut_and_the_next_one_served() {
    let limits =
        ServeLimits { connections: 1, header: Duration::from_millis(50), ..ServeLimits::default() };
    let make = |_| Router::new().route("/", get(async || "here"));
    against(make, limits, async |addr, _| {
        // The only place is taken by one that never ends its head: it is cut, and the next is served.
        let mut slow = TcpStream::connect(addr).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").await.unwrap();
        let next = talk(addr, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(next.ends_with("here"), "{next}");
        let mut rest = Vec::new();
        let _ = slow.read_to_end(&mut rest).await;
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "{rest:?}");
        // A kept-alive connection that stays idle is cut too.
        let mut idle = TcpStream::connect(addr).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = idle.read_to_end(&mut answer).await;
        assert!(answer.ends_with(b"here"));
    })
    .await;
}

#[tokio::test]
async fn a_slow_body_is_408_and_a_panic_ends_only_its_connection() {
    let limits = ServeLimits { request: Duration::from_millis(50), ..ServeLimits::default() };
    let make = |_| {
        Router::new()
            .route("/", axum::routing::post(async |body: String| body))
            .route("/panics", get(async || -> &'static str { panic!("a fault of a handler") }))
    };
    against(make, limits, async |addr, _| {
        let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf";
        let answer = talk(addr, head).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert_eq!(talk(addr, "GET /panics HTTP/1.1\r\nHost: x\r\n\r\n").await, "");
        let whole =
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody";
        assert!(talk(addr, whole).await.ends_with("body"));
    })
    .await;
}

#[tokio::test]
async fn stop_lets_a_running_request_finish() {
    let (entered, mut inside) = tokio::sync::mpsc::channel::<()>(1);
    let go = CancellationToken::new();
    let gate = go.clone();
    let make = move |_| {
        let handler = async move || {
            entered.send(()).await.unwrap();
            gate.cancelled().await;
            "finished"
        };
        Router::new().route("/", get(handler))
    };
    against(make, ServeLimits::default(), async |addr, stop| {
        let asks = talk(addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let ends = async {
            inside.recv().await.unwrap();
            stop.cancel();
            go.cancel();
        };
        let (answer, ()) = tokio::join!(asks, ends);
        assert!(answer.ends_with("finished"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn a_port_that_is_taken_says_what_to_do() {
    let first = bind("ops", ANY).await.unwrap();
    let addr = first.local_addr().unwrap();
    let error = bind("ops", addr).await.unwrap_err().to_string();
    assert!(error.contains(&format!("ops cannot listen on {addr}")), "{error}");
    assert!(error.contains("another process holds this port"), "{error}");
}
