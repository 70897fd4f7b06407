//! The PROXY protocol, versions 1 and 2: who connected to a proxy before us, read and written.
//!
//! Source: "The PROXY protocol, Versions 1 & 2" (HAProxy Technologies, 2020-03-05), §2. Pure.
//! Both versions are read; a header may be as long as [`MAX_HEADER`], extensions (TLVs) included,
//! which are passed over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::ProxyVersion;

/// The longest header that is read, in bytes.
pub(crate) const MAX_HEADER: usize = 4096;
/// The longest of version 1, its line end included (§2.1).
const MAX_V1: usize = 107;
/// How version 2 starts (§2.2).
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const V1_START: &[u8] = b"PROXY ";
/// The fixed part of version 2.
const V2_HEAD: usize = 16;

/// What the bytes read so far are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// The beginning of a header.
    Part,
    /// A header of that many bytes.
    Whole {
        /// Its length.
        length: usize,
        /// Who connected, and to where; none for what the proxy says of itself (`LOCAL`, §2.2) or
        /// does not know (`UNKNOWN`, `UNSPEC`, Unix sockets).
        addresses: Option<(SocketAddr, SocketAddr)>,
    },
    /// No header.
    Wrong(&'static str),
}

/// Reads a header at the beginning of what a connection brought.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let common = |start: &[u8]| bytes.iter().zip(start).all(|(one, other)| one == other);
    if common(&SIGNATURE) {
        return v2(bytes);
    }
    if common(V1_START) {
        return v1(bytes);
    }
    Parsed::Wrong("neither version 1 nor 2 starts so")
}

fn v1(bytes: &[u8]) -> Parsed {
    let within = &bytes[..bytes.len().min(MAX_V1)];
    let Some(end) = within.windows(2).position(|two| two == b"\r\n") else {
        return if bytes.len() >= MAX_V1 {
            Parsed::Wrong("a line of version 1 without an end")
        } else {
            Parsed::Part
        };
    };
    let length = end + 2;
    let wrong = Parsed::Wrong("a line of version 1 that names no addresses and ports");
    let Ok(line) = str::from_utf8(&bytes[V1_START.len()..end]) else { return wrong };
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Parsed::Whole { length, addresses: None };
    }
    let mut parts = line.split(' ');
    let fields = [(); 5].map(|()| parts.next().unwrap_or_default());
    let [family, source, destination, source_port, destination_port] = fields;
    let fits = |ip: &IpAddr| match family {
        "TCP4" => ip.is_ipv4(),
        "TCP6" => ip.is_ipv6(),
        _ => false,
    };
    let read = |ip: &str, port: &str| {
        let ip = ip.parse().ok().filter(fits)?;
        // "In decimal, without leading zeroes" (§2.1).
        let canonical = port == "0" || port.starts_with(|c: char| ('1'..='9').contains(&c));
        Some(SocketAddr::new(ip, port.parse().ok().filter(|_| canonical)?))
    };
    let addresses = read(source, source_port).zip(read(destination, destination_port));
    match addresses {
        Some(_) if parts.next().is_none() => Parsed::Whole { length, addresses },
        _ => wrong,
    }
}

fn v2(bytes: &[u8]) -> Parsed {
    let Some((head, rest)) = bytes.split_at_checked(V2_HEAD) else { return Parsed::Part };
    let (version, command, family) = (head[12] >> 4, head[12] & 0x0F, head[13]);
    let size = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if version != 2 || command > 1 {
        return Parsed::Wrong("an unknown version or command");
    }
    if V2_HEAD + size > MAX_HEADER {
        return Parsed::Wrong("a header longer than 4096 bytes");
    }
    let Some(block) = rest.get(..size) else { return Parsed::Part };
    let length = V2_HEAD + size;
    if command == 0 {
        return Parsed::Whole { length, addresses: None };
    }
    let port = |at: usize| Some(u16::from_be_bytes([*block.get(at)?, *block.get(at + 1)?]));
    let four = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(block.get(at..at + 4)?).ok()?));
    let six = |at: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(block.get(at..at + 16)?).ok()?));
    let pair = match family {
        0x11 => four(0).zip(four(4)).map(|(a, b)| (a.into(), b.into())).zip(port(8).zip(port(10))),
        0x21 => six(0).zip(six(16)).map(|(a, b)| (a.into(), b.into())).zip(port(32).zip(port(34))),
        // Not TCP over IP: to be accepted, and the connection's own addresses to be used.
        _ => return Parsed::Whole { length, addresses: None },
    };
    match pair {
        Some(((source, destination), (from, to))) => Parsed::Whole {
            length,
            addresses: Some((SocketAddr::new(source, from), SocketAddr::new(destination, to))),
        },
        None => Parsed::Wrong("a block of addresses that is too short"),
    }
}

/// The header that tells a receiver who connected, and to where.
pub(crate) fn write(version: ProxyVersion, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let (from, to) = (source.ip().to_canonical(), destination.ip().to_canonical());
    // One family for both (§2.1, §2.2): an IPv4 address in a pair of IPv6 is written as mapped.
    let pair = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => Ok((from, to)),
        (from, to) => Err((as_v6(from), as_v6(to))),
    };
    let ports = (source.port(), destination.port());
    match version {
        ProxyVersion::V1 => match pair {
            Ok((from, to)) => format!("PROXY TCP4 {from} {to} {} {}\r\n", ports.0, ports.1),
            Err((from, to)) => format!("PROXY TCP6 {from} {to} {} {}\r\n", ports.0, ports.1),
        }
        .into_bytes(),
        ProxyVersion::V2 => {
            let mut header = SIGNATURE.to_vec();
            header.push(0x21);
            match pair {
                Ok((from, to)) => {
                    header.extend([0x11, 0, 12]);
                    header.extend([from.octets(), to.octets()].concat());
                }
                Err((from, to)) => {
                    header.extend([0x21, 0, 36]);
                    header.extend([from.octets(), to.octets()].concat());
                }
            }
            header.extend([ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat());
            header
        }
    }
}

fn as_v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(four) => four.to_ipv6_mapped(),
        IpAddr::V6(six) => six,
    }
}
