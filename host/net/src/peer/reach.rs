//! Which addresses a platform goes to: none that lead whoever asks into a network of its own (server-side request forgery).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is no public one: private, loopback, link-local (a cloud's metadata among them), shared, reserved, multicast,
/// or an IPv6 form of such an IPv4 address.
pub fn is_private(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_private_v4(*ip),
        IpAddr::V6(ip) => embedded(*ip).is_some_and(is_private_v4) || is_private_v6(*ip),
    }
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0
        || a >= 240
        // Shared between carriers and their customers, protocol assignments, benchmarks.
        || (a == 100 && b & 0xc0 == 64)
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && b & 0xfe == 18)
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    ip.is_loopback()
        || ip.is_unspecified()
        || ip.is_unique_local()
        || ip.is_unicast_link_local()
        || ip.is_multicast()
        // Site-local of old, documentation.
        || ip.segments()[0] & 0xffc0 == 0xfec0
        || (ip.segments()[0] == 0x2001 && ip.segments()[1] == 0x0db8)
}

/// The IPv4 address in a mapped, compatible, NAT64 or 6to4 one.
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff | 0) | (0x64, 0xff9b, 0, 0, 0, 0) => Some(v4(g, h)),
        (0x2002, ..) => Some(v4(b, c)),
        _ => None,
    }
}

/// Whether a host is private by its name: names of this machine or of a site, and forms of an IPv4 address that only resolvers read.
pub fn is_private_host(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if let Ok(ip) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        return is_private(&ip);
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    let number = last.starts_with("0x") || last.bytes().all(|b| b.is_ascii_digit());
    number || matches!(last, "localhost" | "local" | "localdomain" | "internal" | "intranet" | "lan" | "home" | "corp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_into_somebodys_own_network_is_private_in_every_spelling() {
        for host in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.9",
            "169.254.169.254",
            "100.100.100.200",
            "0.0.0.0",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.192",
            "224.0.0.1",
            "::1",
            "::",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "[::1]",
            "localhost",
            "LocalHost.",
            "a.localhost",
            "printer.local",
            "metadata.google.internal",
            "0x7f000001",
            "2130706433",
            "127.1",
            "0177.0.0.1.",
        ] {
            assert!(is_private_host(host), "{host}");
        }
        for host in [
            "im.example.org",
            "93.184.216.34",
            "2606:2800:220:1::1",
            "local.example.org",
            "64:ff9b::5db8:d822",
            "x0x.org",
        ] {
            assert!(!is_private_host(host), "{host}");
        }
    }
}
