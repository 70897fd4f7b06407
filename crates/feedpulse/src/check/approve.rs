//! `feedpulse check approve`: what a check asks for, as the configuration that gives it. Nothing of
//! the check is run.

use crate::cli::{DATA, Failure, NO_INPUT};
use crate::version::approval;
use anyhow::anyhow;
use clap::Args;
use feedpulse_wasm::{Field, Grant, Manifest};
use std::path::{Path, PathBuf};

/// Which check.
#[derive(Args, Debug)]
pub(crate) struct ApproveArgs {
    /// The component.
    file: PathBuf,
    /// Where the running Feedpulse finds it, instead of FILE.
    #[arg(long, value_name = "PATH")]
    plugin: Option<String>,
}

/// Prints the entry.
pub(crate) fn main(args: &ApproveArgs) -> Result<(), Failure> {
    let manifest = manifest(&bytes(&args.file)?, &args.file)?;
    let plugin = args.plugin.clone().unwrap_or_else(|| args.file.display().to_string());
    print!("{}{}", told(&manifest), approval::entry(&manifest, &plugin));
    Ok(())
}

/// A file of a check.
pub(super) fn bytes(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|e| Failure::new(NO_INPUT, anyhow!("{}: {e}", file.display())))
}

/// What a check says of itself.
pub(super) fn manifest(wasm: &[u8], from: &Path) -> Result<Manifest, Failure> {
    Manifest::read(wasm)
        .map_err(|e| Failure::new(DATA, anyhow!(e).context(from.display().to_string())))
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
