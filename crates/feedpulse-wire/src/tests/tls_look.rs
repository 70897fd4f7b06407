//! The look at TLS that passes through: real handshakes, and bytes that are none.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    SupportedProtocolVersion,
};

use super::Dice;
use crate::Direction::{ToReceiver, ToSender};
use crate::{Direction, TlsLook};

type Pieces = Vec<(Direction, Vec<u8>)>;

/// What goes both ways in a handshake and one exchange behind it; the client trusts the server if
/// `trusts`.
fn spoken(version: &'static SupportedProtocolVersion, trusts: bool) -> Pieces {
    let mut params = CertificateParams::new(vec!["engine.test".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2026, 2, 28);
    params.not_after = date_time_ymd(2051, 3, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateDer::from(params.self_signed(&key).unwrap());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    if trusts {
        roots.add(certificate.clone()).unwrap();
    }
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "engine.test".try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let mut pieces = Pieces::new();
    for _ in 0..6 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        server.read_tls(&mut &bytes[..]).unwrap();
        let _ = server.process_new_packets();
        pieces.push((ToReceiver, bytes));
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        client.read_tls(&mut &bytes[..]).unwrap();
        let _ = client.process_new_packets();
        pieces.push((ToSender, bytes));
        if !client.is_handshaking() && !server.is_handshaking() {
            use std::io::Write;
            client.writer().write_all(b"\x0bMSH|").unwrap();
        }
    }
    pieces.retain(|(_, bytes)| !bytes.is_empty());
    pieces
}

/// Feeds all of it, cut into pieces of at most that many bytes, 10 ms apart.
fn look(pieces: &Pieces, cut: usize) -> TlsLook {
    let (mut look, mut offsets, mut at) = (TlsLook::default(), [0; 2], 1_000_000);
    for (direction, bytes) in pieces {
        for piece in bytes.chunks(cut) {
            look.feed(*direction, offsets[*direction as usize], piece, at);
            offsets[*direction as usize] += piece.len() as u64;
            at += 10_000;
        }
    }
    look
}

#[test]
fn a_handshake_tells_what_it_tells_at_every_cut() {
    let twelve = spoken(&TLS12, true);
    let thirteen = spoken(&TLS13, true);
    for cut in [1, 2, 3, 5, 100, 1 << 20] {
        let facts = look(&twelve, cut).facts().clone();
        assert_eq!(facts.server_name.as_deref(), Some("engine.test"));
        assert_eq!((facts.version_name(), facts.alert), ("TLS 1.2", None));
        // 2026-02-28 and 2051-03-01; the latter is a GeneralizedTime.
        assert_eq!(facts.certificate, Some((1_772_236_800, 2_561_241_600)));
        assert!(facts.handshake_us.is_some() && facts.cipher_suite.is_some());
        assert!(facts.data_records[0] > 0 && facts.data_bytes[0] > 0);
        let facts = look(&thirteen, cut).facts().clone();
        assert_eq!(facts.server_name.as_deref(), Some("engine.test"));
        assert_eq!((facts.version_name(), facts.certificate), ("TLS 1.3", None));
        assert!(facts.handshake_us.is_some());
    }
    assert!(look(&twelve, 1 << 20).is_settled());
}

#[test]
fn who_ended_a_handshake_is_told() {
    let facts = look(&spoken(&TLS12, false), 1 << 20).facts().clone();
    // 48: unknown_ca (RFC 8446 §6.2).
    assert_eq!(facts.alert, Some((ToReceiver, 48)));
    assert_eq!(facts.handshake_us, None);
}

#[test]
fn nothing_else_is_taken_for_tls_and_nothing_breaks_it() {
    for (bytes, is) in [
        (&b"\x16\x03\x01\x02\x00\x01"[..], Some(true)),
        (b"\x16\x03", None),
        (b"\x0bMSH", Some(false)),
        (b"GET / HTTP", Some(false)),
        (b"\x16\x03\x01\x02\x00\x02", Some(false)),
        (b"\x16\x99", Some(false)),
        (b"", None),
    ] {
        assert_eq!(TlsLook::is_tls(bytes), is, "{bytes:?}");
    }
    let pieces = spoken(&TLS12, true);
    let mut dice = Dice(3);
    for _ in 0..3000 {
        let mut changed = pieces.clone();
        for _ in 0..=dice.below(3) {
            let which = dice.below(changed.len());
            let bytes = &mut changed[which].1;
            let place = dice.below(bytes.len());
            bytes[place] = dice.roll() as u8;
        }
        let cut = 1 + dice.below(2000);
        let _ = look(&changed, cut);
    }
    // A gap: nothing is guessed behind it.
    let mut look = TlsLook::default();
    look.feed(ToReceiver, 0, &pieces[0].1[..10], 0);
    look.feed(ToReceiver, 30, &pieces[0].1[30..], 0);
    assert!(look.is_settled() && look.facts().server_name.is_none());
}
