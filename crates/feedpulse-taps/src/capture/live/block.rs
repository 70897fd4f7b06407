//! What stands in a block of the kernel's ring: packets with their times (linux/if_packet.h). Nothing in
//! it is taken for granted: an offset that leads nowhere ends the block.

use super::ring::SKIPPED;
use crate::capture::packet::Datagram;

/// Offsets in `struct tpacket_block_desc`.
mod desc {
    pub(super) const PACKETS: usize = 12;
    pub(super) const FIRST: usize = 16;
}

/// Offsets in `struct tpacket3_hdr`, and in the `struct sockaddr_ll` behind it.
mod head {
    pub(super) const NEXT: usize = 0;
    pub(super) const SECS: usize = 4;
    pub(super) const NANOS: usize = 8;
    pub(super) const KEPT: usize = 12;
    pub(super) const LENGTH: usize = 16;
    pub(super) const STATUS: usize = 20;
    pub(super) const DATA: usize = 24;
    /// Its own length, a multiple of 16 (`TPACKET_ALIGN`).
    pub(super) const SIZE: usize = 48;
    pub(super) const PROTOCOL: usize = SIZE + 2;
    pub(super) const PACKET_TYPE: usize = SIZE + 10;
}

/// The packets of a block, in order, with their times in µs since the epoch. `bytes` begin behind the
/// block's status word.
pub(super) fn packets(bytes: &[u8]) -> impl Iterator<Item = (i64, Datagram<'_>)> {
    let mut left = word(bytes, desc::PACKETS - SKIPPED).unwrap_or(0);
    let mut at = place(word(bytes, desc::FIRST - SKIPPED));
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let header = bytes.get(at?..)?;
        let packet = packet(header)?;
        left -= 1;
        let next = word(header, head::NEXT)?;
        at = Some(at? + usize::try_from(next).ok()?).filter(|_| next > 0);
        Some(packet)
    })
}

/// Where an offset from the block's start leads in its bytes.
fn place(offset: Option<u32>) -> Option<usize> {
    usize::try_from(offset?).ok()?.checked_sub(SKIPPED)
}

fn packet(header: &[u8]) -> Option<(i64, Datagram<'_>)> {
    let (secs, nanos) = (word(header, head::SECS)?, word(header, head::NANOS)?);
    let kept = usize::try_from(word(header, head::KEPT)?).ok()?;
    let original = usize::try_from(word(header, head::LENGTH)?).ok()?;
    let status = word(header, head::STATUS)?;
    let data = usize::from(u16::from_ne_bytes(*header.get(head::DATA..)?.first_chunk()?));
    let ether_type = u16::from_be_bytes(*header.get(head::PROTOCOL..)?.first_chunk()?);
    let outgoing = *header.get(head::PACKET_TYPE)? == libc::PACKET_OUTGOING;
    let checked = libc::TP_STATUS_CSUM_VALID | libc::TP_STATUS_CSUMNOTREADY;
    let bytes = header.get(data..)?.get(..kept)?;
    let unchecked = status & checked == 0;
    let at_us = i64::from(secs) * 1_000_000 + i64::from(nanos / 1_000);
    Some((at_us, Datagram { ether_type, outgoing, bytes, original, unchecked }))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::{SKIPPED, desc, head, packets};

    /// A block of packets that say so many seconds, as its bytes behind the status word.
    fn block(stated: u32, seconds: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; 48 - SKIPPED];
        bytes[desc::PACKETS - SKIPPED..][..4].copy_from_slice(&stated.to_ne_bytes());
        bytes[desc::FIRST - SKIPPED..][..4].copy_from_slice(&48_u32.to_ne_bytes());
        for (number, secs) in seconds.iter().enumerate() {
            let mut packet = vec![0; 96];
            let mut put =
                |at: usize, value: &[u8]| packet[at..][..value.len()].copy_from_slice(value);
            let next = if number + 1 < seconds.len() { 96_u32 } else { 0 };
            put(head::NEXT, &next.to_ne_bytes());
            put(head::SECS, &secs.to_ne_bytes());
            put(head::NANOS, &7_999_u32.to_ne_bytes());
            put(head::KEPT, &4_u32.to_ne_bytes());
            put(head::LENGTH, &9_u32.to_ne_bytes());
            put(head::STATUS, &libc::TP_STATUS_CSUM_VALID.to_ne_bytes());
            put(head::DATA, &80_u16.to_ne_bytes());
            put(head::PROTOCOL, &0x0800_u16.to_be_bytes());
            put(head::PACKET_TYPE, &[libc::PACKET_OUTGOING]);
            put(80, b"data");
            bytes.extend(packet);
        }
        bytes
    }

    #[test]
    fn packets_come_with_their_times_and_lengths() {
        let block = block(2, &[5, 6]);
        let all: Vec<_> = packets(&block).collect();
        assert_eq!(all.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [5_000_007, 6_000_007]);
        let (_, packet) = &all[0];
        assert_eq!((packet.bytes, packet.original, packet.ether_type), (&b"data"[..], 9, 0x0800));
        assert!(packet.outgoing && !packet.unchecked);
    }

    #[test]
    fn what_leads_nowhere_ends_the_block() {
        let whole = block(2, &[5, 6]);
        assert_eq!(packets(&block(9, &[5, 6])).count(), 2, "more than there are");
        assert_eq!(packets(&block(1, &[5, 6])).count(), 1);
        // The last packet's data ends before its padding does.
        for cut in 0..48 - SKIPPED + 96 + 84 {
            assert!(packets(&whole[..cut]).count() < 2, "{cut}");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7F, 0xFF] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                assert!(packets(&damaged).count() <= 2);
            }
        }
    }
}
