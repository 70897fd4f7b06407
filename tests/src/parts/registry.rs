//! A real OCI registry (the CNCF distribution's), over TLS, that lets nobody in without a login.

use super::mail::certificates;
use super::server::{Server, StartError, free_address, with_retries};
use super::{USER, require, started};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// [`PASSWORD`](super::PASSWORD) by bcrypt, as `htpasswd -B` writes it.
const HASH: &str = "$2b$05$abcdefghijklmnopqrstuuComanBKiU1JTRzmmvE2xk8ApqQhbSI.";

/// A running registry.
#[derive(Debug)]
pub struct Registry {
    server: Server,
    address: SocketAddr,
}

impl Registry {
    /// Starts a registry; None where none is on this machine.
    ///
    /// # Panics
    /// When it does not start, with the end of its log.
    #[must_use]
    pub fn start() -> Option<Self> {
        let program = require("registry")?;
        Some(started(with_retries(|| Self::try_start(&program))))
    }

    fn try_start(program: &Path) -> Result<Self, StartError> {
        let mut server = Server::new("registry")?;
        let address = free_address()?;
        let folder = server.folder().to_owned();
        certificates(&folder)?;
        fs::write(folder.join("htpasswd"), format!("{USER}:{HASH}\n"))?;
        let config = folder.join("config.yaml");
        let text = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage:\n  filesystem: {{rootdirectory: {0:?}}}\n\
             auth:\n  htpasswd: {{realm: tests, path: {1:?}}}\n\
             http:\n  addr: \"{address}\"\n  tls: {{certificate: {2:?}, key: {3:?}}}\n",
            folder.join("data"),
            folder.join("htpasswd"),
            folder.join("server.pem"),
            folder.join("server.key"),
        );
        fs::write(&config, text)?;
        let words =
            [program.display().to_string(), "serve".to_owned(), config.display().to_string()];
        server.set_command(words.to_vec());
        let limit = Duration::from_secs(1);
        server.start(|| TcpStream::connect_timeout(&address, limit).is_ok())?;
        Ok(Self { server, address })
    }

    /// Its host and port, as references have it.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The authority that signed its certificate.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.server.folder().join("ca.pem")
    }

    /// Where it keeps its blobs.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.server.folder().join("data")
    }

    /// Ends it, as a crash would.
    pub fn stop(&mut self) {
        self.server.stop();
    }
}
