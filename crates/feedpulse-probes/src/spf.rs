//! Whether a domain's SPF policy lets an address send (RFC 7208): the mechanisms that policies use,
//! within the limits of §4.6.4. Only the domain itself is asked for, as `MAIL FROM` would name it.
//!
//! A library for this exists (mail-auth); it brings DKIM, ARC, a mail parser and a second crypto
//! stack with it. Macros (§7) are expanded as far as they depend on the address and the domain.

use crate::dns::{Names, NoAnswer};
use feedpulse_core::label::Label;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Terms that ask DNS (§4.6.4).
const LOOKUPS_MAX: u32 = 10;
/// Of these so many may find nothing (§4.6.4).
const VOID_MAX: u32 = 2;
/// Mail hosts of one `mx` (§4.6.4).
const HOSTS_MAX: usize = 10;

/// What a policy says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may send.
    Pass,
    /// It may not.
    Fail,
    /// It probably may not.
    SoftFail,
    /// The policy does not say.
    Neutral,
    /// There is no policy.
    None,
    /// The policy cannot be read, is there twice, or asks too much.
    PermError,
    /// DNS did not answer.
    Unknown(Label),
}

impl Verdict {
    /// As RFC 7208 §2.6 names it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::Neutral => "neutral",
            Self::None => "none",
            Self::PermError => "permerror",
            Self::Unknown(_) => "temperror",
        }
    }
}

/// Why an evaluation ends early.
#[derive(Debug)]
enum Stop {
    Perm,
    Temp(Label),
}

impl From<NoAnswer> for Stop {
    fn from(NoAnswer(class): NoAnswer) -> Self {
        Self::Temp(class)
    }
}

/// `check_host()` of §4.
pub(crate) async fn check(names: &Names, address: IpAddr, domain: &str) -> Verdict {
    let mut evaluation = Evaluation { names, address, lookups: 0, void: 0 };
    match evaluation.domain(domain.trim_end_matches('.')).await {
        Ok(verdict) => verdict,
        Err(Stop::Perm) => Verdict::PermError,
        Err(Stop::Temp(class)) => Verdict::Unknown(class),
    }
}

struct Evaluation<'a> {
    names: &'a Names,
    address: IpAddr,
    lookups: u32,
    void: u32,
}

impl Evaluation<'_> {
    /// The first mechanism that fits decides; without one, where it is redirected to.
    async fn domain(&mut self, domain: &str) -> Result<Verdict, Stop> {
        let Some(policy) = self.policy(domain).await? else { return Ok(Verdict::None) };
        let terms = policy.split_ascii_whitespace().skip(1);
        let mut redirect = None;
        for term in terms {
            if let Some((name, value)) = modifier(term) {
                if name.eq_ignore_ascii_case("redirect") {
                    redirect = Some(value.to_owned());
                }
                continue;
            }
            let (verdict, mechanism) = qualified(term);
            if self.fits(mechanism, domain).await? {
                return Ok(verdict);
            }
        }
        let Some(target) = redirect else { return Ok(Verdict::Neutral) };
        self.count()?;
        let target = self.expand(&target, domain)?;
        match Box::pin(self.domain(&target)).await? {
            Verdict::None => Err(Stop::Perm),
            verdict => Ok(verdict),
        }
    }

    /// The one policy of a domain (§4.5).
    async fn policy(&self, domain: &str) -> Result<Option<String>, Stop> {
        let texts = self.names.texts(domain).await?;
        let is_policy = |text: &String| {
            text.get(..6).is_some_and(|v| v.eq_ignore_ascii_case("v=spf1"))
                && text.as_bytes().get(6).is_none_or(|b| *b == b' ')
        };
        let mut policies = texts.into_iter().filter(is_policy);
        match (policies.next(), policies.next()) {
            (policy, None) => Ok(policy),
            (_, Some(_)) => Err(Stop::Perm),
        }
    }

    async fn fits(&mut self, mechanism: &str, domain: &str) -> Result<bool, Stop> {
        let (name, argument) = split(mechanism);
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "all" if argument.is_empty() => return Ok(true),
            "ip4" | "ip6" => return self.network(&name, argument),
            _ => self.count()?,
        }
        match name.as_str() {
            "a" | "mx" => self.hosts(&name, argument, domain).await,
            "include" => {
                let target = self.target(argument, domain)?;
                match Box::pin(self.domain(&target)).await? {
                    Verdict::Pass => Ok(true),
                    Verdict::None | Verdict::PermError => Err(Stop::Perm),
                    _ => Ok(false),
                }
            }
            "exists" => {
                let target = self.target(argument, domain)?;
                let found = !self.names.listed(&target).await?.is_empty();
                self.found(found)?;
                Ok(found)
            }
            "ptr" => self.named(argument.strip_prefix(':').unwrap_or(domain)).await,
            _ => Err(Stop::Perm),
        }
    }

    /// The domain that a mechanism must name.
    fn target(&self, argument: &str, domain: &str) -> Result<String, Stop> {
        let target = argument.strip_prefix(':').filter(|t| !t.is_empty()).ok_or(Stop::Perm)?;
        self.expand(target, domain)
    }

    /// `ip4:192.0.2.0/24`.
    fn network(&self, name: &str, argument: &str) -> Result<bool, Stop> {
        let network = argument.strip_prefix(':').ok_or(Stop::Perm)?;
        let (base, length) =
            network.split_once('/').map_or((network, None), |(base, length)| (base, Some(length)));
        let base: IpAddr = base.parse().map_err(|_| Stop::Perm)?;
        if base.is_ipv4() != (name == "ip4") {
            return Err(Stop::Perm);
        }
        let whole = if base.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(whole), str::parse).map_err(|_| Stop::Perm)?;
        if length > whole { Err(Stop::Perm) } else { Ok(self.is_in(base, length)) }
    }

    /// `a:host/24`, `mx:domain`.
    async fn hosts(&mut self, name: &str, argument: &str, domain: &str) -> Result<bool, Stop> {
        let (target, four, six) = target(argument).ok_or(Stop::Perm)?;
        let target =
            if target.is_empty() { domain.to_owned() } else { self.expand(target, domain)? };
        let of_a = name == "a";
        let hosts = if of_a { vec![target] } else { self.names.mail_hosts(&target).await? };
        if hosts.len() > HOSTS_MAX {
            return Err(Stop::Perm);
        }
        if hosts.is_empty() {
            self.found(false)?;
        }
        for host in hosts {
            let found = self.names.addresses(&host).await?;
            if of_a {
                self.found(!found.is_empty())?;
            }
            let length = |ip: &IpAddr| if ip.is_ipv4() { four } else { six };
            if found.iter().any(|ip| self.is_in(*ip, length(ip))) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a name of the address is under a domain and leads back.
    async fn named(&mut self, of: &str) -> Result<bool, Stop> {
        let of = of.to_ascii_lowercase();
        let names = self.names.names(self.address).await?;
        self.found(!names.is_empty())?;
        for name in names.into_iter().take(HOSTS_MAX) {
            let under = name == of || name.ends_with(&format!(".{of}"));
            if under && self.names.addresses(&name).await?.contains(&self.address) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// One more term that asks DNS.
    const fn count(&mut self) -> Result<(), Stop> {
        self.lookups += 1;
        if self.lookups > LOOKUPS_MAX { Err(Stop::Perm) } else { Ok(()) }
    }

    /// Whether it found anything.
    const fn found(&mut self, any: bool) -> Result<(), Stop> {
        self.void += if any { 0 } else { 1 };
        if self.void > VOID_MAX { Err(Stop::Perm) } else { Ok(()) }
    }

    fn is_in(&self, base: IpAddr, length: u8) -> bool {
        let same = |a: u128, b: u128, bits: u32| {
            let shift = bits - u32::from(length);
            a.checked_shr(shift) == b.checked_shr(shift)
        };
        match (self.address, base) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(bits4(a), bits4(b), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(bits6(a), bits6(b), 128),
            _ => false,
        }
    }

    /// Macros of the address and the domain (§7): `%{i}`, `%{d}`, `%{o}`, `%{s}`, `%{v}`, each with `r`
    /// and a number of parts.
    fn expand(&self, text: &str, domain: &str) -> Result<String, Stop> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            out.push_str(before);
            if let Some(inner) = after.strip_prefix('{') {
                let (body, tail) = inner.split_once('}').ok_or(Stop::Perm)?;
                out.push_str(&self.macro_of(body, domain)?);
                rest = tail;
                continue;
            }
            let mut chars = after.chars();
            match chars.next() {
                Some('%') => out.push('%'),
                Some('_') => out.push(' '),
                Some('-') => out.push_str("%20"),
                _ => return Err(Stop::Perm),
            }
            rest = chars.as_str();
        }
        out.push_str(rest);
        Ok(out)
    }

    fn macro_of(&self, body: &str, domain: &str) -> Result<String, Stop> {
        let mut chars = body.chars();
        let letter = chars.next().ok_or(Stop::Perm)?.to_ascii_lowercase();
        let value = match letter {
            'i' => match self.address {
                IpAddr::V4(v4) => v4.to_string(),
                IpAddr::V6(v6) => {
                    let nibbles = v6.octets().into_iter().flat_map(|b| [b >> 4, b & 15]);
                    nibbles.map(|n| format!("{n:x}")).collect::<Vec<_>>().join(".")
                }
            },
            'd' | 'o' | 'h' => domain.to_owned(),
            's' => format!("postmaster@{domain}"),
            'l' => "postmaster".to_owned(),
            'v' => if self.address.is_ipv4() { "in-addr" } else { "ip6" }.to_owned(),
            _ => return Err(Stop::Perm),
        };
        let rest = chars.as_str();
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let tail = rest.get(digits.len()..).unwrap_or_default();
        let (reverse, marks) = match tail.strip_prefix(['r', 'R']) {
            Some(marks) => (true, marks),
            None => (false, tail),
        };
        let marks = if marks.is_empty() { "." } else { marks };
        let mut parts: Vec<&str> = value.split(|c| marks.contains(c)).collect();
        if reverse {
            parts.reverse();
        }
        let kept = digits.parse().unwrap_or(parts.len()).min(parts.len());
        Ok(parts.split_off(parts.len() - kept).join("."))
    }
}

fn bits4(ip: Ipv4Addr) -> u128 {
    u128::from(u32::from(ip))
}

fn bits6(ip: Ipv6Addr) -> u128 {
    u128::from(ip)
}

/// `name=value`.
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (!name.is_empty() && name.chars().all(plain)).then_some((name, value))
}

/// What a mechanism that fits says.
fn qualified(term: &str) -> (Verdict, &str) {
    let verdicts = [
        ('+', Verdict::Pass),
        ('-', Verdict::Fail),
        ('~', Verdict::SoftFail),
        ('?', Verdict::Neutral),
    ];
    let found =
        verdicts.iter().find_map(|(mark, verdict)| Some((*verdict, term.strip_prefix(*mark)?)));
    found.unwrap_or((Verdict::Pass, term))
}

/// The name of a mechanism and what follows it, with its mark.
fn split(mechanism: &str) -> (&str, &str) {
    let end = mechanism.find([':', '/']).unwrap_or(mechanism.len());
    mechanism.split_at(end)
}

/// `:domain/24//64`: domain, and the lengths for both kinds of addresses.
fn target(argument: &str) -> Option<(&str, u8, u8)> {
    let (rest, six) = match argument.split_once("//") {
        Some((rest, six)) => (rest, six.parse().ok().filter(|n| *n <= 128)?),
        None => (argument, 128),
    };
    let (rest, four) = match rest.split_once('/') {
        Some((rest, four)) => (rest, four.parse().ok().filter(|n| *n <= 32)?),
        None => (rest, 32),
    };
    match rest.strip_prefix(':') {
        Some("") => None,
        Some(domain) => Some((domain, four, six)),
        None if rest.is_empty() => Some(("", four, six)),
        None => None,
    }
}
