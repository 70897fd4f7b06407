//! Where a message names its facility, as a site may say: a field that holds no patient data.

use crate::index::{Message, Name, nth, valued};
use crate::keys::at_path;
use crate::path::{Path, PathError};
use core::str::FromStr;
use feedpulse_core::label::Label;

/// A path to a facility's name. Only fields that name places and organisations are taken, since what
/// stands there becomes a label of metrics, alerts and reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FacilityPath(Path);

/// Why a text is no facility path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FacilityError {
    /// It is no path at all.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The field may hold patient data.
    #[error("{0}: this field may hold patient data, and facilities are labels of metrics")]
    Field(String),
}

/// Fields that name a place or an organisation (HL7 v2.5.1 §2.15.9, §3.4.1, §3.4.3, §4.5.1).
const ALLOWED: [(&[u8; 3], &[u16]); 4] =
    [(b"MSH", &[3, 4, 5, 6]), (b"EVN", &[7]), (b"PV1", &[3, 39, 42]), (b"ORC", &[17, 21])];

impl FromStr for FacilityPath {
    type Err = FacilityError;

    fn from_str(text: &str) -> Result<Self, FacilityError> {
        let path: Path = text.parse()?;
        let is_named = |(segment, fields): &(&[u8; 3], &[u16])| {
            path.segment == Name::new(**segment) && fields.contains(&path.field)
        };
        if path.segment.bytes()[0] == b'Z' || ALLOWED.iter().any(is_named) {
            Ok(Self(path))
        } else {
            Err(FacilityError::Field(text.to_owned()))
        }
    }
}

impl FacilityPath {
    /// What stands there: of a field without a stated component, the first. None when it is empty.
    pub(crate) fn read(self, message: &Message<'_>) -> Option<Label> {
        let segment = message.named(self.0.segment).next()?;
        let whole = at_path(message, segment, &self.0);
        let part = match self.0.component {
            Some(_) => whole,
            None => nth(whole, message.delimiters().component, 1),
        };
        valued(part).then(|| Label::from_bytes(part.trim_ascii()))
    }
}
