//! The segments of each kind of message (HL7 v2.5.1 chapters 3, 7, 9 and 10).

use crate::clock::{SECOND_US, date, dtm};
use crate::gen_vary::{Charset, Variation};
use crate::generator::{Kind, Profile};
use crate::rng::Rng;

const FAMILY: [&str; 10] = [
    "Abel",
    "Müller",
    "Nguyen",
    "García",
    "Okafor",
    "Lefèvre",
    "Smith",
    "Özil",
    "Haddad",
    "Jónsdóttir",
];
const GIVEN: [&str; 8] = ["Ada", "José", "Mei", "Zoë", "Björn", "Grace", "Amélie", "Omar"];
const STREET: [&str; 5] =
    ["Mill Lane", "Rue de la Clé", "Hauptstraße", "Oak Avenue", "Harbor Road"];
const CITY: [&str; 4] = ["Springfield", "Orléans", "Köln", "Riverton"];
const DOCTOR: [&str; 3] = ["1001^Weiß^Hanna", "1002^Patel^Ravi", "1003^Quinn^Sam"];
/// LOINC code, name, unit, range, low, high, critical low, critical high.
const TESTS: [(&str, &str, &str, &str, [f64; 4]); 4] = [
    ("2823-3", "Potassium", "mmol/L", "3.5-5.1", [3.5, 5.1, 2.5, 6.5]),
    ("2951-2", "Sodium", "mmol/L", "136-145", [136.0, 145.0, 120.0, 160.0]),
    ("718-7", "Hemoglobin", "g/dL", "12.0-17.5", [12.0, 17.5, 6.5, 20.0]),
    ("2345-7", "Glucose", "mg/dL", "70-99", [70.0, 99.0, 40.0, 450.0]),
];

/// One segment under construction; fields are numbered as in the standard.
#[derive(Clone)]
pub(crate) struct Segment {
    name: &'static str,
    fields: Vec<String>,
}

impl Segment {
    fn new(name: &'static str) -> Self {
        Self { name, fields: Vec::new() }
    }

    /// Sets field `n` (1-based; of MSH, FHS and BHS field 1 is the separator and cannot be set).
    fn set(mut self, n: usize, value: impl Into<String>) -> Self {
        let index = if self.name == "MSH" { n - 2 } else { n - 1 };
        if self.fields.len() <= index {
            self.fields.resize(index + 1, String::new());
        }
        self.fields[index] = value.into();
        self
    }

    pub(crate) fn text(&self) -> String {
        let kept = self.fields.iter().rposition(|f| !f.is_empty()).map_or(0, |at| at + 1);
        let mut text = self.name.to_owned();
        for field in &self.fields[..kept] {
            text.push('|');
            text.push_str(field);
        }
        text
    }
}

/// What one message is to say.
pub(crate) struct Case<'a> {
    pub(crate) profile: &'a Profile,
    pub(crate) kind: Kind,
    pub(crate) control_id: &'a str,
    pub(crate) filler: Option<String>,
    pub(crate) status: char,
    pub(crate) event_us: i64,
    pub(crate) at_us: i64,
    pub(crate) serial: u64,
    /// Seed of all patients, and the number of this one.
    pub(crate) patients: u64,
    pub(crate) patient: u64,
    pub(crate) variation: Variation,
}

/// The segments of a message and whether a critical value is in it.
pub(crate) struct Written {
    pub(crate) segments: Vec<Segment>,
    pub(crate) critical: bool,
}

impl Case<'_> {
    /// The canary of place `n` of this message. Places 0 to 3 belong to the patient, so they keep the patient's
    /// canary; the others take all canaries in turn.
    fn canary(&self, n: u64) -> &str {
        let all = &self.profile.canaries;
        let count = (all.len() as u64).max(1);
        let turn = if n < 4 { self.patient } else { self.serial };
        all.get(((turn + n) % count) as usize).map_or("", String::as_str)
    }

    /// A field that `sparse` leaves empty half of the time.
    fn may<'v>(&self, rng: &mut Rng, value: &'v str) -> &'v str {
        if self.variation.sparse && rng.chance(0.5) { "" } else { value }
    }

    fn header(&self) -> Segment {
        let Profile { app, facility, to_app, to_facility, ack_types, .. } = self.profile;
        let (encoding, version) =
            if self.variation.truncation_char { ("^~\\&#", "2.7") } else { ("^~\\&", "2.5.1") };
        Segment::new("MSH")
            .set(2, encoding)
            .set(3, app)
            .set(4, facility)
            .set(5, to_app)
            .set(6, to_facility)
            .set(7, dtm(self.at_us))
            .set(9, self.kind.msh9())
            .set(10, self.control_id)
            .set(11, "P")
            .set(12, version)
            .set(15, &ack_types.0)
            .set(16, &ack_types.1)
            .set(18, self.variation.charset.msh18())
    }

    fn event(&self, rng: &mut Rng) -> Segment {
        let trigger = self.kind.msh9().split('^').nth(1).unwrap_or_default();
        Segment::new("EVN")
            .set(1, trigger)
            .set(2, dtm(self.event_us))
            .set(6, self.may(rng, &dtm(self.event_us - SECOND_US)))
    }

    /// A generator that always tells the same about the patient of this message.
    fn who(&self) -> Rng {
        Rng::new(self.patients ^ self.patient.wrapping_mul(0x9e37_79b9))
    }

    fn patient(&self, rng: &mut Rng) -> Segment {
        let mut who = self.who();
        let join = |a: &str, b: &str| if b.is_empty() { a.to_owned() } else { format!("{a}-{b}") };
        let mrn = join(&format!("{:07}", who.below(9_999_999)), self.canary(0));
        let family = join(who.pick::<&str>(&FAMILY), self.canary(1));
        let given = *who.pick(&GIVEN);
        // At the latest in April 2019.
        let born = date((who.below(18_000) as i64) * 86_400 * SECOND_US);
        let street = format!("{} {}", 1 + who.below(99), who.pick(&STREET));
        let street = join(&street, self.canary(2));
        let escape = if self.variation.escapes { " \\T\\ annex \\S\\ 2" } else { "" };
        let city = *who.pick(&CITY);
        let address = format!("{street}{escape}^^{city}^^{:05}^US", who.below(99_999));
        let phone = join(&format!("555{:07}", who.below(9_999_999)), self.canary(3));
        let facility = &self.profile.facility;
        let sex = *who.pick(&["F", "M", "O", "U"]);
        Segment::new("PID")
            .set(1, "1")
            .set(3, format!("{mrn}^^^{facility}^MR"))
            .set(5, format!("{family}^{given}"))
            .set(7, self.may(rng, &born))
            .set(8, sex)
            .set(11, self.may(rng, &address))
            .set(13, phone)
            .set(18, format!("A{:08}", who.below(99_999_999)))
    }

    fn visit(&self, rng: &mut Rng) -> Segment {
        let place = format!("W{}^{}^A^{}", rng.below(9), rng.below(400), self.profile.facility);
        let discharged = if self.kind == Kind::AdtA03 { dtm(self.event_us) } else { String::new() };
        let doctor = *rng.pick(&DOCTOR);
        Segment::new("PV1")
            .set(1, "1")
            .set(2, *rng.pick(&["I", "O", "E"]))
            .set(3, self.may(rng, &place))
            .set(7, self.may(rng, doctor))
            .set(19, format!("V{:08}", self.who().next_u64() % 100_000_000))
            .set(45, discharged)
    }

    fn note(&self, text: &str) -> Segment {
        Segment::new("NTE").set(1, "1").set(3, format!("{text} {}", self.canary(5)).trim())
    }

    /// A text OBX; with `escapes` its value holds every kind of escape sequence of §2.7.
    fn text_obx(&self, n: usize, text: &str) -> Segment {
        let escapes = if self.variation.escapes {
            "\\.br\\mg\\S\\dl \\F\\ \\R\\ \\T\\ \\E\\ \\X41\\ \\H\\high\\N\\"
        } else {
            ""
        };
        Segment::new("OBX")
            .set(1, n.to_string())
            .set(2, "TX")
            .set(3, "8251-1^Comment^LN")
            .set(5, format!("{text} {}{escapes}", self.canary(4)).trim())
            .set(11, if self.status == 'P' { "P" } else { "F" })
            .set(14, dtm(self.event_us))
    }
}

/// Writes one message.
pub(crate) fn write_segments(case: &Case<'_>, rng: &mut Rng) -> Written {
    let mut segments = vec![case.header()];
    let mut critical = false;
    match case.kind {
        Kind::AdtA01 | Kind::AdtA03 | Kind::AdtA08 => {
            segments.extend([case.event(rng), case.patient(rng), case.visit(rng)]);
            if !(case.variation.sparse && rng.chance(0.5)) {
                segments.push(case.text_obx(1, "Allergies reviewed"));
            }
        }
        Kind::AdtA40 => {
            segments.extend([case.event(rng), case.patient(rng)]);
            let old = format!("{:07}^^^{}^MR", rng.below(9_999_999), case.profile.facility);
            segments.push(Segment::new("MRG").set(1, old));
        }
        Kind::OruR01 => critical = write_result(case, rng, &mut segments),
        Kind::SiuS12 => write_appointment(case, rng, &mut segments),
        Kind::MdmT02 => write_document(case, rng, &mut segments),
    }
    Written { segments, critical }
}

fn write_result(case: &Case<'_>, rng: &mut Rng, out: &mut Vec<Segment>) -> bool {
    let filler = format!("{}^{}", case.filler.as_deref().unwrap_or_default(), case.profile.app);
    let placer = format!("P{:08}^EHR", rng.below(99_999_999));
    let collected = dtm(case.event_us - 1800 * SECOND_US);
    let doctor = *rng.pick(&DOCTOR);
    out.extend([case.patient(rng), case.visit(rng)]);
    out.push(
        Segment::new("ORC")
            .set(1, "RE")
            .set(2, placer.as_str())
            .set(3, filler.as_str())
            .set(5, "CM")
            .set(9, case.may(rng, &dtm(case.event_us))),
    );
    out.push(
        Segment::new("OBR")
            .set(1, "1")
            .set(2, placer)
            .set(3, filler)
            .set(4, "24323-8^Comprehensive metabolic panel^LN")
            .set(7, collected)
            .set(16, case.may(rng, doctor))
            .set(22, dtm(case.event_us))
            .set(24, "LAB")
            .set(25, case.status.to_string()),
    );
    let count = 1 + rng.index(TESTS.len());
    let critical_at = rng.chance(case.profile.critical_share).then(|| rng.index(count));
    for (n, (code, name, unit, range, [low, high, panic_low, panic_high])) in
        TESTS.iter().take(count).enumerate()
    {
        let (value, flag) = match (critical_at == Some(n), rng.chance(0.5)) {
            (true, true) => (panic_high * (1.0 + rng.unit() * 0.2), "HH"),
            (true, false) => (panic_low * (1.0 - rng.unit() * 0.2), "LL"),
            (false, _) => (low + (high - low) * rng.unit(), "N"),
        };
        out.push(
            Segment::new("OBX")
                .set(1, (n + 1).to_string())
                .set(2, "NM")
                .set(3, format!("{code}^{name}^LN"))
                .set(5, format!("{value:.1}"))
                .set(6, *unit)
                .set(7, *range)
                .set(8, flag)
                .set(11, case.status.to_string())
                .set(14, dtm(case.event_us - 1800 * SECOND_US)),
        );
    }
    out.push(case.text_obx(count + 1, "Seen by the laboratory"));
    out.push(case.note("Called to the ward"));
    critical_at.is_some()
}

fn write_appointment(case: &Case<'_>, rng: &mut Rng, out: &mut Vec<Segment>) {
    let start = case.event_us + (1 + rng.below(60) as i64) * 86_400 * SECOND_US;
    let timing = format!("^^30^{}^{}", dtm(start), dtm(start + 1800 * SECOND_US));
    out.push(
        Segment::new("SCH")
            .set(1, format!("P{:08}^EHR", rng.below(99_999_999)))
            .set(2, format!("{}S{:08}^{}", case.profile.id_prefix, case.serial, case.profile.app))
            .set(6, "NEW^New appointment")
            .set(11, timing)
            .set(16, *rng.pick(&DOCTOR))
            .set(25, "Booked"),
    );
    out.push(case.note("Bring earlier letters"));
    out.extend([case.patient(rng), case.visit(rng)]);
    out.push(Segment::new("RGS").set(1, "1").set(2, "A"));
    out.push(
        Segment::new("AIS").set(1, "1").set(2, "A").set(3, "CONS^Consultation").set(4, dtm(start)),
    );
}

fn write_document(case: &Case<'_>, rng: &mut Rng, out: &mut Vec<Segment>) {
    out.extend([case.event(rng), case.patient(rng), case.visit(rng)]);
    let doctor = *rng.pick(&DOCTOR);
    out.push(
        Segment::new("TXA")
            .set(1, "1")
            .set(2, "DS^Discharge summary")
            .set(3, "TX")
            .set(4, dtm(case.event_us))
            .set(5, case.may(rng, doctor))
            .set(6, dtm(case.event_us))
            .set(12, format!("{}D{:08}^{}", case.profile.id_prefix, case.serial, case.profile.app))
            .set(17, "AU"),
    );
    for n in 1..=1 + rng.index(3) {
        out.push(case.text_obx(n, "The patient was discharged in good condition."));
    }
}

impl Charset {
    /// MSH-18 (table 0211).
    pub(crate) fn msh18(self) -> &'static str {
        match self {
            Self::Ascii => "",
            Self::Utf8 => "UNICODE UTF-8",
            Self::Latin1 => "8859/1",
        }
    }
}
