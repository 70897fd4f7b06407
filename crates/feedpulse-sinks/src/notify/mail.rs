//! Mail over SMTP (RFC 5321): one mail a notice, as plain text and as HTML, threaded by incident.
//!
//! The library speaks SMTP and writes messages; connecting (through a proxy or not), STARTTLS and TLS
//! are ours, so that every connection of this crate trusts and offers the same.

use crate::config::{ConfigError, Mail, NotifierConfig, Security};
use crate::notify::deliver::Failed;
use crate::notify::notices::Notice;
use crate::notify::text::{Style, Text};
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use feedpulse_codec::Why;
use feedpulse_core::label::Label;
use feedpulse_core::time::Timestamp;
use feedpulse_http::tls::Secure;
use feedpulse_http::{Proxy, Secret};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Severity as Reply;
use lettre::{Address, Message};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Most recipients of one notifier.
const RECIPIENTS_MAX: usize = 50;
/// Most bytes of what a server says before STARTTLS.
const PRELUDE_MAX: u64 = 16 * 1024;

/// A checked mail server and its recipients.
pub(crate) struct Way {
    host: String,
    port: u16,
    security: Security,
    tls: Secure,
    proxy: Option<Proxy>,
    timeout: Duration,
    user: Option<(String, Secret)>,
    from: Mailbox,
    to: Vec<Mailbox>,
    style: Arc<Style>,
}

/// Checks server, TLS, addresses and login.
pub(crate) fn way(
    config: &NotifierConfig,
    mail: &Mail,
    style: &Arc<Style>,
) -> Result<Way, ConfigError> {
    let place = config.name.as_str();
    let example = "smtp.example.org:587";
    let fail = |what: &str| ConfigError::address(place, what, example);
    let server = config.target.url.expose().trim();
    let parts = server.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parts.ok_or_else(|| fail("is not a host and a port"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    config.target.check_timeout(place)?;
    let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if mail.security == Security::None && mail.user.is_some() && !local {
        return Err(fail("would get a password in clear; use STARTTLS or TLS"));
    }
    if mail.to.is_empty() || mail.to.len() > RECIPIENTS_MAX {
        return Err(ConfigError::Range {
            place: place.to_owned(),
            what: "the count of recipients",
            got: mail.to.len().to_string(),
            allowed: "1 to 50",
        });
    }
    let mailbox = |text: &String| {
        let parsed = text.parse::<Mailbox>();
        parsed.map_err(|_| ConfigError::Mail { place: place.to_owned(), text: text.clone() })
    };
    let secured = mail.security != Security::None;
    let tls = config.target.secure(place, &host, &[], secured)?;
    let tls = tls.ok_or_else(|| fail("has no valid host name"))?;
    Ok(Way {
        host,
        port,
        security: mail.security,
        tls,
        proxy: config.target.proxy(place)?,
        timeout: config.target.timeout,
        user: mail.user.clone(),
        from: mailbox(&mail.from)?,
        to: mail.to.iter().map(mailbox).collect::<Result<_, _>>()?,
        style: Arc::clone(style),
    })
}

impl Way {
    pub(crate) async fn send(&self, notice: &Notice, now: Timestamp) -> Result<(), Failed> {
        let message = message(&self.from, &self.to, &self.style, notice, now)
            .map_err(|_| Failed::Notice(Label::from("mail-format")))?;
        let sending = tokio::time::timeout(self.timeout, self.deliver(&message));
        sending.await.unwrap_or_else(|_| Err(Failed::server(Label::from("timeout"))))
    }

    async fn deliver(&self, message: &Message) -> Result<(), Failed> {
        let hello = ClientId::Domain(domain(&self.from).to_owned());
        let stream = self.connect().await.map_err(|e| Failed::server(feedpulse_http::class(&e)))?;
        let connecting = AsyncSmtpConnection::connect_with_transport(stream, &hello);
        let mut connection = connecting.await.map_err(|e| failed(&e))?;
        if let Some((user, password)) = &self.user {
            let login = Credentials::new(user.clone(), password.expose().to_owned());
            let known = [Mechanism::Plain, Mechanism::Login];
            // Whatever the server says of the login, the mail is not to blame.
            let login = connection.auth(&known, &login).await;
            login.map_err(|e| Failed::server(class(&e)))?;
        }
        let sent = connection.send(message.envelope(), &message.formatted()).await;
        sent.map_err(|e| failed(&e))?;
        // It is taken; how the connection ends does not matter any more.
        let _ = connection.quit().await;
        Ok(())
    }

    /// A connection on which the server greets next, secured as stated.
    async fn connect(&self) -> io::Result<Box<dyn AsyncTokioStream>> {
        let tcp = feedpulse_http::connect(self.proxy.as_ref(), &self.host, self.port).await?;
        let peer = tcp.peer_addr()?;
        Ok(match self.security {
            Security::None => Box::new(tcp),
            Security::Tls => {
                let inner = self.tls.connect(tcp).await?;
                Box::new(Wrapped { said: Vec::new(), inner, peer })
            }
            Security::StartTls => {
                let (tcp, said) = starttls(tcp, domain(&self.from)).await?;
                let inner = self.tls.connect(tcp).await?;
                Box::new(Wrapped { said, inner, peer })
            }
        })
    }
}

/// What the library expects of a server first: we have heard it already, in clear.
const GREETING: &[u8] = b"220 ready\r\n";

/// Asks for TLS (RFC 3207 §4), and gives the connection and a greeting to be heard again. A server
/// that does not offer it, or that says more than asked before it, is refused.
async fn starttls(tcp: TcpStream, hello: &str) -> io::Result<(TcpStream, Vec<u8>)> {
    let mut stream = BufReader::new(tcp);
    let refused = || io::Error::from(io::ErrorKind::Unsupported);
    reply(&mut stream, "220").await?;
    stream.write_all(format!("EHLO {hello}\r\n").as_bytes()).await?;
    let offered = reply(&mut stream, "250").await?;
    let is_offer = |line: &String| line.eq_ignore_ascii_case("STARTTLS");
    if !offered.iter().any(is_offer) {
        return Err(refused());
    }
    stream.write_all(b"STARTTLS\r\n").await?;
    reply(&mut stream, "220").await?;
    // Plain text that came early must not be taken for what comes secured.
    if !stream.buffer().is_empty() {
        return Err(refused());
    }
    Ok((stream.into_inner(), GREETING.iter().rev().copied().collect()))
}

/// The lines of a reply, without their codes.
async fn reply(stream: &mut BufReader<TcpStream>, wanted: &str) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut limited = stream.take(PRELUDE_MAX);
    loop {
        let mut line = String::new();
        if limited.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some((code, rest)) = line.split_at_checked(3) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        if code != wanted {
            return Err(io::ErrorKind::Unsupported.into());
        }
        lines.push(rest.trim_start_matches(['-', ' ']).trim_end().to_owned());
        if !rest.starts_with('-') {
            return Ok(lines);
        }
    }
}

/// A secured stream, before which something is heard once more.
struct Wrapped<S> {
    /// In reverse.
    said: Vec<u8>,
    inner: S,
    peer: SocketAddr,
}

impl<S> fmt::Debug for Wrapped<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wrapped({})", self.peer)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wrapped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.said.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        while buf.remaining() > 0
            && let Some(byte) = self.said.pop()
        {
            buf.put_slice(&[byte]);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wrapped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> AsyncTokioStream for Wrapped<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

fn domain(mailbox: &Mailbox) -> &str {
    Address::domain(&mailbox.email)
}

fn class(error: &lettre::transport::smtp::Error) -> Label {
    match error.status() {
        Some(code) => Label::from(format!("smtp-{code}").as_str()),
        None => feedpulse_http::class(error),
    }
}

/// What a server's word means: a permanent one (5yz) about a mail or its recipients is about this
/// notice; anything else may work later.
fn failed(error: &lettre::transport::smtp::Error) -> Failed {
    let permanent =
        error.status().is_some_and(|c| c.severity == Reply::PermanentNegativeCompletion);
    if permanent { Failed::Notice(class(error)) } else { Failed::server(class(error)) }
}

/// The mail of a notice. All mails about an incident have one subject and refer to the first one, by
/// which mail clients group them; the same notice has the same Message-ID in every process.
fn message(
    from: &Mailbox,
    to: &[Mailbox],
    style: &Style,
    notice: &Notice,
    now: Timestamp,
) -> Result<Message, lettre::error::Error> {
    let text = style.text(notice, now);
    let id = |key: &str| format!("<{key}@{}>", domain(from));
    // The first one may have been the opening or the escalation: it is named by neither.
    let first = id(&notice.thread(&style.site));
    let opens = matches!(notice.why, Why::Open | Why::Escalated);
    let micros = u64::try_from(now.as_micros()).unwrap_or(0);
    let date: SystemTime = UNIX_EPOCH + Duration::from_micros(micros);
    let raw = |name, value: &str| {
        HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
    };
    let mut builder = Message::builder().from(from.clone()).date(date);
    for mailbox in to {
        builder = builder.to(mailbox.clone());
    }
    builder = if opens {
        builder.subject(text.subject.clone()).message_id(Some(first))
    } else {
        let subject = format!("Re: {}", text.subject);
        let key = id(&notice.key(&style.site));
        builder.subject(subject).message_id(Some(key)).in_reply_to(first.clone()).references(first)
    };
    let severity = notice.change.severity.name();
    builder
        // No out-of-office answer is wanted (RFC 3834 §5).
        .raw_header(raw("Auto-Submitted", "auto-generated"))
        .raw_header(raw("X-Feedpulse-Severity", severity))
        .raw_header(raw("X-Feedpulse-Event", super::notices::name(notice.why)))
        .multipart(MultiPart::alternative_plain_html(text.plain(), html(&text)))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A table that every mail client can show, with no picture and no style sheet.
fn html(text: &Text) -> String {
    let mut rows = String::new();
    for (name, line) in &text.lines {
        let (name, line) = (escape(name), escape(line));
        rows.push_str(&format!(
            "<tr><th align=\"left\" valign=\"top\" style=\"padding-right:1em\">{name}</th><td>{line}</td></tr>\n"
        ));
    }
    let link = |(name, href): (&str, &String)| {
        (!href.is_empty()).then(|| format!("<a href=\"{}\">{name}</a>", escape(href)))
    };
    let links = [("The incident's page", &text.page), ("Runbook", &text.runbook)];
    let links: Vec<String> = links.into_iter().filter_map(link).collect();
    format!(
        "<html><body><h3>{}</h3>\n<table>\n{rows}</table>\n<p>{}</p></body></html>\n",
        escape(&text.head),
        links.join(" &middot; ")
    )
}
