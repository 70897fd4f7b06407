//! Who comes to a link: peers by their addresses, applications by the names in their headers. Learned in
//! the link's first week; somebody new is told once, and where they change all the time that is said
//! once instead.

use crate::time::Timestamp;
use core::net::IpAddr;

/// Learning takes this long from the first one on, in µs.
const LEARN: i64 = 7 * DAY;
/// So many new ones within [`SPAN`] are no news any more: they change here.
const CHANGING: usize = 3;
/// See [`CHANGING`]; in µs.
const SPAN: i64 = 7 * DAY;
/// Where nobody new came for this long, a new one is news again; in µs.
const SETTLED: i64 = 30 * DAY;
const DAY: i64 = 86_400_000_000;

/// Most peers of a link, and most applications in each role.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    /// So many are remembered; a further one takes the place of who was not seen for longest.
    pub(super) most: usize,
    /// Learning takes at least so many sightings.
    pub(super) least: u32,
}

/// Those that come to a link, in one role.
#[derive(Clone, Debug, PartialEq)]
pub struct Known<T> {
    /// The first sighting of any; None before.
    pub since: Option<Timestamp>,
    /// Sightings, up to a thousand.
    pub times: u32,
    /// Who is known, and when each was seen last.
    pub held: Vec<(T, Timestamp)>,
    /// When the last three new ones came.
    pub news: Vec<Timestamp>,
    /// They change here, and that was said.
    pub changing: bool,
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self { since: None, times: 0, held: Vec::new(), news: Vec::new(), changing: false }
    }
}

/// What a sighting is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Known, or being learned, or one of many that change.
    Nothing,
    /// Never seen here.
    New,
    /// New ones come all the time; said once.
    Changing,
}

impl<T: Copy + PartialEq> Known<T> {
    /// Takes a sighting.
    pub(super) fn see(&mut self, at: Timestamp, who: T, bound: Bound) -> News {
        let since = *self.since.get_or_insert(at);
        if self.times < 1_000 {
            self.times += 1;
        }
        if let Some((_, last)) = self.held.iter_mut().find(|(known, _)| *known == who) {
            *last = (*last).max(at);
            return News::Nothing;
        }
        let learning = at.micros_since(since) < LEARN || self.times <= bound.least;
        let full = self.held.len() >= bound.most;
        if full {
            let oldest = (0..).zip(&self.held).min_by_key(|(_, (_, last))| *last);
            if let Some((place, _)) = oldest {
                self.held.remove(place);
            }
        }
        self.held.push((who, at));
        if learning && !full {
            return News::Nothing;
        }
        self.new_one(at, learning)
    }

    /// Somebody new: news, unless they are that all the time.
    fn new_one(&mut self, at: Timestamp, too_many: bool) -> News {
        let settled = self.news.last().is_none_or(|last| at.micros_since(*last) > SETTLED);
        self.changing &= !settled;
        self.news.retain(|before| at.micros_since(*before) <= SETTLED);
        if self.news.len() == CHANGING {
            self.news.remove(0);
        }
        self.news.push(at);
        if self.changing {
            return News::Nothing;
        }
        let lately = self.news.iter().filter(|before| at.micros_since(**before) <= SPAN);
        self.changing = too_many || lately.count() >= CHANGING;
        if self.changing { News::Changing } else { News::New }
    }
}

/// A block of addresses from which a link's peers may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerNet {
    /// Its first address.
    pub ip: IpAddr,
    /// Leading bits that count.
    pub bits: u8,
}

impl PeerNet {
    /// Reads `10.1.0.0/16`, `2001:db8::/32`, or one address.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (ip, bits) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
        let ip: IpAddr = ip.trim().parse().map_err(|_| "no IP address: write 10.1.0.0/16")?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.trim().parse::<u8>());
        match bits {
            Ok(bits) if bits <= most => Ok(Self { ip, bits }),
            _ => Err("the length of a block is 0 to 32 (IPv6: 128) bits"),
        }
    }

    /// Whether an address lies in it. An IPv4 address that IPv6 carries is an IPv4 address.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let bits = u32::from(self.bits);
        match (self.ip.to_canonical(), ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let differ = net.to_bits() ^ ip.to_bits();
                // A block of mapped addresses counts its bits from the IPv6 start.
                let bits = if self.ip.is_ipv6() { bits.saturating_sub(96) } else { bits };
                differ.checked_shr(32 - bits.min(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let differ = net.to_bits() ^ ip.to_bits();
                differ.checked_shr(128 - bits.min(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bound, DAY, Known, News, PeerNet};
    use crate::time::Timestamp;
    use core::net::IpAddr;

    const BOUND: Bound = Bound { most: 8, least: 2 };

    fn at(days: i64) -> Timestamp {
        Timestamp::from_micros(1_000 * DAY + days * DAY)
    }

    #[test]
    fn the_first_week_is_learned_and_a_new_one_is_told_once() {
        let mut known = Known::default();
        for day in 0..7 {
            assert_eq!(known.see(at(day), day % 3, BOUND), News::Nothing, "day {day}");
        }
        assert_eq!(known.see(at(8), 1, BOUND), News::Nothing);
        assert_eq!(known.see(at(8), 9, BOUND), News::New);
        assert_eq!(known.see(at(9), 9, BOUND), News::Nothing);
        assert_eq!(known.see(at(30), 10, BOUND), News::New);
    }

    #[test]
    fn a_link_that_saw_too_few_goes_on_learning() {
        let mut known = Known::default();
        assert_eq!(known.see(at(0), 1, BOUND), News::Nothing);
        assert_eq!(known.see(at(90), 2, BOUND), News::Nothing, "the second of all");
        assert_eq!(known.see(at(91), 3, BOUND), News::New);
    }

    #[test]
    fn where_they_change_it_is_said_once_until_they_settle() {
        let mut known = Known::default();
        for day in 0..8 {
            assert_eq!(known.see(at(day), 0, BOUND), News::Nothing);
        }
        let said: Vec<News> = (0..40).map(|n| known.see(at(10 + n / 4), 100 + n, BOUND)).collect();
        let count = |news: News| said.iter().filter(|n| **n == news).count();
        assert_eq!((count(News::New), count(News::Changing)), (2, 1));
        assert_eq!(known.held.len(), 8, "bounded");
        assert_eq!(known.news.len(), 3, "bounded");
        assert_eq!(known.see(at(60), 900, BOUND), News::New, "nobody new came for a month");
    }

    #[test]
    fn more_than_can_be_learned_is_said_while_learning() {
        let mut known = Known::default();
        let said: Vec<News> = (0..30).map(|n| known.see(at(n / 10), n, BOUND)).collect();
        assert!(said[..8].iter().all(|news| *news == News::Nothing));
        assert_eq!(said[8], News::Changing);
        assert!(said[9..].iter().all(|news| *news == News::Nothing), "{said:?}");
    }

    #[test]
    fn blocks_of_addresses() {
        for (net, ip, inside) in [
            ("10.1.0.0/16", "10.1.255.3", true),
            ("10.1.0.0/16", "10.2.0.1", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:7::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db9::1", true),
            ("10.1.0.0/16", "::ffff:10.1.0.9", true),
            ("::ffff:10.1.0.0/112", "10.1.0.9", true),
            ("::ffff:10.1.0.0/112", "10.2.0.9", false),
        ] {
            let net = PeerNet::parse(net).expect("a block");
            assert_eq!(net.contains(ip.parse::<IpAddr>().unwrap()), inside, "{net:?} {ip}");
        }
        for wrong in ["", "engine", "10.1.0.0/33", "10.1.0.0/x", "::/129", "10.1.0.0/-1"] {
            assert!(PeerNet::parse(wrong).is_err(), "{wrong}");
        }
    }
}
