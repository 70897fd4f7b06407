//! Resolving where checks come from: files, folders, and registries and how they are reached.

use super::raw::{RawCheck, RawRegistry};
use super::raw_access::Reach;
use super::resolve::Resolver;
use crate::version::approval::ANY;
use feedpulse_http::{Access, Secret};
use feedpulse_oci::{Logins, Reference, Registry};
use feedpulse_wasm::Field;
use std::collections::BTreeMap;
use std::path::Path;

impl Resolver<'_> {
    /// What a check's entry says of its plugin, its settings and what is approved; `path` is where it
    /// is.
    pub(super) fn check_source(&mut self, path: &str, check: &RawCheck) {
        let here = format!("{path}/plugin");
        if Reference::is_meant(&check.plugin) {
            match check.plugin.parse::<Reference>() {
                Err(error) => self.wrong(
                    &here,
                    error.to_string(),
                    "such as oci://registry.example/checks/room@sha256:…",
                ),
                Ok(reference) if reference.digest().is_none() => self.wrong(
                    &here,
                    "a tag can be moved to other code: the digest is missing",
                    format!("`feedpulse check pull {reference}` prints the line with it"),
                ),
                Ok(_) => {}
            }
        } else if !check.plugin.starts_with("builtin:") && !Path::new(&check.plugin).exists() {
            self.wrong(
                &here,
                "no such file",
                "a .wasm component, a folder that holds one, builtin:result-status-regression, or oci://…",
            );
        }
        if check.config.is_some() && check.config_file.is_some() {
            self.wrong(
                &format!("{path}/config_file"),
                "`config` is stated as well",
                "either of both",
            );
        }
        for (i, field) in check.fields.iter().flatten().enumerate() {
            if field != ANY && Field::parse(field).is_err() {
                self.wrong(
                    &format!("{path}/fields/{i}"),
                    "not a field",
                    "such as PID-3, PID-3.1, @received-ms, or \"*\" for every field",
                );
            }
        }
    }

    /// Registries by host.
    pub(super) fn registries(&mut self) -> BTreeMap<String, Registry> {
        let raw = self.raw;
        self.unique("registries", raw.registries.iter().map(|r| &r.host));
        let all = raw.registries.iter().enumerate();
        all.map(|(n, r)| (r.host.clone(), self.registry(&format!("registries/{n}"), r))).collect()
    }

    fn registry(&mut self, path: &str, raw: &RawRegistry) -> Registry {
        if raw.host.contains('/') || raw.host.is_empty() {
            self.wrong(&format!("{path}/host"), "not a host", "such as registry.example:5000");
        }
        if raw.user.is_some() != raw.password.is_some()
            || (raw.user.is_some() && raw.docker_config.is_some())
        {
            self.wrong(
                path,
                "not clear who asks",
                "either `user` and `password`, or `docker_config`",
            );
        }
        let password = raw.password.as_ref();
        let password = password.and_then(|p| self.secret(&format!("{path}/password"), p));
        let stated = raw.user.clone().zip(password.map(Secret::new));
        let reach = Reach {
            token: None,
            ca_file: raw.ca_file.as_ref(),
            client_certificate: None,
            proxy: raw.proxy.as_ref(),
        };
        let access = self.reached(path, reach);
        let basic = stated.or_else(|| {
            let file = raw.docker_config.as_ref()?;
            self.docker_login(&format!("{path}/docker_config"), Path::new(file), &raw.host)
        });
        Registry { access: Access { basic, ..access }, plain_http: raw.plain_http }
    }

    /// Who logs in at a host after a Docker configuration.
    fn docker_login(&mut self, path: &str, file: &Path, host: &str) -> Option<(String, Secret)> {
        match Logins::read(file) {
            Ok(logins) => {
                let found = logins.of(host);
                if found.is_none() && logins.names_helper() {
                    let what =
                        "it leaves the password to a credential helper, which is not run here";
                    self.wrong(path, what, "state `user` and `password` instead");
                } else if found.is_none() {
                    self.wrong(path, format!("it has no login for {host}"), "");
                }
                found
            }
            Err(error) => {
                self.wrong(path, error.to_string(), "a config.json as `docker login` writes it");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::load;

    const SHA: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn text(rest: &str) -> String {
        format!(
            "waypoints: [{{name: in}}]\nhttp: {{listen: \"127.0.0.1:0\", waypoints: [in]}}\n{rest}"
        )
    }

    fn problems(rest: &str) -> String {
        let found = load(&text(rest)).err().unwrap_or_default();
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn an_artifact_is_named_by_its_digest() {
        let good = text(&format!("checks: [{{name: a, plugin: \"oci://r.example/a@{SHA}\"}}]"));
        assert!(load(&good).is_ok());
        let tag = problems("checks: [{name: a, plugin: \"oci://r.example/a:1\"}]");
        assert!(tag.contains("feedpulse check pull oci://r.example/a:1"), "{tag}");
        let none = problems("checks: [{name: a, plugin: \"oci://a:1\"}]");
        assert!(none.contains("registry is missing"), "{none}");
    }

    #[test]
    fn wrong_approvals_and_settings_are_said() {
        let all = problems(
            "checks: [{name: a, plugin: \"builtin:a\", fields: [PID3, \"*\", \"@key\"], grants: [root], \
             config: {}, config_file: a.yaml}]",
        );
        for says in ["not a field", "not a grant", "`config` is stated as well"] {
            assert_eq!(all.matches(says).count(), 1, "{says}: {all}");
        }
    }

    #[test]
    fn registries_say_who_asks() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        std::fs::write(&file, r#"{"auths": {"r.example": {"auth": "YW5uOnMzY3JldA=="}}}"#).unwrap();
        let file = file.display().to_string();
        let good = text(&format!(
            "registries: [{{host: r.example, docker_config: \"{file}\", proxy: \"http://proxy:3128\"}}]"
        ));
        let config = load(&good).unwrap();
        let access = &config.registries["r.example"].access;
        assert_eq!(access.basic.as_ref().map(|(user, _)| user.as_str()), Some("ann"));
        assert!(access.proxy.is_some());
        let other =
            problems(&format!("registries: [{{host: s.example, docker_config: \"{file}\"}}]"));
        assert!(other.contains("no login for s.example") && !other.contains("s3cret"), "{other}");
        let both = problems("registries: [{host: r.example, user: ann}, {host: r.example}]");
        assert!(both.contains("not clear who asks"), "{both}");
    }
}
