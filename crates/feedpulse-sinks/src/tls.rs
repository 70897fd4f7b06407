//! TLS for every outbound connection: rustls with the ring provider given by hand, so that no other
//! part of the process can change what it trusts or which cipher suites it offers.

use crate::config::{ConfigError, Target};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;

/// The TLS side of a target. `https` tells whether it will be used at all: system certificates are
/// read only then, files that the target names always, so that a wrong path is found early.
pub(crate) fn client_config(
    place: &str,
    target: &Target,
    https: bool,
) -> Result<ClientConfig, ConfigError> {
    let roots = match &target.ca_file {
        Some(path) => from_file(place, path)?,
        None if https => from_system(place)?,
        None => RootCertStore::empty(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring offers suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots);
    let Some(own) = &target.client_certificate else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(place, &own.certificate_file)?;
    let key = PrivateKeyDer::from_pem_file(&own.key_file).map_err(|error| ConfigError::File {
        place: place.to_owned(),
        path: own.key_file.clone(),
        what: format!("no private key could be read ({})", pem_class(&error)),
    })?;
    builder.with_client_auth_cert(chain, key).map_err(|error| ConfigError::Tls {
        place: place.to_owned(),
        what: format!("the client certificate and its key do not fit together ({error})"),
    })
}

fn certificates(place: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let fail =
        |what: String| ConfigError::File { place: place.to_owned(), path: path.to_owned(), what };
    let read = || -> Result<Vec<_>, _> { CertificateDer::pem_file_iter(path)?.collect() };
    let list: Vec<_> = read().map_err(|error: rustls::pki_types::pem::Error| {
        fail(format!("no certificates could be read ({})", pem_class(&error)))
    })?;
    if list.is_empty() {
        return Err(fail("holds no PEM certificate; it must have BEGIN CERTIFICATE lines".into()));
    }
    Ok(list)
}

/// What went wrong, without any content of the file.
fn pem_class(error: &rustls::pki_types::pem::Error) -> String {
    match error {
        rustls::pki_types::pem::Error::Io(error) => error.kind().to_string(),
        rustls::pki_types::pem::Error::NoItemsFound => "nothing of the kind in it".to_owned(),
        _ => "not valid PEM".to_owned(),
    }
}

fn from_file(place: &str, path: &Path) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(place, path)? {
        roots.add(certificate).map_err(|error| ConfigError::File {
            place: place.to_owned(),
            path: path.to_owned(),
            what: format!("holds a certificate that cannot be an authority ({error})"),
        })?;
    }
    Ok(roots)
}

fn from_system(place: &str) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(ConfigError::Tls {
            place: place.to_owned(),
            what: "this system has no trusted authorities (usual in an image without a \
                   distribution); name a PEM file in ca_file"
                .to_owned(),
        });
    }
    Ok(roots)
}
