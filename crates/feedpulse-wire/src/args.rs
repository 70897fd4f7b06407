//! How a wire's configuration is written as command line arguments, read and written.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{
    ListenerConfig, MAX_TIME, OnUpstreamDown, ProxyVersion, ReceiverTls, SenderTls, WireConfig,
};
use crate::ring::{MAX_CAPACITY, MIN_CAPACITY};

/// The most listeners of one wire: what one hand-over of descriptors carries (`SCM_MAX_FD` is 253).
const MAX_LISTENERS: usize = 250;
/// The longest name of a listener.
const MAX_NAME: usize = 64;
/// The most connections that any limit allows.
const MAX_CONNECTIONS: usize = 1_000_000;
/// The most bytes that may be held: 64 GiB.
const MAX_BUFFERS: u64 = 64 << 30;

/// What is wrong with the arguments.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgsError {
    /// An argument that is none of the wire's.
    #[error(
        "unknown argument {0:?}; known are --socket, --listen, --ring-bytes, --drain, --max-connections, --buffers and --take-over"
    )]
    Unknown(String),
    /// An argument without its value.
    #[error("{0} needs a value after it")]
    NoValue(&'static str),
    /// An argument that must be there, or is there twice.
    #[error("{argument} is {problem}")]
    Count {
        /// Which.
        argument: &'static str,
        /// How it is.
        problem: &'static str,
    },
    /// A value that cannot be used.
    #[error("{argument} {value:?}: {problem}")]
    Value {
        /// Of which argument.
        argument: &'static str,
        /// The value, or the part of it.
        value: String,
        /// What is wrong, and what would be right.
        problem: &'static str,
    },
}

fn bad(argument: &'static str, value: &str, problem: &'static str) -> ArgsError {
    ArgsError::Value { argument, value: value.to_owned(), problem }
}

/// The options about TLS of one listener, until it is known whether they make a whole.
#[derive(Default)]
struct TlsParts {
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
    forward_ca: Option<PathBuf>,
    forward_cert: Option<PathBuf>,
    forward_key: Option<PathBuf>,
    forward_name: Option<String>,
}

impl TlsParts {
    /// The place of an option, if it is one of these.
    fn file(&mut self, key: &str) -> Option<&mut Option<PathBuf>> {
        Some(match key {
            "tls_cert" => &mut self.cert,
            "tls_key" => &mut self.key,
            "tls_client_ca" => &mut self.client_ca,
            "forward_tls_ca" => &mut self.forward_ca,
            "forward_tls_cert" => &mut self.forward_cert,
            "forward_tls_key" => &mut self.forward_key,
            _ => return None,
        })
    }

    fn join(self, to: &mut ListenerConfig) -> Result<(), &'static str> {
        to.tls = match (self.cert, self.key, self.client_ca) {
            (Some(cert), Some(key), client_ca) => Some(SenderTls { cert, key, client_ca }),
            (None, None, None) => None,
            _ => return Err("TLS with senders needs both tls_cert and tls_key"),
        };
        let identity = match (self.forward_cert, self.forward_key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err("forward_tls_cert and forward_tls_key go together"),
        };
        to.forward_tls = match (self.forward_ca, identity, self.forward_name) {
            (Some(ca), identity, server_name) => Some(ReceiverTls { ca, identity, server_name }),
            (None, None, None) => None,
            _ => {
                return Err("TLS with the receiver needs forward_tls_ca: nobody is trusted unsaid");
            }
        };
        Ok(())
    }
}

impl ListenerConfig {
    /// `NAME=ADDR,forward=HOST:PORT[,KEY=VALUE]...`; the keys are in the usage text.
    fn parse(text: &str) -> Result<Self, ArgsError> {
        let bad = |value: &str, problem| Err(bad("--listen", value, problem));
        let mut parts = text.split(',');
        let Some((name, listen)) = parts.next().and_then(|first| first.split_once('=')) else {
            return bad(text, "must start with NAME=ADDRESS:PORT");
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(fits) {
            return bad(name, "a name is 1 to 64 letters, digits, '-', '_' or '.'");
        }
        let Ok(address) = listen.parse() else {
            return bad(listen, "not an address and port, like 0.0.0.0:2575 or [::]:2575");
        };
        let mut this = Self::new(name, address, "");
        let (mut seen, mut tls) = (HashSet::new(), TlsParts::default());
        for part in parts {
            let Some((key, value)) = part.split_once('=') else {
                return bad(part, "an option is KEY=VALUE");
            };
            if !seen.insert(key) {
                return bad(part, "an option that is there twice");
            }
            match tls.file(key) {
                Some(_) if value.is_empty() => return bad(part, "the path of a PEM file"),
                Some(file) => *file = Some(PathBuf::from(value)),
                None if key == "forward_tls_name" => tls.forward_name = Some(value.to_owned()),
                None => this.set(part, key, value)?,
            }
        }
        match tls.join(&mut this).and_then(|()| this.check()) {
            Ok(()) => Ok(this),
            Err(problem) => bad(text, problem),
        }
    }

    /// Sets one option other than those of TLS.
    fn set(&mut self, part: &str, key: &str, value: &str) -> Result<(), ArgsError> {
        let bad = |problem| Err(bad("--listen", part, problem));
        match (key, value) {
            ("forward", _) => value.clone_into(&mut self.forward),
            ("on_upstream_down", "reset") => self.on_upstream_down = OnUpstreamDown::Reset,
            ("on_upstream_down", "close_listener") => {
                self.on_upstream_down = OnUpstreamDown::CloseListener;
            }
            ("on_upstream_down", _) => return bad("either reset or close_listener"),
            ("connect_timeout", _) => self.connect_timeout = time("--listen", value)?,
            ("idle_after", _) => self.idle_after = time("--listen", value)?,
            ("max_connections", _) => self.max_connections = connections("--listen", value)?,
            ("accept_proxy", "yes") => self.accept_proxy = true,
            ("accept_proxy", "no") => self.accept_proxy = false,
            ("plain", "yes") => self.plain = true,
            ("plain", "no") => self.plain = false,
            ("accept_proxy" | "plain", _) => return bad("either yes or no"),
            ("send_proxy", "v1") => self.send_proxy = Some(ProxyVersion::V1),
            ("send_proxy", "v2") => self.send_proxy = Some(ProxyVersion::V2),
            ("send_proxy", "no") => self.send_proxy = None,
            ("send_proxy", _) => return bad("v1, v2 or no"),
            _ => return bad("an unknown option"),
        }
        Ok(())
    }

    fn to_arg(&self) -> String {
        let mode = match self.on_upstream_down {
            OnUpstreamDown::Reset => "reset",
            OnUpstreamDown::CloseListener => "close_listener",
        };
        let mut arg = format!(
            "{}={},forward={},on_upstream_down={mode},connect_timeout={}ms,idle_after={}ms,max_connections={}",
            self.name,
            self.listen,
            self.forward,
            self.connect_timeout.as_millis(),
            self.idle_after.as_millis(),
            self.max_connections,
        );
        let mut add = |key: &str, value: &str| {
            arg.extend([",", key, "=", value]);
        };
        if self.accept_proxy {
            add("accept_proxy", "yes");
        }
        match self.send_proxy {
            Some(ProxyVersion::V1) => add("send_proxy", "v1"),
            Some(ProxyVersion::V2) => add("send_proxy", "v2"),
            None => {}
        }
        if let Some(SenderTls { cert, key, client_ca }) = &self.tls {
            add("tls_cert", &cert.to_string_lossy());
            add("tls_key", &key.to_string_lossy());
            if let Some(ca) = client_ca {
                add("tls_client_ca", &ca.to_string_lossy());
            }
        }
        if let Some(ReceiverTls { ca, identity, server_name }) = &self.forward_tls {
            add("forward_tls_ca", &ca.to_string_lossy());
            if let Some((cert, key)) = identity {
                add("forward_tls_cert", &cert.to_string_lossy());
                add("forward_tls_key", &key.to_string_lossy());
            }
            if let Some(name) = server_name {
                add("forward_tls_name", name);
            }
        }
        if self.plain {
            add("plain", "yes");
        }
        arg
    }
}

impl WireConfig {
    /// Reads command line arguments, without the program's and the command's name.
    ///
    /// # Errors
    /// The first argument that cannot be used, and why.
    pub fn from_args(args: &[String]) -> Result<Self, ArgsError> {
        let (mut socket, mut ring_bytes, mut drain) = (None, None, None);
        let (mut max_connections, mut buffers, mut take_over) = (None, None, false);
        let mut listeners: Vec<ListenerConfig> = Vec::new();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = |of| args.next().map(String::as_str).ok_or(ArgsError::NoValue(of));
            match arg.as_str() {
                "--socket" => set(&mut socket, "--socket", PathBuf::from(value("--socket")?))?,
                "--ring-bytes" => {
                    set(&mut ring_bytes, "--ring-bytes", ring_size(value("--ring-bytes")?)?)?;
                }
                "--drain" => set(&mut drain, "--drain", time("--drain", value("--drain")?)?)?,
                "--max-connections" => {
                    let limit = connections("--max-connections", value("--max-connections")?)?;
                    set(&mut max_connections, "--max-connections", limit)?;
                }
                "--buffers" => set(&mut buffers, "--buffers", buffer_size(value("--buffers")?)?)?,
                "--take-over" => take_over = true,
                "--listen" => listeners.push(another(&listeners, value("--listen")?)?),
                _ => return Err(ArgsError::Unknown(arg.clone())),
            }
        }
        let missing = |argument| ArgsError::Count { argument, problem: "missing" };
        if listeners.is_empty() {
            return Err(missing("--listen"));
        }
        let mut this = Self::new(socket.ok_or(missing("--socket"))?, listeners);
        this.ring_bytes = ring_bytes.unwrap_or(this.ring_bytes);
        this.drain = drain.unwrap_or(this.drain);
        this.max_connections = max_connections.unwrap_or(this.max_connections);
        this.buffer_bytes = buffers.unwrap_or(this.buffer_bytes);
        this.take_over = take_over;
        Ok(this)
    }

    /// The arguments that [`WireConfig::from_args`] reads back as this configuration. Paths must be
    /// UTF-8, and those in a listener without a comma; times are written in whole milliseconds.
    pub fn to_args(&self) -> Vec<String> {
        let mut args = vec![
            "--socket".to_owned(),
            self.socket.to_string_lossy().into_owned(),
            "--ring-bytes".to_owned(),
            self.ring_bytes.to_string(),
            "--drain".to_owned(),
            format!("{}ms", self.drain.as_millis()),
            "--max-connections".to_owned(),
            self.max_connections.to_string(),
            "--buffers".to_owned(),
            self.buffer_bytes.to_string(),
        ];
        args.extend(self.take_over.then(|| "--take-over".to_owned()));
        for listener in &self.listeners {
            args.extend(["--listen".to_owned(), listener.to_arg()]);
        }
        args
    }
}

/// One more listener, if it goes with those before it.
fn another(before: &[ListenerConfig], text: &str) -> Result<ListenerConfig, ArgsError> {
    let listener = ListenerConfig::parse(text)?;
    if before.iter().any(|other| other.name == listener.name) {
        return Err(bad("--listen", text, "its name is there twice"));
    }
    if before.len() == MAX_LISTENERS {
        return Err(bad("--listen", text, "more than 250 listeners"));
    }
    Ok(listener)
}

fn set<T>(slot: &mut Option<T>, argument: &'static str, value: T) -> Result<(), ArgsError> {
    if slot.replace(value).is_some() {
        return Err(ArgsError::Count { argument, problem: "there twice" });
    }
    Ok(())
}

fn bytes(text: &str) -> Option<u64> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("", 1)];
    let (number, factor) =
        units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn ring_size(text: &str) -> Result<usize, ArgsError> {
    bytes(text)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .filter(|bytes| bytes.is_power_of_two() && (MIN_CAPACITY..=MAX_CAPACITY).contains(bytes))
        .ok_or_else(|| bad("--ring-bytes", text, "a power of two from 64KiB to 1GiB, like 16MiB"))
}

fn buffer_size(text: &str) -> Result<u64, ArgsError> {
    bytes(text)
        .filter(|bytes| *bytes <= MAX_BUFFERS)
        .ok_or_else(|| bad("--buffers", text, "a size from 0 to 64GiB, like 16MiB"))
}

fn connections(argument: &'static str, text: &str) -> Result<usize, ArgsError> {
    match text.parse() {
        Ok(limit @ 1..=MAX_CONNECTIONS) => Ok(limit),
        _ => Err(bad(argument, text, "a number of connections from 1 to 1000000")),
    }
}

fn time(argument: &'static str, text: &str) -> Result<Duration, ArgsError> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))
        .and_then(|(number, factor)| number.parse::<u64>().ok()?.checked_mul(*factor))
        .map(Duration::from_millis)
        .filter(|time| !time.is_zero() && *time <= MAX_TIME)
        .ok_or_else(|| bad(argument, text, "a time from 1ms to 24h, like 900ms, 25s or 5m"))
}
