//! How a server is reached and who asks, as people write it: the keys that everything outbound shares.

use super::raw::RawSecret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An HTTP proxy: its address, or more.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum RawProxy {
    /// Its address, such as `http://proxy:3128`.
    Text(String),
    /// By reference, such as `{env: PROXY}` with `http://user:password@proxy:3128`.
    Secret(RawSecret),
    /// Its address and who logs in.
    Full(RawProxyLogin),
}

/// An HTTP proxy that wants a login.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawProxyLogin {
    /// Its address, such as `http://proxy:3128`.
    pub url: String,
    /// Who logs in.
    pub user: String,
    /// The password.
    pub password: RawSecret,
}

/// A certificate to show to a server, both files PEM.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawClientCertificate {
    /// The chain, own certificate first.
    pub file: String,
    /// The private key.
    pub key_file: String,
}

/// How any server of ours is reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach<'a> {
    /// Bearer token.
    pub token: Option<&'a RawSecret>,
    /// Authorities to trust.
    pub ca_file: Option<&'a String>,
    /// Own certificate.
    pub client_certificate: Option<&'a RawClientCertificate>,
    /// Proxy.
    pub proxy: Option<&'a RawProxy>,
}

/// Structs that have, beside their own fields, those of [`Reach`]. Serde's `flatten` would do it too,
/// but then unknown keys could not be refused.
macro_rules! reached {
    ($(
        $(#[$doc:meta])* struct $name:ident { $($(#[$about:meta])* $field:ident: $type:ty,)* }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$about])* pub $field: $type,)*
            /// Bearer token.
            #[serde(default)]
            pub token: Option<RawSecret>,
            /// File of the CA certificates to trust, PEM. Default: those of the system.
            #[serde(default)]
            pub ca_file: Option<String>,
            /// Certificate to show to the server.
            #[serde(default)]
            pub client_certificate: Option<RawClientCertificate>,
            /// HTTP proxy on the way, such as `http://proxy:3128`. Default none; the environment is
            /// not asked.
            #[serde(default)]
            pub proxy: Option<RawProxy>,
        }

        impl $name {
            /// How it is reached.
            pub(crate) fn reach(&self) -> Reach<'_> {
                Reach {
                    token: self.token.as_ref(),
                    ca_file: self.ca_file.as_ref(),
                    client_certificate: self.client_certificate.as_ref(),
                    proxy: self.proxy.as_ref(),
                }
            }
        }
    )*};
}
pub(crate) use reached;

reached! {
    /// How the client of a probe gets there and who it is.
    struct RawAccess {
        /// User of basic authentication.
        #[serde(default)]
        user: Option<String>,
        /// Its password.
        #[serde(default)]
        password: Option<RawSecret>,
        /// Further headers, such as `X-Requested-With: feedpulse`.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    }
}
