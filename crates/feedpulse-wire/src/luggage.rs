//! What moves from one wire to the next: listening sockets, and connections with all that is known
//! of them; and how it is written between the two.
//!
//! One frame each: its length and the number of its descriptors, a line of `key=value`, and bytes.
//! The descriptors travel with the frame (SCM_RIGHTS, unix(7)).

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::buffers::Budget;
use crate::record::Side;
use crate::relay::Link;
use crate::start::Arrival;

/// The longest frame: both directions of a connection hold all they may, and a line.
const MAX_FRAME: usize = 256 << 10;
/// The most descriptors of a frame.
pub(crate) const MAX_FDS: usize = 4;

/// What listeners and connections gave up.
#[derive(Default)]
pub(crate) struct Luggage {
    /// By number of the listener; without a socket when it was closed meanwhile.
    pub(crate) listeners: Vec<(u16, SocketAddr, Option<TcpListener>)>,
    pub(crate) connections: Vec<Travelling>,
}

/// A connection on its way.
pub(crate) struct Travelling {
    pub(crate) arrival: Arrival,
    pub(crate) link: Link,
    /// None when the receiver was not reached yet.
    pub(crate) receiver: Option<TcpStream>,
}

/// A frame, as it was read.
pub(crate) struct Frame {
    pub(crate) line: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) fds: VecDeque<OwnedFd>,
}

impl Travelling {
    /// The line and the bytes of it. The descriptors are those of sender and receiver.
    pub(crate) fn write(&self) -> (String, Vec<u8>) {
        let Self { arrival, link, receiver } = self;
        let mut bytes = arrival.header.clone().unwrap_or_default();
        let mut line = format!(
            "connection listener={} id={} peer={} to={} stage={} header={} quiet_ms={} \
             idle_told={} broken={}",
            link.listener,
            link.id,
            arrival.peer,
            arrival.to,
            if receiver.is_some() { "open" } else { "dial" },
            arrival.header.as_ref().map_or("-".to_owned(), |header| header.len().to_string()),
            link.last_byte.get().elapsed().as_millis(),
            u8::from(link.idle_told.get()),
            link.broken.get().map_or("-", side_name),
        );
        for (name, way) in ["up", "down"].into_iter().zip(&link.ways) {
            let held = way.copy_held();
            let ended = u8::from(way.ended.get());
            // Writing to a string does not fail.
            let _ = write!(line, " {name}={},{ended},{}", way.offset.get(), held.len());
            bytes.extend(held);
        }
        (line, bytes)
    }

    /// Reads one back; `idle_after` is the configuration's. None when it is not one.
    pub(crate) fn read(
        frame: Frame,
        idle_after: impl FnOnce(u16) -> Option<Duration>,
        budget: &Rc<Budget>,
    ) -> Option<Self> {
        let Frame { line, bytes, mut fds } = frame;
        let mut bytes = bytes.as_slice();
        let mut cut = |count: usize| {
            let (first, rest) = bytes.split_at_checked(count)?;
            bytes = rest;
            Some(first.to_vec())
        };
        let listener = field(&line, "listener")?;
        let link = Link::new(listener, field(&line, "id")?, idle_after(listener)?);
        let quiet = Duration::from_millis(field(&line, "quiet_ms")?);
        let now = Instant::now();
        link.last_byte.set(now.checked_sub(quiet).unwrap_or(now));
        link.idle_told.set(field::<u8>(&line, "idle_told")? != 0);
        link.broken.set(match text(&line, "broken")? {
            "-" => None,
            name => Some(*[Side::Sender, Side::Receiver].iter().find(|s| side_name(**s) == name)?),
        });
        let header = match text(&line, "header")? {
            "-" => None,
            count => Some(cut(count.parse().ok()?)?),
        };
        for (name, way) in ["up", "down"].into_iter().zip(&link.ways) {
            let mut parts = text(&line, name)?.split(',');
            way.offset.set(parts.next()?.parse().ok()?);
            way.ended.set(parts.next()? == "1");
            let held = cut(parts.next()?.parse().ok()?)?;
            if !held.is_empty() {
                way.hold(budget, held);
            }
        }
        let sender = stream(fds.pop_front()?)?;
        let receiver = match text(&line, "stage")? {
            "open" => Some(stream(fds.pop_front()?)?),
            _ => None,
        };
        let (peer, to) = (field(&line, "peer")?, field(&line, "to")?);
        Some(Self { arrival: Arrival { sender, peer, to, header }, link, receiver })
    }

    pub(crate) fn fds(&self) -> Vec<BorrowedFd<'_>> {
        let sockets = [Some(&self.arrival.sender), self.receiver.as_ref()];
        sockets.into_iter().flatten().map(AsFd::as_fd).collect()
    }
}

fn side_name(side: Side) -> &'static str {
    match side {
        Side::Sender => "sender",
        Side::Receiver => "receiver",
        Side::Wire => "wire",
    }
}

fn stream(fd: OwnedFd) -> Option<TcpStream> {
    let stream = std::net::TcpStream::from(fd);
    stream.set_nonblocking(true).ok()?;
    TcpStream::from_std(stream).ok()
}

/// The value of a key in a line, as text.
pub(crate) fn text<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split(' ').find_map(|part| part.strip_prefix(key)?.strip_prefix('='))
}

/// The value of a key in a line.
pub(crate) fn field<T: FromStr>(line: &str, key: &str) -> Option<T> {
    text(line, key)?.parse().ok()
}

/// Writes one frame; blocks for at most the socket's write timeout.
pub(crate) fn send_frame(
    mut to: &UnixStream,
    line: &str,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let length = line.len() + 1 + bytes.len();
    let count = u32::try_from(length).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
    let mut frame = Vec::with_capacity(length + 8);
    frame.extend(count.to_le_bytes());
    frame.extend((fds.len() as u32).to_le_bytes());
    frame.extend(line.as_bytes());
    frame.push(b'\n');
    frame.extend(bytes);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(ErrorKind::InvalidInput.into());
    }
    let data = [IoSlice::new(&frame)];
    let sent = loop {
        match rustix::net::sendmsg(to, &data, &mut control, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            sent => break sent?,
        }
    };
    to.write_all(&frame[sent..])
}

/// Reads frames.
pub(crate) struct Frames<'a> {
    from: &'a UnixStream,
    bytes: Vec<u8>,
    fds: VecDeque<OwnedFd>,
}

impl<'a> Frames<'a> {
    pub(crate) fn new(from: &'a UnixStream) -> Self {
        Self { from, bytes: Vec::new(), fds: VecDeque::new() }
    }

    /// The next frame; blocks for at most the socket's read timeout.
    pub(crate) fn next(&mut self) -> io::Result<Frame> {
        let wrong = || io::Error::from(ErrorKind::InvalidData);
        self.fill(8)?;
        let word = |at: usize, bytes: &[u8]| {
            let word = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
            word.map(u32::from_le_bytes).and_then(|word| usize::try_from(word).ok())
        };
        let length = word(0, &self.bytes).filter(|length| *length <= MAX_FRAME);
        let count = word(4, &self.bytes).filter(|count| *count <= MAX_FDS);
        let (length, count) = length.zip(count).ok_or_else(wrong)?;
        self.fill(8 + length)?;
        let rest = self.bytes.split_off(8 + length);
        let frame = std::mem::replace(&mut self.bytes, rest);
        let end = frame[8..].iter().position(|byte| *byte == b'\n').ok_or_else(wrong)?;
        let (line, bytes) = frame[8..].split_at(end);
        if self.fds.len() < count {
            return Err(io::Error::other(
                "descriptors were cut off: is the limit of open files lower here?",
            ));
        }
        let line = String::from_utf8(line.to_vec()).map_err(|_| wrong())?;
        let fds = self.fds.drain(..count).collect();
        Ok(Frame { line, bytes: bytes[1..].to_vec(), fds })
    }

    fn fill(&mut self, until: usize) -> io::Result<()> {
        while self.bytes.len() < until {
            let mut piece = [0; 16 << 10];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut slices = [IoSliceMut::new(&mut piece)];
            let flags = RecvFlags::CMSG_CLOEXEC;
            let got = match rustix::net::recvmsg(self.from, &mut slices, &mut control, flags) {
                Err(rustix::io::Errno::INTR) => continue,
                got => got?,
            };
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(rights) = message {
                    self.fds.extend(rights);
                }
            }
            if got.bytes == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if got.flags.contains(ReturnFlags::CTRUNC) {
                return Err(io::Error::other(
                    "a descriptor could not be taken: too many open files",
                ));
            }
            self.bytes.extend_from_slice(&piece[..got.bytes]);
        }
        Ok(())
    }
}
