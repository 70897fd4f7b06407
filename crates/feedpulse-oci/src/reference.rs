//! Names of artifacts: `oci://registry.example:5000/checks/room:1.2@sha256:…`.

use core::fmt;
use core::str::FromStr;

/// What stands before the name in a configuration.
const SCHEME: &str = "oci://";

/// Where an artifact is. Shown with its scheme.
#[derive(Clone, PartialEq, Eq)]
pub struct Reference(oci_client::Reference);

/// Why a text names no artifact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Another scheme, or none.
    #[error("an artifact is written like oci://registry.example/checks/room@sha256:…")]
    Scheme,
    /// No registry is named. A tool that filled in a public one would fetch a stranger's code.
    #[error(
        "the registry is missing; write its host first: oci://registry.example/checks/room@sha256:…"
    )]
    NoRegistry,
    /// Not a name.
    #[error("{0}")]
    Name(String),
    /// The digest is of another kind.
    #[error("the digest is not sha256: and 64 hexadecimal digits")]
    Digest,
}

impl FromStr for Reference {
    type Err = ReferenceError;

    /// Reads a name with or without `oci://`.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let name = match text.split_once("://") {
            Some(("oci", name)) => name,
            Some(_) => return Err(ReferenceError::Scheme),
            None => text,
        };
        // The host is what has a dot or a port, or is localhost, as every client reads it.
        let host = name.split('/').next().unwrap_or_default();
        let is_host = host.contains(['.', ':']) || host == "localhost";
        if !name.contains('/') || !is_host {
            return Err(ReferenceError::NoRegistry);
        }
        let parsed = oci_client::Reference::try_from(name)
            .map_err(|error| ReferenceError::Name(error.to_string()))?;
        let sha = |digest: &str| {
            digest.strip_prefix("sha256:").is_some_and(|hex| {
                hex.len() == 64
                    && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            })
        };
        if parsed.digest().is_some_and(|digest| !sha(digest)) {
            return Err(ReferenceError::Digest);
        }
        Ok(Self(parsed))
    }
}

impl Reference {
    /// Whether a configuration's text means an artifact.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// Host and port of the registry.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.registry()
    }

    /// The digest of the manifest that is named, `sha256:…`.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.0.digest()
    }

    /// The same artifact, pinned; without tag and digest it is the one with the tag `latest`.
    #[must_use]
    pub fn pinned(&self, digest: &str) -> Self {
        let mut name = format!("{}/{}", self.0.registry(), self.0.repository());
        if let Some(tag) = self.0.tag() {
            name = format!("{name}:{tag}");
        }
        oci_client::Reference::try_from(format!("{name}@{digest}"))
            .map_or_else(|_| self.clone(), Self)
    }

    /// As the library has it.
    pub(crate) const fn inner(&self) -> &oci_client::Reference {
        &self.0
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.0)
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reference({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn names_are_read_and_shown() {
        for name in [
            format!("oci://registry.example:5000/checks/room@{SHA}"),
            format!("oci://registry.example/checks/room:1.2@{SHA}"),
            "oci://localhost:5000/room:1.2".to_owned(),
        ] {
            let read: Reference = name.parse().unwrap();
            assert_eq!(read.to_string(), name);
            assert_eq!(read.digest().is_some(), name.contains(SHA));
        }
        let tagged: Reference = "oci://registry.example/room:1.2".parse().unwrap();
        let pinned = tagged.pinned(SHA).to_string();
        assert_eq!(pinned, format!("oci://registry.example/room:1.2@{SHA}"));
        assert_eq!(tagged.host(), "registry.example");
    }

    #[test]
    fn a_name_without_a_registry_is_never_completed() {
        for bare in ["oci://room", "oci://checks/room:1", "busybox"] {
            assert_eq!(bare.parse::<Reference>(), Err(ReferenceError::NoRegistry), "{bare}");
        }
        let other = "https://registry.example/room".parse::<Reference>();
        assert_eq!(other, Err(ReferenceError::Scheme));
        let short = "oci://registry.example/room@sha256:0123".parse::<Reference>();
        assert!(short.is_err(), "{short:?}");
        assert!("oci://registry.example/Room:1".parse::<Reference>().is_err());
    }
}
