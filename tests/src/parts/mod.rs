//! Real servers for tests: Apache Kafka, an OpenTelemetry Collector, Prometheus, Alertmanager, a
//! mail server, an OCI registry, a Kubernetes API server.
//!
//! Each `start` gives `None` where the part is not on this machine, after printing why and how to
//! get it; with `CI=true` that is a failed test instead. Servers listen on free loopback ports,
//! keep everything in a temporary folder, and end when dropped or when the test process dies.
//!
//! ```no_run
//! let Some(kafka) = feedpulse_tests::parts::Kafka::start() else { return };
//! kafka.create_topic("adt", 3);
//! println!("bootstrap.servers={}", kafka.bootstrap());
//! ```

mod alertmanager;
mod collector;
mod http;
mod kafka;
mod kafka_wire;
mod kubernetes;
mod mail;
mod prometheus;
mod registry;
mod server;

pub use alertmanager::Alertmanager;
pub use collector::Collector;
pub use http::{Response, get, post};
pub use kafka::Kafka;
pub use kubernetes::Kubernetes;
pub use mail::{MailServer, PASSWORD, USER};
pub use prometheus::Prometheus;
pub use registry::Registry;
pub use server::{StartError, free_address, wait_until};

use std::io::Write as _;
use std::path::PathBuf;
use xtask::pins;

/// Where a real part is; `name` is one of those in [`xtask::pins::PINS`].
///
/// None, after a line on standard error, when it is not on this machine.
///
/// # Panics
/// With `CI=true` when the part is absent, since a build server skips nothing; and for a name
/// that no part has.
#[must_use]
pub fn require(name: &str) -> Option<PathBuf> {
    let pin = pins::find(name);
    assert!(pin.is_some(), "there is no real part called {name}; xtask::pins lists them");
    let pin = pin?;
    let found = pins::locate(pin);
    if found.is_none() {
        let line = pins::skip_line(pin);
        assert!(!xtask::cmd::in_ci(), "in CI nothing may be skipped. {line}");
        // Written to the stream itself: the test runner would keep back what a macro prints.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
    found
}

/// What `start` gives: the server, or a failed test that shows the end of the server's log.
#[expect(clippy::panic, reason = "a real part that does not start is a failed test")]
fn started<T>(result: Result<T, StartError>) -> T {
    result.unwrap_or_else(|e| panic!("{e}"))
}
