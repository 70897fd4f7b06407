//! `feedpulse check approve`: what a check asks for, as the configuration that gives it. Nothing of
//! the check is run.

use super::named;
use crate::cli::{DATA, Failure};
use crate::version::approval;
use anyhow::anyhow;
use clap::Args;
use feedpulse_wasm::{Field, Grant, Manifest};

/// Which check.
#[derive(Args, Debug)]
pub(crate) struct ApproveArgs {
    /// The check: a .wasm file, a folder, builtin:NAME, or oci://….
    check: String,
    /// Where the running Feedpulse finds it, instead of CHECK.
    #[arg(long, value_name = "PATH")]
    plugin: Option<String>,
}

/// Prints the entry.
pub(crate) fn main(args: &ApproveArgs) -> Result<(), Failure> {
    let named = named::find(&args.check)?;
    let manifest = manifest(&named.wasm, &named.plugin)?;
    let plugin = args.plugin.as_ref().unwrap_or(&named.plugin);
    print!("{}{}", told(&manifest), approval::entry(&manifest, plugin));
    Ok(())
}

/// What a check says of itself.
pub(super) fn manifest(wasm: &[u8], from: &str) -> Result<Manifest, Failure> {
    Manifest::read(wasm).map_err(|e| Failure::new(DATA, anyhow!(e).context(from.to_owned())))
}

/// What giving it means, as YAML comments.
fn told(manifest: &Manifest) -> String {
    let mut text = format!("# {} {}: {}\n", manifest.name, manifest.version, manifest.summary);
    let patient = |field: &&Field| matches!(field, Field::Path(path) if matches!(&path.segment, b"PID" | b"NK1" | b"GT1" | b"IN1"));
    let about = manifest.fields.iter().filter(patient).count();
    if about > 0 {
        text.push_str(&format!("# {about} of its fields are about the patient or next of kin.\n"));
    }
    for grant in &manifest.grants {
        text.push_str(match grant {
            Grant::Get => "# get: it may read any field of the messages that it is given.\n",
            Grant::Raw => "# raw: it may read whole messages.\n",
            Grant::FreeText => {
                "# free-text: its words may quote patients; they reach pages and the log.\n"
            }
        });
    }
    text
}
