//! TLS with an authority and a client certificate from files, over both HTTP stacks.
#![expect(clippy::disallowed_methods, reason = "fake servers are tasks of the test")]

use super::servers::{Got, Seen, connection, ok, router};
use super::smtp::{Smtp, mail_config};
use super::{Running, incident, refused_journey};
use crate::Secret;
use crate::config::{
    AlertmanagerConfig, ClientCertificate, NotifierConfig, OtlpConfig, Security, SinksConfig,
    Target,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

pub(super) struct Pki {
    pub(super) acceptor: TlsAcceptor,
    pub(super) folder: tempfile::TempDir,
}

pub(super) fn pki(alpn: &[u8]) -> Pki {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let server_key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let server = server.signed_by(&server_key, &ca).unwrap();
    let client_key = KeyPair::generate().unwrap();
    let client = CertificateParams::new(vec!["feedpulse".to_owned()]).unwrap();
    let client = client.signed_by(&client_key, &ca).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, pem: String| std::fs::write(folder.path().join(name), pem).unwrap();
    write("ca.pem", ca.pem());
    write("client.pem", client.pem());
    write("client.key", client_key.serialize_pem());
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![server.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der())),
        )
        .unwrap();
    config.alpn_protocols = vec![alpn.to_vec()];
    Pki { acceptor: TlsAcceptor::from(Arc::new(config)), folder }
}

pub(super) fn target(address: &str, folder: &Path, own: bool) -> Target {
    let mut target = Target::new(address);
    target.access.ca_file = Some(folder.join("ca.pem"));
    target.access.client_certificate = own.then(|| ClientCertificate {
        certificate_file: folder.join("client.pem"),
        key_file: folder.join("client.key"),
    });
    target
}

/// A server that is content with everything, and whom only a certificate opens.
pub(super) async fn https(pki: &Pki) -> (String, mpsc::Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let (tell, seen) = mpsc::channel(16);
    let acceptor = pki.acceptor.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(connection(stream, ok(), tell.clone()));
            }
        }
    });
    (address, seen)
}

#[tokio::test]
async fn spans_arrive_by_grpc_over_mutual_tls() {
    let pki = pki(b"h2");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let (router, mut got) = router(Arc::new(|| Ok(0)));
    let (tell, streams) = mpsc::channel(4);
    let acceptor = pki.acceptor.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                tell.send(Ok::<_, std::io::Error>(stream)).await.unwrap();
            }
        }
    });
    let streams = tokio_stream::wrappers::ReceiverStream::new(streams);
    tokio::spawn(router.serve_with_incoming(streams));
    let otlp = OtlpConfig::new(target(&address, pki.folder.path(), true));
    let mut running = Running::new(&SinksConfig { otlp: Some(otlp), ..SinksConfig::default() });
    running.journey(refused_journey(7));
    while !matches!(got.recv().await, Some(Got::Traces(..))) {}
    running.stop().await;
    let process = rustls::crypto::CryptoProvider::get_default();
    assert!(process.is_none(), "nothing of ours uses or sets the provider of the process");
}

#[tokio::test]
async fn alerts_arrive_over_mutual_tls_and_not_without_the_certificate() {
    let pki = pki(b"http/1.1");
    let (address, mut seen) = https(&pki).await;
    let config = |own| SinksConfig {
        alertmanagers: vec![AlertmanagerConfig::new(vec![target(
            &address,
            pki.folder.path(),
            own,
        )])],
        ..SinksConfig::default()
    };
    let mut with = Running::new(&config(true));
    with.incident(&incident(3));
    assert_eq!(seen.recv().await.unwrap().json()[0]["labels"]["alertname"], "FP0104");
    with.stop().await;
    // It says everything once more before it goes.
    while seen.try_recv().is_ok() {}
    let mut without = Running::new(&config(false));
    without.incident(&incident(4));
    let failing = without.own.recv().await.unwrap();
    assert!(failing.failing && ["tls", "reset"].contains(&failing.detail.as_str()), "{failing:?}");
    without.stop().await;
    assert!(seen.try_recv().is_err());
}

#[tokio::test]
async fn a_server_of_another_authority_is_told_as_untrusted_by_every_way() {
    let (pki, other) = (pki(b"h2"), self::pki(b"http/1.1"));
    let (address, mut seen) = https(&pki).await;
    let to = target(&address, other.folder.path(), false);
    let trusted = target(&address, pki.folder.path(), false);
    let mut mail = mail_config(&Smtp::start(None).await, Security::Tls);
    mail.target.url = Secret::new(address.trim_start_matches("https://"));
    mail.target.access = to.access.clone();
    for config in [
        SinksConfig { otlp: Some(OtlpConfig::new(to.clone())), ..SinksConfig::default() },
        SinksConfig {
            notifiers: vec![NotifierConfig::webhook("webhook", to)],
            ..SinksConfig::default()
        },
        SinksConfig { notifiers: vec![mail], ..SinksConfig::default() },
    ] {
        let mut running = Running::new(&config);
        running.incident(&incident(3));
        running.journey(refused_journey(7));
        let failing = running.own.recv().await.unwrap();
        assert_eq!((failing.failing, failing.detail.as_str()), (true, "untrusted"), "{failing:?}");
        running.stop().await;
    }
    // The same server is trusted by its own authority, and wants a certificate then.
    let notifiers = vec![NotifierConfig::webhook("webhook", trusted)];
    let mut running = Running::new(&SinksConfig { notifiers, ..SinksConfig::default() });
    running.incident(&incident(4));
    let failing = running.own.recv().await.unwrap();
    assert!(["tls", "reset"].contains(&failing.detail.as_str()), "{failing:?}");
    running.stop().await;
    assert!(seen.try_recv().is_err());
}
