//! A real mail server (aiosmtpd) that lets nobody in without STARTTLS and a login, and keeps each mail
//! as a file.

use super::server::{Server, StartError, free_address, wait_until, with_retries};
use super::{require, started};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Who may log in.
pub const USER: &str = "feedpulse";
/// With what.
pub const PASSWORD: &str = "a password of the tests";

/// Its folder, port, user and password are its arguments.
const SCRIPT: &str = r#"
import itertools, os, ssl, sys, threading
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
folder, port, user, password = sys.argv[1:5]
numbers = itertools.count()
class Keep:
    async def handle_DATA(self, server, session, envelope):
        path = os.path.join(folder, "mails", "%06d" % next(numbers))
        with open(path + ".new", "wb") as mail:
            mail.write(("To: " + ", ".join(envelope.rcpt_tos) + "\n").encode() + envelope.content)
        os.rename(path + ".new", path)
        return "250 taken"
def login(server, session, envelope, mechanism, data):
    wanted = LoginPassword(user.encode(), password.encode())
    return AuthResult(success=isinstance(data, LoginPassword) and data == wanted)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(os.path.join(folder, "server.pem"), os.path.join(folder, "server.key"))
Controller(Keep(), hostname="127.0.0.1", port=int(port), tls_context=tls, require_starttls=True,
           authenticator=login, auth_required=True).start()
threading.Event().wait()
"#;

/// A running mail server.
#[derive(Debug)]
pub struct MailServer {
    server: Server,
    address: SocketAddr,
}

impl MailServer {
    /// Starts a mail server; None where none is on this machine.
    ///
    /// # Panics
    /// When it does not start, with the end of its log.
    #[must_use]
    pub fn start() -> Option<Self> {
        let packages = require("aiosmtpd")?;
        Some(started(with_retries(|| Self::try_start(&packages))))
    }

    fn try_start(packages: &Path) -> Result<Self, StartError> {
        let mut server = Server::new("mail")?;
        let address = free_address()?;
        let folder = server.folder().to_owned();
        fs::create_dir(folder.join("mails"))?;
        fs::write(folder.join("server.py"), SCRIPT)?;
        certificates(&folder)?;
        server.set_command(vec![
            "env".to_owned(),
            format!("PYTHONPATH={}", packages.display()),
            "python3".to_owned(),
            "server.py".to_owned(),
            folder.display().to_string(),
            address.port().to_string(),
            USER.to_owned(),
            PASSWORD.to_owned(),
        ]);
        let limit = Duration::from_secs(1);
        server.start(|| TcpStream::connect_timeout(&address, limit).is_ok())?;
        Ok(Self { server, address })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The authority that signed its certificate.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.server.folder().join("ca.pem")
    }

    /// All mails so far, oldest first, each with its recipients in a first line.
    ///
    /// # Errors
    /// Its folder cannot be read.
    pub fn mails(&self) -> io::Result<Vec<String>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(self.server.folder().join("mails"))? {
            let path = entry?.path();
            if path.extension().is_none() {
                paths.push(path);
            }
        }
        paths.sort();
        paths.iter().map(fs::read_to_string).collect()
    }

    /// Waits until there are so many mails.
    #[must_use]
    pub fn wait(&self, count: usize, limit: Duration) -> Option<Vec<String>> {
        wait_until(limit, || self.mails().ok().filter(|mails| mails.len() >= count))
    }
}

/// An authority, and a certificate of this host that it signed.
pub(super) fn certificates(folder: &Path) -> io::Result<()> {
    let made = || -> Result<(String, String, String), rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let own = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &ca)?;
        Ok((ca.pem(), own.pem(), key.serialize_pem()))
    };
    let (ca, own, key) = made().map_err(io::Error::other)?;
    fs::write(folder.join("ca.pem"), ca)?;
    fs::write(folder.join("server.pem"), own)?;
    fs::write(folder.join("server.key"), key)
}
