//! What the checks' benchmarks hand in: an admission of 885 bytes, its rows, and the native peer.

use crate::Result;
use crate::input::START_US;
use feedpulse_hl7::index::{Index, Notes};
use feedpulse_hl7::rows::{RowMeta, RowSpec};
use feedpulse_wasm::{Batch, Row};

/// The declared fields of the check.
pub(crate) const FIELDS: [&str; 5] = ["MSH-9", "MSH-10", "PID-3", "PID-5", "PV1-2"];
/// Milliseconds since the epoch.
pub(crate) const NOW_MS: u64 = START_US.unsigned_abs() / 1000;

/// An admission of seven segments and 885 bytes.
pub(crate) fn admission() -> Vec<u8> {
    let mut text = [
        "MSH|^~\\&|EHR|GENHOSP|PORTAL|GENHOSP|20260301120000+0100||ADT^A01^ADT_A01|MSG0000000000001|P|2.5.1|||AL|NE||UNICODE UTF-8",
        "EVN|A01|20260301115900+0100|||OPERATOR1^CLERK^ANNA",
        "PID|1||1000012^^^GENHOSP^MR~900112233^^^SSA^SS||DOE^JANE^MARIA^^MS||19800101|F||2106-3^WHITE^HL70005|12 MAIN STREET^^SPRINGFIELD^IL^62701^USA||^PRN^PH^^1^555^5551234|^WPN^PH^^1^555^5559876|EN|M|CHR|V000045678^^^GENHOSP^VN",
        "NK1|1|DOE^JOHN|SPO^SPOUSE^HL70063|12 MAIN STREET^^SPRINGFIELD^IL^62701^USA|^PRN^PH^^1^555^5551234",
        "PV1|1|I|4W^412^A^GENHOSP^^^^MAIN|E|||1001^WELBY^MARCUS^^^DR^MD|1002^HOUSE^GREGORY^^^DR^MD||MED||||7|A0||1001^WELBY^MARCUS^^^DR^MD|INP|V000045678^^^GENHOSP^VN|INS|||||||||||||||||||GENHOSP||ADM|||20260301115500+0100",
        "AL1|1|DA|70618^PENICILLIN^RXNORM|SV|HIVES",
        "DG1|1||I21.9^ACUTE MYOCARDIAL INFARCTION^I10||20260301|A|",
    ]
    .join("\r")
    .into_bytes();
    text.resize(884, b'X');
    text.push(b'\r');
    text
}

/// Joins the rows of indexed messages, as the product does for each message of a step.
pub(crate) struct Joined {
    spec: RowSpec,
    index: Index,
    indexed: bool,
    rows: Vec<Row>,
}

impl Joined {
    pub(crate) fn new() -> Result<Self> {
        let spec = RowSpec::new(&FIELDS)?;
        Ok(Self { spec, index: Index::new(), indexed: false, rows: Vec::new() })
    }

    /// `count` rows of a message. The message is indexed once: that is decoding, not joining.
    pub(crate) fn rows(&mut self, message: &[u8], count: usize) -> &[Row] {
        if !self.indexed {
            let mut notes = Notes::default();
            self.indexed = self.index.first(message, &mut notes).is_ok();
        }
        let message = self.index.message(message);
        self.rows.clear();
        for id in 0..count as u64 {
            let mut fields = String::with_capacity(128);
            self.spec.join(&message, &RowMeta::default(), &mut fields);
            self.rows.push(Row { id, fields });
        }
        &self.rows
    }
}

/// The check as native Rust.
pub(crate) trait Native {
    /// How many of the fields of a row are empty.
    fn check(&mut self, row: &str) -> usize;
}

struct FiveFields;

impl Native for FiveFields {
    fn check(&mut self, row: &str) -> usize {
        let valued = |field: &str| field.chars().any(|c| !matches!(c, '\u{1c}' | '\u{1d}'));
        row.split('\u{1f}').filter(|field| !valued(field)).count()
    }
}

/// Behind a trait, as a check is.
pub(crate) fn native() -> Box<dyn Native> {
    Box::new(FiveFields)
}

/// A batch at the time of the benchmarks.
pub(crate) fn batch(rows: &[Row]) -> Batch<'_> {
    Batch { feed: "adt", now_ms: NOW_MS, monotonic_ms: 1, rows, access: None }
}
