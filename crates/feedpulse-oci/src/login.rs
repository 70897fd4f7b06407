//! Who logs in at a registry: the `config.json` that `docker login`, `podman login` and Kubernetes'
//! image pull secrets write.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use feedpulse_http::Secret;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Most bytes of such a file.
const MAX_BYTES: u64 = 1 << 20;

/// Users and passwords by registry.
#[derive(Clone, Debug, Default)]
pub struct Logins {
    known: BTreeMap<String, (String, Secret)>,
    /// Whether the file leaves passwords to a program that we do not run.
    helper: bool,
}

/// Why the file gives no login. Never holds what is in it.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// It cannot be read.
    #[error("{}: {kind}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        kind: std::io::ErrorKind,
    },
    /// It is something else.
    #[error("{}: this is no Docker config.json: {what}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
}

impl Logins {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is not there, longer than 1 MiB, or not such a file.
    pub fn read(path: &Path) -> Result<Self, LoginError> {
        let failed = |e: std::io::Error| LoginError::Read { path: path.to_owned(), kind: e.kind() };
        if std::fs::metadata(path).map_err(failed)?.len() > MAX_BYTES {
            return Err(failed(std::io::ErrorKind::FileTooLarge.into()));
        }
        let text = std::fs::read(path).map_err(failed)?;
        Self::parse(&text).map_err(|what| LoginError::Shape { path: path.to_owned(), what })
    }

    /// The file of the user who runs a command: `$DOCKER_CONFIG/config.json`, else
    /// `~/.docker/config.json`; none where there is none.
    #[must_use]
    pub fn of_user() -> Option<PathBuf> {
        let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let folder = var("DOCKER_CONFIG").or_else(|| Some(var("HOME")?.join(".docker")))?;
        Some(folder.join("config.json")).filter(|file| file.is_file())
    }

    fn parse(text: &[u8]) -> Result<Self, &'static str> {
        let json: serde_json::Value = serde_json::from_slice(text).map_err(|_| "not JSON")?;
        let object = json.as_object().ok_or("not an object")?;
        let helper = object.get("credsStore").is_some() || object.get("credHelpers").is_some();
        let mut known = BTreeMap::new();
        for (host, login) in object.get("auths").and_then(|a| a.as_object()).into_iter().flatten() {
            let text = |key: &str| login.get(key).and_then(|v| v.as_str()).unwrap_or_default();
            let (user, password) = match text("auth") {
                "" => (text("username").to_owned(), text("password").to_owned()),
                auth => {
                    let plain =
                        STANDARD.decode(auth.trim()).map_err(|_| "an auth is not base64")?;
                    let plain = String::from_utf8(plain).map_err(|_| "an auth is not UTF-8")?;
                    let (user, password) =
                        plain.split_once(':').ok_or("an auth is not user:password")?;
                    (user.to_owned(), password.to_owned())
                }
            };
            if !user.is_empty() {
                known.insert(host_of(host).to_owned(), (user, Secret::new(password)));
            }
        }
        Ok(Self { known, helper })
    }

    /// User and password for a registry.
    #[must_use]
    pub fn of(&self, host: &str) -> Option<(String, Secret)> {
        self.known.get(host).cloned()
    }

    /// Whether the file names a credential helper, which is a program that we do not run.
    #[must_use]
    pub const fn names_helper(&self) -> bool {
        self.helper
    }
}

/// Old files have addresses such as `https://registry.example/v1/`.
fn host_of(key: &str) -> &str {
    let bare = key.split_once("://").map_or(key, |(_, rest)| rest);
    bare.split('/').next().unwrap_or(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_found_by_host() {
        let auth = STANDARD.encode("ann:s:3cret");
        let text = format!(
            r#"{{"auths": {{"registry.example:5000": {{"auth": "{auth}"}},
                "https://old.example/v1/": {{"username": "bob", "password": "pw"}}, "none.example": {{}}}},
                "credsStore": "desktop"}}"#
        );
        let logins = Logins::parse(text.as_bytes()).unwrap();
        let found = logins.of("registry.example:5000");
        assert_eq!(found, Some(("ann".to_owned(), Secret::new("s:3cret"))));
        assert_eq!(logins.of("old.example").map(|(user, _)| user), Some("bob".to_owned()));
        assert!(logins.of("none.example").is_none() && logins.of("registry.example").is_none());
        assert!(logins.names_helper());
        assert!(!format!("{logins:?}").contains("3cret"));
    }

    #[test]
    fn other_files_are_refused_without_their_content() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        for bad in ["s3cret", "[]", r#"{"auths": {"a.example": {"auth": "s3cret!"}}}"#] {
            std::fs::write(&file, bad).unwrap();
            let error = Logins::read(&file).unwrap_err().to_string();
            assert!(error.contains("config.json") && !error.contains("s3cret"), "{error}");
        }
        assert!(matches!(Logins::read(&folder.path().join("none")), Err(LoginError::Read { .. })));
    }
}
