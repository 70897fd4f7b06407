//! Certificates: what ends when, for whom, and by whom.

use super::{failed, look, page, read_to, server};
use crate::{Access, Look, Secret, Smtp, Tls, Web, What};
use feedpulse_core::label::Label;
use feedpulse_core::probe::{Known, Saw};
use feedpulse_http::ClientCertificate;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::TlsAcceptor;

const DAY: u64 = 86_400;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// An authority in a folder, and what it signs.
struct Pki {
    ca: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Pki {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        Self { ca, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn access(&self) -> Access {
        Access { ca_file: Some(self.file("ca.pem")), ..Access::default() }
    }

    /// A certificate for a name that ends at a time (Unix seconds), with its key.
    fn sign(&self, name: &str, ends: u64) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(ends);
        let certificate = params.signed_by(&key, &self.ca).unwrap();
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        std::fs::write(self.file(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
        (certificate.der().clone(), der)
    }

    fn acceptor(&self, name: &str, ends: u64, clients: bool) -> TlsAcceptor {
        let (certificate, key) = self.sign(name, ends);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.ca.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = match clients {
            true => builder.with_client_cert_verifier(verifier.build().unwrap()),
            false => builder.with_no_client_auth(),
        };
        TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![certificate], key).unwrap()))
    }

    /// A server that answers HTTP over TLS.
    async fn serve(&self, name: &str, ends: u64, clients: bool) -> SocketAddr {
        let acceptor = self.acceptor(name, ends, clients);
        server(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let head = read_to(&mut stream, b"\r\n\r\n").await;
                if head.starts_with(b"GET") {
                    let _ = stream.write_all(page("200 OK", "fine").as_bytes()).await;
                    let _ = stream.shutdown().await;
                }
            }
        })
        .await
    }
}

fn tls(address: SocketAddr, name: &str, access: Access) -> What {
    What::Tls(Tls { address: address.to_string(), server_name: Some(name.to_owned()), access })
}

fn ends(look: &Look) -> Option<i64> {
    look.readings.iter().find_map(|r| match r.saw {
        Saw::Ends(at) => Some(at.as_secs()),
        _ => None,
    })
}

fn fingerprint(look: &Look) -> Option<Label> {
    look.readings.iter().find_map(|r| match r.saw {
        Saw::Known { what: Known::Certificate, value } => Some(value),
        _ => None,
    })
}

#[tokio::test]
async fn a_certificate_says_when_it_ends_and_which_one_it_is() {
    let pki = Pki::new();
    let end = now() + 5 * DAY;
    let address = pki.serve("portal.test", end, false).await;
    let first = look(tls(address, "portal.test", pki.access())).await;
    assert_eq!(failed(&first), None);
    assert_eq!(ends(&first), Some(i64::try_from(end).unwrap()));
    let again = look(tls(address, "portal.test", pki.access())).await;
    assert_eq!(fingerprint(&first), fingerprint(&again));
    let renewed = pki.serve("portal.test", end + 60 * DAY, false).await;
    let renewed = look(tls(renewed, "portal.test", pki.access())).await;
    assert_ne!(fingerprint(&first), fingerprint(&renewed));
    assert!(first.notes.iter().any(|note| note.contains("certificate 0")), "{:?}", first.notes);
}

#[tokio::test]
async fn what_a_careful_client_refuses_is_told_by_class_and_its_end_is_read_all_the_same() {
    let (pki, other) = (Pki::new(), Pki::new());
    let end = now() + 90 * DAY;
    let good = pki.serve("portal.test", end, false).await;
    let over = pki.serve("portal.test", now() - DAY, false).await;
    for (address, name, access, expected) in [
        (good, "portal.test", pki.access(), None),
        (good, "other.test", pki.access(), Some("name")),
        (good, "portal.test", other.access(), Some("untrusted")),
        (over, "portal.test", pki.access(), Some("expired")),
    ] {
        let seen = look(tls(address, name, access)).await;
        assert_eq!(failed(&seen).as_deref(), expected);
        assert!(ends(&seen).is_some(), "{seen:?}");
    }
    let plain = server(|mut stream| async move {
        let _ = stream.write_all(b"220 I speak no TLS\r\n").await;
    })
    .await;
    let seen = look(tls(plain, "portal.test", pki.access())).await;
    assert!(matches!(failed(&seen).as_deref(), Some("tls" | "reset")), "{seen:?}");
}

#[tokio::test]
async fn pages_over_tls_with_a_client_certificate() {
    let pki = Pki::new();
    let address = pki.serve("127.0.0.1", now() + 90 * DAY, true).await;
    pki.sign("feedpulse", now() + 90 * DAY);
    let own = Some(ClientCertificate {
        certificate_file: pki.file("feedpulse.pem"),
        key_file: pki.file("feedpulse.key"),
    });
    let web = |access| {
        What::Web(Box::new(Web {
            url: Secret::new(format!("https://{address}/")),
            access,
            status: (200, 299),
            contains: Some("fine".to_owned()),
            pointer: None,
        }))
    };
    let with = Access { client_certificate: own.clone(), ..pki.access() };
    assert_eq!(failed(&look(web(with)).await), None);
    assert!(failed(&look(web(pki.access())).await).is_some(), "without its own it is refused");
    let other = Pki::new();
    let with = Access { client_certificate: own, ..other.access() };
    assert_eq!(failed(&look(web(with)).await).as_deref(), Some("untrusted"));
}

#[tokio::test]
async fn starttls_shows_the_certificate_of_a_mail_server() {
    let pki = Pki::new();
    let acceptor = pki.acceptor("mail.test", now() + 5 * DAY, false);
    let address = server(move |mut stream| {
        let acceptor = acceptor.clone();
        async move {
            stream.write_all(b"220 mail.test\r\n").await.unwrap();
            read_to(&mut stream, b"\r\n").await;
            stream.write_all(b"250-mail.test\r\n250 STARTTLS\r\n").await.unwrap();
            assert_eq!(read_to(&mut stream, b"\r\n").await, b"STARTTLS\r\n");
            stream.write_all(b"220 go ahead\r\n").await.unwrap();
            if let Ok(mut stream) = acceptor.accept(stream).await {
                read_to(&mut stream, b"never").await;
            }
        }
    })
    .await;
    let smtp = Smtp {
        address: address.to_string(),
        helo: "feedpulse.invalid".to_owned(),
        starttls: true,
        server_name: Some("mail.test".to_owned()),
        access: pki.access(),
    };
    let seen = look(What::Smtp(smtp)).await;
    assert_eq!(failed(&seen), None);
    assert!(ends(&seen).is_some());
}
