//! TLS: the settings of every client of this crate, and a look at a server's certificates.
//!
//! A look takes whatever certificate comes, so that one that has expired can be read; nothing is
//! ever sent over such a connection. What a client that trusts properly would say is told beside it.

use crate::config::{self, Access, ConfigError};
use crate::dns::Names;
use crate::probe::Look;
use crate::reach::{self, Place, Proxy, Reach};
use feedpulse_core::label::Label;
use feedpulse_core::probe::Known;
use feedpulse_core::time::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpStream;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Most certificates of a chain that are read.
const CHAIN_MAX: usize = 10;

/// Ring, given by hand: no other part of the process can change what is trusted or offered.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The TLS side of a client; `needed` tells whether it will be used at all: the system's
/// authorities are read only then, files always, so that a wrong path is found early.
pub(crate) fn client(access: &Access, needed: bool) -> Result<ClientConfig, ConfigError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring offers suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots(access, needed)?);
    match own(access)? {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(unfit),
    }
}

fn unfit(error: Error) -> ConfigError {
    ConfigError::Client(format!("the client certificate and its key do not fit together ({error})"))
}

type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn own(access: &Access) -> Result<Option<Own>, ConfigError> {
    let Some((chain, key)) = &access.client_certificate else { return Ok(None) };
    let chain = certificates(chain)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|_| ConfigError::File {
        path: key.clone(),
        what: "no private key in PEM could be read".to_owned(),
    })?;
    Ok(Some((chain, key)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let fail = |what: &str| ConfigError::File { path: path.to_owned(), what: what.to_owned() };
    let list: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match list {
        Ok(list) if list.is_empty() => Err(fail("holds no PEM certificate")),
        Ok(list) => Ok(list),
        Err(_) => Err(fail("no certificates in PEM could be read")),
    }
}

fn roots(access: &Access, needed: bool) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &access.ca_file {
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|error| ConfigError::File {
                path: path.clone(),
                what: format!("holds a certificate that cannot be an authority ({error})"),
            })?;
        }
    } else if needed {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            let what = "this system has no trusted authorities (usual in an image without a \
                        distribution); name a PEM file in ca_file";
            return Err(ConfigError::Client(what.to_owned()));
        }
    }
    Ok(roots)
}

/// Takes every certificate, and remembers what a careful client would have said.
#[derive(Debug)]
struct Taker {
    careful: Arc<WebPkiServerVerifier>,
    said: Mutex<Option<Error>>,
}

impl ServerCertVerifier for Taker {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Err(error) = self.careful.verify_server_cert(end, chain, name, ocsp, now) {
            *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.careful.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.careful.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.careful.supported_verify_schemes()
    }
}

/// Looks at the certificates of a server.
#[derive(Debug)]
pub(crate) struct Inspector {
    name: ServerName<'static>,
    roots: Arc<RootCertStore>,
    own: Option<Own>,
}

impl Inspector {
    /// `name` is what the certificate must be for.
    pub(crate) fn new(name: &str, access: &Access) -> Result<Self, ConfigError> {
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| ConfigError::Name(name.to_owned()))?;
        Ok(Self { name, roots: Arc::new(roots(access, true)?), own: own(access)? })
    }

    fn settings(&self) -> Result<(ClientConfig, Arc<Taker>), Label> {
        let failed = |_| Label::from("tls");
        let careful =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.roots), provider())
                .build();
        let careful = careful.map_err(|_| Label::from("tls"))?;
        let taker = Arc::new(Taker { careful, said: Mutex::default() });
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::<Taker>::clone(&taker));
        let settings = match &self.own {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(failed)?
            }
        };
        Ok((settings, taker))
    }

    /// Shakes hands over a connection and tells what was shown.
    pub(crate) async fn inspect(&self, stream: TcpStream, look: &mut Look) {
        let (settings, taker) = match self.settings() {
            Ok(made) => made,
            Err(class) => return look.fails(class),
        };
        let connector = tokio_rustls::TlsConnector::from(Arc::new(settings));
        let stream = match connector.connect(self.name.clone(), stream).await {
            Ok(stream) => stream,
            Err(error) => return look.fails(reach::class(&error)),
        };
        let (_, session) = stream.get_ref();
        let version = session.protocol_version().map(|v| format!("{v:?}")).unwrap_or_default();
        look.note(format!("handshake done, {version}"));
        let chain = session.peer_certificates().unwrap_or_default();
        tell(chain, look);
        let said = taker.said.lock().unwrap_or_else(PoisonError::into_inner).take();
        match said {
            None => look.works(),
            Some(error) => look.fails(class(&error)),
        }
    }
}

/// What the certificates say of themselves.
fn tell(chain: &[CertificateDer<'_>], look: &mut Look) {
    let mut first: Option<Timestamp> = None;
    for (n, der) in chain.iter().take(CHAIN_MAX).enumerate() {
        let Ok((_, certificate)) = X509Certificate::from_der(der) else {
            look.note(format!("certificate {n} cannot be read"));
            continue;
        };
        let end = certificate.validity().not_after;
        let at = Timestamp::from_secs(end.timestamp());
        first = Some(first.map_or(at, |first| first.min(at)));
        look.note(format!(
            "certificate {n}: {}, by {}, until {end}",
            certificate.subject(),
            certificate.issuer()
        ));
        if n == 0 {
            let serial: String =
                certificate.raw_serial().iter().map(|b| format!("{b:02x}")).collect();
            // A serial number is unique within an authority; with the end it tells a renewed one.
            let name = format!("{:x}-{serial}", end.timestamp());
            look.known(Known::Certificate, Label::distinct(&name));
        }
    }
    if let Some(first) = first {
        look.ends(first);
    }
}

/// The class of a TLS failure.
pub(crate) fn class(error: &Error) -> Label {
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

/// A probe of TLS alone.
#[derive(Debug)]
pub(crate) struct Tls {
    place: Place,
    reach: Reach,
    inspector: Inspector,
}

impl Tls {
    pub(crate) fn new(config: &config::Tls, names: Names) -> Result<Self, ConfigError> {
        let place = Place::parse(&config.address)?;
        let name = config.server_name.as_deref().unwrap_or(&place.host);
        let inspector = Inspector::new(name, &config.access)?;
        let proxy = config.access.proxy.as_ref().map(Proxy::parse).transpose()?;
        Ok(Self { place, reach: Reach { names, proxy }, inspector })
    }

    pub(crate) async fn look(&self, look: &mut Look) {
        match self.reach.connect(&self.place).await {
            Ok(stream) => self.inspector.inspect(stream, look).await,
            Err(class) => look.fails(class),
        }
    }
}
