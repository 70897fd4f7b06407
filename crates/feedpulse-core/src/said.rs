//! What the author of a check wrote, on its way to people.
//!
//! A check's findings carry codes, and the words of a code stand in its manifest or in the operator's
//! settings. They come in as an input of their own when a version takes over, so a replay says what was
//! said live, and each incident takes the words that it needs with it: it keeps them whatever becomes
//! of the check. Everything here is bounded, and no text can break a line, a page or a log.

use crate::codes::Severity;
use crate::label::Label;
use crate::time::Timestamp;
use core::fmt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest title of a code, bytes.
pub const TITLE_MAX: usize = 120;
/// Longest other text here, bytes.
pub const TEXT_MAX: usize = 800;
/// Longest place, and longest name or value of an attribute, bytes.
pub const SHORT_MAX: usize = 64;
/// Most codes of one check whose words are kept: as many as a manifest may have.
pub const WORDS_MAX: usize = 64;
/// Most attributes of one finding.
pub const ATTRS_MAX: usize = 16;
/// Attributes that a sentence names.
const ATTRS_SAID: usize = 8;
/// Codes of its check that an incident holds; findings of further ones are counted together.
pub const CODES_MAX: usize = 16;

/// A text of one line: no control characters, nothing invisible that changes how it is shown, no
/// blanks at its ends or in a row. Whoever puts it into markup escapes it.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line(Box<str>);

impl Line {
    /// Of any text, cut to `most` bytes (4 to [`TEXT_MAX`]); what is cut ends in `…`.
    #[must_use]
    pub fn new(text: &str, most: usize) -> Self {
        let most = most.clamp(4, TEXT_MAX);
        let shown = |c: char| !c.is_control() && !is_invisible(c);
        let mut line = String::new();
        // A line break is a blank before it is taken for a control character.
        for word in text.split_whitespace() {
            let word: String = word.chars().filter(|c| shown(*c)).collect();
            if !word.is_empty() {
                line.push_str(if line.is_empty() { "" } else { " " });
                line.push_str(&word);
            }
        }
        if line.len() > most {
            line.truncate(line.floor_char_boundary(most - '…'.len_utf8()));
            line.truncate(line.trim_end().len());
            line.push('…');
        }
        Self(line.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Characters that are not seen and change how others are: direction marks, joiners, tags.
const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The words of one code of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeWords {
    /// The code as it is known outside: the check's own name, a slash, the code.
    pub name: Line,
    /// The check's own name and version.
    pub by: Line,
    /// A few words, for a heading; at most [`TITLE_MAX`] bytes.
    pub title: Line,
    /// What it means.
    pub explanation: Line,
    /// What to do.
    pub remedy: Line,
}

/// What a version of a check can say; it comes before the version's first finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckWords {
    /// Which check: index into [`crate::plan::Plan::checks`].
    pub check: u16,
    /// Its codes, at most [`WORDS_MAX`], as findings carry them.
    pub codes: BTreeMap<Label, Arc<CodeWords>>,
}

/// One of a check's own codes within an incident.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckCode {
    /// The code.
    pub code: Label,
    /// Its words when it was found last; None where they are not known.
    pub words: Option<Arc<CodeWords>>,
    /// The loudest finding.
    pub severity: Severity,
    /// How often it was found.
    pub times: u32,
    /// The first finding.
    pub first: Timestamp,
    /// The latest finding.
    pub last: Timestamp,
    /// Name of the waypoint of the latest.
    pub waypoint: Line,
    /// HL7 path that the latest names; may be empty.
    pub place: Line,
    /// What the latest says beside: names and values that the manifest lists, at most [`ATTRS_MAX`].
    pub attrs: Vec<(Line, Line)>,
}

/// What a check said in an incident.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckCodes {
    /// Its codes in the order of their first findings, at most [`CODES_MAX`].
    pub codes: Vec<CheckCode>,
    /// Findings of further codes.
    pub others: u32,
}

impl CheckCodes {
    /// The code that leads: of the loudest the first.
    #[must_use]
    pub fn lead(&self) -> Option<&CheckCode> {
        let loudest = self.codes.iter().map(|said| said.severity).max()?;
        self.codes.iter().find(|said| said.severity == loudest)
    }

    /// All findings.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.codes.iter().map(|said| said.times).fold(self.others, u32::saturating_add)
    }

    /// All codes in words: the lead, then the others in order.
    #[must_use]
    pub fn text(&self) -> String {
        let lead = self.lead().map(|said| said.code);
        let rest = self.codes.iter().filter(|said| Some(said.code) != lead);
        let mut texts: Vec<String> =
            self.lead().into_iter().chain(rest).map(|said| said.text()).collect();
        match self.others {
            0 => {}
            1 => texts.push("1 finding of a further code".to_owned()),
            n => texts.push(format!("{n} findings of further codes")),
        }
        texts.join("; ")
    }
}

impl CheckCode {
    /// Its title; the code itself where its words are not known.
    #[must_use]
    pub fn title(&self) -> &str {
        self.words.as_ref().map_or(self.code.as_str(), |words| words.title.as_str())
    }

    /// The code as it is known outside.
    #[must_use]
    pub fn name(&self) -> &str {
        self.words.as_ref().map_or(self.code.as_str(), |words| words.name.as_str())
    }

    /// `Result status went back (result-status-regression/went-back), 12 times, last at OBX[2]-11 on
    /// portal-in, minutes 35`.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.words {
            Some(words) => format!("{} ({}), {}", words.title, words.name, self.numbers()),
            None => format!("{}, {}", self.code, self.numbers()),
        }
    }

    /// `12 times, last at OBX[2]-11 on portal-in, minutes 35`.
    #[must_use]
    pub fn numbers(&self) -> String {
        use fmt::Write as _;
        let mut text = match self.times {
            1 => "once".to_owned(),
            n => format!("{n} times, last"),
        };
        if !self.place.is_empty() {
            let _ = write!(text, " at {}", self.place);
        }
        if !self.waypoint.is_empty() {
            let _ = write!(text, " on {}", self.waypoint);
        }
        for (name, value) in self.attrs.iter().take(ATTRS_SAID) {
            let _ = write!(text, ", {name} {value}");
        }
        if self.attrs.len() > ATTRS_SAID {
            text.push_str(", …");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_break_what_it_stands_in() {
        let hostile =
            " one\r\nBcc: x@y\u{2028}two\t\u{202e}three\u{0}\u{200b} \u{feff} four\u{7f} ";
        assert_eq!(Line::new(hostile, 100).as_str(), "one Bcc: x@y two three four");
        let cut = Line::new(&"ü b ".repeat(300), 20);
        assert!((17..=20).contains(&cut.as_str().len()), "{cut}");
        assert!(cut.as_str().ends_with('…'), "{cut}");
        assert_eq!(Line::new(cut.as_str(), 20), cut, "what is stored is read back as it is");
        assert_eq!(Line::new(&"x".repeat(5_000), usize::MAX).as_str().len(), TEXT_MAX);
        assert!(Line::new("\u{202e}\u{202e}", 9).is_empty());
    }

    fn code(code: &str, severity: Severity, times: u32) -> CheckCode {
        let words = CodeWords { title: Line::new(code, 9), ..CodeWords::default() };
        CheckCode {
            code: Label::from(code),
            words: Some(Arc::new(words)),
            severity,
            times,
            first: Timestamp::EPOCH,
            last: Timestamp::EPOCH,
            waypoint: Line::new("portal-in", 64),
            place: Line::default(),
            attrs: vec![(Line::new("minutes", 64), Line::new("35", 64))],
        }
    }

    #[test]
    fn the_loudest_leads_and_of_these_the_first() {
        let codes = vec![
            code("note", Severity::Note, 1),
            code("first", Severity::Ticket, 1),
            code("second", Severity::Ticket, 7),
        ];
        let said = CheckCodes { codes, others: 3 };
        assert_eq!(said.lead().unwrap().code.as_str(), "first");
        assert_eq!(
            said.text(),
            "first (), once on portal-in, minutes 35; note (), once on portal-in, minutes 35; \
             second (), 7 times, last on portal-in, minutes 35; 3 findings of further codes"
        );
        assert_eq!(CheckCodes::default().lead(), None);
    }
}
