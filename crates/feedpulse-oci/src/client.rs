//! Pushing and pulling.

use crate::reference::Reference;
use crate::{MAX_COMPONENT, digest};
use feedpulse_http::{Access, AccessError, Proxy, Secret, tls};
use oci_client::client::{
    Certificate, CertificateEncoding, ClientConfig, ClientProtocol, Config, ImageLayer,
};
use oci_client::errors::OciDistributionError as Library;
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use oci_client::secrets::RegistryAuth;
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::AsyncWrite;

/// Type of the one layer.
const LAYER: &str = "application/wasm";
/// Type of the configuration.
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// Largest manifest that is kept, bytes.
const MAX_MANIFEST: usize = 64 << 10;
/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(10);
/// Between two pieces of an answer.
const READ: Duration = Duration::from_secs(30);
/// For a whole push or pull.
const WHOLE: Duration = Duration::from_secs(120);

/// How a registry is reached and who asks.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// Authorities, proxy, and user and password. A bearer token, client certificate or headers
    /// are not sent to registries.
    pub access: Access,
    /// HTTP without TLS.
    pub plain_http: bool,
}

/// A client for one registry.
pub struct Client {
    inner: oci_client::Client,
    auth: RegistryAuth,
}

impl core::fmt::Debug for Client {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// What came from a registry: verified against the digest of the reference, where it has one.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// The component.
    pub wasm: Vec<u8>,
    /// The manifest as it was sent.
    pub manifest: Vec<u8>,
    /// Digest of the manifest: what pins the artifact.
    pub digest: String,
}

/// Why an artifact was not pushed or pulled.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// The registry's settings cannot work.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The registry cannot be reached; a class such as `refused` or `untrusted`.
    #[error("{host} cannot be reached ({class})")]
    Unreachable {
        /// The registry.
        host: String,
        /// Why.
        class: String,
    },
    /// It wants another login.
    #[error(
        "{0} does not let us: state `user` and `password`, or `docker_config`, for this host under `registries`"
    )]
    NotLetIn(String),
    /// There is no such artifact.
    #[error("{0} is not there")]
    Missing(String),
    /// It took too long.
    #[error("{0}: not within 120 s")]
    Slow(String),
    /// What came is not what its digest says.
    #[error("{0}: what the registry sent does not have this digest; do not run it")]
    Digest(String),
    /// It is an artifact of another kind.
    #[error("{name} is no check: {what}")]
    NoCheck {
        /// The artifact.
        name: String,
        /// What it is instead.
        what: String,
    },
    /// Anything else that the registry said.
    #[error("{host}: {what}")]
    Registry {
        /// The registry.
        host: String,
        /// What, without addresses.
        what: String,
    },
}

impl Client {
    /// A client with these settings.
    ///
    /// # Errors
    /// [`OciError::Access`].
    pub fn new(registry: &Registry) -> Result<Self, OciError> {
        tls::install();
        let access = &registry.access;
        let config = ClientConfig {
            protocol: if registry.plain_http {
                ClientProtocol::Http
            } else {
                ClientProtocol::Https
            },
            tls_certs_only: tls::authorities(access)?
                .into_iter()
                .map(|data| Certificate { encoding: CertificateEncoding::Der, data })
                .collect(),
            platform_resolver: None,
            read_timeout: Some(READ),
            connect_timeout: Some(CONNECT),
            user_agent: concat!("feedpulse/", env!("CARGO_PKG_VERSION")),
            use_monolithic_push: true,
            ..proxied(access)?
        };
        let inner = oci_client::Client::try_from(config).map_err(|_| {
            AccessError::Setup("the client of registries cannot be made".to_owned())
        })?;
        let auth = match &access.basic {
            Some((user, password)) => {
                RegistryAuth::Basic(user.clone(), password.expose().to_owned())
            }
            None => RegistryAuth::Anonymous,
        };
        Ok(Self { inner, auth })
    }

    /// The digest that a tag stands for now.
    ///
    /// # Errors
    /// Any [`OciError`] but that of an access.
    pub async fn resolve(&self, reference: &Reference) -> Result<String, OciError> {
        let asked = self.inner.fetch_manifest_digest(reference.inner(), &self.auth);
        within(reference, asked).await
    }

    /// Fetches a check. What comes is verified against the digests that name it.
    ///
    /// # Errors
    /// Any [`OciError`] but that of an access.
    pub async fn pull(&self, reference: &Reference) -> Result<Pulled, OciError> {
        let asked =
            self.inner.pull_manifest_raw(reference.inner(), &self.auth, &[OCI_IMAGE_MEDIA_TYPE]);
        let (manifest, digest) = within(reference, asked).await?;
        let layer = layer(&manifest)
            .map_err(|what| OciError::NoCheck { name: reference.to_string(), what })?;
        let mut wasm = Bounded(Vec::with_capacity(usize::try_from(layer.size).unwrap_or(0)));
        within(reference, self.inner.pull_blob(reference.inner(), &layer, &mut wasm)).await?;
        Ok(Pulled { wasm: wasm.0, manifest: manifest.to_vec(), digest })
    }

    /// Pushes a check, and gives the digest that pins it. Annotations are names and values for
    /// people and tools, such as `org.opencontainers.image.version`.
    ///
    /// # Errors
    /// Any [`OciError`] but that of an access.
    pub async fn push(
        &self,
        reference: &Reference,
        wasm: Vec<u8>,
        annotations: BTreeMap<String, String>,
    ) -> Result<String, OciError> {
        let config = serde_json::json!({
            "created": "1970-01-01T00:00:00Z", "architecture": "wasm", "os": "wasip2",
            "layerDigests": [digest(&wasm)],
        });
        let layers = [ImageLayer::new(wasm, LAYER.to_owned(), None)];
        let config = Config::new(config.to_string().into_bytes(), CONFIG.to_owned(), None);
        let manifest = OciImageManifest {
            artifact_type: Some(LAYER.to_owned()),
            ..OciImageManifest::build(&layers, &config, Some(annotations))
        };
        let pushed =
            self.inner.push(reference.inner(), &layers, config, &self.auth, Some(manifest));
        within(reference, pushed).await?;
        self.resolve(reference).await
    }
}

/// The proxy's part of the settings. With one given, or one that is passed by for every host, the
/// library does not look into the environment.
fn proxied(access: &Access) -> Result<ClientConfig, AccessError> {
    let (address, no_proxy) = match &access.proxy {
        None => ("http://127.0.0.1:9".to_owned(), Some("*,0.0.0.0/0,::/0".to_owned())),
        Some(config) => {
            let proxy = Proxy::new(config)?;
            let login = config.user.as_ref().map_or_else(String::new, |(user, password)| {
                let safe = |text: &Secret| feedpulse_http::percent_encode(text.expose());
                format!("{}:{}@", safe(&Secret::new(user)), safe(password))
            });
            let host = proxy.host();
            let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            (format!("http://{login}{host}:{}", proxy.port()), None)
        }
    };
    Ok(ClientConfig {
        https_proxy: Some(address.clone()),
        http_proxy: Some(address),
        no_proxy,
        ..ClientConfig::default()
    })
}

/// The one layer of a check's manifest, or what it is instead.
pub(crate) fn layer(manifest: &[u8]) -> Result<OciDescriptor, String> {
    if manifest.len() > MAX_MANIFEST {
        return Err(format!("its manifest has {} bytes, more than 65536", manifest.len()));
    }
    let manifest: OciImageManifest = serde_json::from_slice(manifest)
        .map_err(|_| "its manifest is not that of an artifact; is it an image index?".to_owned())?;
    let kind = &manifest.config.media_type;
    let [layer] = &manifest.layers[..] else {
        return Err(format!(
            "it has {} layers where a check has one (its configuration is {kind})",
            manifest.layers.len()
        ));
    };
    if layer.media_type != LAYER {
        return Err(format!("its layer is {}, not {LAYER}", layer.media_type));
    }
    if kind != CONFIG {
        return Err(format!("its configuration is {kind}, not {CONFIG}"));
    }
    match usize::try_from(layer.size) {
        // Addresses beside the registry are not followed.
        Ok(size) if size <= MAX_COMPONENT => Ok(OciDescriptor { urls: None, ..layer.clone() }),
        _ => Err(format!("it has {} bytes, more than 67108864", layer.size)),
    }
}

/// Bytes up to the size of the largest component.
struct Bounded(Vec<u8>);

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.0.len() + bytes.len() > MAX_COMPONENT {
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        self.0.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Waits for the library, not too long, and tells its errors in our words: its own quote addresses,
/// and those of blobs can hold a key.
async fn within<T>(
    reference: &Reference,
    asked: impl Future<Output = Result<T, Library>>,
) -> Result<T, OciError> {
    let done = tokio::time::timeout(WHOLE, asked).await;
    let done = done.map_err(|_| OciError::Slow(reference.to_string()))?;
    done.map_err(|error| told(reference, &error))
}

fn told(reference: &Reference, error: &Library) -> OciError {
    let (host, name) = (reference.host().to_owned(), reference.to_string());
    let said = |what: String| OciError::Registry { host: host.clone(), what };
    match error {
        Library::RequestError(error) => match error.status() {
            Some(status) => of_status(status.as_u16(), reference, "no more is known"),
            None => OciError::Unreachable { host, class: feedpulse_http::class(error).to_string() },
        },
        Library::AuthenticationFailure(_) | Library::UnauthorizedError { .. } => {
            OciError::NotLetIn(host)
        }
        Library::ImageManifestNotFoundError(_) => OciError::Missing(name),
        Library::DigestError(_) => OciError::Digest(name),
        Library::IoError(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            OciError::NoCheck { name, what: "it has more than 67108864 bytes".to_owned() }
        }
        Library::ServerError { code, .. } => of_status(*code, reference, "an error of the server"),
        Library::RegistryError { envelope, .. } => {
            let codes: Vec<String> =
                envelope.errors.iter().map(|e| format!("{:?}", e.code)).collect();
            let all = codes.join(", ");
            match &*all {
                "ManifestUnknown" | "NameUnknown" | "BlobUnknown" | "NotFound" => {
                    OciError::Missing(name)
                }
                "Unauthorized" | "Denied" => OciError::NotLetIn(host),
                _ => said(format!("it refuses with {all}")),
            }
        }
        Library::SpecViolationError(_) | Library::RegistryNoLocationError => {
            said("it does not keep to the OCI distribution specification".to_owned())
        }
        _ => said("what it answers cannot be understood".to_owned()),
    }
}

fn of_status(status: u16, reference: &Reference, what: &str) -> OciError {
    let host = reference.host().to_owned();
    match status {
        401 | 403 => OciError::NotLetIn(host),
        404 => OciError::Missing(reference.to_string()),
        _ => OciError::Registry { host, what: format!("http-{status}, {what}") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(config: &str, layers: &str) -> Vec<u8> {
        format!(
            r#"{{"schemaVersion": 2, "config": {{"mediaType": "{config}", "digest": "sha256:a", "size": 2}},
                "layers": [{layers}]}}"#
        )
        .into_bytes()
    }

    #[test]
    fn only_the_artifact_of_a_component_is_taken() {
        let one = |kind: &str, size: i64| {
            format!(r#"{{"mediaType": "{kind}", "digest": "sha256:b", "size": {size}}}"#)
        };
        let good = one(LAYER, 10);
        assert_eq!(layer(&manifest(CONFIG, &good)).unwrap().digest, "sha256:b");
        for (bad, says) in [
            (manifest(CONFIG, ""), "0 layers"),
            (manifest(CONFIG, &format!("{good}, {good}")), "2 layers"),
            (manifest(CONFIG, &one("application/tar", 10)), "application/tar"),
            (manifest("application/image", &good), "application/image"),
            (manifest(CONFIG, &one(LAYER, 1 << 40)), "1099511627776 bytes"),
            (manifest(CONFIG, &one(LAYER, -1)), "-1 bytes"),
            (b"{}".to_vec(), "image index"),
            (vec![b' '; MAX_MANIFEST + 1], "65537 bytes"),
        ] {
            let said = layer(&bad).unwrap_err();
            assert!(said.contains(says), "{says}: {said}");
        }
    }
}
