//! Names and addresses: one resolver for each DNS server that probes name, without a cache, since a
//! probe wants to know what is there now.

use crate::config::ConfigError;
use core::time::Duration;
use feedpulse_core::label::Label;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use std::net::{IpAddr, SocketAddr};

/// Most addresses or texts of one answer that are used.
const ANSWERS_MAX: usize = 64;

/// Asks DNS.
#[derive(Clone)]
pub(crate) struct Names(TokioResolver);

impl core::fmt::Debug for Names {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Names(…)")
    }
}

/// The server could not say: it refused, failed or did not answer. A class, such as `servfail`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoAnswer(pub(crate) Label);

impl Names {
    /// `timeout` is that of one question to one server; it is asked twice.
    pub(crate) fn new(server: Option<SocketAddr>, timeout: Duration) -> Result<Self, ConfigError> {
        let failed = |error: NetError| ConfigError::Resolver(error.to_string());
        let by = |address: SocketAddr| {
            let with = |mut connection: ConnectionConfig| {
                connection.port = address.port();
                connection
            };
            let mut server = NameServerConfig::udp_and_tcp(address.ip());
            server.connections = vec![with(ConnectionConfig::udp()), with(ConnectionConfig::tcp())];
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        // Without resolv.conf the server of this machine is asked, as resolv.conf(5) has it.
        let loopback = SocketAddr::from(([127, 0, 0, 1], 53));
        let mut builder = match server {
            None => TokioResolver::builder_tokio().unwrap_or_else(|_| by(loopback)),
            Some(address) => by(address),
        };
        let options: &mut ResolverOpts = builder.options_mut();
        options.cache_size = 0;
        options.attempts = 1;
        options.timeout = timeout / 3;
        if server.is_some() {
            options.use_hosts_file = ResolveHosts::Never;
        }
        builder.build().map(Self).map_err(failed)
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, NoAnswer> {
        let name = absolute(name).ok_or(NoAnswer(Label::from("name")))?;
        match self.0.lookup(name, kind).await {
            Ok(lookup) => {
                let own = lookup.answers().iter().filter(|record| record.record_type() == kind);
                Ok(own.take(ANSWERS_MAX).map(|record| record.data.clone()).collect())
            }
            Err(error) => empty(&error),
        }
    }

    /// The addresses of a name, IPv4 first; none where it does not exist.
    pub(crate) async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, NoAnswer> {
        if let Ok(address) = name.parse() {
            return Ok(vec![address]);
        }
        if self.0.options().use_hosts_file != ResolveHosts::Never {
            // As the system does it, with its hosts file.
            return match self.0.lookup_ip(name).await {
                Ok(found) => Ok(found.iter().take(ANSWERS_MAX).collect()),
                Err(error) => empty(&error),
            };
        }
        let (four, six) =
            tokio::join!(self.ask(name, RecordType::A), self.ask(name, RecordType::AAAA));
        let address = |data: RData| match data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            RData::AAAA(a) => Some(IpAddr::V6(a.0)),
            _ => None,
        };
        let all: Vec<IpAddr> =
            four.clone().into_iter().chain(six.clone()).flatten().filter_map(address).collect();
        // One kind is enough; a failure counts where there is neither.
        if all.is_empty() { four.and(six).map(|_| Vec::new()) } else { Ok(all) }
    }

    /// The IPv4 addresses of a name only: what block lists answer with.
    pub(crate) async fn listed(&self, name: &str) -> Result<Vec<IpAddr>, NoAnswer> {
        let found = self.ask(name, RecordType::A).await?;
        Ok(found
            .into_iter()
            .filter_map(|data| if let RData::A(a) = data { Some(IpAddr::V4(a.0)) } else { None })
            .collect())
    }

    /// The names of an address.
    pub(crate) async fn names(&self, address: IpAddr) -> Result<Vec<String>, NoAnswer> {
        let reversed = Name::from(address).to_ascii();
        let found = self.ask(&reversed, RecordType::PTR).await?;
        Ok(found
            .into_iter()
            .filter_map(|data| match data {
                RData::PTR(name) => Some(plain(&name.0)),
                _ => None,
            })
            .collect())
    }

    /// The texts of a name, each with its parts joined (RFC 7208 §3.3).
    pub(crate) async fn texts(&self, name: &str) -> Result<Vec<String>, NoAnswer> {
        let found = self.ask(name, RecordType::TXT).await?;
        let joined = |data: RData| match data {
            RData::TXT(text) => {
                let bytes: Vec<u8> =
                    text.txt_data.iter().flat_map(|part| part.iter().copied()).collect();
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
            _ => None,
        };
        Ok(found.into_iter().filter_map(joined).collect())
    }

    /// The mail hosts of a domain.
    pub(crate) async fn mail_hosts(&self, name: &str) -> Result<Vec<String>, NoAnswer> {
        let found = self.ask(name, RecordType::MX).await?;
        Ok(found
            .into_iter()
            .filter_map(|data| match data {
                RData::MX(mx) => Some(plain(&mx.exchange)),
                _ => None,
            })
            .collect())
    }
}

/// What does not exist is an answer: an empty one.
fn empty<T>(error: &NetError) -> Result<Vec<T>, NoAnswer> {
    let class = match error {
        NetError::Dns(DnsError::NoRecordsFound(no)) => match no.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => return Ok(Vec::new()),
            ResponseCode::ServFail => "servfail",
            ResponseCode::Refused => "refused",
            _ => "dns",
        },
        NetError::Dns(DnsError::ResponseCode(code)) => match *code {
            ResponseCode::NXDomain => return Ok(Vec::new()),
            ResponseCode::ServFail => "servfail",
            ResponseCode::Refused => "refused",
            _ => "dns",
        },
        NetError::Timeout => "timeout",
        _ => "dns",
    };
    Err(NoAnswer(Label::from(class)))
}

/// A name as it stands, never one of a search list.
fn absolute(name: &str) -> Option<Name> {
    let mut name = Name::from_ascii(name).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// Whether something can be asked for.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name != "." && absolute(name).is_some()
}

fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}
