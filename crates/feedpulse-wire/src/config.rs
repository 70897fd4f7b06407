//! What a wire is told when it starts, and how that is written as command line arguments.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::ring::{DEFAULT_CAPACITY, MAX_CAPACITY, MIN_CAPACITY};

/// The most listeners of one wire.
const MAX_LISTENERS: usize = 256;
/// The longest name of a listener.
const MAX_NAME: usize = 64;
/// The longest time that any option accepts: one day.
const MAX_TIME: Duration = Duration::from_secs(24 * 3600);

/// All that a wire needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireConfig {
    /// Path of the Unix socket for hand-over and statistics. Its folder is made with mode 0700,
    /// or must have it.
    pub socket: PathBuf,
    /// Size of the ring in bytes: a power of two from 64 KiB to 1 GiB; 16 MiB by default.
    pub ring_bytes: usize,
    /// How long open connections may go on after the wire was told to end; 25 s by default.
    pub drain: Duration,
    /// Where to listen and where to forward to; 1 to 256 of them.
    pub listeners: Vec<ListenerConfig>,
}

/// One listener and its receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Its name: 1 to 64 letters, digits, `-`, `_` or `.`.
    pub name: String,
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The receiver as `HOST:PORT`, looked up at each dial.
    pub forward: String,
    /// What to do when the receiver cannot be reached.
    pub on_upstream_down: OnUpstreamDown,
    /// How long a dial may take, the name's look-up included; 900 ms by default, so that the
    /// sender sees the reset within a second.
    pub connect_timeout: Duration,
    /// After how long without a byte a connection is reported idle; 5 min by default.
    pub idle_after: Duration,
    /// How many connections may be open at once; 1024 by default. More are reset. All listeners
    /// together hold at most half of the process's limit of open files, less some for itself.
    pub max_connections: usize,
}

/// What to do when the receiver cannot be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUpstreamDown {
    /// Go on accepting, and reset each sender.
    #[default]
    Reset,
    /// Reset this sender, and stop listening until the receiver can be reached again, so that
    /// later attempts are refused.
    CloseListener,
}

/// What is wrong with the arguments.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgsError {
    /// An argument that is none of the wire's.
    #[error("unknown argument {0:?}; known are --socket, --listen, --ring-bytes and --drain")]
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

impl ListenerConfig {
    /// A listener with the default limits.
    pub fn new(name: &str, listen: SocketAddr, forward: &str) -> Self {
        Self {
            name: name.to_owned(),
            listen,
            forward: forward.to_owned(),
            on_upstream_down: OnUpstreamDown::Reset,
            connect_timeout: Duration::from_millis(900),
            idle_after: Duration::from_secs(300),
            max_connections: 1024,
        }
    }

    /// `NAME=ADDR,forward=HOST:PORT[,on_upstream_down=reset|close_listener]`
    /// `[,connect_timeout=900ms][,idle_after=5m][,max_connections=1024]`
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
        let mut seen = HashSet::new();
        for part in parts {
            let Some((key, value)) = part.split_once('=') else {
                return bad(part, "an option is KEY=VALUE");
            };
            if !seen.insert(key) {
                return bad(part, "an option that is there twice");
            }
            match key {
                "forward" => value.clone_into(&mut this.forward),
                "on_upstream_down" => {
                    this.on_upstream_down = match value {
                        "reset" => OnUpstreamDown::Reset,
                        "close_listener" => OnUpstreamDown::CloseListener,
                        _ => return bad(part, "either reset or close_listener"),
                    }
                }
                "connect_timeout" => this.connect_timeout = time("--listen", value)?,
                "idle_after" => this.idle_after = time("--listen", value)?,
                "max_connections" => match value.parse() {
                    Ok(limit @ 1..=1_000_000) => this.max_connections = limit,
                    _ => return bad(part, "a number from 1 to 1000000"),
                },
                _ => return bad(part, "an unknown option"),
            }
        }
        let host_and_port = this.forward.rsplit_once(':');
        if !host_and_port.is_some_and(|(host, port)| {
            !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0)
        }) {
            return bad(text, "needs forward=HOST:PORT, like forward=engine:2575");
        }
        Ok(this)
    }

    fn to_arg(&self) -> String {
        let mode = match self.on_upstream_down {
            OnUpstreamDown::Reset => "reset",
            OnUpstreamDown::CloseListener => "close_listener",
        };
        format!(
            "{}={},forward={},on_upstream_down={mode},connect_timeout={}ms,idle_after={}ms,max_connections={}",
            self.name,
            self.listen,
            self.forward,
            self.connect_timeout.as_millis(),
            self.idle_after.as_millis(),
            self.max_connections,
        )
    }
}

impl WireConfig {
    /// Reads command line arguments, without the program's and the command's name.
    ///
    /// # Errors
    /// The first argument that cannot be used, and why.
    pub fn from_args(args: &[String]) -> Result<Self, ArgsError> {
        let (mut socket, mut ring_bytes, mut drain) = (None, None, None);
        let mut listeners: Vec<ListenerConfig> = Vec::new();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = |of| args.next().map(String::as_str).ok_or(ArgsError::NoValue(of));
            match arg.as_str() {
                "--socket" => set(&mut socket, "--socket", PathBuf::from(value("--socket")?))?,
                "--ring-bytes" => {
                    set(&mut ring_bytes, "--ring-bytes", size(value("--ring-bytes")?)?)?;
                }
                "--drain" => set(&mut drain, "--drain", time("--drain", value("--drain")?)?)?,
                "--listen" => {
                    let text = value("--listen")?;
                    let listener = ListenerConfig::parse(text)?;
                    if listeners.iter().any(|other| other.name == listener.name) {
                        return Err(bad("--listen", text, "its name is there twice"));
                    }
                    if listeners.len() == MAX_LISTENERS {
                        return Err(bad("--listen", text, "more than 256 listeners"));
                    }
                    listeners.push(listener);
                }
                _ => return Err(ArgsError::Unknown(arg.clone())),
            }
        }
        let missing = |argument| ArgsError::Count { argument, problem: "missing" };
        if listeners.is_empty() {
            return Err(missing("--listen"));
        }
        Ok(Self {
            socket: socket.ok_or(missing("--socket"))?,
            ring_bytes: ring_bytes.unwrap_or(DEFAULT_CAPACITY),
            drain: drain.unwrap_or(Duration::from_secs(25)),
            listeners,
        })
    }

    /// The arguments that [`WireConfig::from_args`] reads back as this configuration. The path of
    /// the socket must be UTF-8; times are written in whole milliseconds.
    pub fn to_args(&self) -> Vec<String> {
        let mut args = vec![
            "--socket".to_owned(),
            self.socket.to_string_lossy().into_owned(),
            "--ring-bytes".to_owned(),
            self.ring_bytes.to_string(),
            "--drain".to_owned(),
            format!("{}ms", self.drain.as_millis()),
        ];
        for listener in &self.listeners {
            args.extend(["--listen".to_owned(), listener.to_arg()]);
        }
        args
    }
}

fn set<T>(slot: &mut Option<T>, argument: &'static str, value: T) -> Result<(), ArgsError> {
    if slot.replace(value).is_some() {
        return Err(ArgsError::Count { argument, problem: "there twice" });
    }
    Ok(())
}

fn size(text: &str) -> Result<usize, ArgsError> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("", 1)];
    units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))
        .and_then(|(number, factor)| number.parse::<usize>().ok()?.checked_mul(*factor))
        .filter(|bytes| bytes.is_power_of_two() && (MIN_CAPACITY..=MAX_CAPACITY).contains(bytes))
        .ok_or_else(|| bad("--ring-bytes", text, "a power of two from 64KiB to 1GiB, like 16MiB"))
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
