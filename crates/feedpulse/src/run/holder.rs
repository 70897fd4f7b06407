//! Who holds an address that our wire cannot listen at. A wire outlives its run, so it is most likely
//! the wire of a run that was killed, and whose store or socket this configuration does not share.

use feedpulse_wire::WireConfig;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A wire of another run.
#[derive(Debug, PartialEq, Eq)]
struct Holder {
    pid: u32,
    at: SocketAddr,
    socket: PathBuf,
}

/// What to do about an address in use.
pub(crate) fn hint(config: &WireConfig) -> String {
    let wanted: Vec<SocketAddr> = config.listeners.iter().map(|one| one.listen).collect();
    match find(Path::new("/proc"), &wanted) {
        Some(holder) => known(&holder, feedpulse_wire::stats(&holder.socket).is_ok()),
        None => {
            "another program listens there. If it is the wire of a run that was killed \
             (`pgrep -af 'feedpulse wire'` shows it and its --socket), start the run that it belongs to, \
             or end it with `kill`; else choose another `listen`"
                .to_owned()
        }
    }
}

fn known(holder: &Holder, answers: bool) -> String {
    let Holder { pid, at, socket } = holder;
    let socket = socket.display();
    let go_on = if answers {
        format!(
            "To go on with it, start the run with its store's folder, or with `socket: {socket}` under \
             `mllp`; to"
        )
    } else {
        "Its socket is gone, so no run can go on with it. To".to_owned()
    };
    format!(
        "{at} is held by the wire of another run (process {pid}, socket {socket}), which goes on \
         without it so that no connection is cut. {go_on} end it, and with it the connections that it \
         forwards: kill {pid}"
    )
}

/// The first running wire that listens at one of these addresses, by the command lines below a folder
/// such as `/proc`.
fn find(processes: &Path, wanted: &[SocketAddr]) -> Option<Holder> {
    std::fs::read_dir(processes).ok()?.flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let (at, socket) = wire_of(&line, wanted)?;
        Some(Holder { pid, at, socket })
    })
}

/// Where a command line has a wire listen, and its socket.
fn wire_of(line: &[u8], wanted: &[SocketAddr]) -> Option<(SocketAddr, PathBuf)> {
    let text = str::from_utf8(line.strip_suffix(b"\0").unwrap_or(line)).ok()?;
    let mut arguments = text.split('\0');
    let program = arguments.next()?;
    let arguments: Vec<String> = arguments.map(str::to_owned).collect();
    let arguments = match arguments.split_first() {
        Some((first, rest)) if first == "wire" => rest,
        _ if program.ends_with("feedpulse-wire") => &arguments,
        _ => return None,
    };
    let config = WireConfig::from_args(arguments).ok()?;
    let clashes = |at: &SocketAddr| {
        let ours = |ours: &SocketAddr| {
            let every = at.ip().is_unspecified() || ours.ip().is_unspecified();
            ours.port() == at.port() && ours.port() != 0 && (every || ours.ip() == at.ip())
        };
        wanted.iter().any(ours)
    };
    let at = config.listeners.iter().map(|one| one.listen).find(clashes)?;
    Some((at, config.socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_wire_is_known_by_its_command_line() {
        let config = WireConfig {
            socket: "/var/lib/feedpulse/wire/wire.sock".into(),
            listeners: vec![feedpulse_wire::ListenerConfig::new(
                "adt",
                at("127.0.0.1:2575"),
                "127.0.0.1:6661",
            )],
            ..sample()
        };
        let line = |program: &str, first: &[&str]| {
            let mut words = vec![program.to_owned()];
            words.extend(first.iter().map(|word| (*word).to_owned()));
            words.extend(config.to_args());
            words.join("\0") + "\0"
        };
        let own = line("/usr/bin/feedpulse", &["wire"]);
        let found = wire_of(own.as_bytes(), &[at("127.0.0.1:2575")]).unwrap();
        assert_eq!(found, (at("127.0.0.1:2575"), config.socket.clone()));
        assert!(wire_of(own.as_bytes(), &[at("0.0.0.0:2575")]).is_some());
        assert!(wire_of(own.as_bytes(), &[at("127.0.0.2:2575")]).is_none());
        assert!(wire_of(own.as_bytes(), &[at("127.0.0.1:2576")]).is_none());
        assert!(wire_of(line("/x/feedpulse-wire", &[]).as_bytes(), &[at("[::]:2575")]).is_some());
        assert!(wire_of(line("/usr/bin/vi", &[]).as_bytes(), &[at("127.0.0.1:2575")]).is_none());
        assert!(wire_of(b"", &[]).is_none() && wire_of(b"\0\xff", &[]).is_none());

        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("4711")).unwrap();
        std::fs::write(folder.path().join("4711/cmdline"), &own).unwrap();
        let holder = find(folder.path(), &[at("127.0.0.1:2575")]).unwrap();
        let said = known(&holder, true);
        for part in ["process 4711", "wire.sock", "under `mllp`", "kill 4711"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(known(&holder, false).contains("no run can go on with it"));
    }

    fn sample() -> WireConfig {
        let words = ["--socket", "/s", "--listen", "a=127.0.0.1:1,forward=127.0.0.1:2"];
        WireConfig::from_args(&words.map(str::to_owned)).unwrap()
    }
}
