//! A real Kubernetes API server on a real etcd, and `kubectl` of the same version. Nothing else: no
//! controller acts and no pod runs, but everything that the server itself checks is checked.

use super::server::{Server, StartError, free_address, with_retries};
use super::{require, started};
use rcgen::KeyPair;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

/// The administrator's token, on loopback, for as long as the test runs.
const TOKEN: &str = "tests-only";

/// A running API server.
#[derive(Debug)]
pub struct Kubernetes {
    // Dropped in this order: the server before what it stores in.
    api: Server,
    _etcd: Server,
    kubectl: PathBuf,
    kinds: Once,
}

impl Kubernetes {
    /// The one that the tests of this process share: it ends with the last of them. None where a part
    /// is absent.
    ///
    /// # Panics
    /// When it does not start, with the end of its log.
    #[must_use]
    pub fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Kubernetes>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Some(running);
        }
        let names = ["etcd", "kube-apiserver", "kubectl"];
        let [Some(etcd), Some(api), Some(kubectl)] = names.map(require) else { return None };
        let fresh = Arc::new(started(with_retries(|| Self::try_start(&etcd, &api, &kubectl))));
        *shared = Arc::downgrade(&fresh);
        Some(fresh)
    }

    fn try_start(etcd: &Path, api: &Path, kubectl: &Path) -> Result<Self, StartError> {
        let (store, clients) = Self::etcd(etcd)?;
        let mut server = Server::new("kube-apiserver")?;
        let folder = server.folder().to_owned();
        keys(&folder)?;
        let address = free_address()?;
        fs::write(folder.join("tokens.csv"), format!("{TOKEN},admin,1,system:masters\n"))?;
        let file = |name: &str| folder.join(name).display().to_string();
        let words = [
            api.display().to_string(),
            format!("--etcd-servers=http://{clients}"),
            format!("--service-account-key-file={}", file("account.pub")),
            format!("--service-account-signing-key-file={}", file("account.key")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--cert-dir={}", file("certificates")),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", address.port()),
            format!("--token-auth-file={}", file("tokens.csv")),
            "--authorization-mode=RBAC".to_owned(),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        ];
        server.set_command(words.to_vec());
        let config = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: it\n\
             clusters: [{{name: it, cluster: {{server: \"https://{address}\", certificate-authority: {:?}}}}}]\n\
             users: [{{name: it, user: {{token: {TOKEN}}}}}]\n\
             contexts: [{{name: it, context: {{cluster: it, user: it}}}}]\n",
            folder.join("certificates/apiserver.crt"),
        );
        fs::write(folder.join("kubeconfig"), config)?;
        let mut kubernetes =
            Self { api: server, _etcd: store, kubectl: kubectl.to_owned(), kinds: Once::new() };
        let (probe, config) = (kubernetes.kubectl.clone(), kubernetes.kubeconfig());
        kubernetes.api.start(|| {
            let mut ready = command(&probe, &config);
            ready.args(["get", "--raw", "/readyz"]);
            ready.output().is_ok_and(|done| done.status.success())
        })?;
        Ok(kubernetes)
    }

    fn etcd(program: &Path) -> Result<(Server, std::net::SocketAddr), StartError> {
        let mut server = Server::new("etcd")?;
        let (clients, peers) = (free_address()?, free_address()?);
        let words = [
            program.display().to_string(),
            format!("--data-dir={}", server.folder().join("data").display()),
            format!("--listen-client-urls=http://{clients}"),
            format!("--advertise-client-urls=http://{clients}"),
            format!("--listen-peer-urls=http://{peers}"),
            format!("--initial-advertise-peer-urls=http://{peers}"),
            format!("--initial-cluster=default=http://{peers}"),
            "--log-level=warn".to_owned(),
        ];
        server.set_command(words.to_vec());
        let limit = std::time::Duration::from_secs(1);
        server.start(|| std::net::TcpStream::connect_timeout(&clients, limit).is_ok())?;
        Ok((server, clients))
    }

    /// The file that tells a client how to reach it and who it is.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.api.folder().join("kubeconfig")
    }

    /// Runs `kubectl` with this on its standard input.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = command(&self.kubectl, &self.kubeconfig());
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("kubectl can be started");
        // One that refuses its arguments reads nothing.
        let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
        child.wait_with_output().expect("its output is piped")
    }

    /// The same, which must succeed without a warning; what it printed.
    ///
    /// # Panics
    /// When it does not, with what it said.
    pub fn ok(&self, arguments: &[&str], input: &str) -> String {
        let done = self.kubectl(arguments, input);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success() && said.is_empty(), "kubectl {arguments:?}: {said}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// The same, which must be refused; what it said.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    pub fn refused(&self, arguments: &[&str], input: &str) -> String {
        let done = self.kubectl(arguments, input);
        assert!(!done.status.success(), "kubectl {arguments:?} succeeds");
        String::from_utf8_lossy(&done.stderr).into_owned()
    }

    /// Teaches it the custom kinds of a file, once in its life.
    ///
    /// # Panics
    /// When it refuses them.
    pub fn learn(&self, file: &Path) {
        self.kinds.call_once(|| {
            self.ok(&["create", "--filename", &file.display().to_string()], "");
            let all = ["--all", "customresourcedefinitions", "--timeout=60s"];
            self.ok(&[&["wait", "--for=condition=Established"][..], &all].concat(), "");
        });
    }

    /// Makes a namespace in which pods must meet a level of the Pod Security Standards, and in it the
    /// accounts that pods name (nobody else makes the default one here).
    ///
    /// # Panics
    /// When the server refuses.
    pub fn namespace(&self, name: &str, level: &str, accounts: &[&str]) {
        self.ok(&["create", "namespace", name], "");
        for mode in ["enforce", "warn"] {
            let label = format!("pod-security.kubernetes.io/{mode}={level}");
            self.ok(&["label", "namespace", name, &label], "");
        }
        for account in accounts {
            self.ok(&["--namespace", name, "create", "serviceaccount", account], "");
        }
    }
}

fn command(kubectl: &Path, kubeconfig: &Path) -> Command {
    let mut command = Command::new(kubectl);
    command.arg("--kubeconfig").arg(kubeconfig).stdin(Stdio::null());
    // What it keeps between calls stays out of the home folder.
    command.env("KUBECACHEDIR", kubeconfig.with_file_name("cache"));
    command
}

/// The key pair of service accounts' tokens.
fn keys(folder: &Path) -> io::Result<()> {
    let pair = KeyPair::generate().map_err(io::Error::other)?;
    fs::write(folder.join("account.key"), pair.serialize_pem())?;
    fs::write(folder.join("account.pub"), pair.public_key_pem())
}
