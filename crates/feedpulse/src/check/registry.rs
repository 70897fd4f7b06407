//! `feedpulse check push` and `check pull`: checks to and from OCI registries.

use super::approve::manifest;
use super::named::{self, Named};
use crate::cli::{CONFIG, DATA, Failure, IO, UNAVAILABLE};
use crate::run;
use crate::version::{approval, content};
use anyhow::anyhow;
use clap::Args;
use feedpulse_http::{ProxyConfig, Secret};
use feedpulse_oci::{Client, Logins, OciError, Reference, Registry};
use feedpulse_wasm::Manifest;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Holds the password that goes with `--user`.
const PASSWORD: &str = "FEEDPULSE_REGISTRY_PASSWORD";

/// What is pushed, and where to.
#[derive(Args, Debug)]
pub(crate) struct PushArgs {
    /// The check: a .wasm file, a folder, or what else names one.
    check: String,
    /// Where to: registry.example/checks/room:1.2.0
    reference: String,
    #[command(flatten)]
    door: Door,
}

/// What is pulled.
#[derive(Args, Debug)]
pub(crate) struct PullArgs {
    /// Which: registry.example/checks/room:1.2.0, or with @sha256:…; or builtin:NAME, for a copy of a
    /// check that comes with Feedpulse.
    reference: String,
    /// Where it is written. Default: NAME.wasm in this folder; a file that is there stays.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    door: Door,
}

/// How the registry is reached.
#[derive(Args, Debug, Default)]
pub(super) struct Door {
    /// A configuration whose `registries` say how; what is stated here wins.
    #[arg(long, short)]
    config: Option<PathBuf>,
    /// Who logs in; the password is in FEEDPULSE_REGISTRY_PASSWORD.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// A Docker config.json with who logs in. Default: that of your user.
    #[arg(long, value_name = "FILE")]
    docker_config: Option<PathBuf>,
    /// PEM file with the authorities to trust, instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// HTTP proxy on the way. The environment is not asked.
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// HTTP without TLS.
    #[arg(long)]
    plain_http: bool,
}

impl Door {
    /// The registry of a host.
    fn registry(&self, host: &str) -> Result<Registry, Failure> {
        let mut registry = match &self.config {
            Some(file) => crate::cli::load(file)?.registries.get(host).cloned().unwrap_or_default(),
            None => Registry::default(),
        };
        registry.plain_http |= self.plain_http;
        let access = &mut registry.access;
        if let Some(file) = &self.ca_file {
            access.ca_file = Some(file.clone());
        }
        if let Some(url) = &self.proxy {
            access.proxy = Some(ProxyConfig::from_secret(Secret::new(url)));
        }
        if let Some(login) = self.login(host)? {
            access.basic = Some(login);
        } else if access.basic.is_none() && self.docker_config.is_none() {
            access.basic = of_user(host);
        }
        Ok(registry)
    }

    /// Who logs in, as the command line says.
    fn login(&self, host: &str) -> Result<Option<(String, Secret)>, Failure> {
        if let Some(user) = &self.user {
            let password = std::env::var(PASSWORD)
                .map_err(|_| Failure::new(64, anyhow!("--user: {PASSWORD} is not set")))?;
            return Ok(Some((user.clone(), Secret::new(password))));
        }
        let Some(file) = &self.docker_config else { return Ok(None) };
        let logins = Logins::read(file).map_err(|e| Failure::new(CONFIG, e))?;
        let found = logins.of(host);
        if found.is_none() {
            let what = if logins.names_helper() {
                "it leaves passwords to a credential helper, which is not run; use --user"
            } else {
                "it has no login for this registry"
            };
            return Err(Failure::new(CONFIG, anyhow!("{} ({host}): {what}", file.display())));
        }
        Ok(found)
    }
}

/// The login of this user's Docker configuration; a file that cannot be read gives none.
fn of_user(host: &str) -> Option<(String, Secret)> {
    let logins = Logins::read(&Logins::of_user()?).ok()?;
    logins.of(host)
}

/// Pushes.
pub(crate) fn push(args: &PushArgs) -> Result<(), Failure> {
    let Named { wasm, plugin, .. } = named::find(&args.check)?;
    let manifest = manifest(&wasm, &plugin)?;
    let reference = reference(&args.reference)?;
    if reference.digest().is_some() {
        let what = "a push gets its digest from what is pushed; give a tag instead";
        return Err(Failure::new(64, anyhow!("{reference}: {what}")));
    }
    let registry = args.door.registry(reference.host())?;
    let digest = run::runtime()?.block_on(async {
        Client::new(&registry)?.push(&reference, wasm, annotations(&manifest)).await
    });
    let pinned = reference.pinned(&digest.map_err(failure)?).to_string();
    eprintln!("pushed {} {} as {pinned}", manifest.name, manifest.version);
    print!("{}", approval::entry(&manifest, &pinned));
    Ok(())
}

/// Pulls.
pub(crate) fn pull(args: &PullArgs) -> Result<(), Failure> {
    let (wasm, plugin) = match args.reference.strip_prefix("builtin:") {
        Some(name) => {
            let wasm = content::builtin(name).map_err(|e| Failure::new(64, e))?;
            (wasm, args.reference.clone())
        }
        None => pulled(&args.reference, &args.door)?,
    };
    let manifest = manifest(&wasm, &plugin)?;
    let file = write(args, &wasm, &manifest)?;
    eprintln!("pulled {} {} to {}", manifest.name, manifest.version, file.display());
    print!("{}", approval::entry(&manifest, &plugin));
    Ok(())
}

/// A component of a registry, and the reference that pins it.
///
/// # Errors
/// Why it cannot be had.
pub(super) fn pulled(text: &str, door: &Door) -> Result<(Vec<u8>, String), Failure> {
    let reference = reference(text)?;
    let registry = door.registry(reference.host())?;
    let pulled = run::runtime()?.block_on(async { Client::new(&registry)?.pull(&reference).await });
    let pulled = pulled.map_err(failure)?;
    Ok((pulled.wasm, reference.pinned(&pulled.digest).to_string()))
}

/// Writes a component where it is wanted.
fn write(args: &PullArgs, wasm: &[u8], manifest: &Manifest) -> Result<PathBuf, Failure> {
    let Some(file) = args.output.clone() else {
        let file = PathBuf::from(format!("{}.wasm", manifest.name));
        let new = std::fs::File::create_new(&file);
        let written = new.and_then(|mut new| std::io::Write::write_all(&mut new, wasm));
        return written.map(|()| file.clone()).map_err(|e| {
            Failure::new(IO, anyhow!("{}: {e}; name another with --output", file.display()))
        });
    };
    let written = std::fs::write(&file, wasm);
    written.map_err(|e| Failure::new(IO, anyhow!("{}: {e}", file.display())))?;
    Ok(file)
}

fn reference(text: &str) -> Result<Reference, Failure> {
    text.parse().map_err(|e| Failure::new(64, anyhow!("{text}: {e}")))
}

fn failure(error: OciError) -> Failure {
    let code = match error {
        OciError::Access(_) => CONFIG,
        OciError::NoCheck { .. } | OciError::Digest(_) | OciError::Missing(_) => DATA,
        _ => UNAVAILABLE,
    };
    Failure::new(code, error)
}

/// What other tools show of it (OCI image specification, predefined annotation keys), and what it
/// asks for.
fn annotations(manifest: &Manifest) -> BTreeMap<String, String> {
    let fields: Vec<String> = manifest.fields.iter().map(crate::version::field_text).collect();
    let grants: Vec<&str> = manifest.grants.iter().map(|grant| grant.name()).collect();
    [
        ("org.opencontainers.image.title", manifest.name.clone()),
        ("org.opencontainers.image.version", manifest.version.clone()),
        ("org.opencontainers.image.description", manifest.summary.clone()),
        ("feedpulse.check.wit", manifest.wit.clone()),
        ("feedpulse.check.fields", fields.join(",")),
        ("feedpulse.check.grants", grants.join(",")),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
