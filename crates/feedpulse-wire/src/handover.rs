//! The Unix socket over which the ring is handed to the analyser, and statistics are asked for.
//!
//! The client sends one line, `feedpulse-wire/1 attach` or `feedpulse-wire/1 stats`. The answer
//! is one line: `feedpulse-wire/1 ok reader=N` with the memfd and the eventfd attached
//! (SCM_RIGHTS, unix(7)); the statistics; or `feedpulse-wire/1 error TEXT`. A third request,
//! `feedpulse-wire/1 upgrade`, comes from a wire that takes over (see `upgrade`). After `attach` the
//! wire holds the connection open for as long as it lives, so its end tells the reader that the
//! wire is gone. One analyser at a time: a new one takes over, and the connection of the one
//! before is closed. Who may connect is the file system's to say: the folder has mode 0700 and
//! the socket 0600.

use std::cell::Cell;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, BufRead, BufReader, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::forward::start;
use crate::ring::{Handle, Reader, RingError};
use crate::state::Wire;
use crate::upgrade::UPGRADE;

const ATTACH: &str = "feedpulse-wire/1 attach\n";
const STATS: &str = "feedpulse-wire/1 stats\n";
const OK: &str = "feedpulse-wire/1 ok reader=";
const ERROR: &str = "feedpulse-wire/1 error ";
/// The longest request and the longest answer, in bytes.
const MAX_LINE: usize = 2048;
/// How long either side waits for the other's line.
const PATIENCE: Duration = Duration::from_secs(2);
/// Clients served at once, the attached one included; more are closed.
const MAX_CLIENTS: usize = 16;

/// Why the socket cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// Another wire answers there.
    #[error("a wire is already running at {0}")]
    InUse(PathBuf),
    /// Others could reach the socket.
    #[error("folder {0} must be this user's own with mode 0700; or name one that does not exist")]
    Folder(PathBuf),
    /// Something else is there.
    #[error("{0} exists and is not a socket")]
    NotASocket(PathBuf),
    /// The operating system refused.
    #[error("cannot {what} {path}")]
    System {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Its answer.
        #[source]
        source: io::Error,
    },
}

/// Why the wire cannot be reached, or its ring not be read.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody answers.
    #[error("no wire answers at {path}: is `feedpulse wire` running with this --socket?")]
    NotRunning {
        /// Where.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// It answered otherwise than this version expects.
    #[error("what answers at {0} is not a wire of this version")]
    Protocol(PathBuf),
    /// It answered with an error.
    #[error("the wire says: {0}")]
    Wire(String),
    /// The ring cannot be read.
    #[error(transparent)]
    Ring(#[from] RingError),
}

/// Makes the socket. A file that is left from a wire that died is replaced.
pub(crate) fn bind(path: &Path) -> Result<UnixListener, HandoverError> {
    let system = |what| move |source| HandoverError::System { what, path: path.to_owned(), source };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let make = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    make.map_err(system("make the folder of"))?;
    let found = fs::metadata(folder).map_err(system("look at the folder of"))?;
    if found.mode() & 0o077 != 0 || found.uid() != rustix::process::geteuid().as_raw() {
        return Err(HandoverError::Folder(folder.to_owned()));
    }
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(system("look at")(error)),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(HandoverError::NotASocket(path.to_owned()));
        }
        Ok(_) => match StdStream::connect(path) {
            Ok(_) => return Err(HandoverError::InUse(path.to_owned())),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(system("remove the stale socket"))?;
            }
            Err(error) => return Err(system("ask who is at")(error)),
        },
    }
    let listener = UnixListener::bind(path).map_err(system("listen at"))?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(system("set the mode of"))?;
    Ok(listener)
}

/// The socket that another wire gave.
pub(crate) fn adopt(
    socket: &std::os::unix::net::UnixListener,
) -> Result<UnixListener, HandoverError> {
    let copy = socket.try_clone().and_then(UnixListener::from_std);
    let path = PathBuf::from("the other wire's socket");
    copy.map_err(|source| HandoverError::System { what: "use", path, source })
}

/// Serves clients for as long as the wire lives, or until another one serves them.
pub(crate) async fn serve(wire: Rc<Wire>, listener: UnixListener) {
    let clients = Rc::new(Cell::new(0));
    let owner = Rc::new(watch::Sender::new(0));
    let given = wire.given.notified();
    tokio::pin!(given);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut given => {
                // The reader that is attached finds the wire that took over, and its ring, there.
                owner.send_replace(u64::MAX);
                return;
            }
        };
        let Ok((client, _)) = accepted else {
            // Out of descriptors, most likely.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        if clients.get() >= MAX_CLIENTS {
            continue;
        }
        clients.set(clients.get() + 1);
        let (wire, owner, clients) = (wire.clone(), owner.clone(), clients.clone());
        start(async move {
            // A client that breaks off or talks nonsense has no claim on an answer.
            let _ = session(&wire, &owner, client).await;
            clients.set(clients.get() - 1);
        });
    }
}

/// One client, from its request to its end.
async fn session(
    wire: &Wire,
    owner: &watch::Sender<u64>,
    mut client: UnixStream,
) -> io::Result<()> {
    let mut line = Vec::new();
    let request = (&mut client).take(MAX_LINE as u64);
    let mut request = tokio::io::BufReader::with_capacity(64, request);
    let read = tokio::io::AsyncBufReadExt::read_until(&mut request, b'\n', &mut line);
    timeout(PATIENCE, read).await??;
    if line == STATS.as_bytes() {
        return client.write_all(format!("{}\n", wire.stats()).as_bytes()).await;
    }
    if line == UPGRADE.as_bytes() {
        *wire.successor.borrow_mut() = Some(client.into_std()?);
        wire.successor_came.notify_one();
        return Ok(());
    }
    if line != ATTACH.as_bytes() {
        return client.write_all(format!("{ERROR}unknown request\n").as_bytes()).await;
    }
    let handle = wire.ring.borrow_mut().hand_over();
    let handle = match handle {
        Ok(handle) => handle,
        Err(error) => return client.write_all(format!("{ERROR}{error}\n").as_bytes()).await,
    };
    let mine = handle.reader;
    owner.send_replace(mine);
    wire.counters.reader_attached.set(true);
    let sent = client.async_io(Interest::WRITABLE, || send_handle(&client, &handle)).await;
    drop(handle);
    if sent.is_ok() {
        let mut owners = owner.subscribe();
        tokio::select! {
            _ = client.read_u8() => {}
            _ = owners.wait_for(|now| *now != mine) => {}
        }
    }
    if *owner.borrow() == mine {
        wire.counters.reader_attached.set(false);
    }
    sent
}

fn send_handle(client: &UnixStream, handle: &Handle) -> io::Result<()> {
    let line = format!("{OK}{}\n", handle.reader);
    let fds = [handle.memory.as_fd(), handle.wake.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    let data = [IoSlice::new(line.as_bytes())];
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    // A line this short goes whole or not at all.
    rustix::net::sendmsg(client, &data, &mut control, flags)?;
    Ok(())
}

fn request(path: &Path, line: &str) -> Result<StdStream, ConnectError> {
    let wrap = |source| ConnectError::NotRunning { path: path.to_owned(), source };
    let mut stream = StdStream::connect(path).map_err(wrap)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(wrap)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(wrap)?;
    stream.write_all(line.as_bytes()).map_err(wrap)?;
    Ok(stream)
}

/// Attaches to the wire at this socket, and takes over from the reader that was attached before,
/// if any. Blocks for at most a few seconds.
///
/// # Errors
/// No wire of this version answers there, or its ring cannot be read.
pub fn connect(path: &Path) -> Result<Reader, ConnectError> {
    let wrap = |source| ConnectError::NotRunning { path: path.to_owned(), source };
    let stream = request(path, ATTACH)?;
    let mut bytes = [0; MAX_LINE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received =
        rustix::net::recvmsg(&stream, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags);
    let length = received.map_err(|errno| wrap(errno.into()))?.bytes;
    let mut fds: Vec<OwnedFd> = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    let protocol = || ConnectError::Protocol(path.to_owned());
    let line = str::from_utf8(&bytes[..length]).ok().and_then(|line| line.strip_suffix('\n'));
    let line = line.ok_or_else(protocol)?;
    if let Some(text) = line.strip_prefix(ERROR) {
        return Err(ConnectError::Wire(text.to_owned()));
    }
    let reader = line.strip_prefix(OK).and_then(|number| number.parse().ok());
    let reader = reader.ok_or_else(protocol)?;
    let [memory, wake] = <[OwnedFd; 2]>::try_from(fds).map_err(|_| protocol())?;
    Ok(Reader::open(Handle { memory, wake, reader })?.with_wire(stream))
}

/// Asks the wire at this socket for its counters: one line of `key=value`, without its end.
///
/// `connections_open`, `connections_total` (accepted, refused by the limit not included),
/// `refused`, `unreachable`, `refused_limit` and `refused_start` (those of `refused` by a limit of the
/// wire's, and for a PROXY header or a TLS handshake that was not right), `held` and `held_most`
/// (bytes held for peers that do not take them, now and at most), `to_receiver_in`, `to_receiver_out`, `to_sender_in`, `to_sender_out`
/// (bytes read and bytes forwarded in that direction), `shed_records`, `shed_bytes`, `ring_used`,
/// `ring_capacity` (bytes), `reader_attached` (0 or 1), `instance` (hexadecimal).
///
/// # Errors
/// No wire of this version answers there.
pub fn stats(path: &Path) -> Result<String, ConnectError> {
    let stream = request(path, STATS)?;
    let mut line = String::new();
    let read = BufReader::new(stream.take(MAX_LINE as u64)).read_line(&mut line);
    read.map_err(|source| ConnectError::NotRunning { path: path.to_owned(), source })?;
    if let Some(text) = line.strip_prefix(ERROR) {
        return Err(ConnectError::Wire(text.trim_end().to_owned()));
    }
    let whole = line.strip_suffix('\n').filter(|line| line.starts_with("connections_open="));
    whole.map(str::to_owned).ok_or_else(|| ConnectError::Protocol(path.to_owned()))
}
