//! Networks of a test's own: the test runs itself again in a network namespace, where it may do what
//! it likes to interfaces and packets, and a second namespace can be connected as another host.
//!
//! Needs `unshare` and `nsenter` of util-linux and `ip` of iproute2, and root or user namespaces. A
//! machine without says `SKIPPED` and how to get it; with `CI=true` that is a failed test.

use crate::product::{PATIENCE, binary};
use std::ffi::OsStr;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Child, Command, Stdio};
use xtask::pins::which;

/// Set in the run inside, to the test's name.
const INSIDE: &str = "FEEDPULSE_TEST_NAMESPACE";

/// What a test may need beyond a namespace, by its package in Debian.
const PACKAGES: [(&str, &str); 5] = [
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
];

fn unshare() -> Command {
    let mut unshare = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.arg("--map-root-user");
    }
    unshare.arg("--net");
    unshare
}

/// Whether this process is root outside of any user namespace that a test made.
#[must_use]
pub fn is_real_root() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    rustix::process::geteuid().is_root() && map.split_whitespace().nth(2) != Some("1")
}

/// Runs `inside` in a network namespace of its own, whose loopback is up. `test` is the calling test's
/// name as the test runner has it; `tools` are programs that it needs.
///
/// # Panics
/// When it fails inside; with `CI=true` also when it cannot be run.
pub fn in_namespace(test: &str, tools: &[&str], inside: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some_and(|name| name == test) {
        ip("link set lo up");
        inside();
        return;
    }
    let needed = ["unshare", "nsenter", "ip"].iter().chain(tools);
    let absent: Vec<&str> = needed.copied().filter(|tool| which(tool).is_none()).collect();
    let package = |tool: &&str| PACKAGES.iter().find(|(name, _)| name == tool).map(|(_, p)| *p);
    if !absent.is_empty() {
        let packages: Vec<&str> = absent.iter().filter_map(package).collect();
        return skip(test, &format!("no {}; install {}", absent.join(", "), packages.join(", ")));
    }
    let script = "ip link set lo up && ip link add fp-a type veth peer name fp-b";
    if !unshare().args(["sh", "-c", script]).output().is_ok_and(|tried| tried.status.success()) {
        return skip(
            test,
            "no network namespace can be made; run as root, or allow user namespaces",
        );
    }
    let mut again = unshare();
    again.arg(std::env::current_exe().expect("a program knows itself"));
    again.args([test, "--exact", "--nocapture"]);
    let output = again.env(INSIDE, test).env("FEEDPULSE_BIN", binary()).output();
    let output = output.expect("unshare was run before");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{errors}");
}

fn skip(test: &str, why: &str) {
    let line = format!("SKIPPED {test}: {why}");
    assert!(!xtask::cmd::in_ci(), "in CI nothing may be skipped. {line}");
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Runs `ip` with these words.
///
/// # Panics
/// When it fails.
pub fn ip(words: &str) {
    run(Command::new("ip").args(words.split(' ')));
}

/// Runs `nft` with this command.
///
/// # Panics
/// When it fails.
pub fn nft(words: &str) {
    run(Command::new("nft").arg(words));
}

fn run(command: &mut Command) {
    let output = command.output().expect("looked for before");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
}

/// Another host: a namespace of its own, connected by a veth pair. Gone when dropped, or when the test
/// ends however it does.
#[derive(Debug)]
pub struct Host {
    holder: Child,
}

impl Host {
    /// The interface of this side.
    pub const INTERFACE: &str = "fp-here";
    /// The addresses of this side.
    pub const HERE: [IpAddr; 2] = [
        IpAddr::V4(Ipv4Addr::new(10, 77, 1, 1)),
        IpAddr::V6(Ipv6Addr::new(0xFD77, 0, 0, 0, 0, 0, 0, 1)),
    ];

    /// Connects one.
    ///
    /// # Panics
    /// When that is not possible here.
    #[must_use]
    pub fn connect() -> Self {
        let mut holder = Command::new("unshare");
        // Ends when its input does: with this process.
        holder.args(["--net", "cat"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let holder = holder.spawn().expect("unshare was run before");
        let host = Self { holder };
        let pid = host.holder.id();
        let net = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/net")).ok();
        let apart = || (net(&pid.to_string()) != net("self")).then_some(());
        crate::parts::wait_until(PATIENCE, apart).expect("a second namespace");
        let here = Self::INTERFACE;
        ip(&format!("link add {here} type veth peer name fp-there netns {pid}"));
        ip(&format!("address add 10.77.1.1/24 dev {here}"));
        ip(&format!("address add fd77::1/64 dev {here} nodad"));
        ip(&format!("link set {here} up"));
        for words in [
            "address add 10.77.1.2/24 dev fp-there",
            "address add fd77::2/64 dev fp-there nodad",
            "link set fp-there up",
            "link set lo up",
        ] {
            run(host.command("ip").args(words.split(' ')));
        }
        host
    }

    /// A command that runs there.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &self.holder.id().to_string()]).arg(program);
        command
    }

    /// Runs `nft` there.
    ///
    /// # Panics
    /// When it fails.
    pub fn nft(&self, words: &str) {
        run(self.command("nft").arg(words));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
