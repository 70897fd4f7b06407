//! Messages without their patients: what must go is gone, what must stay is there.

use crate::deidentify::{Deidentifier, hidden};
use crate::delimiters::Delimiters;
use feedpulse_core::sighting::Seen;
use std::collections::HashSet;
use std::path::Path;

fn without(text: &str) -> String {
    let mut tool = Deidentifier::new([9; 16]);
    tool.learn(text.as_bytes());
    String::from_utf8(tool.rewrite(text.as_bytes())).unwrap()
}

/// Field `n` of the first segment of that name.
fn field<'a>(text: &'a str, segment: &str, n: usize) -> &'a str {
    let line = text.split('\r').find(|line| line.starts_with(segment)).unwrap();
    line.split('|').nth(n).unwrap_or("")
}

const ORU: &str = "MSH|^~\\&|LAB|GENHOSP|PORTAL|GENHOSP|20240311120000+0100||ORU^R01^ORU_R01|C4711|P|2.5.1\r\
PID|1||0047110815^7^M10^GENHOSP^MR~999^^^STATE^SS||Doe^Jane^Q||19700228|F|||12 Elm Street^^Springfield^IL^62701^USA||(555)123-4567|||M\r\
NK1|1|Doe^John|SPO\r\
PV1|1|I|W3^12^B||||1234^Smith^Anna^^^Dr||||||||||||V99\r\
OBR|1|P1|F100^LAB|24323-8^Metabolic panel^LN|||20240310110000|||||||||||||||20240311115900|||F\r\
OBX|1|NM|2345-7^Glucose^LN||<95.5|mg/dL|70-99|H|||F|||20240311115800\r\
OBX|2|TX|8251-1^Comment^LN||Mrs Doe called\\.br\\at 12\\T\\13||||||F\r\
OBX|3|CE|600-7^Culture^LN||112283007^Escherichia coli^SCT||||||F\r\
NTE|1|L|Jane was not at home\r\
Z01|4711|Doe|\"\"\r";

#[test]
fn who_it_was_is_gone_and_what_it_was_stays() {
    let out = without(ORU);
    let lower = out.to_lowercase();
    for gone in [
        "0047110815",
        "doe",
        "jane",
        "john",
        "elm",
        "springfield",
        "62701",
        "123-4567",
        "smith",
        "anna",
        "1234",
        "v99",
        "f100",
        "c4711",
        "4711",
        "called",
        "home",
        "escherichia",
        "panel",
        "glucose",
        "genhosp",
        "19700228",
        "20240311",
    ] {
        assert!(!lower.contains(gone), "{gone} is still in\n{}", out.replace('\r', "\n"));
    }
    for stays in [
        "|ORU^R01^ORU_R01|",
        "|P|2.5.1",
        "^MR~",
        "|F|",
        "^USA",
        "|SPO",
        "|24323-8^",
        "|NM|2345-7^",
        "^LN||<95.5|mg/dL|70-99|H|||F|",
        "\\.br\\",
        "\\T\\",
        "|112283007^",
        "|\"\"",
    ] {
        assert!(out.contains(stays), "{stays} is gone from\n{}", out.replace('\r', "\n"));
    }
}

#[test]
fn the_same_value_is_the_same_afterwards_and_others_differ() {
    let out = without(ORU);
    let name = field(&out, "PID", 5).split('^').next().unwrap();
    assert_eq!(field(&out, "NK1", 2).split('^').next(), Some(name));
    assert_eq!(field(&out, "Z01", 2), name);
    assert_eq!(name.len(), 3);
    assert!(name.starts_with(char::is_uppercase), "{name}: capitals stay capitals");
    let two = without(
        "MSH|^~\\&|A||||20240101||ADT^A01|M1|P|2.5\rMSH|^~\\&|A||||20240101||ADT^A01|M2|P|2.5\r",
    );
    let ids: Vec<&str> = two.split('\r').filter_map(|line| line.split('|').nth(9)).collect();
    assert_ne!(ids[0], ids[1], "two ids become two ids");
}

#[test]
fn numbers_keep_their_form_and_lose_their_check_digit() {
    let out = without(ORU);
    let id: Vec<&str> = field(&out, "PID", 3).split(['^', '~']).collect();
    assert_eq!((id[0].len(), id[1], id[2], id[4]), (10, "", "", "MR"));
    assert!(id[0].starts_with("00") && id[0].bytes().all(|b| b.is_ascii_digit()), "{}", id[0]);
    let phone = field(&out, "PID", 13);
    assert!(phone.starts_with('(') && phone.get(4..5) == Some(")") && phone.len() == 13, "{phone}");
}

#[test]
fn dates_move_together_by_whole_weeks() {
    let out = without(ORU);
    let day = |text: &str| {
        let n = |r: std::ops::Range<usize>| text.get(r).unwrap().parse::<i16>().unwrap();
        let small = |r| i8::try_from(n(r)).unwrap();
        jiff::civil::Date::new(n(0..4), small(4..6), small(6..8)).unwrap()
    };
    let (sent, collected) = (field(&out, "MSH", 6), field(&out, "OBR", 7));
    assert_eq!(sent.get(8..), Some("120000+0100"), "time of day and zone stay");
    assert_eq!(day(collected).weekday(), day("20240310").weekday());
    assert_eq!((day(sent) - day(collected)).get_days(), 1);
    let born = without("MSH|^~\\&|A||||2024||ADT^A01|M1|P|2.5\rPID|1||||A||19440\r");
    assert_ne!(field(&born, "PID", 7), "19440", "what is no date is replaced");
}

#[test]
fn a_word_of_a_person_does_not_stay_where_codes_stay() {
    let out = without(
        "MSH|^~\\&|A||||20240101||ORU^R01|M1|P|2.5\rPID|1||12345||Featherstone^Zoe\r\
         OBR|1|||88^Panel for FEATHERSTONE^L\rOBX|1|NM|1^Sodium^L||123|mg/dL\r\
         PID|2||123|Z99\rOBX|2|CE|1^Sodium^L||Z99^x^L\rOBX|3|CE|1^Sodium^L||Z98^x^L\r",
    );
    assert!(!out.to_lowercase().contains("featherstone") && !out.contains("12345"), "{out}");
    assert!(!out.contains("Z99"), "a short code that is somebody's number: {out}");
    assert!(out.contains("|Z98^") && out.contains("||123|mg/dL"), "{out}");
}

#[test]
fn other_delimiters_and_character_sets_are_kept() {
    let odd = without("MSH!$%?*!A!!!!20240101!!ADT$A01!M1!P!2.5\rPID!1!!4711$$$H$MR!!Doe$Jane\r");
    assert!(odd.contains("!!ADT$A01!") && odd.contains("$MR!") && !odd.contains("Doe"), "{odd}");
    let mut tool = Deidentifier::new([1; 16]);
    let latin = b"MSH|^~\\&|A||||20240101||ADT^A01|M1|P|2.5||||||8859/1\rPID|1||||M\xfcller\r";
    let out = tool.rewrite(latin);
    assert_eq!(out.len(), latin.len());
    assert!(out.iter().any(|b| *b >= 0xc0), "a letter beyond ASCII stays one");
    let twice = without(
        "MSH|^~\\&|A||||20240101||ADT^A01|M1|P|2.5||||||UNICODE UTF-8\rPID|1||||M\u{c3}\u{bc}ller\r",
    );
    assert!(twice.contains('\u{c3}') && !twice.contains("ller"), "{twice}");
    let damaged =
        b"MSH|^~\\&|A||||20240101||ADT^A01|M1|P|2.5||||||UNICODE UTF-8\rPID|1||||M\xfcller\r";
    let out = tool.rewrite(damaged);
    assert!(std::str::from_utf8(&out).is_err(), "damage stays damage");
    assert!(!out.contains(&0xfc), "and does not tell which byte it was");
}

#[test]
fn a_document_keeps_its_kind_and_its_length() {
    let pdf = "JVBERi0xLjQKJcOkw7zDtsOfCjIgMCBvYmoKPDwvTGVuZ3Ro";
    let text = format!(
        "MSH|^~\\&|A||||20240101||MDM^T02|M1|P|2.5\rOBX|1|ED|1^Letter||H^application^pdf^Base64^{pdf}\r"
    );
    let out = without(&text);
    assert_eq!(out.len(), text.len());
    assert!(out.contains("^application^pdf^Base64^JVBERi0") && !out.contains(pdf));
    // "%PDF-1.4 … 512\n%%EOF\n" in three alignments
    for whole in [
        "JVBERi0xLjQgdGhlIGxldHRlcgo1MTIKJSVFT0YK",
        "JVBERi0xLjQgdGhlIGxldHRlcjUxMgolJUVPRgo=",
        "JVBERi0xLjQgdGhlIGxldHRlMTIKJSVFT0YK",
    ] {
        let out = without(&text.replace(pdf, whole));
        let field = out.split('^').next_back().unwrap().trim_end();
        assert_eq!(field.get(field.len() - 8..), whole.get(whole.len() - 8..), "its end is there");
        assert!(!out.contains("dGhlIGxldHRl"), "and no more of it");
    }
}

#[test]
fn it_is_the_same_with_the_same_key_and_another_with_another() {
    let run = |key| Deidentifier::new([key; 16]).rewrite(ORU.as_bytes());
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn what_a_shown_message_may_show() {
    let by = Delimiters::default();
    let shown = |segment: &str| -> String {
        let hides = hidden(segment.as_bytes(), &by);
        assert_eq!(hides.len(), segment.len());
        segment.chars().zip(hides).map(|(c, hides)| if hides { '*' } else { c }).collect()
    };
    assert_eq!(
        shown("OBX|1|NM|2345-7^Sugar^LN||95.5|mg/dL|70-99|H|||F"),
        "OBX|1|NM|2345-7^*****^LN||95.5|mg/dL|70-99|H|||F"
    );
    assert_eq!(shown("OBX|1|TX|2345-7||95.5"), "OBX|1|TX|******||****", "no LN stands beside it");
    assert_eq!(
        shown("PID|1||47^^^H^MR||DOE^\"\""),
        "PID|1||**^^^*^MR||***^\"\"",
        "the null is no name"
    );
    assert_eq!(shown("ZPI|DOE"), "ZPI|***");
    assert_eq!(shown("DOE|JANE"), "***|****", "no segment has this name");
}

/// Fields that tell of somebody, in every version: no value of them may come through.
const IDENTIFYING: [(&str, &[usize]); 9] = [
    ("PID", &[2, 3, 4, 5, 6, 7, 9, 11, 12, 13, 14, 18, 19, 20, 21, 23, 26]),
    ("NK1", &[2, 4, 5, 6]),
    ("PV1", &[3, 7, 8, 9, 17, 19, 50]),
    ("MRG", &[1, 2, 3, 4, 7]),
    ("GT1", &[2, 3, 5, 6, 12]),
    ("IN1", &[16, 19, 36, 49]),
    ("ORC", &[2, 3, 10, 11, 12]),
    ("OBR", &[2, 3, 10, 16, 28]),
    ("NTE", &[3]),
];

#[test]
fn no_identifying_value_of_any_sample_comes_through() {
    let mut paths = Vec::new();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/messages");
    super::samples::files(&own, &mut paths);
    if let Some(folder) = std::env::var_os("FEEDPULSE_SAMPLES") {
        super::samples::files(Path::new(&folder), &mut paths);
    }
    let (mut looked_for, mut told) = (0, Vec::new());
    for path in paths {
        let bytes = std::fs::read(&path).unwrap();
        let mut tool = Deidentifier::new([3; 16]);
        tool.learn(&bytes);
        let out = tool.rewrite(&bytes);
        let out = String::from_utf8_lossy(&out).to_lowercase();
        let words: HashSet<&str> = out.split(|c: char| !c.is_alphanumeric()).collect();
        for value in identifying(&String::from_utf8_lossy(&bytes)) {
            looked_for += 1;
            let phrase = value.contains(|c: char| !c.is_alphanumeric());
            if words.contains(value.as_str()) || (phrase && out.contains(&value)) {
                told.push(format!("{value} is still in {}", path.display()));
            }
        }
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
    assert!(looked_for > 60, "only {looked_for}");
}

/// Words of at least four characters in identifying fields, in messages with the usual delimiters; ends
/// of fields that hold a type or a country are left out.
fn identifying(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.contains("MSH|^~\\&|") {
        return found;
    }
    for line in text.split(['\r', '\n']) {
        let fields: Vec<&str> = line.split('|').collect();
        let all = fields[0].starts_with('Z').then(|| (1..fields.len()).collect::<Vec<_>>());
        let listed = IDENTIFYING.iter().find(|(name, _)| *name == fields[0]);
        for n in all.or(listed.map(|(_, n)| n.to_vec())).unwrap_or_default() {
            // of a telephone, the number: its use and equipment are codes of tables 0201 and 0202
            let phone = matches!((fields[0], n), ("PID", 13 | 14) | ("NK1", 5 | 6) | ("GT1", 6));
            let most = if phone { 1 } else { 3 };
            let repetitions = fields.get(n).unwrap_or(&"").split('~');
            let parts = repetitions.flat_map(|r| r.split('^').take(most));
            if fields[0] == "NTE" {
                // as a whole: its words are words of any result
                found.extend(parts.filter(|p| p.len() >= 24).map(str::to_lowercase));
                continue;
            }
            // of a birth date the day: its zone stays
            let day = (fields[0], n) == ("PID", 7);
            let parts = parts.map(|p| if day { p.get(..8).unwrap_or(p) } else { p });
            let words = parts.flat_map(|p| p.split(|c: char| !c.is_alphanumeric()));
            // zeros are nobody's number, and 113883 is HL7's own arc in the tree of object identifiers
            let short = |w: &str| w.len() < 5 && w.bytes().all(|b| b.is_ascii_digit());
            let nobody = |w: &str| short(w) || w.bytes().all(|b| b == b'0') || w == "113883";
            found.extend(words.filter(|w| w.len() >= 4 && !nobody(w)).map(str::to_lowercase));
        }
    }
    found
}

/// What a message or ACK is to Feedpulse's own checks: its type, its urgency, its code, its defects.
fn structure(bytes: &[u8]) -> Vec<String> {
    let told = |seen: &Seen| match seen {
        Seen::Message(m) => {
            let defects: Vec<_> = m.defects.iter().map(|d| d.code).collect();
            format!("{}^{} {:?} {defects:?}", m.code.as_str(), m.trigger.as_str(), m.urgency)
        }
        Seen::Ack(ack) => {
            format!("{:?} {:?}", ack.code, ack.defects.iter().map(|d| d.code).collect::<Vec<_>>())
        }
        Seen::Unreadable(u) => {
            format!("{:?}", u.defects.iter().map(|d| d.code).collect::<Vec<_>>())
        }
        _ => String::new(),
    };
    super::decode(bytes).1.iter().map(|sighting| told(&sighting.what)).collect()
}

#[test]
fn what_is_wrong_with_the_structure_stays_wrong_and_what_is_right_stays_right() {
    let mut paths = Vec::new();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/messages");
    super::samples::files(&own, &mut paths);
    let (mut differ, mut faulty) = (Vec::new(), 0);
    for path in &paths {
        let bytes = std::fs::read(path).unwrap();
        let mut tool = Deidentifier::new([4; 16]);
        tool.learn(&bytes);
        let (before, after) = (structure(&bytes), structure(&tool.rewrite(&bytes)));
        faulty += usize::from(before.iter().any(|told| !told.ends_with("[]")));
        if before != after {
            differ.push(format!("{}: {before:?} became {after:?}", path.display()));
        }
    }
    assert!(paths.len() > 20 && faulty > 5, "{} files, {faulty} with faults", paths.len());
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
