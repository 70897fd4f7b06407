//! The wire as a command: arguments in, exit code out. Used by this crate's own program and by
//! `feedpulse wire`.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use crate::{WireConfig, run};

const USAGE: &str = "\
usage: feedpulse-wire --socket PATH --listen NAME=ADDRESS:PORT,forward=HOST:PORT[,KEY=VALUE]...
                      [--listen ...] [--ring-bytes 16MiB] [--drain 25s]
                      [--max-connections 4096] [--buffers 16MiB] [--take-over]
  keys of --listen, with their defaults:
    on_upstream_down=reset   or close_listener
    connect_timeout=900ms    idle_after=5m    max_connections=1024
    accept_proxy=no          or yes: each connection starts with a PROXY protocol header
    send_proxy=no            or v1, v2: the receiver is sent one
    tls_cert=, tls_key=      TLS with senders; tls_client_ca= wants certificates of them
    forward_tls_ca=          TLS with the receiver; forward_tls_cert= and forward_tls_key=
                             are shown to it, forward_tls_name= is its name
    plain=no                 or yes: the other side is plain text on purpose
  --take-over: go on with the listeners, the ring and the connections of the wire that runs at
  this socket; names and order of its listeners must be the same";

/// Runs a wire as the arguments say. Prints `listening NAME ADDRESS` on standard output for each
/// listener once all are open, and ends with the exit codes of sysexits.h: 64 for wrong arguments,
/// 69 when a listener, the socket or the ring cannot be had.
#[must_use]
pub fn main(args: &[String]) -> ExitCode {
    let config = match WireConfig::from_args(args) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("feedpulse-wire: {error}\n{USAGE}");
            return ExitCode::from(64);
        }
    };
    let names: Vec<String> = config.listeners.iter().map(|one| one.name.clone()).collect();
    let ended = run(config, |addresses| {
        let mut out = std::io::stdout().lock();
        for (name, address) in names.iter().zip(addresses) {
            // Forwarding does not depend on anybody reading this.
            let _ = writeln!(out, "listening {name} {address}");
        }
        let _ = out.flush();
    });
    if let Err(error) = ended {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            text = format!("{text}: {inner}");
            cause = inner.source();
        }
        eprintln!("feedpulse-wire: {text}");
        return ExitCode::from(69);
    }
    ExitCode::SUCCESS
}
