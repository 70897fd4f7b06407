//! The little HL7 v2 that the actors need: read a header, read and write an ACK, restamp a header.
//!
//! It works on bytes, so the charset of a message does not matter.

use crate::clock::dtm;

/// An acknowledgement code (HL7 v2.5.1 table 0008).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AckCode {
    /// Application accept.
    Aa,
    /// Application error.
    Ae,
    /// Application reject.
    Ar,
    /// Commit accept.
    Ca,
    /// Commit error.
    Ce,
    /// Commit reject.
    Cr,
}

impl AckCode {
    /// The code as it stands in MSA-1.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aa => "AA",
            Self::Ae => "AE",
            Self::Ar => "AR",
            Self::Ca => "CA",
            Self::Ce => "CE",
            Self::Cr => "CR",
        }
    }

    fn read(text: &str) -> Option<Self> {
        [Self::Aa, Self::Ae, Self::Ar, Self::Ca, Self::Ce, Self::Cr]
            .into_iter()
            .find(|code| code.as_str() == text)
    }

    /// True for AA and CA.
    pub fn is_accept(self) -> bool {
        matches!(self, Self::Aa | Self::Ca)
    }

    /// True for AR and CR, which the engine sends again later.
    pub fn is_reject(self) -> bool {
        matches!(self, Self::Ar | Self::Cr)
    }
}

/// The header fields that the actors use. None of them names a patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// MSH-1.
    pub separator: u8,
    /// MSH-3, sending application.
    pub app: String,
    /// MSH-4, sending facility.
    pub facility: String,
    /// MSH-5, receiving application.
    pub to_app: String,
    /// MSH-6, receiving facility.
    pub to_facility: String,
    /// MSH-9, as sent.
    pub kind: String,
    /// MSH-10.
    pub control_id: String,
    /// MSH-11.
    pub processing: String,
    /// MSH-12.
    pub version: String,
    /// MSH-15, accept acknowledgement type.
    pub accept_ack: String,
    /// MSH-16, application acknowledgement type.
    pub application_ack: String,
}

/// An acknowledgement as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// MSA-1; `None` when the code is not of table 0008.
    pub code: Option<AckCode>,
    /// MSA-2, the control id that is answered.
    pub control_id: String,
}

/// The bytes of the first MSH segment without its terminator, and where it starts.
fn msh(message: &[u8]) -> Option<(usize, &[u8])> {
    let mut at = 0;
    for line in message.split(|b| matches!(b, b'\r' | b'\n')) {
        if line.len() > 8 && line.starts_with(b"MSH") && !line[3].is_ascii_alphanumeric() {
            return Some((at, line));
        }
        at += line.len() + 1;
    }
    None
}

/// Reads the first MSH of `message` (a batch header before it is skipped). `None` when there is none.
pub fn read_header(message: &[u8]) -> Option<Header> {
    let (_, line) = msh(message)?;
    let separator = line[3];
    let fields: Vec<&[u8]> = line.split(|b| *b == separator).collect();
    // MSH-1 is the separator itself, so MSH-n is the part n-1.
    let field = |n: usize| {
        fields.get(n - 1).map(|f| String::from_utf8_lossy(f).into_owned()).unwrap_or_default()
    };
    Some(Header {
        separator,
        app: field(3),
        facility: field(4),
        to_app: field(5),
        to_facility: field(6),
        kind: field(9),
        control_id: field(10),
        processing: field(11),
        version: field(12),
        accept_ack: field(15),
        application_ack: field(16),
    })
}

/// Reads the MSA of an acknowledgement. `None` when `message` has no MSH or no MSA: it is not an ACK.
pub fn read_ack(message: &[u8]) -> Option<Ack> {
    let separator = msh(message)?.1[3];
    let line = message
        .split(|b| matches!(b, b'\r' | b'\n'))
        .find(|line| line.starts_with(b"MSA") && line.get(3) == Some(&separator))?;
    let mut fields = line.split(|b| *b == separator).skip(1);
    let mut next = || String::from_utf8_lossy(fields.next().unwrap_or_default()).into_owned();
    Some(Ack { code: AckCode::read(&next()), control_id: next() })
}

/// Why a message was not accepted: ERR-3 (table 0357) and ERR-8.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AckError<'a> {
    /// ERR-3.1, such as `207`.
    pub(crate) code: &'a str,
    /// ERR-8, user message.
    pub(crate) text: &'a str,
}

/// An acknowledgement of `header` (HL7 v2.5.1 §2.9.2): sender and receiver swapped, its own MSH-7 and MSH-10.
pub fn make_ack(header: &Header, code: AckCode, own_id: &str, at_us: i64) -> Vec<u8> {
    ack_with(header, code, own_id, at_us, None)
}

/// Like [`make_ack`], with an ERR segment.
pub(crate) fn ack_with(
    header: &Header,
    code: AckCode,
    own_id: &str,
    at_us: i64,
    error: Option<AckError<'_>>,
) -> Vec<u8> {
    let Header { app, facility, to_app, to_facility, kind, control_id, .. } = header;
    let trigger = kind.split('^').nth(1).unwrap_or_default();
    let processing = if header.processing.is_empty() { "P" } else { &header.processing };
    let version = if header.version.is_empty() { "2.5.1" } else { &header.version };
    let (stamp, code) = (dtm(at_us), code.as_str());
    let mut text = format!(
        "MSH|^~\\&|{to_app}|{to_facility}|{app}|{facility}|{stamp}||ACK^{trigger}^ACK|{own_id}|\
         {processing}|{version}\rMSA|{code}|{control_id}\r"
    );
    if let Some(AckError { code, text: reason }) = error {
        text.push_str(&format!("ERR|||{code}^^HL70357|E||||{reason}\r"));
    }
    text.into_bytes()
}

/// What [`restamp`] changes in a header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Restamp<'a> {
    /// The new MSH-10.
    pub(crate) control_id: &'a str,
    /// The new MSH-7, unix microseconds.
    pub(crate) at_us: i64,
    /// The new MSH-3 and MSH-4; `None` keeps the sender's.
    pub(crate) source: Option<(&'a str, &'a str)>,
}

/// `message` with a new header as an integration engine writes it; everything after the first MSH stays byte
/// for byte. MSH-15 and MSH-16 are emptied: the engine asks for original-mode ACKs. `None` without an MSH.
pub(crate) fn restamp(message: &[u8], change: Restamp<'_>) -> Option<Vec<u8>> {
    let (start, line) = msh(message)?;
    let separator = line[3];
    let mut fields: Vec<Vec<u8>> = line.split(|b| *b == separator).map(<[u8]>::to_vec).collect();
    if fields.len() < 10 {
        fields.resize(10, Vec::new());
    }
    let mut set = |n: usize, value: &str| {
        if let Some(field) = fields.get_mut(n - 1) {
            *field = value.as_bytes().to_vec();
        }
    };
    if let Some((app, facility)) = change.source {
        set(3, app);
        set(4, facility);
    }
    set(7, &dtm(change.at_us));
    set(10, change.control_id);
    set(15, "");
    set(16, "");
    let mut out = message[..start].to_vec();
    out.extend_from_slice(&fields.join(&separator));
    out.extend_from_slice(&message[start + line.len()..]);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] =
        b"MSH|^~\\&#|EHR|C|PORTAL|WEB|20260101||ADT^A01^ADT_A01|E1|P|2.7|||AL|NE||UNICODE UTF-8\r\
        PID|1||7||M\xc3\xbcller\r";

    #[test]
    fn a_header_is_read_with_any_separator_terminator_and_batch_header() {
        let header = read_header(MESSAGE).unwrap();
        assert_eq!((header.app.as_str(), header.control_id.as_str()), ("EHR", "E1"));
        assert_eq!((header.accept_ack.as_str(), header.application_ack.as_str()), ("AL", "NE"));
        assert_eq!(header.kind, "ADT^A01^ADT_A01");
        let batch = b"FHS|^~\\&|X\nBHS|^~\\&|X\nMSH$^~\\&$A$B$$$$$ADT^A08$77\nPID$1";
        let header = read_header(batch).unwrap();
        assert_eq!((header.separator, header.control_id.as_str()), (b'$', "77"));
        for bad in [&b""[..], b"{\"a\":1}", b"MSH", b"MSHX|^~\\&|A|B"] {
            assert_eq!(read_header(bad), None);
        }
    }

    #[test]
    fn an_ack_answers_the_message_and_reads_back() {
        let header = read_header(MESSAGE).unwrap();
        let error = AckError { code: "207", text: "db down" };
        let ack = ack_with(&header, AckCode::Ae, "A9", 0, Some(error));
        let text = String::from_utf8(ack.clone()).unwrap();
        assert!(text.starts_with("MSH|^~\\&|PORTAL|WEB|EHR|C|19700101"), "{text}");
        assert!(text.contains("|ACK^A01^ACK|A9|P|2.7\r"), "{text}");
        assert!(text.ends_with("ERR|||207^^HL70357|E||||db down\r"), "{text}");
        let read = read_ack(&ack).unwrap();
        assert_eq!(read, Ack { code: Some(AckCode::Ae), control_id: "E1".to_owned() });
        assert_eq!(read_ack(MESSAGE), None);
        let odd = read_ack(b"MSH|^~\\&|A|B|C\rMSA|ZZ|1\r").unwrap();
        assert_eq!(odd, Ack { code: None, control_id: "1".to_owned() });
    }

    #[test]
    fn a_restamp_changes_the_header_only() {
        let change = Restamp { control_id: "N1", at_us: 0, source: None };
        let out = restamp(MESSAGE, change).unwrap();
        let header = read_header(&out).unwrap();
        assert_eq!((header.control_id.as_str(), header.app.as_str()), ("N1", "EHR"));
        assert_eq!((header.accept_ack.as_str(), header.application_ack.as_str()), ("", ""));
        assert!(out.ends_with(b"|||||UNICODE UTF-8\rPID|1||7||M\xc3\xbcller\r"));
        let moved = restamp(MESSAGE, Restamp { source: Some(("HUB", "H")), ..change }).unwrap();
        let header = read_header(&moved).unwrap();
        assert_eq!((header.app.as_str(), header.facility.as_str()), ("HUB", "H"));
        let short = restamp(b"MSH|^~\\&|A|B|C\rPID|1", change).unwrap();
        assert_eq!(read_header(&short).unwrap().control_id, "N1");
        assert_eq!(restamp(b"PID|1", change), None);
    }

    #[test]
    fn codes_read_back() {
        for code in [AckCode::Aa, AckCode::Ae, AckCode::Ar, AckCode::Ca, AckCode::Ce, AckCode::Cr] {
            assert_eq!(AckCode::read(code.as_str()), Some(code));
            assert!(!(code.is_accept() && code.is_reject()));
        }
        assert_eq!(AckCode::read("aa"), None);
    }
}
