//! What can be seen of TLS that passes through: its handshake, and then only times and sizes.
//!
//! For who reads copies from the ring; the wire itself never looks. Pure: bytes in, facts out.
//! Sources: RFC 8446 §4 and §5 (TLS 1.3), RFC 5246 §7.4 (TLS 1.2), RFC 6066 §3 (the name that a
//! client asks for), RFC 5280 §4.1 (certificates). Of each direction at most [`MAX_HANDSHAKE`]
//! bytes of one message are kept; beyond it, and behind the handshake, records are only counted.
//! In TLS 1.3 the certificate is encrypted, so its dates are seen in TLS 1.2 and older only.

use crate::record::Direction;

/// The longest handshake message that is looked at: a long certificate chain.
pub const MAX_HANDSHAKE: usize = 64 << 10;
/// A record's head: type, version, length (RFC 8446 §5.1).
const HEAD: usize = 5;
/// The longest record of any version (RFC 5246 §6.2.3).
const MAX_RECORD: usize = (16 << 10) + 2048;
/// The longest name that a client may ask for (RFC 1035 §2.3.4).
const MAX_NAME: usize = 255;

mod content {
    pub(super) const CHANGE_CIPHER: u8 = 20;
    pub(super) const ALERT: u8 = 21;
    pub(super) const HANDSHAKE: u8 = 22;
    pub(super) const DATA: u8 = 23;
}

mod message {
    pub(super) const CLIENT_HELLO: u8 = 1;
    pub(super) const SERVER_HELLO: u8 = 2;
    pub(super) const CERTIFICATE: u8 = 11;
    pub(super) const CERTIFICATE_REQUEST: u8 = 13;
}

/// What is known of a TLS connection so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// The name that the client asked for (SNI), where it is a plain host name.
    pub server_name: Option<String>,
    /// The version that the server chose, such as 0x0303 for 1.2 and 0x0304 for 1.3.
    pub version: Option<u16>,
    /// The cipher suite that it chose, by its IANA number.
    pub cipher_suite: Option<u16>,
    /// From when and until when the server's own certificate is valid, in seconds since the epoch.
    pub certificate: Option<(i64, i64)>,
    /// Whether the server asked for a certificate of the client; seen up to TLS 1.2.
    pub client_certificate_wanted: bool,
    /// Microseconds from the client's first byte to its first encrypted data.
    pub handshake_us: Option<i64>,
    /// The fatal alert that ended the handshake, by its number (RFC 8446 §6), and who sent it.
    pub alert: Option<(Direction, u8)>,
    /// Records with data each way: to the receiver, to the sender.
    pub data_records: [u64; 2],
    /// Bytes in them, encrypted as they are.
    pub data_bytes: [u64; 2],
}

impl TlsFacts {
    /// The version as people write it.
    #[must_use]
    pub fn version_name(&self) -> &'static str {
        match self.version {
            Some(0x0300) => "SSL 3.0",
            Some(0x0301) => "TLS 1.0",
            Some(0x0302) => "TLS 1.1",
            Some(0x0303) => "TLS 1.2",
            Some(0x0304) => "TLS 1.3",
            Some(_) => "TLS of another version",
            None => "TLS",
        }
    }
}

/// Looks at both directions of one connection.
#[derive(Debug, Default)]
pub struct TlsLook {
    facts: TlsFacts,
    ways: [Way; 2],
    began_us: Option<i64>,
}

/// One direction.
#[derive(Default)]
struct Way {
    /// Where the next byte is expected.
    next: u64,
    head: Vec<u8>,
    kind: u8,
    /// Bytes of the present record that are still to come.
    left: usize,
    /// Handshake bytes that are no whole message yet.
    handshake: Vec<u8>,
    /// From here on all is encrypted.
    encrypted: bool,
    /// Bytes are missing, or it is no TLS: nothing more is read.
    lost: bool,
}

/// Shows no bytes.
impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Way(next {}, {} bytes kept)", self.next, self.handshake.len())
    }
}

impl TlsLook {
    /// Whether a connection's first bytes are those of a TLS client: a handshake record of version
    /// 3, with a `ClientHello`. None when they are too few.
    #[must_use]
    pub fn is_tls(first: &[u8]) -> Option<bool> {
        let fits = |at: usize, test: fn(u8) -> bool| first.get(at).is_none_or(|byte| test(*byte));
        if !fits(0, |b| b == content::HANDSHAKE) || !fits(1, |b| b == 3) || !fits(2, |b| b <= 4) {
            return Some(false);
        }
        (first.len() > HEAD).then(|| first[HEAD] == message::CLIENT_HELLO)
    }

    /// Takes the next bytes of one direction; `offset` is how many went that way before.
    pub fn feed(&mut self, direction: Direction, offset: u64, bytes: &[u8], at_us: i64) {
        self.began_us.get_or_insert(at_us);
        let way = &mut self.ways[direction as usize];
        if offset != way.next {
            way.lost = true;
        }
        way.next = offset + bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() && !self.ways[direction as usize].lost {
            rest = self.step(direction, rest, at_us);
        }
    }

    /// What is known so far.
    #[must_use]
    pub fn facts(&self) -> &TlsFacts {
        &self.facts
    }

    /// Whether no more is to be learned but sizes: the handshake is over, one way or the other.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let lost = self.ways.iter().any(|way| way.lost);
        self.facts.handshake_us.is_some() || self.facts.alert.is_some() || lost
    }

    /// Takes a part of one record, and returns what is behind it.
    fn step<'a>(&mut self, direction: Direction, bytes: &'a [u8], at_us: i64) -> &'a [u8] {
        let way = &mut self.ways[direction as usize];
        if way.left == 0 {
            let (part, rest) = bytes.split_at(bytes.len().min(HEAD - way.head.len()));
            way.head.extend_from_slice(part);
            if let [kind, 3, _, high, low] = way.head[..] {
                (way.kind, way.left) = (kind, usize::from(high) << 8 | usize::from(low));
                way.head.clear();
                let known = (content::CHANGE_CIPHER..=content::DATA).contains(&kind);
                way.lost = !known || way.left == 0 || way.left > MAX_RECORD;
                self.record_began(direction, at_us);
            } else {
                way.lost = way.head.len() == HEAD;
            }
            return rest;
        }
        let (part, rest) = bytes.split_at(bytes.len().min(way.left));
        way.left -= part.len();
        match way.kind {
            content::DATA => self.facts.data_bytes[direction as usize] += part.len() as u64,
            content::HANDSHAKE if !way.encrypted => {
                way.handshake.extend_from_slice(part);
                self.messages(direction);
            }
            // An alert that is whole and not encrypted: level and description.
            content::ALERT if !way.encrypted && way.left == 0 => {
                if let [2, description] = *part {
                    self.facts.alert = Some((direction, description));
                }
            }
            _ => {}
        }
        rest
    }

    fn record_began(&mut self, direction: Direction, at_us: i64) {
        let way = &mut self.ways[direction as usize];
        match way.kind {
            // In TLS 1.3 it means nothing, but nothing behind it is readable either.
            content::CHANGE_CIPHER => way.encrypted = true,
            content::DATA => {
                way.encrypted = true;
                self.facts.data_records[direction as usize] += 1;
                let since = self.began_us.map(|began| at_us - began);
                if direction == Direction::ToReceiver {
                    self.facts.handshake_us = self.facts.handshake_us.or(since);
                }
            }
            _ => {}
        }
    }

    /// Reads the handshake messages that are whole.
    fn messages(&mut self, direction: Direction) {
        let way = &mut self.ways[direction as usize];
        let buffer = std::mem::take(&mut way.handshake);
        let mut rest = &buffer[..];
        while let Some((&[kind, a, b, c], body)) = rest.split_first_chunk::<4>() {
            let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            if length > MAX_HANDSHAKE {
                self.ways[direction as usize].lost = true;
                return;
            }
            let Some((body, behind)) = body.split_at_checked(length) else { break };
            let _ = match kind {
                message::CLIENT_HELLO => self.client_hello(body),
                message::SERVER_HELLO => self.server_hello(body),
                message::CERTIFICATE if direction == Direction::ToSender => self.certificate(body),
                message::CERTIFICATE_REQUEST => {
                    self.facts.client_certificate_wanted = true;
                    Some(())
                }
                _ => Some(()),
            };
            rest = behind;
        }
        let rest = rest.to_vec();
        self.ways[direction as usize].handshake = rest;
    }

    fn client_hello(&mut self, body: &[u8]) -> Option<()> {
        let mut hello = Bytes(body);
        hello.take(2 + 32)?;
        hello.vector(1)?;
        hello.vector(2)?;
        hello.vector(1)?;
        let mut extensions = Bytes(hello.vector(2)?);
        while let Some(kind) = extensions.number(2) {
            let data = extensions.vector(2)?;
            if kind == 0 {
                let mut names = Bytes(Bytes(data).vector(2)?);
                let is_host = names.number(1)? == 0;
                let name = str::from_utf8(names.vector(2)?).ok()?;
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
                if is_host && name.len() <= MAX_NAME && name.chars().all(plain) {
                    self.facts.server_name = Some(name.to_owned());
                }
            }
        }
        Some(())
    }

    fn server_hello(&mut self, body: &[u8]) -> Option<()> {
        let mut hello = Bytes(body);
        let version = hello.number(2)?;
        hello.take(32)?;
        hello.vector(1)?;
        self.facts.cipher_suite = Some(hello.number(2)?);
        self.facts.version = Some(version);
        hello.take(1)?;
        let mut extensions = Bytes(hello.vector(2)?);
        while let Some(kind) = extensions.number(2) {
            let data = extensions.vector(2)?;
            // "supported_versions" (RFC 8446 §4.2.1) has the true version.
            if kind == 43 {
                self.facts.version = Some(Bytes(data).number(2)?);
            }
        }
        Some(())
    }

    fn certificate(&mut self, body: &[u8]) -> Option<()> {
        let mut list = Bytes(Bytes(body).vector(3)?);
        self.facts.certificate = validity(list.vector(3)?);
        Some(())
    }
}

/// From when and until when a certificate is valid (RFC 5280 §4.1.2.5), in seconds since the epoch.
fn validity(certificate: &[u8]) -> Option<(i64, i64)> {
    let mut certificate = Bytes(Bytes(certificate).der(0x30)?);
    let mut body = Bytes(certificate.der(0x30)?);
    if body.0.first() == Some(&0xA0) {
        body.der(0xA0)?;
    }
    body.der(0x02)?;
    body.der(0x30)?;
    body.der(0x30)?;
    let mut times = Bytes(body.der(0x30)?);
    Some((times.time()?, times.time()?))
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(first)
    }

    /// A number of one or two bytes.
    fn number(&mut self, size: usize) -> Option<u16> {
        Some(self.take(size)?.iter().fold(0, |number, byte| number << 8 | u16::from(*byte)))
    }

    /// A vector with its length before it (RFC 8446 §3.4).
    fn vector(&mut self, size: usize) -> Option<&'a [u8]> {
        let length = self.take(size)?;
        let length = length.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
        self.take(length)
    }

    /// The content of a DER value of this kind.
    fn der(&mut self, tag: u8) -> Option<&'a [u8]> {
        if *self.take(1)?.first()? != tag {
            return None;
        }
        match usize::from(*self.take(1)?.first()?) {
            short @ 0..=0x7F => self.take(short),
            long @ 0x81..=0x83 => self.vector(long - 0x80),
            _ => None,
        }
    }

    /// `UTCTime` or `GeneralizedTime`, in the one form that certificates may use: `…YYMMDDHHMMSSZ`.
    fn time(&mut self) -> Option<i64> {
        let (century, text) = match self.0.first()? {
            0x17 => (None, self.der(0x17)?),
            _ => {
                let text = self.der(0x18)?;
                (Some(two(text, 0)?), text.get(2..)?)
            }
        };
        if text.len() != 13 || text[12] != b'Z' {
            return None;
        }
        let year = two(text, 0)?;
        let year = match century {
            Some(century) => century * 100 + year,
            None if year < 50 => 2000 + year,
            None => 1900 + year,
        };
        let days = days_since_1970(year, two(text, 2)?, two(text, 4)?)?;
        Some(days * 86_400 + two(text, 6)? * 3600 + two(text, 8)? * 60 + two(text, 10)?)
    }
}

fn two(text: &[u8], at: usize) -> Option<i64> {
    let digit =
        |at: usize| text.get(at).filter(|b| b.is_ascii_digit()).map(|b| i64::from(b - b'0'));
    Some(digit(at)? * 10 + digit(at + 1)?)
}

/// Days since 1970-01-01 in the Gregorian calendar: years counted from March, so that a leap day is
/// a year's last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    // 719468 days lie between 0000-03-01 and 1970-01-01.
    Some(365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468)
}
