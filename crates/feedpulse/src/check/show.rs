//! One segment of a message with a mark under a field, without its patient unless asked for.

use feedpulse_hl7::deidentify::hidden;
use feedpulse_hl7::index::{Index, Message, Name, Notes, Segment};
use feedpulse_wasm::Path;

/// Characters of a line that are shown around the mark.
const WIDTH: usize = 100;
/// Characters before the mark, of a line that is cut.
const BEFORE: usize = 40;

/// The segment that a finding's place names, and below it the mark. Values that could tell of a
/// patient are shown as `*` unless `values`. Empty when the finding is about the whole message.
pub(crate) fn lines(bytes: &[u8], at: &str, values: bool) -> Vec<String> {
    let Ok(path) = Path::parse(at) else { return Vec::new() };
    let (mut index, mut notes) = (Index::new(), Notes::default());
    let Ok(message) = index.first(bytes, &mut notes) else { return Vec::new() };
    let name = Name::new(path.segment);
    let occurrence = usize::from(path.occurrence.unwrap_or(1)) - 1;
    let Some(segment) = message.named(name).nth(occurrence) else {
        let segment = String::from_utf8_lossy(&path.segment).into_owned();
        let which = if occurrence == 0 { String::new() } else { format!(" {}", occurrence + 1) };
        return vec![format!("(the message has no {segment}{which})")];
    };
    let drawn = draw(bytes, &message, segment, &path, values);
    let last = drawn.field_end.unwrap_or(drawn.text.len());
    let (start, end) = drawn.mark.unwrap_or((last, last));
    let cut = if drawn.text.len() > WIDTH && start > BEFORE { start - BEFORE } else { 0 };
    let mut line: String = drawn.text.iter().skip(cut).take(WIDTH).collect();
    if cut > 0 {
        line.insert(0, '…');
    }
    if drawn.text.len() > cut + WIDTH {
        line.push('…');
    }
    let indent = start - cut + usize::from(cut > 0);
    let length = (end - start).clamp(1, WIDTH.saturating_sub(indent).max(1));
    let place = match (drawn.mark, drawn.field_end) {
        (Some(_), _) => "",
        (None, Some(_)) => " (the field ends before it)",
        (None, None) => " (the segment ends before it)",
    };
    vec![line, format!("{}{} {at}{place}", " ".repeat(indent), "^".repeat(length))]
}

/// The header of a message, without a mark: to say which message it is.
pub(crate) fn header(bytes: &[u8], values: bool) -> Option<String> {
    lines(bytes, "MSH", values).into_iter().next()
}

/// A segment as characters, and where the mark goes.
struct Drawn {
    text: Vec<char>,
    mark: Option<(usize, usize)>,
    /// Where the field ends that is meant, if the segment has it.
    field_end: Option<usize>,
}

/// Which part of a field: repetition, component, subcomponent, from 1.
#[derive(Clone, Copy)]
struct Part {
    repetition: u16,
    component: u16,
    subcomponent: u16,
}

fn draw(frame: &[u8], message: &Message<'_>, segment: Segment, path: &Path, values: bool) -> Drawn {
    let d = message.delimiters();
    let bytes = segment.span.of(frame);
    let header = matches!(&path.segment, b"MSH" | b"BHS" | b"FHS");
    let hides = if values { Vec::new() } else { hidden(bytes, d) };
    // where the field at hand begins
    let mut offset = 0;
    let mut drawn = Drawn { text: Vec::new(), mark: None, field_end: None };
    for (n, field) in bytes.split(|b| *b == d.field).enumerate() {
        if n > 0 {
            drawn.text.push(char::from(d.field));
        }
        let number = u16::try_from(n + usize::from(header)).unwrap_or(u16::MAX);
        let plain = n == 0 || (header && n == 1);
        let start = drawn.text.len();
        if plain {
            drawn.text.extend(String::from_utf8_lossy(field).chars());
        } else {
            let wanted = (path.field == Some(number)).then_some(path);
            let mut part = Part { repetition: 1, component: 1, subcomponent: 1 };
            let mut from = 0;
            for at in 0..=field.len() {
                let byte = field.get(at).copied();
                let parts = byte.is_some()
                    && (byte == Some(d.component)
                        || byte == d.repetition
                        || byte == d.subcomponent);
                if byte.is_some() && !parts {
                    continue;
                }
                let value = field.get(from..at).unwrap_or_default();
                let begin = drawn.text.len();
                let shown = hides.get(offset + from) != Some(&true);
                let text = String::from_utf8_lossy(value);
                drawn.text.extend(text.chars().map(|c| if shown { c } else { '*' }));
                if wanted.is_some_and(|path| is_in(path, part)) {
                    let (first, _) = drawn.mark.unwrap_or((begin, begin));
                    drawn.mark = Some((first, drawn.text.len()));
                }
                let Some(byte) = byte else { break };
                drawn.text.push(char::from(byte));
                from = at + 1;
                part = next(part, byte, d.component, d.repetition);
            }
        }
        if path.field == Some(number) && n > 0 {
            drawn.field_end = Some(drawn.text.len());
        }
        if plain && path.field == Some(number) && n > 0 {
            drawn.mark = Some((start, drawn.text.len()));
        }
        offset += field.len() + 1;
    }
    if path.field.is_none() {
        drawn.mark = Some((0, 3));
    }
    drawn
}

/// The part behind a delimiter.
fn next(part: Part, byte: u8, component: u8, repetition: Option<u8>) -> Part {
    if Some(byte) == repetition {
        Part { repetition: part.repetition.saturating_add(1), component: 1, subcomponent: 1 }
    } else if byte == component {
        Part { component: part.component.saturating_add(1), subcomponent: 1, ..part }
    } else {
        Part { subcomponent: part.subcomponent.saturating_add(1), ..part }
    }
}

/// Whether a path means this part.
fn is_in(path: &Path, part: Part) -> bool {
    let meets = |asked: Option<u16>, have| asked.is_none_or(|asked| asked == have);
    meets(path.repetition, part.repetition)
        && meets(path.component, part.component)
        && meets(path.subcomponent, part.subcomponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORU: &[u8] = b"MSH|^~\\&|LAB||||20240101||ORU^R01|1|P|2.5\rPID|1||47^^^H^MR||DOE^JANE\r\
        OBX|1|NM|2345-7^Glucose^LN||95||||||F\rOBX|2|NM|2951-2^Sodium^LN||140||||||P\r";

    #[test]
    fn the_mark_stands_under_the_field() {
        let lines = lines(ORU, "OBX[2]-11", false);
        assert_eq!(
            lines,
            [
                "OBX|2|NM|2951-2^******^LN||140||||||P",
                "                                    ^ OBX[2]-11"
            ]
        );
    }

    #[test]
    fn a_patient_is_shown_to_those_who_ask_only() {
        let hidden = lines(ORU, "PID-5.2", false);
        assert_eq!(hidden, ["PID|1||**^^^*^MR||***^****", "                      ^^^^ PID-5.2"]);
        assert!(lines(ORU, "PID-5.2", true)[0].ends_with("DOE^JANE"));
    }

    #[test]
    fn what_is_not_there_is_said() {
        assert_eq!(lines(ORU, "PV2-3", false), ["(the message has no PV2)"]);
        assert!(lines(ORU, "OBX[2]-14", false)[1].ends_with("(the segment ends before it)"));
        assert_eq!(
            lines(ORU, "PID-5.4", true),
            [
                "PID|1||47^^^H^MR||DOE^JANE",
                "                          ^ PID-5.4 (the field ends before it)"
            ]
        );
        let inner = lines(ORU, "OBX-3.4", false);
        assert_eq!(inner[1], "                          ^ OBX-3.4 (the field ends before it)");
        assert_eq!(lines(ORU, "", false), [""; 0]);
    }

    #[test]
    fn long_segments_are_cut_around_the_mark() {
        let long =
            [&b"MSH|^~\\&|A||||20240101||ORU^R01|1|P|2.5\rOBX|1|TX|1||"[..], &[b'x'; 500], b"|F\r"]
                .concat();
        let lines = lines(&long, "OBX-6", false);
        assert!(lines[0].starts_with('…') && lines[0].chars().count() < 110, "{lines:?}");
        assert_eq!(lines[0].chars().nth(lines[1].find('^').unwrap()), Some('F'));
    }
}
