//! A look at a server's certificates.
//!
//! A look takes whatever certificate comes, so that one that has expired can be read; nothing is
//! ever sent over such a connection. What a client that trusts properly would say is told beside it.

use crate::config::{self, Access, ConfigError};
use crate::dns::Names;
use crate::probe::Look;
use crate::reach::{Place, Reach};
use feedpulse_core::label::Label;
use feedpulse_core::probe::Known;
use feedpulse_core::time::Timestamp;
use feedpulse_http::tls::{Own, class, own, provider, roots};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpStream;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Most certificates of a chain that are read.
const CHAIN_MAX: usize = 10;

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
            Err(error) => return look.fails(feedpulse_http::class(&error)),
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
        Ok(Self { place, reach: Reach::new(names, config.access.proxy.as_ref())?, inspector })
    }

    pub(crate) async fn look(&self, look: &mut Look) {
        match self.reach.connect(&self.place).await {
            Ok(stream) => self.inspector.inspect(stream, look).await,
            Err(class) => look.fails(class),
        }
    }
}
