//! Writes an OCI image layout as one archive (OCI image-spec v1.1: image-layout, manifest, config).

use super::{USER, tar};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// What the image says about itself.
#[derive(Debug)]
pub(super) struct Facts {
    /// `amd64` or `arm64`.
    pub(super) machine: &'static str,
    /// The version of the workspace.
    pub(super) version: &'static str,
    /// The commit, or empty.
    pub(super) revision: String,
    /// The commit's time as RFC 3339.
    pub(super) created: String,
    /// The same in seconds since the epoch.
    pub(super) seconds: u64,
}

/// The SHA-256 of some bytes, in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // Writing to a String cannot fail.
        text
    })
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({
        "mediaType": media_type,
        "digest": format!("sha256:{}", sha256(bytes)),
        "size": bytes.len(),
    })
}

/// The archive of an image with these layers, bottom first, each an uncompressed tar.
pub(super) fn archive(facts: &Facts, layers: &[Vec<u8>]) -> Vec<u8> {
    let config = config(facts, layers).to_string().into_bytes();
    let layer_type = "application/vnd.oci.image.layer.v1.tar";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": layers.iter().map(|l| descriptor(layer_type, l)).collect::<Vec<_>>(),
        "annotations": annotations(facts),
    })
    .to_string()
    .into_bytes();
    let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
    entry["platform"] = json!({ "os": "linux", "architecture": facts.machine });
    // The first name is for podman and skopeo, the second for docker and containerd.
    entry["annotations"] = json!({
        "org.opencontainers.image.ref.name": facts.version,
        "io.containerd.image.name": format!("localhost/feedpulse:{}", facts.version),
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
    });
    let mut tar = tar::Writer::new(facts.seconds);
    tar.file("oci-layout", 0o644, 0, br#"{"imageLayoutVersion":"1.0.0"}"#);
    tar.file("index.json", 0o644, 0, index.to_string().as_bytes());
    tar.folder("blobs/", 0o755, 0);
    tar.folder("blobs/sha256/", 0o755, 0);
    for blob in layers.iter().chain([&config, &manifest]) {
        tar.file(&format!("blobs/sha256/{}", sha256(blob)), 0o644, 0, blob);
    }
    tar.finish()
}

fn config(facts: &Facts, layers: &[Vec<u8>]) -> Value {
    let ids: Vec<_> = layers.iter().map(|l| format!("sha256:{}", sha256(l))).collect();
    json!({
        "created": facts.created,
        "architecture": facts.machine,
        "os": "linux",
        "config": {
            "User": format!("{USER}:{USER}"),
            "Entrypoint": ["/feedpulse"],
            "Env": ["SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],
            "WorkingDir": "/",
            "StopSignal": "SIGTERM",
            "Labels": annotations(facts),
        },
        "rootfs": { "type": "layers", "diff_ids": ids },
    })
}

fn annotations(facts: &Facts) -> Value {
    json!({
        "org.opencontainers.image.title": "feedpulse",
        "org.opencontainers.image.description": "An event-driven health sidecar for HL7 v2 streams.",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": facts.version,
        "org.opencontainers.image.revision": facts.revision,
        "org.opencontainers.image.created": facts.created,
    })
}
