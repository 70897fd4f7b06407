//! A tiny HTTP client for talking to the real parts: one request, one connection, bounded.
//!
//! It speaks HTTP/1.0, so that a server answers without chunks and closes when done.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// No request takes longer; the parts answer in milliseconds.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The most bytes that an answer may have.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// The answer to a request.
#[derive(Debug)]
pub struct Response {
    /// The status code, such as 200.
    pub status: u16,
    /// The body as text; bytes that are not UTF-8 are replaced.
    pub body: String,
}

impl Response {
    /// True for 200 to 299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Sends `GET path`; the path must already be percent-encoded.
///
/// # Errors
/// When the connection fails, times out, or the answer is not HTTP.
pub fn get(address: SocketAddr, path: &str) -> io::Result<Response> {
    request(address, "GET", path, "text/plain", &[])
}

/// Sends `POST path` with a body.
///
/// # Errors
/// As [`get`].
pub fn post(address: SocketAddr, path: &str, kind: &str, body: &[u8]) -> io::Result<Response> {
    request(address, "POST", path, kind, body)
}

fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    kind: &str,
    body: &[u8],
) -> io::Result<Response> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    );
    // In one write, so that a simple server may take the first packet for the whole request.
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    parse(&answer)
}

fn parse(answer: &[u8]) -> io::Result<Response> {
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP");
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(bad)?;
    let (head, rest) = answer.split_at(end);
    let head = std::str::from_utf8(head).map_err(|_| bad())?;
    let mut words = head.split_ascii_whitespace();
    let version = words.next().ok_or_else(bad)?;
    let status = words.next().and_then(|w| w.parse().ok()).ok_or_else(bad)?;
    if !version.starts_with("HTTP/1.") {
        return Err(bad());
    }
    let body = rest.get(4..).unwrap_or_default();
    Ok(Response { status, body: String::from_utf8_lossy(body).into_owned() })
}

/// Percent-encodes a value of a query string (RFC 3986 §2.3: only unreserved bytes stay).
pub(super) fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_request_and_its_answer_cross_a_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = Vec::new();
            let mut byte = [0];
            while !seen.ends_with(b"body") {
                stream.read_exact(&mut byte).unwrap();
                seen.push(byte[0]);
            }
            stream.write_all(b"HTTP/1.0 202 Accepted\r\nA: b\r\n\r\nfine\r\n\r\n").unwrap();
            String::from_utf8(seen).unwrap()
        });
        let answer = post(address, "/p?q=1", "text/x", b"body").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (202, "fine\r\n\r\n"));
        let seen = server.join().unwrap();
        assert!(seen.starts_with("POST /p?q=1 HTTP/1.0\r\n"), "{seen}");
        assert!(seen.contains("Content-Length: 4\r\n"), "{seen}");
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(parse(b"").is_err());
        assert!(parse(b"SSH-2.0-x\r\n\r\n").is_err());
        assert!(parse(b"SMTP/1.0 200 x\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 two\r\n\r\n").is_err());
    }

    #[test]
    fn queries_are_encoded() {
        assert_eq!(encoded("up{a=\"b\"} + 1"), "up%7Ba%3D%22b%22%7D%20%2B%201");
    }
}
