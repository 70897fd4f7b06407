//! Finds documents that are cut short, damaged or not what they claim.
//!
//! ED is source, type, subtype, encoding, data (HL7 v2.5.1 §2.A.24); base64 is RFC 4648 §4, with
//! white space taken as RFC 2045 does.

use feedpulse_check::{Check, Field, Finding, Findings, Level, Row};
use serde::Deserialize;

/// How the host ends a value that it cut.
const CUT: char = '…';
/// Bytes at the beginning and the end in which a file shows its type: a PDF may have up to 1,024
/// bytes of other content around its head and its end (ISO 32000-1 annex H.3.3, note 18).
const EDGE: usize = 1024;
/// A type, its names in capitals, and how it begins.
type Type = (&'static str, &'static [&'static str], Heads);
/// One of these begins a file.
type Heads = &'static [&'static [u8]];
/// How the types of table 0291 (and what senders write instead) begin.
const TYPES: [Type; 7] = [
    ("pdf", &["PDF"], &[b"%PDF-"]),
    ("jpeg", &["JPEG", "JPG"], &[b"\xff\xd8\xff"]),
    ("png", &["PNG"], &[b"\x89PNG"]),
    ("tiff", &["TIFF", "TIF"], &[b"II*\0", b"MM\0*"]),
    ("rtf", &["RTF"], &[b"{\\rtf"]),
    ("gif", &["GIF"], &[b"GIF8"]),
    ("zip", &["ZIP", "DOCX"], &[b"PK"]),
];

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// Largest document that the receiver takes, KiB; none = any.
    max_kib: Option<usize>,
}

/// The settings.
struct DocumentIntegrity(Settings);

impl Check for DocumentIntegrity {
    fn new(settings: &str) -> Result<Self, String> {
        let settings: Settings = serde_json::from_str(settings)
            .map_err(|e| format!("settings: {e}; an example is {{max-kib: 10240}}"))?;
        match settings.max_kib {
            Some(0) => Err("`max-kib` must be at least 1; leave it out for no limit".to_owned()),
            _ => Ok(Self(settings)),
        }
    }

    fn check(&mut self, row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
        let mut fields = row.fields();
        let mut next = || fields.next().ok_or("fewer fields than declared");
        let (kinds, types, subtypes) = (next()?, next()?, next()?);
        let (encodings, contents) = (next()?, next()?);
        let texts = |field: Field<'_>| -> Vec<String> {
            let first =
                |one: Field<'_>| one.repetitions().next().map_or("", |r| r.text()).to_owned();
            field.occurrences().map(first).collect()
        };
        let (types, subtypes, encodings) = (texts(types), texts(subtypes), texts(encodings));
        let at = |list: &[String], n: usize| list.get(n).cloned().unwrap_or_default();
        let all = kinds.occurrences().zip(contents.occurrences()).enumerate();
        for (n, (_, content)) in all.filter(|(_, (kind, _))| kind.text() == "ED") {
            let encoding = at(&encodings, n);
            let content = content.repetitions().next().map_or("", |r| r.text());
            let place = place(n);
            if content.is_empty() || content == "\"\"" {
                out.push(Finding::new("document-empty", Level::Error).at(place));
                continue;
            }
            // A (plain) and Hex are legal and are not looked into
            if !encoding.eq_ignore_ascii_case("base64") {
                continue;
            }
            let whole = content.ends_with(CUT).then(|| row.get(&place)).flatten();
            let mut document = Document::read(whole.as_deref().unwrap_or(content));
            document.claim([at(&subtypes, n), at(&types, n)]);
            document.judge(place, self.0.max_kib, out);
        }
        Ok(())
    }
}

/// What there is to know of one document.
struct Document {
    /// Whether the end was seen.
    whole: bool,
    /// Characters of base64, without white space and padding.
    digits: usize,
    padding: usize,
    /// Whether something else is in it, or something behind the padding.
    foreign: bool,
    head: Vec<u8>,
    tail: Vec<u8>,
    /// The type that it claims, and how that begins.
    claim: Option<(&'static str, Heads)>,
}

impl Document {
    /// Reads base64 in one pass; decodes its edges only.
    fn read(text: &str) -> Self {
        let whole = !text.ends_with(CUT);
        let (mut digits, mut padding, mut foreign) = (0_usize, 0_usize, false);
        let mut kept = Vec::with_capacity(text.len());
        for byte in text.trim_end_matches(CUT).bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => {
                    foreign |= padding > 0;
                    digits += 1;
                    kept.push(byte);
                }
                b'=' => padding += 1,
                b' ' | b'\t' | b'\r' | b'\n' => {}
                _ => foreign = true,
            }
        }
        let edge = (EDGE / 3 + 2) * 4;
        let head = decode(kept.get(..edge).unwrap_or(&kept));
        // groups of four from the beginning, so that the tail decodes as part of the whole
        let from = kept.len().saturating_sub(edge) / 4 * 4;
        let tail = decode(kept.get(from..).unwrap_or_default());
        Self { whole, digits, padding, foreign, head, tail, claim: None }
    }

    /// Notes the type that one of the names claims.
    fn claim(&mut self, names: [String; 2]) {
        let known = |name: &String| {
            // application/pdf, PDF and ^AP^PDF are all written
            let name = name.rsplit('/').next().unwrap_or("").to_ascii_uppercase();
            TYPES.iter().find(|(_, names, _)| names.contains(&name.as_str()))
        };
        self.claim = names.iter().find_map(known).map(|(name, _, heads)| (*name, *heads));
    }

    /// Bytes when decoded.
    fn size(&self) -> usize {
        self.digits * 3 / 4
    }

    fn judge(&self, place: String, max_kib: Option<usize>, out: &mut Findings) {
        let finding = |code, level| {
            Finding::new(code, level)
                .at(place.clone())
                .attr("kib", (self.size() / 1024).min(1_000_000))
        };
        if max_kib.is_some_and(|most| self.size() > most.saturating_mul(1024)) {
            out.push(finding("document-too-large", Level::Warning));
        }
        if self.foreign || self.padding > 2 {
            out.push(finding("document-not-base64", Level::Error));
            return;
        }
        let begins = |heads: &[&[u8]]| {
            let near = |head: &&[u8]| self.head.windows(head.len()).take(EDGE).any(|w| w == *head);
            heads.iter().any(near)
        };
        if let Some((name, heads)) = self.claim
            && !begins(heads)
        {
            out.push(finding("document-wrong-type", Level::Error).attr("type", name));
            return;
        }
        // padding may rightly be left out (RFC 4648 §3.2); one digit alone is half a byte
        let torn = self.digits % 4 == 1
            || (self.padding > 0 && !(self.digits + self.padding).is_multiple_of(4));
        let pdf = self.claim.is_some_and(|(name, _)| name == "pdf");
        let endless = pdf && !self.tail.windows(5).any(|w| w == b"%%EOF");
        if self.whole && (torn || endless) {
            out.push(finding("document-truncated", Level::Error));
        }
    }
}

/// Base64 of clean digits; what is left over of a group is dropped.
fn decode(digits: &[u8]) -> Vec<u8> {
    let value = |b: &u8| match b {
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut out = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.chunks(4) {
        let bits = group.iter().fold(0_u32, |bits, b| bits << 6 | u32::from(value(b)));
        let bits = bits << (6 * (4 - group.len()));
        let [_, a, b, c] = bits.to_be_bytes();
        out.extend_from_slice([a, b, c].get(..group.len() * 3 / 4).unwrap_or_default());
    }
    out
}

/// `OBX[2]-5.5`.
fn place(n: usize) -> String {
    if n == 0 { "OBX-5.5".to_owned() } else { format!("OBX[{}]-5.5", n + 1) }
}

feedpulse_check::export!(DocumentIntegrity);

#[cfg(test)]
mod tests {
    use super::*;
    use feedpulse_check::testing::run;

    /// %PDF-1.4 … %%EOF in base64.
    const PDF: &str = "JVBERi0xLjQKMSAwIG9iago8PD4+CmVuZG9iagp0cmFpbGVyCjw8Pj4KJSVFT0YK";

    fn codes(settings: &str, [kind, ty, encoding, data]: [&str; 4]) -> Vec<(&'static str, String)> {
        let found = run::<DocumentIntegrity>(settings, "lab", &[&[kind, ty, "", encoding, data]]);
        found.unwrap().into_iter().map(|f| (f.code, f.at)).collect()
    }

    #[test]
    fn what_is_whole_is_left_alone() {
        for row in [
            ["ED", "PDF", "Base64", PDF],
            ["ED", "application/pdf", "base64", PDF],
            ["ED", "PDF", "Base64", &format!("{}\r\n{}", &PDF[..20], &PDF[20..])],
            ["ED", "TEXT", "Base64", "aGVsbG8="],
            ["ED", "TEXT", "Base64", "aGVsbG8"],
            ["ED", "PDF", "A", "plain"],
            ["TX", "", "", "not a document %"],
            ["", "", "", ""],
        ] {
            assert_eq!(codes("{}", row), [], "{row:?}");
        }
    }

    #[test]
    fn each_defect_has_its_code() {
        for (data, code) in [
            ("", "document-empty"),
            (&PDF[..PDF.len() - 8], "document-truncated"),
            (&PDF[..PDF.len() - 3], "document-truncated"),
            (&format!("{PDF}=X"), "document-not-base64"),
            ("JVBERi0xLjQ\\.br\\", "document-not-base64"),
            ("PGh0bWw+PC9odG1sPg==", "document-wrong-type"),
        ] {
            assert_eq!(
                codes("{}", ["ED", "PDF", "Base64", data]),
                [(code, "OBX-5.5".to_owned())],
                "{data}"
            );
        }
        let large = format!("JVBERi0xLjQ{}JSVFT0Y=", "A".repeat(4001));
        let found = codes(
            r#"{"max-kib": 2}"#,
            ["ST\u{1c}ED", "\u{1c}PDF", "\u{1c}Base64", &format!("\u{1c}{large}")],
        );
        assert_eq!(found, [("document-too-large", "OBX[2]-5.5".to_owned())]);
    }

    #[test]
    fn of_a_document_that_was_cut_by_the_host_the_end_is_not_judged() {
        assert_eq!(codes("{}", ["ED", "PDF", "Base64", "JVBERi0xLjQK…"]), []);
        assert_eq!(codes("{}", ["ED", "PDF", "Base64", "PGh0bWw+…"]).len(), 1);
    }

    #[test]
    fn wrong_settings_are_named() {
        assert!(run::<DocumentIntegrity>(r#"{"max-kib": 0}"#, "lab", &[]).is_err());
        assert!(run::<DocumentIntegrity>(r#"{"max": 1}"#, "lab", &[]).is_err());
    }
}
