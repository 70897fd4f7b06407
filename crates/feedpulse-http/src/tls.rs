//! TLS for every outbound connection: rustls with the ring provider given by hand, so that no other
//! part of the process can change what it trusts or which cipher suites it offers.

use crate::access::{Access, AccessError};
use core::fmt;
use feedpulse_core::label::Label;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A chain, own certificate first, and its key.
pub type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// What every client offers.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Makes it the one that the process has for libraries that build their clients themselves. Ours are
/// given theirs by hand and do not look.
pub fn install() {
    // An error says that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The TLS side of a client; `needed` tells whether it will be used at all: the system's
/// authorities are read only then, files always, so that a wrong path is found early.
///
/// # Errors
/// [`AccessError::File`] and [`AccessError::Setup`].
pub fn client(access: &Access, needed: bool) -> Result<ClientConfig, AccessError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring offers suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots(access, needed)?);
    let Some((chain, key)) = own(access)? else { return Ok(builder.with_no_client_auth()) };
    builder.with_client_auth_cert(chain, key).map_err(|error| {
        let what = "the client certificate and its key do not fit together";
        AccessError::Setup(format!("{what} ({error})"))
    })
}

/// The certificate that is shown to the server, where one is stated.
///
/// # Errors
/// [`AccessError::File`].
pub fn own(access: &Access) -> Result<Option<Own>, AccessError> {
    let Some(own) = &access.client_certificate else { return Ok(None) };
    let chain = certificates(&own.certificate_file)?;
    let key = PrivateKeyDer::from_pem_file(&own.key_file).map_err(|error| AccessError::File {
        path: own.key_file.clone(),
        what: format!("no private key could be read ({})", pem_class(&error)),
    })?;
    Ok(Some((chain, key)))
}

/// The authorities that are trusted; `needed` as in [`client`].
///
/// # Errors
/// [`AccessError::File`], and [`AccessError::Setup`] on a system without any.
pub fn roots(access: &Access, needed: bool) -> Result<RootCertStore, AccessError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &access.ca_file {
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|error| AccessError::File {
                path: path.clone(),
                what: format!("holds a certificate that cannot be an authority ({error})"),
            })?;
        }
    } else if needed {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            let what = "this system has no trusted authorities (usual in an image without a \
                        distribution); name a PEM file in ca_file";
            return Err(AccessError::Setup(what.to_owned()));
        }
    }
    Ok(roots)
}

/// The stated authorities as DER, for a client that is not built here; none where those of the
/// system are trusted.
///
/// # Errors
/// [`AccessError::File`].
pub fn authorities(access: &Access) -> Result<Vec<Vec<u8>>, AccessError> {
    // The store says at once which of them cannot be an authority.
    roots(access, false)?;
    let Some(path) = &access.ca_file else { return Ok(Vec::new()) };
    Ok(certificates(path)?.into_iter().map(|der| der.to_vec()).collect())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, AccessError> {
    let fail = |what: String| AccessError::File { path: path.to_owned(), what };
    let read = || -> Result<Vec<_>, PemError> { CertificateDer::pem_file_iter(path)?.collect() };
    let list = read()
        .map_err(|error| fail(format!("no certificates could be read ({})", pem_class(&error))))?;
    if list.is_empty() {
        return Err(fail("holds no PEM certificate; it must have BEGIN CERTIFICATE lines".into()));
    }
    Ok(list)
}

/// What went wrong, without any content of the file.
fn pem_class(error: &PemError) -> String {
    match error {
        PemError::Io(error) => error.kind().to_string(),
        PemError::NoItemsFound => "nothing of the kind in it".to_owned(),
        _ => "not valid PEM".to_owned(),
    }
}

/// Secures connections to one server.
#[derive(Clone)]
pub struct Secure {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secure({:?})", self.name)
    }
}

impl Secure {
    /// `host` is what the certificate must be for, `protocols` what is offered by ALPN (RFC 7301),
    /// `needed` as in [`client`]. None where `host` cannot be a name.
    ///
    /// # Errors
    /// As [`client`].
    pub fn new(
        access: &Access,
        host: &str,
        protocols: &[&[u8]],
        needed: bool,
    ) -> Result<Option<Self>, AccessError> {
        let mut config = client(access, needed)?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let connector = TlsConnector::from(Arc::new(config));
        Ok(ServerName::try_from(host.to_owned()).ok().map(|name| Self { connector, name }))
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// Those of the connection, and a refusal by either side.
    pub async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

/// The class of a TLS failure: what is wrong with the server's certificate (`untrusted`, `expired`,
/// `not yet valid`, `name`), else `tls`.
#[must_use]
pub fn class(error: &Error) -> Label {
    Label::from(match error {
        Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "expired",
        Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => "not yet valid",
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "name",
        Error::InvalidCertificate(_) => "untrusted",
        _ => "tls",
    })
}
