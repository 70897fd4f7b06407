//! Captures that are edited packet by packet and replayed onto a veth pair, so that a `capture` tap on its
//! other end sees just these: no TCP of this machine takes part.

use etherparse::PacketBuilder;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;

/// The interface where replayed packets come in.
pub const REPLAYED: &str = "fp-in";
/// Packets to and from 10.88.0.0/17 are replayed.
const NET: &str = "10.88.0.0/17";
/// Who takes them, and drops them: nobody has its address.
const TAKER: (&str, &str) = ("10.88.255.2", "02:00:00:00:88:02");

/// A veth pair in this network namespace, and the socket that writes on it.
#[derive(Debug)]
pub struct Line {
    socket: Socket,
}

impl Line {
    /// Makes the pair.
    ///
    /// # Errors
    /// This is not allowed here, or there is no `ip` of iproute2.
    pub fn open() -> io::Result<Self> {
        let (address, mac) = TAKER;
        for words in [
            format!("link add fp-out type veth peer name {REPLAYED}"),
            format!("link set {REPLAYED} address {mac}"),
            "address add 10.88.255.1/30 dev fp-out".to_owned(),
            "link set fp-out up".to_owned(),
            format!("link set {REPLAYED} up"),
            format!("neighbour add {address} lladdr {mac} dev fp-out nud permanent"),
            format!("route add {NET} via {address}"),
        ] {
            let output = Command::new("ip").args(words.split(' ')).output()?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(io::Error::other(format!("ip {words}: {said}")));
            }
        }
        // Whole IP packets, with any source.
        let raw = Protocol::from(255);
        Ok(Self { socket: Socket::new(Domain::IPV4, Type::RAW, Some(raw))? })
    }

    /// Replays a packet.
    ///
    /// # Errors
    /// What the system says.
    pub fn send(&self, packet: &Packet) -> io::Result<()> {
        self.socket.send_to(&packet.bytes, &SocketAddrV4::new(packet.to, 0).into()).map(|_| ())
    }
}

/// An IP packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Where it goes.
    pub to: Ipv4Addr,
    /// From the IP header on.
    pub bytes: Vec<u8>,
}

/// A TCP connection as packets.
#[derive(Clone, Debug)]
pub struct Tcp {
    /// The client's end and the server's.
    ends: [SocketAddrV4; 2],
    /// The next sequence number of each.
    seq: [u32; 2],
}

impl Tcp {
    /// From client number `number` to a server at this port; both inside of what is replayed.
    #[must_use]
    pub fn new(number: u16, port: u16, seq: [u32; 2]) -> Self {
        let [high, low] = number.to_be_bytes();
        let client = SocketAddrV4::new(Ipv4Addr::new(10, 88, 1 + high % 100, low), 40_000);
        let server = SocketAddrV4::new(Ipv4Addr::new(10, 88, 120, 5), port);
        Self { ends: [client, server], seq }
    }

    /// The next packet of the client (0) or the server (1), with the flags named by their letters (S, A,
    /// F, R).
    ///
    /// # Panics
    /// When the payload is longer than an IP packet.
    pub fn packet(&mut self, from: usize, flags: &str, payload: &[u8]) -> Packet {
        let (source, target) = (self.ends[from], self.ends[1 - from]);
        let (here, there) = (source.ip().octets(), target.ip().octets());
        let builder = PacketBuilder::ipv4(here, there, 64);
        let mut builder = builder.tcp(source.port(), target.port(), self.seq[from], 64_000);
        if flags.contains('S') {
            builder = builder.syn();
        }
        if flags.contains('A') {
            builder = builder.ack(self.seq[1 - from]);
        }
        if flags.contains('F') {
            builder = builder.fin();
        }
        if flags.contains('R') {
            builder = builder.rst();
        }
        let mut bytes = Vec::with_capacity(builder.size(payload.len()));
        builder.write(&mut bytes, payload).expect("a short payload fits into a packet");
        let step = payload.len() + usize::from(flags.contains(['S', 'F']));
        let step = u32::try_from(step).expect("a short payload");
        self.seq[from] = self.seq[from].wrapping_add(step);
        Packet { to: *target.ip(), bytes }
    }

    /// Its opening.
    pub fn open(&mut self) -> Vec<Packet> {
        [(0, "S"), (1, "SA"), (0, "A")].map(|(from, flags)| self.packet(from, flags, b"")).into()
    }

    /// Its end, in order.
    pub fn close(&mut self) -> Vec<Packet> {
        [(0, "FA"), (1, "FA"), (0, "A")].map(|(from, flags)| self.packet(from, flags, b"")).into()
    }
}
