//! One captured packet as a TCP segment: link layer, IP and TCP headers, by etherparse.

use super::read::Captured;
use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TcpSlice, TransportSlice};
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
}

/// Reads the headers.
pub(crate) fn segment<'a>(captured: &Captured<'a>) -> Result<Segment<'a>, Passed> {
    let packet = slice(captured)?;
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
    let missing = missing(net, payload.payload.len())
        .unwrap_or_else(|| captured.original.saturating_sub(captured.bytes.len()));
    Ok(of(tcp, from, to, missing))
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
