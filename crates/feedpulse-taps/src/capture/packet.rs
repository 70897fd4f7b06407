//! One captured packet as a TCP segment: link layer, IP and TCP headers, by etherparse.

use super::read::Captured;
use etherparse::checksum::Sum16BitWords;
use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TcpSlice, TransportSlice, ether_type};
use std::net::{IpAddr, SocketAddr};

/// Link types (tcpdump.org/linktypes.html).
mod link {
    pub(super) const NULL: i32 = 0;
    pub(super) const ETHERNET: i32 = 1;
    pub(super) const LOOP: i32 = 108;
    pub(super) const LINUX_SLL: i32 = 113;
    pub(super) const IPV4: i32 = 228;
    pub(super) const IPV6: i32 = 229;
    pub(super) const LINUX_SLL2: i32 = 276;
    /// Raw IP, as the numbers 12 and 14 also say in files of some systems.
    pub(super) const RAW: [i32; 3] = [101, 12, 14];
}

/// A TCP segment.
#[derive(Clone, Copy)]
pub(crate) struct Segment<'a> {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    /// Sequence number of its first byte, the SYN counted.
    pub(crate) seq: u32,
    /// Acknowledgment number, if the flag is set.
    pub(crate) ack: Option<u32>,
    pub(crate) syn: bool,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
    /// The window as it stands in the header: 0 is none, whatever the scale.
    pub(crate) window: u16,
    /// The bytes that were kept.
    pub(crate) payload: &'a [u8],
    /// Bytes of payload that it had on the wire.
    pub(crate) length: usize,
}

/// Why a packet is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// Something other than TCP over IP.
    NotTcp,
    /// A part of an IP datagram; they are counted, not joined.
    Fragment,
    /// Its headers are cut or make no sense.
    Undecodable,
    /// A link layer that is not known here.
    Link,
    /// Its TCP checksum says that bytes of it changed on the way: whoever gets it drops it.
    Checksum,
}

/// Reads the headers of a packet in a file. Its checksum may have been left to the network card, so it
/// says nothing.
pub(crate) fn segment<'a>(captured: &Captured<'a>) -> Result<Segment<'a>, Passed> {
    read(&slice(captured)?, captured.original.saturating_sub(captured.bytes.len()), false)
}

/// A packet as the kernel hands it over, without its link layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagram<'a> {
    /// What the link layer calls it.
    pub(crate) ether_type: u16,
    /// This host sends it.
    pub(crate) outgoing: bool,
    /// From the IP header on; of a packet that came in, from a VLAN tag on that is left of two.
    pub(crate) bytes: &'a [u8],
    /// Bytes that it had.
    pub(crate) original: usize,
    /// Nobody has looked at its checksum, and nobody will add it later.
    pub(crate) unchecked: bool,
}

/// Reads the headers of a live packet.
pub(crate) fn datagram<'a>(packet: &Datagram<'a>) -> Result<Segment<'a>, Passed> {
    let tagged = EtherType(packet.ether_type);
    let is_ip = matches!(tagged, ether_type::IPV4 | ether_type::IPV6);
    // The tag of an outgoing packet stands before the IP header, which is where its bytes begin.
    let sliced = if packet.outgoing && !is_ip {
        LaxSlicedPacket::from_ip(packet.bytes).map_err(|_| Passed::Undecodable)?
    } else {
        LaxSlicedPacket::from_ether_type(tagged, packet.bytes)
    };
    let missing = packet.original.saturating_sub(packet.bytes.len());
    read(&sliced, missing, packet.unchecked && missing == 0)
}

/// Of a packet of which the last `cut` bytes are missing.
fn read<'a>(packet: &LaxSlicedPacket<'a>, cut: usize, check: bool) -> Result<Segment<'a>, Passed> {
    let Some(net) = &packet.net else {
        return Err(if packet.stop_err.is_some() { Passed::Undecodable } else { Passed::NotTcp });
    };
    let (from, to) = addresses(net).ok_or(Passed::NotTcp)?;
    let payload = net.ip_payload_ref().ok_or(Passed::NotTcp)?;
    if payload.fragmented {
        return Err(Passed::Fragment);
    }
    let tcp = match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => tcp,
        None if packet.stop_err.is_some() => return Err(Passed::Undecodable),
        Some(_) | None => return Err(Passed::NotTcp),
    };
    let missing = missing(net, payload.payload.len()).unwrap_or(cut);
    if check && missing == 0 && !is_intact(tcp.slice(), from, to) {
        return Err(Passed::Checksum);
    }
    Ok(of(tcp, from, to, missing))
}

/// Whether the checksum over a TCP segment and its pseudo-header is right (RFC 9293 §3.1).
fn is_intact(tcp: &[u8], from: IpAddr, to: IpAddr) -> bool {
    let Ok(length) = u32::try_from(tcp.len()) else { return true };
    let mut sum = Sum16BitWords::new();
    for address in [from, to] {
        sum = match address {
            IpAddr::V4(v4) => sum.add_4bytes(v4.octets()),
            IpAddr::V6(v6) => sum.add_16bytes(v6.octets()),
        };
    }
    const TCP: [u8; 2] = [0, 6];
    sum.add_4bytes(length.to_be_bytes()).add_2bytes(TCP).add_slice(tcp).ones_complement() == 0
}

fn of<'a>(tcp: &TcpSlice<'a>, from: IpAddr, to: IpAddr, missing: usize) -> Segment<'a> {
    Segment {
        from: SocketAddr::new(from, tcp.source_port()),
        to: SocketAddr::new(to, tcp.destination_port()),
        seq: tcp.sequence_number(),
        ack: tcp.ack().then(|| tcp.acknowledgment_number()),
        syn: tcp.syn(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        window: tcp.window_size(),
        payload: tcp.payload(),
        length: tcp.payload().len() + missing,
    }
}

fn slice<'a>(captured: &Captured<'a>) -> Result<LaxSlicedPacket<'a>, Passed> {
    let bytes = captured.bytes;
    let ip = |bytes| LaxSlicedPacket::from_ip(bytes).map_err(|_| Passed::Undecodable);
    let behind = |head: usize| bytes.get(head..).ok_or(Passed::Undecodable);
    match captured.link {
        link::ETHERNET => LaxSlicedPacket::from_ethernet(bytes).map_err(|_| Passed::Undecodable),
        link::LINUX_SLL => {
            let kind = kind_at(bytes, 14).ok_or(Passed::Undecodable)?;
            Ok(LaxSlicedPacket::from_ether_type(kind, behind(16)?))
        }
        link::LINUX_SLL2 => {
            let kind = kind_at(bytes, 0).ok_or(Passed::Undecodable)?;
            Ok(LaxSlicedPacket::from_ether_type(kind, behind(20)?))
        }
        // The four bytes of the protocol family are in the order of the machine that captured; the
        // IP version says the same.
        link::NULL | link::LOOP => ip(behind(4)?),
        link::IPV4 | link::IPV6 => ip(bytes),
        other if link::RAW.contains(&other) => ip(bytes),
        _ => Err(Passed::Link),
    }
}

fn kind_at(bytes: &[u8], at: usize) -> Option<EtherType> {
    Some(EtherType(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?)))
}

fn addresses(net: &LaxNetSlice<'_>) -> Option<(IpAddr, IpAddr)> {
    match net {
        LaxNetSlice::Ipv4(v4) => {
            let head = v4.header();
            Some((head.source_addr().into(), head.destination_addr().into()))
        }
        LaxNetSlice::Ipv6(v6) => {
            let head = v6.header();
            Some((head.source_addr().into(), head.destination_addr().into()))
        }
        LaxNetSlice::Arp(_) => None,
    }
}

/// Bytes of the IP payload that were on the wire and are not here; None where the header leaves its
/// length to the network card (segmentation offload).
fn missing(net: &LaxNetSlice<'_>, here: usize) -> Option<usize> {
    let (stated, here) = match net {
        LaxNetSlice::Ipv4(v4) => {
            let head = v4.header();
            let stated = usize::from(head.total_len()).checked_sub(head.slice().len())?;
            (stated, here)
        }
        LaxNetSlice::Ipv6(v6) => {
            let stated = usize::from(v6.header().payload_length());
            (if stated == 0 { None } else { Some(stated) }?, v6.extensions().slice().len() + here)
        }
        LaxNetSlice::Arp(_) => return None,
    };
    Some(stated.saturating_sub(here))
}
