//! A version of a check: read from where it lies, held against what the operator approved, compiled,
//! tried on its own cases, and started. What fails on the way is a [`Refusal`], and whoever asked goes
//! on with what it had.
//!
//! Read the modules in this order: `content`, `approval`, `trial`, `kept`.

pub(crate) mod approval;
pub(crate) mod content;
pub(crate) mod kept;
pub(crate) mod trial;

use crate::config::resolve::Check;
use approval::Approval;
use content::Content;
use feedpulse_core::label::Label;
use feedpulse_core::said::{CodeWords, Line, TEXT_MAX, TITLE_MAX};
use feedpulse_hl7::path::TypeMatch;
use feedpulse_hl7::rows::RowSpec;
use feedpulse_wasm::{
    About, CacheUse, Code, Field, Grant, Limits, Manifest, Plugin, Runtime, Settings, Worker,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A version that is ready to run.
#[derive(Debug)]
pub(crate) struct Version {
    /// Its instance.
    pub worker: Worker,
    /// How its rows are made.
    pub reading: Reading,
    /// What it is.
    pub facts: Facts,
}

/// How rows for a version are made of messages.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// Message types that it wants; empty = all.
    pub types: Vec<TypeMatch>,
    /// What it wants rows about.
    pub about: BTreeSet<About>,
    /// Its fields.
    pub spec: RowSpec,
    /// Whether it was granted a look at whole messages.
    pub keeps_messages: bool,
    /// Whether it wants to hear each second.
    pub ticks: bool,
}

/// What is known of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Its own name.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// SHA-256 of the component, hexadecimal.
    pub digest: String,
    /// How many cases of its own it passed.
    pub cases: usize,
    /// What the cache of compiled checks did.
    pub cache: CacheUse,
    /// Reading, compiling and starting it, without its cases.
    pub took: Duration,
    /// What its author says of each of its codes.
    pub words: BTreeMap<Label, Arc<CodeWords>>,
}

/// Why a version is not run: a class for labels, and a text for people, which may have many lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// `unreadable`, `invalid`, `not-approved`, `settings`, `start` or `cases`.
    pub class: &'static str,
    /// Why, and what to do.
    pub why: String,
}

impl Refusal {
    /// Of any error.
    pub(crate) fn new(class: &'static str, why: impl fmt::Display) -> Self {
        Self { class, why: why.to_string() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Refusal {}

/// Makes a version ready: what it asks for is held against the approval before anything is compiled,
/// and its cases are run, within the limits of production, before it gets an instance of its own.
/// Takes from milliseconds to seconds; never called where messages flow.
///
/// # Errors
/// The first thing that speaks against it.
pub(crate) fn prepare(
    check: &Check,
    content: &Content,
    runtime: &Runtime,
) -> Result<Version, Refusal> {
    let start = Instant::now();
    let manifest = Manifest::read(&content.wasm).map_err(|e| Refusal::new("invalid", e))?;
    if let Some(excess) = Approval::of(check).excess(&manifest) {
        return Err(Refusal::new("not-approved", excess.told(check)));
    }
    let plugin = runtime.load(&content.wasm).map_err(|e| Refusal::new("invalid", e))?;
    let words = words(&declared(&plugin, &content.settings)?);
    let reading = reading(&plugin, &grants(check), &content.settings)?;
    let settings = Settings {
        config: content.settings.clone(),
        grants: grants(check),
        limits: Limits::default(),
    };
    let started = plugin.worker(settings.clone()).map_err(|e| {
        let class = match e {
            feedpulse_wasm::StartError::Config { .. } => "settings",
            feedpulse_wasm::StartError::Failed { .. } => "start",
        };
        Refusal::new(class, e)
    })?;
    let took = start.elapsed();
    let cases =
        trial::pass(&plugin, &settings, &content.wasm).map_err(|why| Refusal::new("cases", why))?;
    let facts = Facts {
        name: manifest.name,
        version: manifest.version,
        digest: content.digest(),
        cases,
        cache: plugin.cache_use(),
        took,
        words,
    };
    Ok(Version { worker: started, reading, facts })
}

/// What the operator granted.
fn grants(check: &Check) -> Vec<Grant> {
    check.grants.iter().filter_map(|name| Grant::from_name(name)).collect()
}

/// What its author says of each of its codes. They are the operator's as well: whoever approves a
/// version approves its words, and whoever writes the settings wrote those of their codes.
fn words(manifest: &Manifest) -> BTreeMap<Label, Arc<CodeWords>> {
    let by = Line::new(&format!("{} {}", manifest.name, manifest.version), TEXT_MAX);
    let one = |(name, code): (&String, &Code)| {
        let words = CodeWords {
            name: Line::new(&format!("{}/{name}", manifest.name), TEXT_MAX),
            by: by.clone(),
            title: Line::new(&code.title, TITLE_MAX),
            explanation: Line::new(&code.explanation, TEXT_MAX),
            remedy: Line::new(&code.remedy, TEXT_MAX),
        };
        (Label::distinct(name), Arc::new(words))
    };
    manifest.codes.iter().map(one).collect()
}

/// What it declares by itself and by its settings.
fn declared(plugin: &Plugin, settings: &str) -> Result<Manifest, Refusal> {
    plugin.manifest().with_settings(settings).map_err(|e| Refusal::new("settings", e))
}

fn reading(plugin: &Plugin, grants: &[Grant], settings: &str) -> Result<Reading, Refusal> {
    let manifest = declared(plugin, settings)?;
    let fields: Vec<String> = manifest.fields.iter().map(field_text).collect();
    let invalid = |e: &dyn fmt::Display| Refusal::new("invalid", e);
    let spec = RowSpec::new(&fields).map_err(|e| invalid(&e))?;
    let types = manifest.message_types.iter().map(|t| t.parse());
    let types = types.collect::<Result<Vec<TypeMatch>, _>>().map_err(|e| invalid(&e))?;
    let keeps_messages =
        grants.iter().any(|g| *g != Grant::FreeText && manifest.grants.contains(g));
    let (about, ticks) = (manifest.about, plugin.ticks());
    Ok(Reading { types, about, spec, keeps_messages, ticks })
}

/// A declared field as the manifest writes it.
pub(crate) fn field_text(field: &Field) -> String {
    field.to_string()
}
