//! Classes of failures, logins, and that nothing shows a secret.

use crate::client::basic;
use crate::{Access, Proxy, ProxyConfig, Secret, class, headers};
use core::fmt;
use feedpulse_core::label::Label;
use rustls::{CertificateError, Error};
use std::io;

/// What a library puts around an error.
#[derive(Debug)]
struct Wrapped(io::Error);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wrapped")
    }
}

impl core::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn refused_by(error: CertificateError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Error::InvalidCertificate(error))
}

#[test]
fn a_class_is_found_below_what_wraps_it() {
    let untrusted = || refused_by(CertificateError::UnknownIssuer);
    for (error, expected) in [
        (untrusted(), "untrusted"),
        (io::Error::other(untrusted()), "untrusted"),
        (io::Error::other(Wrapped(io::Error::other(untrusted()))), "untrusted"),
        (io::Error::other(refused_by(CertificateError::Expired)), "expired"),
        (io::Error::other(refused_by(CertificateError::NotValidForName)), "name"),
        (io::Error::other(Error::DecryptError), "tls"),
        (io::Error::other(Wrapped(io::ErrorKind::ConnectionRefused.into())), "refused"),
        (io::ErrorKind::NetworkUnreachable.into(), "unreachable"),
        (io::Error::other("failed to lookup address information: no"), "dns"),
        (io::Error::other("http://portal.example/s3cret"), "transport"),
        (io::Error::new(io::ErrorKind::PermissionDenied, crate::proxy::Forbidden), "proxy"),
        (io::ErrorKind::PermissionDenied.into(), "transport"),
    ] {
        assert_eq!(class(&error), Label::from(expected), "{error:?}");
        assert_eq!(class(&Wrapped(error)), Label::from(expected), "wrapped once more");
    }
}

#[test]
fn a_login_is_base64() {
    for (user, password, expected) in [
        ("Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("a", "b", "Basic YTpi"),
        ("a", "bc", "Basic YTpiYw=="),
        ("a", "bcd", "Basic YTpiY2Q="),
    ] {
        assert_eq!(basic(user, password).unwrap().to_str().unwrap(), expected);
    }
}

#[test]
fn the_address_of_a_proxy_may_hold_a_login_where_it_is_a_secret() {
    let from = |url: &str| ProxyConfig::from_secret(Secret::new(url));
    let found = from("http://feed%40pulse:s3%3Acret@[2001:db8::1]:3128");
    let (user, password) = found.user.clone().unwrap();
    assert_eq!((user.as_str(), password.expose()), ("feed@pulse", "s3:cret"));
    let proxy = Proxy::new(&found).unwrap();
    assert_eq!((proxy.host(), proxy.port()), ("2001:db8::1", 3128));
    assert!(!format!("{found:?} {proxy:?}").contains("cret"));
    for (url, expected) in [
        ("http://proxy.example", None),
        ("https://me:s3cret@proxy.example:1", Some("has another scheme than http")),
        ("proxy.example", Some("cannot be read")),
        ("http://:s3cret@proxy.example", Some("holds a user or password")),
    ] {
        let error = Proxy::new(&from(url)).err().map(|error| error.to_string());
        assert_eq!(error.is_some(), expected.is_some(), "{url}");
        let error = error.unwrap_or_default();
        assert!(error.contains(expected.unwrap_or_default()) && !error.contains("s3cret"));
    }
}

#[test]
fn headers_are_bounded_and_show_nothing() {
    let header = |n: usize| (format!("x-{n}"), Secret::new("s3cret"));
    let mut access = Access {
        headers: (0..32).map(header).collect(),
        bearer: Some(Secret::new("s3cret-token\n")),
        ..Access::default()
    };
    let map = headers(&access).unwrap();
    assert_eq!(map["authorization"], "Bearer s3cret-token");
    assert!(!format!("{map:?} {access:?}").contains("s3cret"));
    access.basic = Some(("me".to_owned(), Secret::new("s3cret")));
    assert_eq!(headers(&access).unwrap()["authorization"], "Basic bWU6czNjcmV0");
    access.headers.push(header(32));
    assert!(headers(&access).unwrap_err().to_string().contains("more than 32"));
}
