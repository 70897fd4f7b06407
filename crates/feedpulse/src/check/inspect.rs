//! `feedpulse check inspect`: what a component says and wants, without running it.

use super::bed;
use super::build::{digest, grants, size};
use super::named;
use crate::cli::Failure;
use anyhow::anyhow;
use clap::Args;
use feedpulse_wasm::{Attr, Grant, Manifest, Runtime};
use serde_json::{Value, json};

/// What is looked at.
#[derive(Args, Debug)]
pub(crate) struct InspectArgs {
    /// The check: a .wasm file, a folder, builtin:NAME, or oci://….
    check: String,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// All that can be seen.
struct Seen {
    wasm: Vec<u8>,
    manifest: Result<Manifest, String>,
    /// Names of interfaces, or why they cannot be read.
    imports: Result<Vec<String>, String>,
    exports: Vec<String>,
    /// Why this host would not load it.
    objection: Option<String>,
}

/// Runs the command; exit code 1 when this host would not load it.
pub(crate) fn main(args: &InspectArgs) -> Result<(), Failure> {
    let seen = look(named::find(&args.check)?.wasm);
    if args.json {
        println!("{}", seen.json());
    } else {
        print!("{}", seen.text());
    }
    match seen.objection {
        None => Ok(()),
        Some(_) => Err(Failure::new(1, anyhow!("this host would not load it"))),
    }
}

fn look(wasm: Vec<u8>) -> Seen {
    let manifest = Manifest::read(&wasm).map_err(|e| e.to_string());
    let (imports, exports) = interfaces(&wasm);
    let loaded = Runtime::new(None)
        .map_err(|e| e.to_string())
        .and_then(|runtime| runtime.load(&wasm).map_err(|e| e.to_string()));
    let rows = manifest.as_ref().ok().and_then(|m| bed::rows(m).err());
    let objection = loaded.err().or_else(|| rows.map(|e| e.error.to_string()));
    Seen { wasm, manifest, imports, exports, objection }
}

/// What it imports and exports, by name.
fn interfaces(wasm: &[u8]) -> (Result<Vec<String>, String>, Vec<String>) {
    let decoded = match wit_component::decode(wasm) {
        Ok(decoded) => decoded,
        Err(e) => {
            return (
                Err(format!("{e:#}").lines().next().unwrap_or_default().to_owned()),
                Vec::new(),
            );
        }
    };
    let wit_component::DecodedWasm::Component(resolve, world) = decoded else {
        return (Err("a package of interfaces without code".to_owned()), Vec::new());
    };
    let Some(world) = resolve.worlds.get(world) else { return (Ok(Vec::new()), Vec::new()) };
    let names = |items: &wit_parser::IndexMap<wit_parser::WorldKey, wit_parser::WorldItem>| {
        items.keys().map(|key| resolve.name_world_key(key)).collect()
    };
    (Ok(names(&world.imports)), names(&world.exports))
}

impl Seen {
    fn json(&self) -> Value {
        let verdict = match &self.objection {
            None => json!({"loads": true}),
            Some(why) => json!({"loads": false, "why": why}),
        };
        let manifest = self.manifest.as_ref().map_or(Value::Null, |m| {
            let codes = m.codes.iter().map(|(name, c)| {
                let words = json!({"title": c.title, "explanation": c.explanation,
                    "remedy": c.remedy, "level": c.level});
                (name.clone(), words)
            });
            json!({
                "name": m.name, "version": m.version, "wit": m.wit, "summary": m.summary,
                "message-types": m.message_types,
                "fields": m.fields.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "grants": m.grants.iter().copied().map(Grant::name).collect::<Vec<_>>(),
                "codes": codes.collect::<serde_json::Map<_, _>>(),
                "attrs": m.attrs.iter().map(|(n, a)| (n.clone(), json!(attr(a))))
                    .collect::<serde_json::Map<_, _>>(),
                "settings": m.settings,
                "budget": {"us-per-row": m.budget.us_per_row, "memory-mib": m.budget.memory_mib},
            })
        });
        json!({
            "digest": digest(&self.wasm), "bytes": self.wasm.len(), "manifest": manifest,
            "imports": self.imports.as_ref().ok(), "exports": self.exports, "host": verdict,
        })
    }

    fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut out = String::new();
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(out, "{name:<9} {value}");
        };
        match &self.manifest {
            Err(why) => line("manifest", why),
            Ok(m) => {
                line("check", &format!("{} {}: {}", m.name, m.version, m.summary));
                line("wit", &m.wit);
                let types = m.message_types.join(", ");
                line("messages", if types.is_empty() { "of every type" } else { types.as_str() });
                let fields = m.fields.iter().map(ToString::to_string).collect::<Vec<_>>();
                line("fields", &fields.join(", "));
                line("grants", &grants(m));
                for (name, code) in &m.codes {
                    let level = format!("{:?}", code.level).to_lowercase();
                    line("code", &format!("{name} ({level}): {}", code.title));
                    line("", &format!("  {}", code.explanation));
                    line("", &format!("  To do: {}", code.remedy));
                }
                if let Some(from) = &m.from_settings {
                    line("", &format!("and what the settings name at {}", from.fields.join(", ")));
                    if let Some(codes) = &from.codes {
                        line("code", &format!("each that the settings declare at {codes}"));
                    }
                }
                for (name, a) in &m.attrs {
                    line("attr", &format!("{name}: {}", attr(a)));
                }
                if m.settings.is_some() {
                    line("settings", "held against a schema; --json shows it");
                }
                let budget = (m.budget.us_per_row, m.budget.memory_mib);
                if let (Some(us), Some(mib)) = budget {
                    line("budget", &format!("{us} µs a row, {mib} MiB"));
                }
            }
        }
        match &self.imports {
            Ok(names) => line("imports", &names.join(", ")),
            Err(why) => line("imports", &format!("cannot be read: {why}")),
        }
        line("exports", &self.exports.join(", "));
        line("size", &size(self.wasm.len()));
        line("digest", &digest(&self.wasm));
        match &self.objection {
            None => line("this host", "loads it"),
            Some(why) => line("this host", &format!("does not load it: {why}")),
        }
        out
    }
}

/// The values of an attribute in words.
fn attr(attr: &Attr) -> String {
    match attr {
        Attr::Listed { values } => values.iter().map(String::as_str).collect::<Vec<_>>().join(" "),
        Attr::Number { min, max } => format!("{min} to {max}"),
    }
}
