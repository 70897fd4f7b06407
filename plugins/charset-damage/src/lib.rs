//! Finds text that was damaged by a wrong character set.
//!
//! The host hands text over decoded by MSH-18 (HL7 v2.5.1 §2.15.9.18, table 0211); what is no text
//! of that set comes as U+FFFD. So damage shows in the text itself, and no raw bytes are needed.

use feedpulse_check::{Check, Field, Finding, Findings, Level, Row};
use serde::Deserialize;
use std::collections::BTreeSet;

/// The manifest's own fields, in its order.
const OWN: [&str; 7] = ["MSH-18", "PID-5", "PID-9", "PID-11", "NK1-2", "OBX-5", "NTE-3"];
/// What Windows-1252 has for the bytes 80 to 9F; the bytes without a character are left out.
const WINDOWS: [(u8, char); 27] = [
    (0x80, '€'),
    (0x82, '‚'),
    (0x83, 'ƒ'),
    (0x84, '„'),
    (0x85, '…'),
    (0x86, '†'),
    (0x87, '‡'),
    (0x88, 'ˆ'),
    (0x89, '‰'),
    (0x8a, 'Š'),
    (0x8b, '‹'),
    (0x8c, 'Œ'),
    (0x8e, 'Ž'),
    (0x91, '‘'),
    (0x92, '’'),
    (0x93, '“'),
    (0x94, '”'),
    (0x95, '•'),
    (0x96, '–'),
    (0x97, '—'),
    (0x98, '˜'),
    (0x99, '™'),
    (0x9a, 'š'),
    (0x9b, '›'),
    (0x9c, 'œ'),
    (0x9e, 'ž'),
    (0x9f, 'Ÿ'),
];

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// More texts to look at.
    fields: Vec<String>,
    /// Whether a message that declares no set and is not ASCII is reported.
    report_undeclared: bool,
}

/// The paths of the texts, in the order of the row, and what to report.
struct CharsetDamage {
    paths: Vec<String>,
    report_undeclared: bool,
}

impl Check for CharsetDamage {
    fn new(settings: &str) -> Result<Self, String> {
        let Settings { fields, report_undeclared } =
            serde_json::from_str(settings).map_err(|e| {
                format!("settings: {e}; an example is {{fields: [ZPD-2], report-undeclared: true}}")
            })?;
        let named: BTreeSet<String> =
            fields.into_iter().filter(|f| !OWN.contains(&f.as_str())).collect();
        let paths = OWN.iter().map(|own| (*own).to_owned()).chain(named).collect();
        Ok(Self { paths, report_undeclared })
    }

    fn check(&mut self, row: &Row<'_>, out: &mut Findings) -> Result<(), String> {
        let mut fields = row.fields();
        let set = fields.next().ok_or("fewer fields than declared")?;
        let set = set.repetitions().next().map_or("", |first| first.text());
        let (mut lost, mut twice, mut eight) =
            (Tally::default(), Tally::default(), Tally::default());
        for (path, field) in self.paths.iter().skip(1).zip(fields) {
            // most messages are ASCII, and this is a fast look
            if field.text().is_ascii() {
                continue;
            }
            for (index, one) in
                field.occurrences().enumerate().filter(|(_, one)| !one.text().is_ascii())
            {
                lost.note(one.text().contains('\u{fffd}'), path, index);
                twice.note(is_encoded_twice(one), path, index);
                eight.note(true, path, index);
            }
        }
        lost.tell("characters-lost", Level::Error, out);
        twice.tell("encoded-twice", Level::Error, out);
        match set.trim() {
            "ASCII" | "ISO IR6" | "ISO IR 6" | "US-ASCII" => {
                eight.tell("not-ascii", Level::Warning, out)
            }
            "" | "\"\"" if self.report_undeclared => eight.tell("set-undeclared", Level::Info, out),
            _ => {}
        }
        Ok(())
    }
}

/// Where something was seen first, and how often.
#[derive(Default)]
struct Tally {
    first: Option<String>,
    count: usize,
}

impl Tally {
    fn note(&mut self, seen: bool, path: &str, index: usize) {
        if !seen {
            return;
        }
        self.count += 1;
        self.first.get_or_insert_with(|| match path.split_once('-') {
            Some((segment, rest)) if index > 0 => format!("{segment}[{}]-{rest}", index + 1),
            _ => path.to_owned(),
        });
    }

    fn tell(self, code: &'static str, level: Level, out: &mut Findings) {
        if let Some(first) = self.first {
            out.push(Finding::new(code, level).at(first).attr("count", self.count.min(9999)));
        }
    }
}

/// Whether a text holds a character of UTF-8 that was read byte by byte: `Ã` or `Â` before what can
/// be a second byte, or `â€` and the like before a third. A closing quotation mark behind `Â` may be
/// just that, so it counts only before a letter.
fn is_encoded_twice(field: Field<'_>) -> bool {
    let chars: Vec<char> = field.text().chars().collect();
    chars.iter().enumerate().any(|(n, lead)| {
        let next = |by: usize| chars.get(n + by).copied().unwrap_or(' ');
        match lead {
            'Ã' | 'Â' => {
                let quote = matches!(
                    next(1),
                    '«' | '»'
                        | '“'
                        | '”'
                        | '‘'
                        | '’'
                        | '„'
                        | '‚'
                        | '–'
                        | '—'
                        | '…'
                        | '‹'
                        | '›'
                );
                continuation(next(1)).is_some() && (!quote || next(2).is_alphabetic())
            }
            'â' => {
                let (second, third) = (continuation(next(1)), continuation(next(2)));
                // E2 80 xx punctuation, E2 82 xx currency, E2 84 xx letterlike
                matches!(second, Some(0x80 | 0x82 | 0x84)) && third.is_some()
            }
            _ => false,
        }
    })
}

/// The byte from 80 to BF that Latin-1 or Windows-1252 shows as this character.
fn continuation(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ 0x80..=0xbf => u8::try_from(code).ok(),
        _ => WINDOWS.iter().find(|(_, shown)| *shown == c).map(|(byte, _)| *byte),
    }
}

feedpulse_check::export!(CharsetDamage);

#[cfg(test)]
mod tests {
    use super::*;
    use feedpulse_check::testing::run;

    fn codes(settings: &str, set: &str, name: &str) -> Vec<(&'static str, String)> {
        let found =
            run::<CharsetDamage>(settings, "adt", &[&[set, name, "", "", "", "", "", ""]]).unwrap();
        found.into_iter().map(|f| (f.code, f.at)).collect()
    }

    #[test]
    fn ordinary_names_of_many_languages_are_left_alone() {
        for name in [
            "DOE^JANE",
            "MÜLLER^JÖRG",
            "FRANÇOIS^ZOÉ",
            "JOÃO^CONCEIÇÃO",
            "NGUYỄN^ÁNH",
            "ÅSTRÖM^ÅSA",
            "山田^太郎",
            "ŁUKASZ^ŻÓŁĆ",
            "dit «IRMÃ» et “Ã” puis",
            "Ã–",
            "20 °C, 5 µg",
            "Ä“hm",
            "Â",
        ] {
            assert_eq!(codes("{}", "UNICODE UTF-8", name), [], "{name}");
        }
    }

    #[test]
    fn utf_8_read_as_latin_1_is_seen() {
        for name in [
            "MÃ¼LLER",
            "JÃ¶RG^A",
            "ZOÃ‰",
            "STRASSEÃŸ",
            "5 Âµg",
            "itâ€™s",
            "12 â‚¬",
            "aoÃ»t",
            "A\u{c3}\u{96}Z",
            "Ã–STERREICH",
        ] {
            assert_eq!(
                codes("{}", "UNICODE UTF-8", name),
                [("encoded-twice", "PID-5".to_owned())],
                "{name}"
            );
        }
    }

    #[test]
    fn holes_and_declarations() {
        let name = "M\u{fffd}LLER\u{1c}MÜLLER";
        assert_eq!(codes("{}", "8859/1", name), [("characters-lost", "PID-5".to_owned())]);
        assert_eq!(codes("{}", "ASCII\u{1d}8859/1", "MÜLLER"), [("not-ascii", "PID-5".to_owned())]);
        assert_eq!(codes("{}", "", "MÜLLER"), [], "common in the field");
        let asked = r#"{"report-undeclared": true}"#;
        assert_eq!(codes(asked, "", "A\u{1c}Ü"), [("set-undeclared", "PID[2]-5".to_owned())]);
        assert!(run::<CharsetDamage>(r#"{"field": []}"#, "adt", &[]).is_err());
    }
}
