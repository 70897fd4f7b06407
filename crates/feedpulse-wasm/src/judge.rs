//! Lets through what the manifest allows of a guest's findings.

use crate::batch::Row;
use crate::finding::{Finding, Level};
use crate::host::bindings::feedpulse::check::types;
use crate::host::clip;
use crate::limits::Limits;
use crate::manifest::{Attr, Grant, Manifest};
use crate::path::Path;
use crate::place::Declared;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The manifest, in the shape in which findings are compared with it.
#[derive(Debug)]
pub(crate) struct Judge {
    /// By the guest's code: the full code and its level.
    codes: HashMap<String, (Arc<str>, Level)>,
    attrs: HashMap<String, (Arc<str>, Attr)>,
    /// Fields that a place may name.
    declared: Declared,
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
        let reads_more = grants.contains(&Grant::Get) || grants.contains(&Grant::Raw);
        Self {
            codes: codes.collect(),
            attrs: attrs.collect(),
            declared: Declared::new(&manifest.fields, reads_more),
            free_text: grants.contains(&Grant::FreeText),
            most_attrs: limits.attrs,
            text_chars: limits.text_chars,
        }
    }

    /// A guest's finding as one of ours, and whether its text was dropped. `rows` are those
    /// that the guest was handed.
    ///
    /// # Errors
    /// What the manifest does not allow.
    pub(crate) fn pass(
        &self,
        f: types::Finding,
        rows: &[Row],
    ) -> Result<(Finding, bool), Objection> {
        let row = match f.row {
            None => None,
            Some(index) => {
                let row = usize::try_from(index).ok().and_then(|i| rows.get(i));
                Some(row.ok_or("a finding names a row that was not handed over")?)
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
        let at = self.place(&f.at, row)?;
        let text = (self.free_text && !f.text.is_empty()).then(|| clip(&f.text, self.text_chars));
        let dropped = !f.text.is_empty() && text.is_none();
        let level = Level::from(f.level).min(*most);
        let row = row.map(|row| row.id);
        Ok((Finding { row, code: code.clone(), level, at, attrs, text }, dropped))
    }

    /// A place, if it is one that the check may know.
    fn place(&self, at: &str, row: Option<&Row>) -> Result<Box<str>, Objection> {
        if !at.is_empty() {
            let path = Path::parse(at).map_err(|_| "a finding's place is not an HL7 path")?;
            self.declared.allows(&path, row.map(|row| row.fields.as_str()))?;
        }
        Ok(at.into())
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
