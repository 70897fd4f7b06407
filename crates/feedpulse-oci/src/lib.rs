//! Checks as OCI artifacts: pushed to and pulled from any registry that keeps container images.
//!
//! An artifact is one manifest with one layer, `application/wasm`, and a small configuration,
//! `application/vnd.wasm.config.v0+json` (CNCF TAG Runtime, "Wasm OCI Artifact layout"), so other
//! tools read ours and we read theirs. It is named by a [`Reference`] and, to be run, by the digest
//! of its manifest: whoever holds the registry cannot change what a digest names.
//!
//! Read the modules in this order: `reference`, `login`, `client`, `shelf`.
//!
//! # Limits
//! A component has at most 64 MiB, a manifest that is kept 64 KiB. No proxy of the environment is
//! used. Redirects are followed, since registries keep blobs elsewhere; the login stays with the
//! registry.
#![forbid(unsafe_code)]

mod client;
mod login;
mod reference;
mod shelf;

pub use client::{Client, OciError, Pulled, Registry};
pub use login::{LoginError, Logins};
pub use reference::{Reference, ReferenceError};
pub use shelf::Shelf;

/// Largest component, bytes.
pub const MAX_COMPONENT: usize = 64 << 20;

/// `sha256:` and 64 hexadecimal digits, of these bytes.
fn digest(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
