//! The one outbound client: TLS, proxy, login, bounded answers, failures as classes.
//!
//! An [`Access`] says how a server is reached and who asks. Of it come a [`Client`] for HTTP/1.1, and
//! for everything else a connection ([`connect`], [`Proxy`]) and the TLS over it ([`tls`]). What went
//! wrong is told by [`class`]: a word, never a text that may quote an address. Read the modules in
//! this order: `access`, `tls`, `proxy`, `client`, `class`.
//!
//! # Limits
//! No redirect is followed (a token would go along), no proxy of the environment is used, every
//! answer is bounded by who asks, and nothing shows a [`Secret`].
#![forbid(unsafe_code)]

mod access;
mod class;
mod client;
mod proxy;
mod secret;
pub mod tls;

pub use access::{Access, AccessError, ClientCertificate, ProxyConfig, percent_encode};
pub use class::class;
pub use client::{Answer, Client, Lookup, Settings, address, headers, status_class};
pub use proxy::{NoTunnel, Proxy, connect};
pub use reqwest::{Method, StatusCode, Url, header};
pub use secret::Secret;
pub use tokio_rustls::client::TlsStream;

#[cfg(test)]
mod tests;
