//! Ports, receivers of HL7, mail servers, proxies.

use super::{failed, look, look_with, read_to, server};
use crate::{Access, Mllp, ProxyConfig, Secret, Smtp, Tcp, What};
use core::time::Duration;
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

fn tcp(address: impl ToString, proxy: Option<String>) -> What {
    let proxy = proxy.map(|url| ProxyConfig::from_secret(Secret::new(url)));
    What::Tcp(Tcp { address: address.to_string(), proxy })
}

/// A port of loopback where nobody listens.
async fn closed() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn a_port_is_open_or_refused() {
    let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert_eq!(failed(&look(tcp(open.local_addr().unwrap(), None)).await), None);
    assert_eq!(failed(&look(tcp(closed().await, None)).await).as_deref(), Some("refused"));
}

#[tokio::test]
async fn a_receiver_that_hangs_is_a_timeout() {
    let hung = server(|stream| async move {
        let _held = stream;
        core::future::pending::<()>().await;
    })
    .await;
    let probe = mllp(hung, Some("MSH|^~\\&|FP\r"));
    let seen = look_with(probe, None, Duration::from_millis(300)).await;
    assert_eq!(failed(&seen).as_deref(), Some("timeout"));
}

fn mllp(address: std::net::SocketAddr, message: Option<&str>) -> What {
    What::Mllp(Mllp {
        address: address.to_string(),
        message: message.map(|m| m.as_bytes().to_vec()),
        accept: vec!["AA".to_owned(), "CA".to_owned()],
    })
}

/// A receiver that gives one answer to each message, and keeps what it got.
async fn receiver(code: &'static str) -> (std::net::SocketAddr, Arc<Mutex<Vec<Vec<u8>>>>) {
    let got = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&got);
    let address = server(move |mut stream| {
        let kept = Arc::clone(&kept);
        async move {
            let message = read_to(&mut stream, b"\x1c\r").await;
            if message.is_empty() {
                return;
            }
            kept.lock().unwrap().push(message);
            let ack = format!("\x0bMSH|^~\\&|R|||||ACK|1|T|2.5\rMSA|{code}|TEST1\r\x1c\r");
            let _ = stream.write_all(ack.as_bytes()).await;
        }
    })
    .await;
    (address, got)
}

#[tokio::test]
async fn a_test_message_is_judged_by_the_code_of_its_ack() {
    const MESSAGE: &str = "MSH|^~\\&|FP|||||ADT^A01|TEST1|T|2.5\r";
    for (code, expected) in
        [("AA", None), ("CA", None), ("AE", Some("ack AE")), ("??", Some("no ack"))]
    {
        let (address, got) = receiver(code).await;
        let seen = look(mllp(address, Some(MESSAGE))).await;
        assert_eq!(failed(&seen).as_deref(), expected);
        let got = got.lock().unwrap();
        assert_eq!(*got, [format!("\x0b{MESSAGE}\x1c\r").into_bytes()]);
    }
    let (address, got) = receiver("AA").await;
    assert_eq!(failed(&look(mllp(address, None)).await), None);
    assert!(got.lock().unwrap().is_empty(), "to connect is all");
}

/// A proxy that connects to wherever it is told and keeps what it was asked.
async fn proxy(status: &'static str) -> (std::net::SocketAddr, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    let address = server(move |mut stream| {
        let kept = Arc::clone(&kept);
        async move {
            let head = String::from_utf8(read_to(&mut stream, b"\r\n\r\n").await).unwrap();
            let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
            kept.lock().unwrap().push(head);
            let answer = format!("HTTP/1.1 {status}\r\nVia: test\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            if status.starts_with("200")
                && let Ok(mut further) = TcpStream::connect(target).await
            {
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut further).await;
            }
        }
    })
    .await;
    (address, asked)
}

#[tokio::test]
async fn a_proxy_is_asked_to_connect_and_its_refusal_is_its_own() {
    let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = open.local_addr().unwrap();
    let (way, asked) = proxy("200 OK").await;
    let seen = look(tcp(target, Some(format!("http://user:secret@{way}")))).await;
    assert_eq!(failed(&seen), None);
    let head = asked.lock().unwrap().concat();
    assert!(head.starts_with(&format!("CONNECT {target} HTTP/1.1\r\n")), "{head}");
    assert!(head.contains("Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n"), "{head}");
    let (way, _) = proxy("407 Proxy Authentication Required").await;
    let seen = look(tcp(target, Some(format!("http://{way}")))).await;
    assert_eq!(failed(&seen).as_deref(), Some("proxy-407"));
    let seen = look(tcp(target, Some(format!("http://{}", closed().await)))).await;
    assert_eq!(failed(&seen).as_deref(), Some("proxy refused"));
}

fn smtp(address: std::net::SocketAddr, starttls: bool) -> What {
    let server_name = Some("mail.test".to_owned());
    // Any authority will do where no handshake comes.
    let access = Access { ca_file: None, ..Access::default() };
    let helo = "feedpulse.invalid".to_owned();
    What::Smtp(Smtp { address: address.to_string(), helo, starttls, server_name, access })
}

async fn mail_server(banner: &'static str) -> std::net::SocketAddr {
    server(move |mut stream| async move {
        stream.write_all(banner.as_bytes()).await.unwrap();
        while let Ok(line) = String::from_utf8(read_to(&mut stream, b"\r\n").await) {
            let answer = match line.trim_end() {
                "EHLO feedpulse.invalid" => "250-mail.test\r\n250-SIZE 1000\r\n250 HELP\r\n",
                "QUIT" => "221 bye\r\n",
                "" => return,
                _ => "500 what\r\n",
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn a_mail_server_is_greeted() {
    let good = mail_server("220-hello\r\n220 mail.test ready\r\n").await;
    assert_eq!(failed(&look(smtp(good, false)).await), None);
    let busy = mail_server("421 too busy\r\n").await;
    assert_eq!(failed(&look(smtp(busy, false)).await).as_deref(), Some("smtp 421"));
    let other = mail_server("SSH-2.0-x\r\n").await;
    assert_eq!(failed(&look(smtp(other, false)).await).as_deref(), Some("no SMTP"));
}
