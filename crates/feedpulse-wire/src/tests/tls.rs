//! TLS ended and begun: both sides, one side on purpose, who is not let in, and files that change.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};
use tempfile::TempDir;

use super::{LIMIT, Rig, accept, patient, receiver};
use crate::Direction::{ToReceiver, ToSender};
use crate::tls::Tls;
use crate::{ListenerConfig, ReceiverTls, SenderTls, WireConfig};

/// An authority, and what it signed, as files: `ca`, `NAME`, `NAME.key`.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca"), certificate.pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, file: &str, name: &str, of: ExtendedKeyUsagePurpose) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![of];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
        fs::write(self.path(file), certificate.pem()).unwrap();
    }

    fn path(&self, file: &str) -> std::path::PathBuf {
        self.folder.path().join(file)
    }

    /// An authority with a server `wire`, a server `engine` and clients `sender` and `proxy`.
    fn with_all() -> Self {
        let this = Self::new();
        for (file, of) in [
            ("wire", ExtendedKeyUsagePurpose::ServerAuth),
            ("engine", ExtendedKeyUsagePurpose::ServerAuth),
            ("sender", ExtendedKeyUsagePurpose::ClientAuth),
            ("proxy", ExtendedKeyUsagePurpose::ClientAuth),
        ] {
            this.sign(file, &format!("{file}.test"), of);
        }
        this
    }

    fn on_both_sides(&self, config: &mut WireConfig) {
        let listener = &mut config.listeners[0];
        listener.tls = Some(SenderTls {
            cert: self.path("wire"),
            key: self.path("wire.key"),
            client_ca: Some(self.path("ca")),
        });
        listener.forward_tls = Some(ReceiverTls {
            ca: self.path("ca"),
            identity: Some((self.path("proxy"), self.path("proxy.key"))),
            server_name: Some("engine.test".to_owned()),
        });
    }

    /// A sender's side of TLS, with the certificate of `sender` if it has one.
    fn client(&self, certificate: bool, stream: TcpStream) -> Client {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots(&self.path("ca")));
        let config = if certificate {
            let (chain, key) = pair(&self.path("sender"), &self.path("sender.key"));
            builder.with_client_auth_cert(chain, key).unwrap()
        } else {
            builder.with_no_client_auth()
        };
        let name = "wire.test".try_into().unwrap();
        StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
    }

    /// A receiver's side of TLS, which wants a certificate.
    fn server(&self, stream: TcpStream) -> Server {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots(&self.path("ca"))),
            provider.clone(),
        );
        let (chain, key) = pair(&self.path("engine"), &self.path("engine.key"));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(chain, key)
            .unwrap();
        StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream)
    }
}

type Client = StreamOwned<ClientConnection, TcpStream>;
type Server = StreamOwned<ServerConnection, TcpStream>;

fn roots(ca: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    roots
}

fn pair(cert: &Path, key: &Path) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = vec![CertificateDer::from_pem_file(cert).unwrap()];
    (chain, PrivateKeyDer::from_pem_file(key).unwrap())
}

/// A receiver that answers each piece with as many bytes, and ends when its sender does.
fn engine(authority: &Authority, listener: &TcpListener) -> Vec<u8> {
    let mut stream = authority.server(accept(listener));
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => {
                all.extend_from_slice(&piece[..count]);
                stream.write_all(&piece[..count]).unwrap();
            }
            Err(error) => panic!("the receiver saw {error}"),
        }
    }
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    all
}

#[test]
fn both_sides_in_tls_with_certificates_and_the_copy_is_plain() {
    let authority = Authority::with_all();
    let (listener, at) = receiver();
    let rig = Rig::with(at, |config| authority.on_both_sides(config));
    let mut reader = rig.reader();
    let message: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    std::thread::scope(|scope| {
        let engine = scope.spawn(|| engine(&authority, &listener));
        let mut sender = authority.client(true, rig.sender());
        for piece in message.chunks(3000) {
            sender.write_all(piece).unwrap();
            let mut answer = vec![0; piece.len()];
            sender.read_exact(&mut answer).unwrap();
            assert!(answer == piece);
        }
        sender.conn.send_close_notify();
        sender.flush().unwrap();
        let mut rest = Vec::new();
        // Ends with a word of TLS, or this would be an error.
        sender.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty() && engine.join().unwrap() == message);
    });
    reader.until("1: Closed");
    assert!(reader.bytes(1, ToReceiver) == message && reader.bytes(1, ToSender) == message);
    rig.join();
}

#[test]
fn who_shows_no_certificate_or_speaks_plain_text_reaches_nobody() {
    let authority = Authority::with_all();
    let (listener, at) = receiver();
    let rig = Rig::with(at, |config| authority.on_both_sides(config));
    let mut reader = rig.reader();
    let mut nameless = authority.client(false, rig.sender());
    let _ = nameless.write_all(b"\x0bMSH");
    assert!(nameless.read(&mut [0]).is_err());
    reader.until("1: Refused");
    let mut plain = rig.sender();
    plain.write_all(b"\x0bMSH|^~\\&|plain\x1c\r").unwrap();
    let _ = plain.read_to_end(&mut Vec::new());
    let told = reader.until("2: Refused");
    assert!(told.contains("by: SenderTls"), "{told}");
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(rig.stat("refused_start"), 2);
    rig.join();
}

#[test]
fn a_receiver_of_another_name_is_not_sent_a_byte() {
    let authority = Authority::with_all();
    let (listener, at) = receiver();
    let rig = Rig::with(at, |config| {
        authority.on_both_sides(config);
        let tls = config.listeners[0].forward_tls.as_mut().unwrap();
        tls.server_name = Some("another.test".to_owned());
    });
    let mut reader = rig.reader();
    std::thread::scope(|scope| {
        let engine = scope.spawn(|| {
            let mut stream = authority.server(accept(&listener));
            let mut all = Vec::new();
            (stream.read_to_end(&mut all).is_err(), all)
        });
        let mut sender = authority.client(true, rig.sender());
        let _ = sender.write_all(b"\x0bMSH");
        assert!(sender.read(&mut [0]).is_err());
        assert_eq!(engine.join().unwrap(), (true, Vec::new()));
    });
    let told = reader.until("1: Refused");
    assert!(told.contains("by: ReceiverTls"), "{told}");
    rig.join();
}

#[test]
fn one_side_may_be_plain_on_purpose_and_an_end_without_a_word_is_passed_on() {
    let authority = Authority::with_all();
    let (listener, at) = receiver();
    let rig = Rig::with(at, |config| {
        authority.on_both_sides(config);
        config.listeners[0].tls = None;
        config.listeners[0].plain = true;
    });
    std::thread::scope(|scope| {
        let engine = scope.spawn(|| {
            let mut stream = authority.server(accept(&listener));
            let mut all = Vec::new();
            (stream.read_to_end(&mut all).map_err(|error| error.kind()), all)
        });
        let mut sender = rig.sender();
        sender.write_all(b"\x0bMSH").unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
        // A plain end is an end in order.
        assert_eq!(engine.join().unwrap(), (Ok(4), b"\x0bMSH".to_vec()));
    });
    rig.join();

    let rig = Rig::with(at, |config| authority.on_both_sides(config));
    std::thread::scope(|scope| {
        let engine = scope.spawn(|| {
            let mut stream = authority.server(accept(&listener));
            let mut all = Vec::new();
            (stream.read_to_end(&mut all).map_err(|error| error.kind()), all)
        });
        let mut sender = authority.client(true, rig.sender());
        sender.write_all(b"\x0bMSH").unwrap();
        sender.sock.shutdown(Shutdown::Write).unwrap();
        assert_eq!(engine.join().unwrap(), (Err(ErrorKind::UnexpectedEof), b"\x0bMSH".to_vec()));
    });
    rig.join();
}

#[test]
fn a_new_certificate_is_shown_soon_and_nonsense_is_not() {
    let authority = Authority::with_all();
    let (_listener, at) = receiver();
    let rig = Rig::with(at, |config| authority.on_both_sides(config));
    let shown = || {
        let mut sender = authority.client(true, patient(TcpStream::connect(rig.at).unwrap()));
        while sender.conn.is_handshaking() {
            sender.conn.complete_io(&mut sender.sock).unwrap();
        }
        sender.conn.peer_certificates().unwrap()[0].to_vec()
    };
    let first = shown();
    fs::write(authority.path("wire"), "not a certificate").unwrap();
    std::thread::sleep(Duration::from_millis(10));
    assert!(shown() == first);
    authority.sign("wire", "wire.test", ExtendedKeyUsagePurpose::ServerAuth);
    let start = Instant::now();
    while shown() == first {
        assert!(start.elapsed() < LIMIT, "the new certificate is not shown");
        std::thread::sleep(Duration::from_millis(200));
    }
    rig.join();
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let authority = Authority::with_all();
    let load = |change: &dyn Fn(&mut ListenerConfig)| {
        let mut config =
            WireConfig::new("s", vec![ListenerConfig::new("a", super::loopback(), "h:1")]);
        authority.on_both_sides(&mut config);
        change(&mut config.listeners[0]);
        Tls::load(&config.listeners[0]).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(load(&|_| {}), Ok(()));
    let fault = load(&|l| l.tls.as_mut().unwrap().key = "/nowhere/key".into()).unwrap_err();
    assert!(fault.contains("cannot read /nowhere/key"), "{fault}");
    let fault = load(&|l| l.tls.as_mut().unwrap().key = authority.path("ca")).unwrap_err();
    assert!(fault.contains("has no private key"), "{fault}");
    let fault = load(&|l| l.tls.as_mut().unwrap().key = authority.path("engine.key")).unwrap_err();
    assert!(fault.contains("cannot be used"), "{fault}");
    let fault = load(&|l| l.forward_tls.as_mut().unwrap().server_name = Some("a b".into()));
    assert!(fault.unwrap_err().contains("neither a DNS name nor an address"));
}

#[test]
fn a_take_over_leaves_connections_of_ours_where_they_are_until_they_end() {
    let authority = Authority::with_all();
    let (listener, at) = receiver();
    let mut rig = Rig::with(at, |config| authority.on_both_sides(config));
    let mut reader = rig.reader();
    std::thread::scope(|scope| {
        let engine = scope.spawn(|| engine(&authority, &listener));
        let mut sender = authority.client(true, rig.sender());
        let mut exchange = |bytes: &[u8]| {
            sender.write_all(bytes).unwrap();
            let mut answer = vec![0; bytes.len()];
            sender.read_exact(&mut answer).unwrap();
            assert_eq!(answer, bytes);
        };
        exchange(b"before");
        reader.until("1: Opened");
        // Twice: what the first tells goes through the second to the third.
        let old = rig.upgrade_beside(|config| authority.on_both_sides(config));
        exchange(b", between");
        let between = rig.upgrade_beside(|config| authority.on_both_sides(config));
        exchange(b", after");
        sender.conn.send_close_notify();
        sender.flush().unwrap();
        sender.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(engine.join().unwrap(), b"before, between, after");
        drop(sender);
        old.join().unwrap().unwrap();
        between.join().unwrap().unwrap();
    });
    let seen = (std::mem::take(&mut reader.data), std::mem::take(&mut reader.events));
    drop(reader);
    let mut reader = rig.reader();
    (reader.data, reader.events) = seen;
    reader.until("1: Closed");
    assert_eq!(reader.bytes(1, ToReceiver), b"before, between, after");
    assert_eq!((reader.bytes(1, ToSender), reader.missing), (&b"before, between, after"[..], 0));
    // A new connection is the new wire's.
    std::thread::scope(|scope| {
        let engine = scope.spawn(|| engine(&authority, &listener));
        let mut sender = authority.client(true, rig.sender());
        sender.write_all(b"new").unwrap();
        sender.read_exact(&mut [0; 3]).unwrap();
        sender.conn.send_close_notify();
        sender.flush().unwrap();
        assert_eq!(engine.join().unwrap(), b"new");
    });
    reader.until("2: Closed");
    rig.join();
}
