//! The addresses that a portal's mail leaves from, as the receivers of its mail see them in DNS: block
//! lists (RFC 5782), a PTR entry that leads back (RFC 1912 §2.1), SPF policies (RFC 7208).

use crate::config::{self, ConfigError};
use crate::dns::{Names, NoAnswer, is_name};
use crate::probe::Look;
use crate::reach;
use crate::spf::{self, Verdict};
use feedpulse_core::codes::Code;
use feedpulse_core::label::Label;
use feedpulse_core::probe::Known;
use std::net::IpAddr;

/// Most addresses, block lists and domains that are looked at, each.
const EACH_MAX: usize = 16;

#[derive(Debug)]
pub(crate) struct Mail {
    config: config::Mail,
    names: Names,
}

impl Mail {
    pub(crate) fn new(config: &config::Mail, names: Names) -> Result<Self, ConfigError> {
        let stated = config.host.iter().chain(&config.block_lists).chain(&config.domains);
        if let Some(wrong) = stated.into_iter().find(|name| !is_name(name)) {
            return Err(ConfigError::Name(wrong.clone()));
        }
        Ok(Self { config: config.clone(), names })
    }

    pub(crate) async fn look(&self, look: &mut Look) {
        let mut addresses = self.config.addresses.clone();
        // What was not found in time is said once for all, and says nothing about the mail.
        let mut blind = None;
        if let Some(host) = &self.config.host {
            match self.names.addresses(host).await {
                Ok(mut found) => {
                    found.sort_unstable();
                    let gone = found.is_empty().then(|| Label::from("dns"));
                    look.check("", Code::ProbeFailed, gone);
                    if !found.is_empty() {
                        look.known(Known::Address, short(&found));
                    }
                    addresses.extend(found);
                }
                Err(error) => blind = Some(error),
            }
        }
        addresses.sort_unstable();
        addresses.dedup();
        for address in addresses.into_iter().take(EACH_MAX) {
            let part = address.to_string();
            blind = self.lists(&part, address, look).await.err().or(blind);
            if self.config.ptr {
                blind = self.back(&part, address, look).await.err().or(blind);
            }
            for domain in self.config.domains.iter().take(EACH_MAX) {
                blind = self.policy(&part, address, domain, look).await.err().or(blind);
            }
        }
        look.check("", Code::ProbeBlind, blind.map(reach::no_answer));
    }

    /// Whether a block list has it.
    async fn lists(&self, part: &str, address: IpAddr, look: &mut Look) -> Result<(), NoAnswer> {
        let mut failed = None;
        for list in self.config.block_lists.iter().take(EACH_MAX) {
            let here = format!("{part} {list}");
            match self.names.listed(&format!("{}.{list}", reversed(address))).await {
                Ok(found) => {
                    let answers: Vec<IpAddr> = found.into_iter().filter(is_listing).collect();
                    let listed = (!answers.is_empty()).then(|| Label::from("listed"));
                    look.check(&here, Code::MailBlocked, listed);
                    if listed.is_some() {
                        look.note(format!("{address} is listed by {list}: {answers:?}"));
                    }
                }
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Whether its name leads back to it.
    async fn back(&self, part: &str, address: IpAddr, look: &mut Look) -> Result<(), NoAnswer> {
        let names = self.names.names(address).await?;
        let mut class = Some("no PTR");
        for name in names.iter().take(EACH_MAX) {
            class = Some("PTR differs");
            if self.names.addresses(name).await?.contains(&address) {
                look.note(format!("{address} is {name}"));
                class = None;
                break;
            }
        }
        look.check(part, Code::MailNames, class.map(Label::from));
        Ok(())
    }

    /// Whether a domain's policy lets it send.
    async fn policy(
        &self,
        part: &str,
        address: IpAddr,
        domain: &str,
        look: &mut Look,
    ) -> Result<(), NoAnswer> {
        let verdict = spf::check(&self.names, address, domain).await;
        look.note(format!("SPF of {domain} for {address}: {}", verdict.name()));
        if let Verdict::Unknown(class) = verdict {
            return Err(NoAnswer(class));
        }
        let failed = (verdict != Verdict::Pass)
            .then(|| Label::from(format!("SPF {}", verdict.name()).as_str()));
        look.check(&format!("{part} {domain}"), Code::MailNames, failed);
        Ok(())
    }
}

/// The address in the order of DNS (RFC 5782 §2.1, §2.4).
fn reversed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}")
        }
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
            nibbles.map(|n| format!("{n:x}")).collect::<Vec<_>>().join(".")
        }
    }
}

/// A listing is in 127.0.0.0/8; 127.255.255.0/24 are errors of large lists (asked through an open
/// resolver, asked too often), and others come from servers that answer everything.
fn is_listing(answer: &IpAddr) -> bool {
    match answer {
        IpAddr::V4(v4) => v4.is_loopback() && !matches!(v4.octets(), [127, 255, 255, _]),
        IpAddr::V6(_) => false,
    }
}

/// One address, or several as a short name.
fn short(found: &[IpAddr]) -> Label {
    let all: Vec<String> = found.iter().map(ToString::to_string).collect();
    Label::distinct(&all.join(" "))
}

#[cfg(test)]
mod tests {
    use super::{is_listing, reversed};

    #[test]
    fn addresses_are_asked_for_in_the_order_of_dns() {
        assert_eq!(reversed("192.0.2.7".parse().unwrap()), "7.2.0.192");
        let six = reversed("2001:db8:1:2:3:4:567:89ab".parse().unwrap());
        assert_eq!(six, "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2");
    }

    #[test]
    fn only_what_is_a_listing_counts() {
        for (answer, listed) in [
            ("127.0.0.2", true),
            ("127.0.1.10", true),
            ("127.255.255.254", false),
            ("198.51.100.1", false),
        ] {
            assert_eq!(is_listing(&answer.parse().unwrap()), listed, "{answer}");
        }
    }
}
