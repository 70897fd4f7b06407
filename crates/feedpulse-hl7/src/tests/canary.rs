//! Patient data in every field and component of messages of several types, and in messages whose fields
//! are shifted by one: none of it comes through. Each place gets a value of its own, so that none is
//! found only because it stood in PID as well.

use crate::deidentify::Deidentifier;
use std::collections::HashSet;

/// Segments by message type, as they come in real ones; contexts in which a value could look like a
/// code: coding systems, value types, units.
const MESSAGES: [&str; 8] = [
    "MSH|^~\\&|EHR|NORTH|PORTAL|NORTH|20240311120000+0100||ADT^A01^ADT_A01|ID1|P|2.5.1|||AL|NE|USA|UNICODE UTF-8\r\
     EVN|A01|20240311115958||01\rPID|1||4711^^^NORTH^MR||Roe^Jo||19700228|F\rPD1|A|A\rNK1|1|Roe^Jim|SPO\r\
     PV1|1|I|W3^12^B|E|||||||MED\rPV2||1^x^L|E11.9^x^I10\rAL1|1|DA|A1C^x^L|SV\rDG1|1||E11.9^x^I10|||A\r\
     PR1|1||0FT44ZZ^x^I10P\rGT1|1\rIN1|1|A1^x^L\rMRG|4712^^^NORTH^MR\rROL|1|AD",
    "MSH|^~\\&|LAB|NORTH|PORTAL|NORTH|20240311120000||ORU^R01^ORU_R01|ID2|P|2.5.1\r\
     PID|1\rORC|RE|1^x|2^x||CM\rOBR|1|1|2|24323-8^x^LN^B1^x^L|R||20240310110000|||||||||||||||20240311115900||CH|F\r\
     NTE|1|L|x\rOBX|1|NM|2345-7^x^LN^GLU1^x^L|1|95.5|mg/dL^x^UCUM|70-99|H^x^HL70078|||F\r\
     OBX|2|SN|2345-7^x^LN|1|>^1200|/uL|10-20|N|||F\rSPM|1|||SER^x^HL70487\rTQ1|1|1|BID||||20240101|20240102|R",
    "MSH|^~\\&|LAB|NORTH|PORTAL|NORTH|20240311120000||ORU^R01|ID3|P|2.3\rOBR|1|||112283007^x^SCT\r\
     OBX|1|CWE|2345-7^x^LN||112283007^x^SCT^E11.9^x^I10||||||F\rOBX|2|ST|1^x^L||x\rOBX|3|TX|1^x^L||x\r\
     OBX|4|FT|1^x^L||x\rOBX|5|ED|1^x^L||H^application^pdf^Base64^JVBERi0xLjQK\rOBX|6|TS|1^x^L||20240101\r\
     OBX|7|TM|1^x^L||1230\rOBX|8|XPN|1^x^L||A^B\rOBX|9|CX|1^x^L||1\rOBX|10|DT|1^x^L||20240101",
    "MSH|^~\\&|SCHED|NORTH|PORTAL|NORTH|20240311120000||SIU^S12^SIU_S12|ID4|P|2.5.1\r\
     SCH|1|2|||3|A1^x^L|ROUTINE^x^HL70276|NORMAL|30|min|1^BID^D10^20240101^20240102^R||||||||||||||BOOKED\r\
     RGS|1|A\rAIS|1|A|A1C^x^L|20240101|0|min|30|min|NO|BOOKED\rAIG|1|A\rAIL|1|A\rAIP|1|A",
    "MSH|^~\\&|DOCS|NORTH|PORTAL|NORTH|20240311120000||MDM^T02^MDM_T02|ID5|P|2.5.1\r\
     TXA|1|CN|TX|20240101||20240101|||||||1||||AU|U|AV|AC\rOBX|1|ED|1^x^L||H^TEXT^plain^A^x",
    "MSH|^~\\&|PORTAL|NORTH|EHR|NORTH|20240311120000||ACK^A01^ACK|ID6|P|2.5.1\r\
     MSA|AE|ID1||||204^x^HL70357\rERR|PID^1^5^101&x&HL70357|PID^1^5^1^2|204^x^HL70357|E|B1^x^L",
    "MSH|^~\\&|BILL|NORTH|PORTAL|NORTH|20240311120000||DFT^P03^DFT_P03|ID7|P|2.5.1\r\
     FT1|1|||20240101|20240101|CG|A1^x^L|||1\rZPV|x|y\rGT1|1|2|x",
    "MSH|^~\\&|IIS|NORTH|PORTAL|NORTH|20240311120000||VXU^V04^VXU_V04|ID8|P|2.5.1\r\
     RXA|0|1|20240101|20240101|08^x^CVX|0.5|mL^x^UCUM||01^x^NIP001|||||||||A1^x^L||CP|A\rRXR|IM^x^HL70162|LA^x^HL70163",
];
/// Fields that are tried in each segment, though fewer are there.
const FIELDS: usize = 46;
/// Components that are tried in each field.
const COMPONENTS: usize = 10;
/// Kinds of patient data.
const KINDS: usize = 16;

/// A made-up value of a kind, another for each number.
fn canary(kind: usize, n: u64) -> String {
    let mut seed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (kind as u64) << 56;
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut digits = |count: usize| -> String {
        // no zero, so that no prefix or rounding makes one look like a count
        (0..count).map(|_| char::from(b'1' + u8::try_from(next(9)).unwrap())).collect()
    };
    let word = |digits: &str, first: char| -> String {
        let letters = digits.bytes().map(|b| char::from(b'a' + (b - b'0') * 2));
        std::iter::once(first).chain(letters).collect()
    };
    match kind {
        0 => word(&digits(7), 'Q').to_uppercase(),
        1 => word(&digits(6), 'Z'),
        2 => digits(10),
        3 => digits(7),
        4 => digits(6),
        5 => format!("MR{}", digits(6)),
        6 => format!("{}-{}-{}", digits(3), digits(2), digits(4)),
        7 => digits(9),
        8 => format!("({}){}-{}", digits(3), digits(3), digits(4)),
        9 => format!("{}-{}", digits(3), digits(4)),
        10 => format!("{} {} Street", digits(3), word(&digits(7), 'E')),
        11 => digits(5),
        12 => format!("{}{:02}{:02}", 1940 + next(70), 1 + next(12), 1 + next(28)),
        13 => format!("{:02}/{:02}/{}", 1 + next(12), 1 + next(28), 1940 + next(70)),
        14 => format!("{}@{}.org", word(&digits(7), 'q'), word(&digits(4), 'w')),
        _ => format!("called Mrs {} at home", word(&digits(8), 'Y')),
    }
}

/// Where a canary was put.
struct Planted {
    segment: usize,
    field: usize,
    value: String,
}

/// A message with a canary of each kind in turn at one component of every field.
fn planted(message: &str, component: usize, kind: usize) -> (String, Vec<Planted>) {
    let mut told = Vec::new();
    let mut out = String::new();
    for (s, segment) in message.split('\r').map(str::trim_start).enumerate() {
        let mut fields: Vec<String> = segment.split('|').map(str::to_owned).collect();
        let header = fields[0] == "MSH";
        fields.resize(FIELDS, String::new());
        for (n, field) in fields.iter_mut().enumerate().skip(1 + usize::from(header)) {
            // what says how the others are read stays: it has its turn in the test of single fields
            if header && n == 17 || segment.starts_with("OBX") && n == 2 {
                continue;
            }
            let number = (s * 1000 + n) as u64 * 100 + component as u64;
            let value = canary((kind + n) % KINDS, number);
            let mut parts: Vec<String> = field.split('^').map(str::to_owned).collect();
            parts.resize(parts.len().max(component), String::new());
            parts[component - 1].clone_from(&value);
            *field = parts.join("^");
            told.push(Planted { segment: s, field: n, value });
        }
        out.push_str(&fields.join("|"));
        out.push('\r');
    }
    (out, told)
}

fn without(text: &str) -> String {
    let mut tool = Deidentifier::new([5; 16]);
    tool.learn(text.as_bytes());
    String::from_utf8(tool.rewrite(text.as_bytes())).unwrap()
}

/// Words that tell of somebody: of letters, or of four digits and more.
fn words(text: &str) -> impl Iterator<Item = String> {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect::<Vec<_>>();
    let ours = |w: &String| w.len() >= 4 && !matches!(&**w, "street" | "called" | "home");
    words.into_iter().filter(ours)
}

/// The canaries that came through: a word of one in its own field, or a long one anywhere.
fn left(out: &str, told: &[Planted]) -> Vec<String> {
    let everywhere: HashSet<String> = words(out).filter(|w| w.len() >= 8).collect();
    let segments: Vec<Vec<&str>> = out.split('\r').map(|s| s.split('|').collect()).collect();
    let comes = |one: &&Planted| {
        let field = segments[one.segment].get(one.field).unwrap_or(&"");
        let there: HashSet<String> = words(field).collect();
        field.contains(&one.value)
            || words(&one.value).any(|w| there.contains(&w) || everywhere.contains(&w))
    };
    let place =
        |one: &Planted| format!("{} at {}-{}", one.value, segments[one.segment][0], one.field);
    told.iter().filter(comes).map(place).collect()
}

#[test]
fn no_patient_data_in_any_field_or_component_comes_through() {
    let (mut planted_n, mut through) = (0, Vec::new());
    for message in MESSAGES {
        for component in 1..=COMPONENTS {
            for kind in 0..KINDS {
                let (text, told) = planted(message, component, kind);
                planted_n += told.len();
                through.extend(left(&without(&text), &told));
            }
        }
    }
    assert!(planted_n > 300_000, "only {planted_n}");
    assert!(
        through.is_empty(),
        "{} came through, as {:?}",
        through.len(),
        &through[..through.len().min(20)]
    );
}

#[test]
fn nor_in_a_message_whose_fields_are_shifted_by_one() {
    const FULL: &str = "MSH|^~\\&|EHR|NORTH|PORTAL|NORTH|20240311120000||ADT^A01|ID1|P|2.5.1\r\
        PID|1|8815542|0047110815^7^M10^NORTH^MR~557^^^ST^SS|66718|FEATHERSTONE^Zoe^Quincy|Moller^Greta|19620713|F|Zeddy|2106-3^White|\
        412 Larkspur Lane^^Springfield^IL^62701^USA||(555)123-9876^PRN^PH|5559871234|eng|M|CHR|V7788991|123-45-6789|D9981773|\r\
        NK1|1|FEATHERSTONE^Basil|SPO|9 Umber Road|(555)888-1212\rPV1|1|I|W3^12^B||||1234987^Pemberton^Anna^^^Dr\r\
        AL1|1|DA|Zoe is allergic to plums|SV\rEVN|A01|20240311||Zoe said so|OPERATORX\r\
        OBR|1|P1|F1002277|24323-8^Panel of Featherstone^LN\rOBX|1|NM|2345-7^Glucose^LN||5551234567|mg/dL|70-99|H|||F\r\
        IN1|1|A1|MEDI99871|Mutual of Omaha\rGT1|1||FEATHERSTONE^Basil\rMRG|0047110816";
    const GONE: [&str; 33] = [
        "8815542",
        "0047110815",
        "66718",
        "featherstone",
        "zoe",
        "quincy",
        "moller",
        "greta",
        "19620713",
        "zeddy",
        "larkspur",
        "springfield",
        "62701",
        "123-9876",
        "5559871234",
        "v7788991",
        "6789",
        "d9981773",
        "basil",
        "umber",
        "888-1212",
        "1234987",
        "pemberton",
        "plums",
        "operatorx",
        "5551234567",
        "medi99871",
        "omaha",
        "0047110816",
        "said",
        "557",
        "f1002277",
        "allergic",
    ];
    let mut seen = 0;
    for from in 0..12 {
        for by in 0..3 {
            let shifted = FULL.split('\r').map(str::trim_start).map(|segment| {
                let mut fields: Vec<&str> = segment.split('|').collect();
                if fields[0] == "MSH" {
                    return segment.to_owned();
                }
                let at = (1 + from).min(fields.len());
                match by {
                    0 => fields.insert(at, ""),
                    1 => fields.insert(at, "\"\""),
                    _ => drop(fields.remove(at.min(fields.len() - 1))),
                }
                fields.join("|")
            });
            let out = without(&shifted.collect::<Vec<_>>().join("\r")).to_lowercase();
            for gone in GONE {
                seen += 1;
                assert!(
                    !out.contains(gone),
                    "{gone}, from {from}, by {by}:\n{}",
                    out.replace('\r', "\n")
                );
            }
        }
    }
    assert!(seen > 1000);
}

#[test]
fn nor_where_a_value_says_how_others_are_read() {
    for message in MESSAGES {
        for kind in 0..KINDS {
            let value = canary(kind, 7);
            let segments: Vec<&str> = message.split('\r').map(str::trim_start).collect();
            for (s, segment) in segments.iter().enumerate() {
                let fields: Vec<&str> = segment.split('|').collect();
                // the name of a segment, MSH-2, OBX-2, MSH-12, MSH-18 and the rest, one at a time
                for n in 0..fields.len() {
                    let mut fields = fields.clone();
                    fields[n] = &value;
                    let changed = fields.join("|");
                    let mut all = segments.clone();
                    all[s] = &changed;
                    let out = without(&all.join("\r"));
                    let told = [Planted { segment: s, field: n, value: value.clone() }];
                    assert_eq!(
                        left(&out, &told),
                        [""; 0],
                        "{segment} {n}:\n{}",
                        out.replace('\r', "\n")
                    );
                }
            }
        }
    }
}
