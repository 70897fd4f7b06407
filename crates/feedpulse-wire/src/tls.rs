//! TLS where the operator gave keys for it: the files, read at the start and anew when they change.
//!
//! Versions 1.2 and 1.3, with the cipher suites that rustls holds safe. Nobody is trusted but the
//! authorities in the files named for it. When changed files cannot be used, what was read before
//! stays in use, and that is said.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::config::{ListenerConfig, ReceiverTls, SenderTls};
use crate::forward::Lane;
use crate::log::say;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// The longest file that is read: a thousand certificates.
const MAX_FILE: u64 = 4 << 20;

/// What is wrong with the files for TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A file holds not what it should.
    #[error("{path} has no {what} in PEM form that can be used")]
    Content {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The files do not go together.
    #[error("{path} cannot be used: {why}")]
    Use {
        /// The first of them.
        path: PathBuf,
        /// What rustls says; without a byte of them.
        why: String,
    },
    /// The receiver has no name that a certificate could have.
    #[error("{0:?} is neither a DNS name nor an address: set forward_tls_name")]
    Name(String),
}

/// Both sides of one listener, as they are now.
pub(crate) struct Tls {
    now: RefCell<Loaded>,
}

struct Loaded {
    accept: Option<TlsAcceptor>,
    connect: Option<(TlsConnector, ServerName<'static>)>,
    stamp: Stamp,
}

/// What tells that a file has changed: its node, size and times.
type Stamp = Vec<Option<(u64, u64, i64, i64)>>;

impl Tls {
    /// Reads what the listener needs; nothing when it passes TLS through.
    pub(crate) fn load(config: &ListenerConfig) -> Result<Self, TlsError> {
        Ok(Self { now: RefCell::new(Loaded::load(config)?) })
    }

    pub(crate) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.now.borrow().accept.clone()
    }

    pub(crate) fn connector(&self) -> Option<(TlsConnector, ServerName<'static>)> {
        self.now.borrow().connect.clone()
    }
}

impl Loaded {
    fn load(config: &ListenerConfig) -> Result<Self, TlsError> {
        // Before the files are read: a change meanwhile is seen at the next look.
        let stamp = stamp(config);
        let accept = match &config.tls {
            Some(tls) => Some(TlsAcceptor::from(Arc::new(server(tls)?))),
            None => None,
        };
        let connect = match &config.forward_tls {
            Some(tls) => {
                let name = config.receiver_name();
                let name = ServerName::try_from(name.to_owned())
                    .map_err(|_| TlsError::Name(name.to_owned()))?;
                Some((TlsConnector::from(Arc::new(client(tls)?)), name))
            }
            None => None,
        };
        Ok(Self { accept, connect, stamp })
    }
}

/// Reads files anew when they change, for as long as the wire lives.
pub(crate) async fn keep_fresh(lanes: Vec<Rc<Lane>>) {
    while !lanes.is_empty() {
        tokio::time::sleep(LOOK).await;
        for lane in &lanes {
            let (config, known) = (lane.config.clone(), lane.tls.now.borrow().stamp.clone());
            // A file system may hang; the forwarding thread may not.
            let looked = tokio::task::spawn_blocking(move || {
                let stamp = stamp(&config);
                (stamp != known).then(|| Loaded::load(&config).map_err(|error| (error, stamp)))
            });
            let name = &lane.config.name;
            match looked.await {
                Ok(Some(Ok(fresh))) => {
                    *lane.tls.now.borrow_mut() = fresh;
                    say(format_args!("listener {name}: its files for TLS were read anew"));
                }
                Ok(Some(Err((error, stamp)))) => {
                    lane.tls.now.borrow_mut().stamp = stamp;
                    say(format_args!("listener {name}: {error}; what was read before is used on"));
                }
                Ok(None) | Err(_) => {}
            }
        }
    }
}

fn stamp(config: &ListenerConfig) -> Stamp {
    let sender = config.tls.iter();
    let sender = sender.flat_map(|tls| [Some(&tls.cert), Some(&tls.key), tls.client_ca.as_ref()]);
    let receiver = config.forward_tls.iter().flat_map(|tls| {
        let (cert, key) = tls.identity.as_ref().map(|(cert, key)| (cert, key)).unzip();
        [Some(&tls.ca), cert, key]
    });
    let look = |path: &PathBuf| {
        let found = fs::metadata(path).ok()?;
        Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
    };
    sender.chain(receiver).flatten().map(look).collect()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn server(tls: &SenderTls) -> Result<ServerConfig, TlsError> {
    let unusable = |path: &Path, why: String| TlsError::Use { path: path.to_owned(), why };
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&tls.cert, error.to_string()))?;
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let roots = Arc::new(roots(ca)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
            let verifier = verifier.map_err(|error| unusable(ca, error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    builder
        .with_single_cert(chain(&tls.cert)?, key(&tls.key)?)
        .map_err(|error| unusable(&tls.cert, error.to_string()))
}

fn client(tls: &ReceiverTls) -> Result<ClientConfig, TlsError> {
    let unusable = |path: &Path, why: String| TlsError::Use { path: path.to_owned(), why };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&tls.ca, error.to_string()))?
        .with_root_certificates(roots(&tls.ca)?);
    match &tls.identity {
        None => Ok(builder.with_no_client_auth()),
        Some((cert, private)) => builder
            .with_client_auth_cert(chain(cert)?, key(private)?)
            .map_err(|error| unusable(cert, error.to_string())),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let fault = |source| TlsError::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(fault)?.len() > MAX_FILE {
        return Err(TlsError::Content { path: path.to_owned(), what: "4 MiB or less" });
    }
    fs::read(path).map_err(fault)
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fault = || TlsError::Content { path: path.to_owned(), what: "certificate" };
    let pem = read(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(fault)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let fault = |_| TlsError::Content { path: path.to_owned(), what: "private key" };
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(fault)
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(path)? {
        roots
            .add(certificate)
            .map_err(|error| TlsError::Use { path: path.to_owned(), why: error.to_string() })?;
    }
    Ok(roots)
}
