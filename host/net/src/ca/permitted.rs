//! Name constraints of an issuer (RFC 5280 §4.2.1.10): where the hosts of servers may lie.
//!
//! The identity itself cannot be constrained: a URN has no host, and a URI constraint would refuse every certificate that
//! carries one. What can be is the host of `serverAddress`, if the platform's operator knows where servers live.

use std::net::IpAddr;

use rcgen::{CidrSubnet, GeneralSubtree, NameConstraints};

/// Domains and networks in which servers may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permitted {
    domains: Vec<String>,
    networks: Vec<(IpAddr, u8)>,
}

/// A host as a certificate names it.
pub(super) enum Host<'a> {
    /// Lower case, without a final dot.
    Name(&'a str),
    Ip(IpAddr),
}

impl Permitted {
    /// `platform` (the platform's domain, always permitted) and each of `hosts`: a domain with all below it, an address, or
    /// a network as `10.0.0.0/8`.
    ///
    /// # Errors
    /// The first that is none of these.
    pub fn parse<'a>(platform: &str, hosts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut permitted = Self { domains: vec![platform.to_ascii_lowercase()], networks: Vec::new() };
        for host in hosts {
            let (address, bits) = host.split_once('/').map_or((host, None), |(address, bits)| (address, Some(bits)));
            match address.parse::<IpAddr>() {
                Ok(ip) => permitted.networks.push((ip, prefix(ip, bits).ok_or_else(|| host.to_owned())?)),
                Err(_) if bits.is_some() => return Err(host.to_owned()),
                Err(_) => {
                    permitted
                        .domains
                        .push(super::issue::dns_name(host.trim_start_matches('.')).ok_or(host.to_owned())?);
                }
            }
        }
        Ok(permitted)
    }

    pub(super) fn admits(&self, host: &Host<'_>) -> bool {
        match host {
            Host::Name(name) => self.domains.iter().any(|domain| {
                name.strip_suffix(domain.as_str()).is_some_and(|head| head.is_empty() || head.ends_with('.'))
            }),
            Host::Ip(ip) => self.networks.iter().any(|(net, bits)| within(*ip, *net, *bits)),
        }
    }

    pub(super) fn constraints(&self) -> NameConstraints {
        let domains = self.domains.iter().map(|domain| GeneralSubtree::DnsName(domain.clone()));
        let network = |(ip, bits): &(IpAddr, u8)| GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*ip, *bits));
        let permitted_subtrees = domains.chain(self.networks.iter().map(network)).collect();
        // A kind of name that no subtree speaks of would be free.
        let none = if self.networks.is_empty() { ["0.0.0.0", "::"].as_slice() } else { &[] };
        let all = none.iter().filter_map(|ip| ip.parse::<IpAddr>().ok()).map(|ip| network(&(ip, 0)));
        NameConstraints { permitted_subtrees, excluded_subtrees: all.collect() }
    }
}

fn prefix(ip: IpAddr, bits: Option<&str>) -> Option<u8> {
    let most = if ip.is_ipv4() { 32 } else { 128 };
    match bits {
        None => Some(most),
        Some(bits) => bits.parse().ok().filter(|bits| *bits <= most),
    }
}

fn within(ip: IpAddr, net: IpAddr, bits: u8) -> bool {
    let same = |ip: u128, net: u128, width: u32| {
        let free = width.saturating_sub(u32::from(bits));
        ip.checked_shr(free).unwrap_or(0) == net.checked_shr(free).unwrap_or(0)
    };
    match (ip, net) {
        (IpAddr::V4(ip), IpAddr::V4(net)) => same(ip.to_bits().into(), net.to_bits().into(), 32),
        (IpAddr::V6(ip), IpAddr::V6(net)) => same(ip.to_bits(), net.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}
