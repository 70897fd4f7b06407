//! Resolving the watch of the own namespace.

use super::resolve::Resolver;
use feedpulse_sinks::config::Target;
use feedpulse_sinks::{ACCOUNT, NamespaceConfig};
use std::path::PathBuf;
use std::time::Duration;

const API: &str = "https://kubernetes.default.svc";
const EVERY: Duration = Duration::from_secs(30);

impl Resolver<'_> {
    /// None where it is not watched.
    pub(super) fn namespace(&mut self) -> Option<NamespaceConfig> {
        let raw = self.raw.kubernetes.as_ref().filter(|raw| raw.watch)?;
        let file = |stated: &Option<String>, own: &str| {
            stated.as_ref().map_or_else(|| PathBuf::from(ACCOUNT).join(own), PathBuf::from)
        };
        let api = raw.api.as_deref().unwrap_or(API);
        let mut target = Target::new(api);
        // Over plain HTTP (a proxy beside it) no authority is needed, unless one is stated.
        if api.starts_with("https://") || raw.ca_file.is_some() {
            target.access.ca_file = Some(file(&raw.ca_file, "ca.crt"));
        }
        let every = self.time("kubernetes/every", raw.every.as_ref(), EVERY);
        if !(Duration::from_secs(1)..=Duration::from_secs(3_600)).contains(&every) {
            self.wrong("kubernetes/every", "not between 1 s and 1 h", "such as 30s");
        }
        Some(NamespaceConfig {
            target,
            token_file: file(&raw.token_file, "token"),
            namespace: raw.namespace.clone(),
            every,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::load;

    const REST: &str = "
waypoints: [{name: in}]
http: {listen: \"127.0.0.1:0\", waypoints: [in]}
";

    #[test]
    fn it_is_off_unless_it_is_asked_for() {
        for off in ["", "kubernetes: {}", "kubernetes: {watch: false, every: 5s}"] {
            assert!(load(&format!("{off}{REST}")).unwrap().namespace.is_none(), "{off}");
        }
        let own = load(&format!("kubernetes: {{watch: true}}{REST}")).unwrap().namespace.unwrap();
        let account = "/var/run/secrets/kubernetes.io/serviceaccount";
        assert_eq!(own.token_file, std::path::Path::new(account).join("token"));
        assert_eq!(
            own.target.access.ca_file.unwrap(),
            std::path::Path::new(account).join("ca.crt")
        );
        assert_eq!((own.namespace, own.every.as_secs()), (None, 30));
        let text =
            "kubernetes: {watch: true, api: \"http://127.0.0.1:8001\", namespace: a, every: 2h}";
        let wrong = load(&format!("{text}{REST}")).unwrap_err();
        assert!(wrong[0].to_string().contains("kubernetes/every"), "{wrong:?}");
    }
}
