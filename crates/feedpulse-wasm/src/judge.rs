//! Lets through what the manifest allows of a guest's findings.

use crate::batch::{FIELD_SEPARATOR, OCCURRENCE_SEPARATOR, ROW_SEPARATOR};
use crate::finding::{Finding, Level};
use crate::host::bindings::feedpulse::check::types;
use crate::host::clip;
use crate::limits::Limits;
use crate::manifest::{Attr, Grant, Manifest};
use crate::path::{Field, Path};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// The manifest, in the shape in which findings are compared with it.
#[derive(Debug)]
pub(crate) struct Judge {
    /// By the guest's code: the full code and its level.
    codes: HashMap<String, (Arc<str>, Level)>,
    attrs: HashMap<String, (Arc<str>, Attr)>,
    /// Segments that a place may name; none = any.
    segments: Option<HashSet<[u8; 3]>>,
    /// Which field of a row is `@shape`: what it names may be a place too.
    shape: Option<usize>,
    free_text: bool,
    most_attrs: usize,
    text_chars: usize,
}

/// What is wrong with a finding: a fixed text, since the finding itself may quote a patient.
pub(crate) type Objection = &'static str;

impl Judge {
    /// For one worker.
    pub(crate) fn new(manifest: &Manifest, grants: &BTreeSet<Grant>, limits: &Limits) -> Self {
        let codes = manifest.codes.iter().map(|(name, code)| {
            let full = format!("{}/{name}", manifest.name);
            (name.clone(), (full.into(), code.level))
        });
        let attrs = manifest
            .attrs
            .iter()
            .map(|(name, attr)| (name.clone(), (name.as_str().into(), attr.clone())));
        let declared = manifest.fields.iter().filter_map(|field| match field {
            Field::Path(path) => Some(path.segment),
            _ => None,
        });
        let reads_more = grants.contains(&Grant::Get) || grants.contains(&Grant::Raw);
        Self {
            codes: codes.collect(),
            attrs: attrs.collect(),
            segments: (!reads_more).then(|| declared.collect()),
            shape: manifest.fields.iter().position(|field| *field == Field::Shape),
            free_text: grants.contains(&Grant::FreeText),
            most_attrs: limits.attrs,
            text_chars: limits.text_chars,
        }
    }

    /// A guest's finding as one of ours, and whether its text was dropped. `ids` names the rows
    /// that the guest was handed, `rows` holds them.
    ///
    /// # Errors
    /// What the manifest does not allow.
    pub(crate) fn pass(
        &self,
        f: types::Finding,
        ids: &[u64],
        rows: &str,
    ) -> Result<(Finding, bool), Objection> {
        let row = match f.row {
            None => None,
            Some(index) => {
                let id = usize::try_from(index).ok().and_then(|i| ids.get(i));
                Some(*id.ok_or("a finding names a row that was not handed over")?)
            }
        };
        let Some((code, most)) = self.codes.get(&f.code) else {
            return Err("a finding has a code that the manifest does not declare");
        };
        if f.attrs.len() > self.most_attrs {
            return Err("a finding has too many attributes");
        }
        let mut attrs: Vec<(Arc<str>, Box<str>)> = Vec::with_capacity(f.attrs.len());
        for (name, value) in f.attrs {
            let Some((name, attr)) = self.attrs.get(&name) else {
                return Err("a finding has an attribute that the manifest does not declare");
            };
            if !allows(attr, &value) {
                return Err("an attribute has a value that the manifest does not allow");
            }
            if attrs.iter().any(|(other, _)| other == name) {
                return Err("a finding has an attribute twice");
            }
            attrs.push((name.clone(), value.into()));
        }
        let at = self.place(&f.at, f.row, rows)?;
        let text = (self.free_text && !f.text.is_empty()).then(|| clip(&f.text, self.text_chars));
        let dropped = !f.text.is_empty() && text.is_none();
        let level = Level::from(f.level).min(*most);
        Ok((Finding { row, code: code.clone(), level, at, attrs, text }, dropped))
    }

    /// A place, if it is one that the check may know.
    fn place(&self, at: &str, row: Option<u32>, rows: &str) -> Result<Box<str>, Objection> {
        if at.is_empty() {
            return Ok("".into());
        }
        let path = Path::parse(at).map_err(|_| "a finding's place is not an HL7 path")?;
        match &self.segments {
            Some(segments)
                if !segments.contains(&path.segment) && !self.has(path.segment, row, rows) =>
            {
                Err("a finding's place is in a segment of which the manifest declares no field")
            }
            _ => Ok(at.into()),
        }
    }
}

impl Judge {
    /// Whether the row's `@shape`, if the check reads it, has a segment of this name.
    fn has(&self, segment: [u8; 3], row: Option<u32>, rows: &str) -> bool {
        let text = || {
            let row = usize::try_from(row?).ok()?;
            rows.split(ROW_SEPARATOR).nth(row)?.split(FIELD_SEPARATOR).nth(self.shape?)
        };
        text().is_some_and(|shape| {
            shape.split(OCCURRENCE_SEPARATOR).any(|one| one.as_bytes().starts_with(&segment))
        })
    }
}

/// Whether the manifest allows a value.
fn allows(attr: &Attr, value: &str) -> bool {
    match attr {
        Attr::Listed { values } => values.contains(value),
        // one way only to write a number, so that nothing hides in zeros
        Attr::Number { min, max } => {
            value.parse::<i64>().is_ok_and(|n| (*min..=*max).contains(&n) && n.to_string() == value)
        }
    }
}
