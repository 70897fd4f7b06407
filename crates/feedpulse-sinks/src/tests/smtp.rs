//! Mail to a small server of the test's own, in clear and secured, with and without a login.
#![expect(clippy::disallowed_methods, reason = "fake servers are tasks of the test")]

use super::tls::{Pki, pki};
use super::{Running, at, incident, resolved};
use crate::Secret;
use crate::config::{
    self, ClientCertificate, NotifierConfig, Security, SinksConfig, Speech, Target,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// A mail as it arrived.
#[derive(Debug)]
pub(super) struct Mail {
    pub(super) to: Vec<String>,
    pub(super) text: String,
    pub(super) secured: bool,
    pub(super) login: Option<String>,
}

impl Mail {
    /// The value of a header, unfolded.
    fn header(&self, name: &str) -> Option<String> {
        let head = self.text.split("\r\n\r\n").next()?.replace("\r\n ", " ");
        let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))?;
        Some(line.to_owned())
    }
}

/// A server that takes mails.
pub(super) struct Smtp {
    pub(super) address: SocketAddr,
    pub(super) mails: mpsc::Receiver<Mail>,
}

impl Smtp {
    /// With a certificate it offers STARTTLS, and lets nobody log in before.
    pub(super) async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, mails) = mpsc::channel(64);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(accept(stream, tls.clone(), tell.clone()));
            }
        });
        Self { address, mails }
    }
}

async fn accept(mut stream: TcpStream, tls: Option<TlsAcceptor>, tell: mpsc::Sender<Mail>) {
    stream.write_all(b"220 test ESMTP\r\n").await.unwrap();
    let mut plain = BufReader::new(stream);
    if talk(&mut plain, tls.is_some(), false, &tell).await
        && let Some(tls) = tls
        && let Ok(secured) = tls.accept(plain.into_inner()).await
    {
        talk(&mut BufReader::new(secured), false, true, &tell).await;
    }
}

/// Until the end, or until TLS is to begin (then true).
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    offers_tls: bool,
    secured: bool,
    tell: &mpsc::Sender<Mail>,
) -> bool {
    let (mut to, mut login) = (Vec::new(), None);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return false;
        }
        let command = line.trim_end().to_owned();
        let verb: String = command.chars().take_while(char::is_ascii_alphabetic).collect();
        let answer: &str = match verb.to_ascii_uppercase().as_str() {
            "EHLO" if offers_tls => "250-test\r\n250-8BITMIME\r\n250 STARTTLS\r\n",
            "EHLO" => "250-test\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n",
            "STARTTLS" => {
                stream.write_all(b"220 go ahead\r\n").await.unwrap();
                return true;
            }
            "AUTH" => {
                let encoded = command.rsplit(' ').next().unwrap();
                let plain = STANDARD.decode(encoded).unwrap();
                let text = String::from_utf8(plain).unwrap().replace('\0', ":");
                let fits = text == ":feedpulse:s3cret";
                login = Some(text);
                if fits { "235 welcome\r\n" } else { "535 who are you\r\n" }
            }
            "RCPT" if command.contains("nobody@") => "550 no such user\r\n",
            "RCPT" => {
                to.push(command.clone());
                "250 ok\r\n"
            }
            "DATA" => {
                stream.write_all(b"354 go ahead\r\n").await.unwrap();
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    assert!(stream.read_line(&mut text).await.unwrap() > 0);
                }
                let (to, login) = (std::mem::take(&mut to), login.clone());
                tell.try_send(Mail { to, text, secured, login }).unwrap();
                "250 taken\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 ok\r\n",
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

pub(super) fn mail_config(smtp: &Smtp, security: Security) -> NotifierConfig {
    let mail = config::Mail {
        security,
        user: None,
        from: "Feedpulse <f@north.example.org>".to_owned(),
        to: vec!["Ana <ana@example.org>".to_owned(), "bo@example.org".to_owned()],
    };
    NotifierConfig::new("mail", Target::new(smtp.address.to_string()), Speech::Mail(mail))
}

fn mail_of(config: &mut NotifierConfig) -> &mut config::Mail {
    match &mut config.speech {
        Speech::Mail(mail) => mail,
        other => panic!("no mail: {other:?}"),
    }
}

fn sinks(config: NotifierConfig) -> SinksConfig {
    SinksConfig { notifiers: vec![config], site: "north".to_owned(), ..SinksConfig::default() }
}

fn trust(config: &mut NotifierConfig, pki: &Pki) {
    let folder = pki.folder.path();
    config.target.access.ca_file = Some(folder.join("ca.pem"));
    config.target.access.client_certificate = Some(ClientCertificate {
        certificate_file: folder.join("client.pem"),
        key_file: folder.join("client.key"),
    });
    mail_of(config).user = Some(("feedpulse".to_owned(), Secret::new("s3cret")));
}

#[tokio::test]
async fn mails_about_one_incident_are_one_thread() {
    let mut smtp = Smtp::start(None).await;
    let mut running = Running::new(&sinks(mail_config(&smtp, Security::None)));
    running.incident(&incident(3));
    let open = smtp.mails.recv().await.unwrap();
    assert_eq!(open.to.len(), 2, "one mail to both: {:?}", open.to);
    running.incident(&resolved(&incident(3), at(90_000)));
    let end = smtp.mails.recv().await.unwrap();
    running.stop().await;
    let id = open.header("Message-ID").unwrap();
    assert_eq!(id, "<north-3-1790000000@north.example.org>");
    assert_eq!(end.header("In-Reply-To"), Some(id.clone()));
    assert_eq!(end.header("References"), Some(id.clone()));
    assert_ne!(end.header("Message-ID"), Some(id));
    let subject = open.header("Subject").unwrap();
    assert_eq!(subject, "[north] The receiver cannot be reached: waypoint portal-in (incident 3)");
    assert_eq!(end.header("Subject"), Some(format!("Re: {subject}")));
    assert_eq!(open.header("Auto-Submitted").as_deref(), Some("auto-generated"));
    assert_eq!(open.header("Date").as_deref(), Some("Mon, 21 Sep 2026 14:13:20 +0000"));
    assert!(open.header("Content-Type").unwrap().starts_with("multipart/alternative"));
    for part in ["Content-Type: text/plain", "Content-Type: text/html", "<table>", "Next step"] {
        assert!(open.text.contains(part), "{part}: {}", open.text);
    }
    assert!(end.text.contains("RESOLVED: The receiver cannot be reached"), "{}", end.text);
}

#[tokio::test]
async fn mail_goes_out_secured_and_logged_in_or_not_at_all() {
    let pki = pki(b"");
    let mut smtp = Smtp::start(Some(pki.acceptor.clone())).await;
    let mut config = mail_config(&smtp, Security::StartTls);
    trust(&mut config, &pki);
    let mut running = Running::new(&sinks(config));
    running.incident(&incident(3));
    let mail = smtp.mails.recv().await.unwrap();
    assert!(mail.secured);
    assert_eq!(mail.login.as_deref(), Some(":feedpulse:s3cret"));
    running.stop().await;
    // A server that offers no STARTTLS gets no mail and no password.
    let mut plain = Smtp::start(None).await;
    let mut config = mail_config(&plain, Security::StartTls);
    trust(&mut config, &pki);
    let mut running = Running::new(&sinks(config));
    running.incident(&incident(3));
    assert!(running.own.recv().await.unwrap().failing);
    running.stop().await;
    assert!(plain.mails.try_recv().is_err());
}

#[tokio::test]
async fn a_wrong_password_waits_and_an_unknown_recipient_is_given_up() {
    let mut smtp = Smtp::start(None).await;
    let mut config = mail_config(&smtp, Security::None);
    mail_of(&mut config).user = Some(("feedpulse".to_owned(), Secret::new("wrong")));
    let mut running = Running::new(&sinks(config));
    running.incident(&incident(3));
    assert_eq!(running.own.recv().await.unwrap().detail.as_str(), "smtp-535");
    running.stop().await;
    let mut config = mail_config(&smtp, Security::None);
    mail_of(&mut config).to = vec!["nobody@example.org".to_owned()];
    let mut running = Running::new(&sinks(config));
    running.incident(&incident(3));
    assert_eq!(running.own.recv().await.unwrap().detail.as_str(), "smtp-550");
    running.stop().await;
    assert!(smtp.mails.try_recv().is_err());
}
