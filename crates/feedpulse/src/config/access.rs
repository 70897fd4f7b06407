//! Resolving how a server is reached and who asks.

use super::raw_access::{RawAccess, RawProxy, Reach};
use super::resolve::Resolver;
use feedpulse_http::{Access, ClientCertificate, ProxyConfig, Secret};
use std::collections::BTreeMap;

impl Resolver<'_> {
    /// The keys that everything outbound has; `path` is where they are.
    pub(super) fn reached(&mut self, path: &str, reach: Reach<'_>) -> Access {
        let bearer = reach.token.and_then(|token| self.secret(&format!("{path}/token"), token));
        Access {
            ca_file: reach.ca_file.map(Into::into),
            client_certificate: reach.client_certificate.map(|own| ClientCertificate {
                certificate_file: own.file.clone().into(),
                key_file: own.key_file.clone().into(),
            }),
            proxy: reach.proxy.and_then(|proxy| self.proxy(&format!("{path}/proxy"), proxy)),
            bearer: bearer.map(Secret::new),
            ..Access::default()
        }
    }

    /// Only an address that is a secret as a whole may hold who logs in.
    pub(super) fn proxy(&mut self, path: &str, proxy: &RawProxy) -> Option<ProxyConfig> {
        match proxy {
            RawProxy::Text(url) => Some(ProxyConfig { url: Secret::new(url), user: None }),
            RawProxy::Secret(secret) => {
                let url = self.secret(path, secret)?;
                Some(ProxyConfig::from_secret(Secret::new(url)))
            }
            RawProxy::Full(login) => {
                let password = self.secret(&format!("{path}/password"), &login.password);
                let password = Secret::new(password.unwrap_or_default());
                let user = Some((login.user.clone(), password));
                Some(ProxyConfig { url: Secret::new(&login.url), user })
            }
        }
    }

    /// What a probe states beside them; `path` is where `access` is.
    pub(super) fn access(&mut self, path: &str, raw: &RawAccess) -> Access {
        let here = format!("{path}/access");
        let password = raw.password.as_ref();
        let password = password.and_then(|p| self.secret(&format!("{here}/password"), p));
        let both = raw.token.is_some() && raw.user.is_some();
        if raw.user.is_some() != raw.password.is_some() || both {
            self.wrong(&here, "not clear who asks", "either `token`, or `user` and `password`");
        }
        Access {
            basic: raw.user.clone().zip(password.map(Secret::new)),
            headers: headers(&raw.headers),
            ..self.reached(&here, raw.reach())
        }
    }
}

/// Headers as they are sent.
pub(super) fn headers(raw: &BTreeMap<String, String>) -> Vec<(String, Secret)> {
    raw.iter().map(|(name, value)| (name.clone(), Secret::new(value))).collect()
}

#[cfg(test)]
mod tests {
    use crate::config::load;
    use feedpulse_http::{Access, ClientCertificate, ProxyConfig, Secret};
    use feedpulse_probes::What;

    /// The access of a probe and that of a notifier, by the same keys.
    fn both(keys: &str) -> [Access; 2] {
        let text = format!(
            "
waypoints: [{{name: in}}]
http: {{listen: \"127.0.0.1:0\", waypoints: [in]}}
probes: [{{name: page, http: {{url: \"http://a.example/\", access: {{{keys}}}}}}}]
webhooks: [{{name: hook, url: \"http://b.example/\", {keys}}}]
"
        );
        let resolved = load(&text).unwrap_or_else(|errors| panic!("{keys}: {errors:?}"));
        let What::Web(web) = resolved.probes[0].what.clone() else { panic!("a page is probed") };
        [web.access, resolved.sinks.notifiers[0].target.access.clone()]
    }

    #[test]
    fn probes_and_notifiers_take_the_same_keys() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("proxy");
        std::fs::write(&file, "http://me:s3cret@proxy.example:3128\n").unwrap();
        let login = Some(("me".to_owned(), Secret::new("s3cret")));
        let by_reference = format!("{{file: \"{}\"}}", file.display());
        let secret = folder.path().join("word");
        std::fs::write(&secret, "s3cret").unwrap();
        let stated = format!(
            "{{url: \"http://proxy.example:3128\", user: me, password: {{file: \"{}\"}}}}",
            secret.display()
        );
        for (proxy, user) in [
            ("\"http://proxy.example:3128\"", None),
            (by_reference.as_str(), login.clone()),
            (stated.as_str(), login),
        ] {
            for access in both(&format!("proxy: {proxy}")) {
                let ProxyConfig { url, user: found } = access.proxy.unwrap();
                let url = url.expose().trim_end_matches('/');
                assert_eq!((url, found), ("http://proxy.example:3128", user.clone()), "{proxy}");
            }
        }
        let keys = format!(
            "ca_file: ca.pem, client_certificate: {{file: own.pem, key_file: own.key}}, token: {{file: \"{}\"}}",
            secret.display()
        );
        for access in both(&keys) {
            assert_eq!(access.ca_file, Some("ca.pem".into()));
            let own = ClientCertificate {
                certificate_file: "own.pem".into(),
                key_file: "own.key".into(),
            };
            assert_eq!(access.client_certificate, Some(own));
            assert_eq!(access.bearer, Some(Secret::new("s3cret")));
        }
    }
}
