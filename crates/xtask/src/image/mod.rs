//! `xtask image`: a static Feedpulse and an OCI image that holds it and nothing to break into.
//!
//! The image is written by us, without a container tool: two layers (certificates and folders;
//! the binary), no shell, no root. Same input, same bytes: times come from the commit.

mod elf;
mod oci;
mod tar;

use crate::cmd::{self, cargo, run};
use crate::error::{Error, Result};
use crate::pins;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The user and group in the image; the number that "distroless" images use for `nonroot`.
const USER: u32 = 65532;

/// Where the build machine may keep its certificate authorities, as one PEM file.
const AUTHORITIES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",   // Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",             // SUSE
];

/// The options of the verb.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// The archive to write.
    out: PathBuf,
    /// A static binary to use instead of building one.
    binary: Option<PathBuf>,
}

impl Options {
    /// Reads the words after the verb.
    ///
    /// # Errors
    /// [`Error::Usage`] for a word that is not an option.
    pub fn parse(words: &[String]) -> Result<Self> {
        let mut options =
            Self { out: cmd::root().join("target/feedpulse-image.tar"), binary: None };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let value = || Error::Usage(format!("`{word}` needs a file name"));
            match word.as_str() {
                "--out" => options.out = words.next().ok_or_else(value)?.into(),
                "--binary" => options.binary = Some(words.next().ok_or_else(value)?.into()),
                other => return Err(Error::Usage(format!("`image` takes no `{other}`"))),
            }
        }
        Ok(options)
    }
}

/// Builds the binary unless one was given, and writes the image.
///
/// # Errors
/// [`Error::Missing`] without a C compiler for musl, [`Error::Failed`] when the build fails,
/// [`Error::Data`] for a binary that is not static.
pub fn image(options: &Options) -> Result<()> {
    let path = match &options.binary {
        Some(path) => path.clone(),
        None => static_build()?,
    };
    let binary = fs::read(&path).map_err(|e| Error::io("read", &path, &e))?;
    let machine = elf::static_machine(&binary).map_err(|why| {
        Error::Data(format!("{} cannot be the image's binary: {why}", path.display()))
    })?;
    let facts = facts(machine)?;
    let layers =
        vec![base_layer(&authorities()?, facts.seconds), binary_layer(&binary, facts.seconds)];
    let archive = oci::archive(&facts, &layers);
    fs::write(&options.out, &archive).map_err(|e| Error::io("write", &options.out, &e))?;
    let megabytes = archive.len() / 1_000_000;
    eprintln!("wrote {} ({megabytes} MB, linux/{machine})", options.out.display());
    eprintln!("load it with: podman load -i {0}   or: docker load -i {0}", options.out.display());
    Ok(())
}

/// Builds for musl with everything linked in, OpenSSL and zlib included.
fn static_build() -> Result<PathBuf> {
    if pins::which("musl-gcc").is_none() {
        return Err(Error::Missing(
            "there is no musl-gcc, which the static build needs (Debian: `apt-get install musl-tools`)"
                .to_owned(),
        ));
    }
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    run(Command::new("rustup").args(["target", "add", &target]).current_dir(cmd::root()))?;
    run(&mut static_cargo("feedpulse", &target))?;
    Ok(cmd::target().join(&target).join("release").join("feedpulse"))
}

fn static_cargo(package: &str, target: &str) -> Command {
    let mut build = cargo();
    build.args([
        "build",
        "--release",
        "--locked",
        "-p",
        package,
        "--bin",
        package,
        "--target",
        target,
    ]);
    build.env(format!("CC_{}", target.replace('-', "_")), "musl-gcc");
    // The system's OpenSSL is for the system's C library; here the vendored one is built.
    build.env_remove("OPENSSL_NO_VENDOR");
    build
}

fn facts(machine: &'static str) -> Result<oci::Facts> {
    let git = |args: &[&str]| {
        cmd::output(Command::new("git").args(args).env("TZ", "UTC").current_dir(cmd::root()))
    };
    let commit =
        git(&["log", "-1", "--format=%H %ct %cd", "--date=format-local:%Y-%m-%dT%H:%M:%SZ"]);
    // Without a repository (a source archive) the image is dated to the epoch and unlabelled.
    let commit = commit.unwrap_or_default();
    let mut words = commit.split_whitespace();
    let revision = words.next().unwrap_or_default().to_owned();
    let seconds = words.next().and_then(|s| s.parse().ok()).unwrap_or(0);
    let created = words.next().unwrap_or("1970-01-01T00:00:00Z").to_owned();
    let version = env!("CARGO_PKG_VERSION");
    Ok(oci::Facts { machine, version, revision, created, seconds })
}

/// The certificates of the build machine go in, or nothing could be verified from inside.
fn authorities() -> Result<Vec<u8>> {
    let path = AUTHORITIES.iter().map(Path::new).find(|p| p.is_file()).ok_or_else(|| {
        Error::Missing("this machine has no file of certificate authorities (Debian: `apt-get install ca-certificates`)".to_owned())
    })?;
    fs::read(path).map_err(|e| Error::io("read", path, &e))
}

fn base_layer(authorities: &[u8], seconds: u64) -> Vec<u8> {
    let mut tar = tar::Writer::new(seconds);
    for folder in
        ["etc/", "etc/feedpulse/", "etc/ssl/", "etc/ssl/certs/", "run/", "var/", "var/lib/"]
    {
        tar.folder(folder, 0o755, 0);
    }
    tar.file("etc/ssl/certs/ca-certificates.crt", 0o644, 0, authorities);
    // A user that some tools look up by name, and folders that it may write when nothing is mounted.
    tar.file(
        "etc/passwd",
        0o644,
        0,
        format!("feedpulse:x:{USER}:{USER}::/:/feedpulse\n").as_bytes(),
    );
    tar.folder("run/feedpulse/", 0o700, USER);
    tar.folder("var/lib/feedpulse/", 0o700, USER);
    tar.folder("tmp/", 0o1777, 0);
    tar.finish()
}

fn binary_layer(binary: &[u8], seconds: u64) -> Vec<u8> {
    let mut tar = tar::Writer::new(seconds);
    tar.file("feedpulse", 0o755, 0, binary);
    tar.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::process::Stdio;

    /// A static program: what `image` makes of it is unpacked by the system's tar and run.
    fn dummy(dir: &Path) -> Option<PathBuf> {
        let source = dir.join("main.c");
        fs::write(&source, "int main(void) { return 42; }\n").unwrap();
        let out = dir.join("dummy");
        let cc = if pins::which("musl-gcc").is_some() { "musl-gcc" } else { "cc" };
        let built = Command::new(cc).args(["-static", "-o"]).arg(&out).arg(&source).status();
        built.is_ok_and(|s| s.success()).then_some(out)
    }

    fn unpack(archive: &Path, into: &Path) {
        fs::create_dir_all(into).unwrap();
        let mut tar = Command::new("tar");
        tar.arg("-xf").arg(archive).arg("-C").arg(into).stderr(Stdio::null());
        assert!(tar.status().unwrap().success(), "{}", archive.display());
    }

    fn json(path: &Path) -> Value {
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let path = layout.join("blobs/sha256").join(digest);
        let bytes = fs::read(&path).unwrap();
        assert_eq!(oci::sha256(&bytes), digest, "a blob is named by its content");
        assert_eq!(descriptor["size"].as_u64(), Some(bytes.len() as u64));
        path
    }

    #[test]
    fn the_image_unpacks_to_a_program_that_runs() {
        let dir = tempfile::tempdir().unwrap();
        let binary = dummy(dir.path()).expect("a C compiler is needed for librdkafka anyway");
        let out = dir.path().join("image.tar");
        image(&Options { out: out.clone(), binary: Some(binary.clone()) }).unwrap();
        let layout = dir.path().join("layout");
        unpack(&out, &layout);
        assert_eq!(json(&layout.join("oci-layout"))["imageLayoutVersion"], "1.0.0");
        let manifest = json(&blob(&layout, &json(&layout.join("index.json"))["manifests"][0]));
        let config = json(&blob(&layout, &manifest["config"]));
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/feedpulse"]));
        let rootfs = dir.path().join("rootfs");
        for (index, layer) in manifest["layers"].as_array().unwrap().iter().enumerate() {
            let file = blob(&layout, layer);
            assert_eq!(config["rootfs"]["diff_ids"][index], layer["digest"]);
            unpack(&file, &rootfs);
        }
        assert_eq!(fs::read(rootfs.join("feedpulse")).unwrap(), fs::read(&binary).unwrap());
        assert!(rootfs.join("etc/ssl/certs/ca-certificates.crt").is_file());
        assert_eq!(Command::new(rootfs.join("feedpulse")).status().unwrap().code(), Some(42));
        let shells = ["bin", "usr", "sbin"].iter().filter(|d| rootfs.join(d).exists()).count();
        assert_eq!(shells, 0, "nothing but our binary is executable in the image");
        let first = fs::read(&out).unwrap();
        image(&Options { out: out.clone(), binary: Some(binary) }).unwrap();
        assert_eq!(first, fs::read(&out).unwrap(), "same input, same bytes");
    }

    #[test]
    fn a_binary_that_needs_a_loader_is_refused() {
        let me = std::env::current_exe().unwrap(); // Test binaries are linked dynamically.
        let out = PathBuf::from("unused");
        let e = image(&Options { out, binary: Some(me) }).unwrap_err();
        assert_eq!(e.code(), 65);
        assert!(e.to_string().contains("static"), "{e}");
    }

    #[test]
    fn options_are_read() {
        let words = ["--out", "a", "--binary", "b"].map(str::to_owned);
        let expected = Options { out: "a".into(), binary: Some("b".into()) };
        assert_eq!(Options::parse(&words).unwrap(), expected);
        assert_eq!(Options::parse(&words[..1]).unwrap_err().code(), 64);
        assert_eq!(Options::parse(&["c".to_owned()]).unwrap_err().code(), 64);
    }
}
