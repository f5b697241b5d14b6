//! Which network addresses a crawl may reach: checked for literal addresses, after name resolution, and so after every
//! redirect too. Anything that is not the public internet is refused unless Settings allow private sources.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// An address, or the only addresses of a name, that a crawl may not reach.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{host} is {address}, {what}: sources there are refused unless private sources are allowed \
     (OPENSHELF_ALLOW_PRIVATE_SOURCES=1)"
)]
pub(super) struct Forbidden {
    host: String,
    address: IpAddr,
    what: &'static str,
}

/// Resolves names and leaves out addresses that a crawl may not reach.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resolver {
    pub(super) allow_private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let reachable = choose(name.as_str(), found, allow_private)?;
            Ok(Box::new(reachable.into_iter()) as Addrs)
        })
    }
}

fn choose(host: &str, found: Vec<SocketAddr>, allow_private: bool) -> Result<Vec<SocketAddr>, Forbidden> {
    if allow_private {
        return Ok(found);
    }
    let mut refused = None;
    let mut reachable = Vec::with_capacity(found.len());
    for address in found {
        match not_public(address.ip()) {
            None => reachable.push(address),
            Some(what) => refused = Some(Forbidden { host: host.to_owned(), address: address.ip(), what }),
        }
    }
    match refused {
        Some(refused) if reachable.is_empty() => Err(refused),
        _ => Ok(reachable),
    }
}

/// Checks an address written as such in a URL, which never comes by the resolver.
pub(super) fn check_literal(host: &url::Host<&str>, allow_private: bool) -> Result<(), Forbidden> {
    let address: IpAddr = match host {
        url::Host::Domain(_) => return Ok(()),
        url::Host::Ipv4(address) => (*address).into(),
        url::Host::Ipv6(address) => (*address).into(),
    };
    match not_public(address) {
        Some(what) if !allow_private => Err(Forbidden { host: "the host".into(), address, what }),
        _ => Ok(()),
    }
}

/// Whether a host can only be this very machine; a crawl of it troubles nobody.
pub(super) fn is_loopback(host: &url::Host<&str>) -> bool {
    match host {
        url::Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        url::Host::Ipv4(address) => address.is_loopback(),
        url::Host::Ipv6(address) => address.is_loopback(),
    }
}

/// What an address is, if it is not of the public internet (IANA's special-purpose registries).
fn not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => not_public_v4(address),
        IpAddr::V6(address) => not_public_v6(address),
    }
}

fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, d] = address.octets();
    Some(match (a, b, c, d) {
        (0, ..) => "an unspecified address",
        (127, ..) => "a loopback address",
        (10, ..) | (172, 16..=31, ..) | (192, 168, ..) => "a private address",
        (100, 64..=127, ..) => "a carrier-grade NAT address",
        (169, 254, ..) => "a link-local address",
        // The metadata address of one cloud lies in public space.
        (168, 63, 129, 16) => "a cloud's metadata address",
        (192, 0, 0, _) | (192, 88, 99, _) => "a protocol-assignment address",
        (192, 0, 2, _) | (198, 51, 100, _) | (203, 0, 113, _) | (198, 18..=19, ..) => {
            "a documentation or benchmarking address"
        }
        (224..=239, ..) => "a multicast address",
        (240..=255, ..) => "a reserved address",
        _ => return None,
    })
}

fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    if address.is_loopback() {
        return Some("a loopback address");
    }
    if address.is_unspecified() {
        return Some("an unspecified address");
    }
    // NAT64: how a host with IPv6 alone reaches IPv4; as public as the address inside.
    if let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = segments {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        return not_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    match segments {
        [0, 0, 0, 0, 0, 0xffff | 0, ..] => Some("an IPv4-mapped address"),
        [0xfc00..=0xfdff, ..] => Some("a private address"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        // Teredo and other protocol assignments, 6to4: IPv4 addresses in disguise.
        [0x2001, 0..=0x01ff, ..] | [0x2002, ..] => Some("a protocol-assignment address"),
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Some("a documentation address"),
        [0x2000..=0x3fff, ..] => None,
        _ => Some("a reserved address"),
    }
}

impl Forbidden {
    /// Looks for this refusal among the causes of an error from the HTTP client.
    pub(super) fn cause_of<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(forbidden) = error.downcast_ref::<Self>() {
                return Some(forbidden);
            }
            cause = error.source();
        }
        None
    }
}

/// The words of an error and of its causes, which the HTTP client leaves out of its own.
pub(super) struct Causes<'a>(pub(super) &'a (dyn std::error::Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut said = self.0.to_string();
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !said.contains(&text) {
                write!(f, ": {text}")?;
            }
            said = text;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(address: &str) -> bool {
        not_public(address.parse().expect("an address")).is_some()
    }

    #[test]
    fn only_the_public_internet_is_reached() {
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.8.8.8",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "fd00:ec2::254",
        ] {
            assert!(refused(address), "{address} was let through");
        }
        for address in
            ["8.8.8.8", "172.32.0.1", "100.128.0.1", "208.80.154.224", "2620:0:861:ed1a::1", "64:ff9b::808:808"]
        {
            assert!(!refused(address), "{address} was refused");
        }
    }

    #[test]
    fn a_name_is_reached_by_its_public_addresses_only() {
        let both = vec!["10.0.0.1:0".parse().expect("socket"), "8.8.8.8:0".parse().expect("socket")];
        assert_eq!(choose("x", both.clone(), false).expect("one is public"), both.get(1..).expect("two"));
        assert_eq!(choose("x", both.clone(), true).expect("allowed"), both);
        let error = choose("intern.example", vec!["10.0.0.1:0".parse().expect("socket")], false).expect_err("private");
        assert!(error.to_string().starts_with("intern.example is 10.0.0.1, a private address"), "{error}");
    }
}
