//! A real proxy: it connects through, and wants a login.
#![expect(clippy::disallowed_methods, reason = "fake servers are tasks of the test")]

use super::servers::{Got, collector, http, ok};
use super::smtp::{Smtp, mail_config};
use super::tls::{https, pki, target};
use super::{Running, incident, refused_journey};
use crate::Secret;
use crate::config::{
    Chat, NotifierConfig, OtlpConfig, ProxyConfig, Security, SinksConfig, Speech, Target,
};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// `feedpulse:s3cret`.
const LOGIN: &str = "basic zmvlzhb1bhnlonmzy3jlda==";

/// A proxy that connects through for who logs in; the request lines arrive at the receiver.
async fn proxy() -> (ProxyConfig, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Secret::new(format!("http://{}", listener.local_addr().unwrap()));
    let (tell, lines) = mpsc::channel(64);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, tell.clone()));
        }
    });
    let user = Some(("feedpulse".to_owned(), Secret::new("s3cret")));
    (ProxyConfig { url, user }, lines)
}

async fn serve(stream: TcpStream, tell: mpsc::Sender<String>) {
    let mut stream = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let _ = tell.try_send(lines[0].clone());
    let logs_in =
        |line: &String| line.to_ascii_lowercase() == format!("proxy-authorization: {LOGIN}");
    let method = lines[0].split(' ').next().unwrap_or_default().to_owned();
    if !lines.iter().any(logs_in) {
        let _ = stream.write_all(b"HTTP/1.1 407 Login\r\ncontent-length: 0\r\n\r\n").await;
        return;
    }
    let asked = lines[0].split(' ').nth(1).unwrap_or_default().to_owned();
    if method != "CONNECT" {
        // The test's plain servers take the request as it is, with the whole address in its line.
        let host = asked.trim_start_matches("http://").split('/').next().unwrap().to_owned();
        let mut far = TcpStream::connect(host).await.unwrap();
        far.write_all(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes()).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut far).await;
        return;
    }
    let mut far = TcpStream::connect(asked).await.unwrap();
    stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut far).await;
    let _ = stream.read(&mut [0]).await;
}

#[tokio::test]
async fn a_notice_passes_a_proxy_to_a_secured_server() {
    let (proxy, mut lines) = proxy().await;
    let pki = pki(b"http/1.1");
    let (address, mut seen) = https(&pki).await;
    let mut to = target(&address, pki.folder.path(), true);
    to.access.proxy = Some(proxy);
    let notifiers = vec![NotifierConfig::new("chat", to, Speech::Chat(Chat::Slack))];
    let mut running = Running::new(&SinksConfig { notifiers, ..SinksConfig::default() });
    running.incident(&incident(3));
    assert!(seen.recv().await.unwrap().json()["blocks"].is_array());
    let line = lines.recv().await.unwrap();
    assert_eq!(line, format!("CONNECT {} HTTP/1.1", address.trim_start_matches("https://")));
    running.stop().await;
}

#[tokio::test]
async fn a_proxy_that_wants_a_login_gets_it_or_refuses() {
    let (proxy, mut lines) = proxy().await;
    let (address, mut seen) = http(ok()).await;
    let mut to = Target::new(format!("{address}/hook"));
    to.access.proxy = Some(ProxyConfig { user: None, ..proxy.clone() });
    let notifiers = vec![NotifierConfig::webhook("webhook", to.clone())];
    let mut without = Running::new(&SinksConfig { notifiers, ..SinksConfig::default() });
    without.incident(&incident(3));
    let failing = without.own.recv().await.unwrap();
    assert_eq!((failing.failing, failing.detail.as_str()), (true, "http-407"));
    without.stop().await;
    assert!(seen.try_recv().is_err(), "nothing goes around the proxy");
    to.access.proxy = Some(proxy);
    let notifiers = vec![NotifierConfig::webhook("webhook", to)];
    let mut with = Running::new(&SinksConfig { notifiers, ..SinksConfig::default() });
    with.incident(&incident(3));
    assert_eq!(seen.recv().await.unwrap().json()["event"], "open");
    assert!(lines.recv().await.unwrap().starts_with("POST http://127.0.0.1"));
    with.stop().await;
}

#[tokio::test]
async fn spans_by_grpc_and_mails_pass_a_proxy() {
    let (proxy, mut lines) = proxy().await;
    let (address, mut got) = collector(Arc::new(|| Ok(0))).await;
    let mut to = Target::new(&address);
    to.access.proxy = Some(proxy.clone());
    let otlp = Some(OtlpConfig::new(to));
    let mut running = Running::new(&SinksConfig { otlp, ..SinksConfig::default() });
    running.journey(refused_journey(7));
    while !matches!(got.recv().await, Some(Got::Traces(..))) {}
    assert!(lines.recv().await.unwrap().starts_with("CONNECT 127.0.0.1:"));
    running.stop().await;
    let mut smtp = Smtp::start(None).await;
    let mut config = mail_config(&smtp, Security::None);
    config.target.access.proxy = Some(proxy.clone());
    let mut running =
        Running::new(&SinksConfig { notifiers: vec![config], ..SinksConfig::default() });
    running.incident(&incident(3));
    smtp.mails.recv().await.unwrap();
    running.stop().await;
    let mut config = mail_config(&smtp, Security::None);
    config.target.access.proxy = Some(ProxyConfig { user: None, ..proxy });
    let mut refused =
        Running::new(&SinksConfig { notifiers: vec![config], ..SinksConfig::default() });
    refused.incident(&incident(3));
    assert_eq!(refused.own.recv().await.unwrap().detail.as_str(), "proxy");
    refused.stop().await;
}
