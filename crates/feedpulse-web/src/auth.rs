//! Who may ask: bearer token, session cookie, the brake on guessing, and the Host check that keeps
//! web pages of other origins from reading a loopback listener (DNS rebinding).

use crate::config::Token;
use crate::http::{problem, retry};
use crate::serve::Peer;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use feedpulse_core::key::{MessageKey, SiteKey};
use feedpulse_core::time::Timestamp;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Name of the session cookie.
pub(crate) const COOKIE: &str = "feedpulse_session";
/// Life of a session.
pub(crate) const SESSION: Duration = Duration::from_secs(12 * 3_600);
/// Wrong tokens that one peer may send within [`WINDOW`].
const FAILURES_MAX: u32 = 10;
/// After this a peer's failures are forgotten.
const WINDOW: Duration = Duration::from_secs(60);
/// Peers whose failures are counted; the oldest gives way.
const PEERS_MAX: usize = 1_024;

/// Checks requests of one listener.
pub(crate) struct Guard {
    token: Option<Token>,
    key: SiteKey,
    hosts: Vec<String>,
    /// Whether the login form's cookie counts.
    sessions: bool,
    failures: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

impl Guard {
    /// For a listener on `port`. `hosts` are further Host values that loopback answers.
    pub(crate) fn new(token: Option<Token>, key: SiteKey, port: u16, hosts: &[String]) -> Self {
        let mut all: Vec<String> = hosts.iter().map(|h| h.to_ascii_lowercase()).collect();
        for name in ["localhost", "127.0.0.1", "[::1]"] {
            all.push(format!("{name}:{port}"));
            if port == 80 {
                all.push(name.to_owned());
            }
        }
        Self { token, key, hosts: all, sessions: true, failures: Mutex::default() }
    }

    /// For programs: only the bearer token counts, no cookie.
    pub(crate) fn without_sessions(mut self) -> Self {
        self.sessions = false;
        self
    }

    /// Whether a token is set.
    pub(crate) const fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Lets a request pass, or says why not.
    pub(crate) fn check(&self, request: &Parts, now: Timestamp) -> Result<(), Denied> {
        if self.token.is_none() {
            return self.check_host(&request.headers);
        }
        if self.sessions && self.session_holds(&request.headers, now) {
            return Ok(());
        }
        let Some(given) = bearer(&request.headers) else { return Err(Denied::NoCredential) };
        self.check_token(given, peer(request))
    }

    /// Compares a token, counting failures of this peer.
    pub(crate) fn check_token(&self, given: &[u8], peer: IpAddr) -> Result<(), Denied> {
        let now = Instant::now();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.get(&peer).filter(|f| now - f.0 < WINDOW).map_or(0, |f| f.1);
        if count >= FAILURES_MAX {
            return Err(Denied::TooMany);
        }
        let right = self.token.as_ref().is_some_and(|token| self.same(given, token.bytes()));
        if right {
            failures.remove(&peer);
            return Ok(());
        }
        failures.retain(|_, (since, _)| now - *since < WINDOW);
        if failures.len() >= PEERS_MAX && !failures.contains_key(&peer) {
            let oldest = failures.iter().min_by_key(|(_, f)| f.0).map(|(ip, _)| *ip);
            oldest.map(|ip| failures.remove(&ip));
        }
        failures.entry(peer).or_insert((now, 0)).1 += 1;
        Err(Denied::Wrong)
    }

    /// A session's cookie value: when it ends, and a keyed hash over that and the token. A new token
    /// or a new key ends it; the token cannot be computed from it.
    pub(crate) fn session(&self, now: Timestamp) -> String {
        self.sealed(now.plus(SESSION).as_secs())
    }

    fn session_holds(&self, headers: &HeaderMap, now: Timestamp) -> bool {
        let Some(value) = cookie(headers) else { return false };
        let Some(ends) = value.split_once('.').and_then(|(ends, _)| ends.parse::<i64>().ok())
        else {
            return false;
        };
        // An end further away than a session lasts was signed by a clock that was wrong.
        let holds = ends > now.as_secs() && ends <= now.plus(SESSION).as_secs() + 60;
        holds && self.same(value.as_bytes(), self.sealed(ends).as_bytes())
    }

    fn sealed(&self, ends: i64) -> String {
        format!("{ends}.{:032x}", self.seal(ends))
    }

    fn seal(&self, ends: i64) -> u128 {
        let token = self.token.as_ref().map_or(&b""[..], Token::bytes);
        self.hash(b'S', &[&ends.to_le_bytes(), token]).as_u128()
    }

    /// A value for one answer's policy, that nobody without the key can foretell.
    pub(crate) fn nonce(&self, now: Timestamp) -> u128 {
        self.hash(b'N', &[&now.as_micros().to_le_bytes()]).as_u128()
    }

    /// Whether two secrets are equal, in a time that says nothing about where they differ: their
    /// keyed hashes are compared, which nobody without the key can steer.
    fn same(&self, a: &[u8], b: &[u8]) -> bool {
        let (a, b) = (self.hash(b'T', &[a]).as_u128(), self.hash(b'T', &[b]).as_u128());
        std::hint::black_box(a ^ b) == 0
    }

    fn hash(&self, domain: u8, fields: &[&[u8]]) -> MessageKey {
        let mut hasher = self.key.hasher(domain);
        // Never empty as a whole, so that a key always comes out.
        hasher.field(b"feedpulse-web");
        for field in fields {
            hasher.field(field);
        }
        hasher.finish().expect("one field has a value")
    }

    fn check_host(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let host = headers.get(header::HOST).and_then(|v| v.to_str().ok()).unwrap_or("");
        let host = host.to_ascii_lowercase();
        self.hosts.contains(&host).then_some(()).ok_or(Denied::Host)
    }
}

/// Why a request is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Nothing to check.
    NoCredential,
    /// Not the token.
    Wrong,
    /// Guessing.
    TooMany,
    /// A Host that is not ours.
    Host,
}

impl Denied {
    /// The answer for programs.
    pub(crate) fn response(self) -> Response {
        let mut response = match self {
            Self::NoCredential => problem(
                StatusCode::UNAUTHORIZED,
                "a credential is needed",
                "send `Authorization: Bearer TOKEN`, or log in with a browser",
            ),
            Self::Wrong => problem(StatusCode::UNAUTHORIZED, "this is not the token", "check it"),
            Self::TooMany => retry(
                StatusCode::TOO_MANY_REQUESTS,
                "too many wrong tokens came from this address",
                "wait a minute",
                60,
            ),
            Self::Host => problem(
                StatusCode::MISDIRECTED_REQUEST,
                "without a token only this machine's own names are answered",
                "open http://localhost:PORT or http://127.0.0.1:PORT with the listener's own port; \
                 for port forwarding list the Host value in ui.hosts, or set a token",
            ),
        };
        if response.status() == StatusCode::UNAUTHORIZED {
            let scheme = header::HeaderValue::from_static("Bearer realm=\"feedpulse\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// A browser says where a POST comes from (`Sec-Fetch-Site` on loopback and TLS, `Origin` always);
/// it must be one of our pages. Programs say neither.
pub(crate) fn same_origin(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    let host = headers.get(header::HOST).and_then(|v| v.to_str().ok());
    match headers.get(header::ORIGIN).map(|v| v.to_str()) {
        None => true,
        Some(Ok(origin)) => origin.split_once("://").is_some_and(|(_, from)| Some(from) == host),
        Some(Err(_)) => false,
    }
}

/// The peer's address; an IPv6 network of 64 bits counts as one peer.
pub(crate) fn peer(request: &Parts) -> IpAddr {
    let ip = request.extensions.get::<Peer>().map(|p| p.addr.ip().to_canonical());
    match ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        ip @ IpAddr::V4(_) => ip,
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    all.flat_map(|v| v.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE).then_some(value))
}
