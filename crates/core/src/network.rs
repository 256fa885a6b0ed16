//! Pure. Which addresses a webhook may be sent to, as rules on addresses and URLs: no name is resolved here.
//!
//! Asked at save and at render about what a URL says literally, and by the sender about every resolved address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use url::{Host, Url};

/// What this deployment allows beyond public `https://` targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Plain `http://` to any host that is allowed otherwise.
    pub allow_http: bool,
    /// Networks reachable although they are not public; plain `http://` to a literal address in them is allowed too.
    pub allow_networks: Vec<Cidr>,
    /// `campanile serve --dev`: plain `http://`, and loopback targets.
    pub dev: bool,
}

/// Why `http://` is refused.
pub(crate) const PLAIN_HTTP: &str = "plain http:// is refused, use https:// (allowed with `campanile serve --dev`, \
                                     or to an address of an `--allow-network`)";

/// A network in CIDR notation: `10.1.0.0/16`, `fd00::/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Policy {
    /// For reading a campaign that was checked when it was saved: where it may send is asked when it is rendered.
    /// Never for sending.
    pub fn unchecked() -> Policy {
        let all = |address: IpAddr| Cidr { address, prefix: 0 };
        Policy {
            allow_http: true,
            allow_networks: vec![all(Ipv4Addr::UNSPECIFIED.into()), all(Ipv6Addr::UNSPECIFIED.into())],
            dev: true,
        }
    }

    /// `Err` says why a request to `ip` is refused and how to allow it.
    pub fn check_address(&self, ip: IpAddr) -> Result<(), String> {
        let ip = unmapped(ip);
        let Some(kind) = not_public(ip) else { return Ok(()) };
        if self.allow_networks.iter().any(|network| network.contains(ip)) || (self.dev && ip.is_loopback()) {
            return Ok(());
        }
        let own = Cidr { address: ip, prefix: if ip.is_ipv4() { 32 } else { 128 } };
        Err(if ip.is_loopback() {
            format!(
                "{ip} is a {kind} address, refused unless allowed: `campanile serve --dev` or `--allow-network {}`",
                loopback(ip)
            )
        } else {
            format!("{ip} is a {kind} address, refused unless allowed: `--allow-network {own}`")
        })
    }

    /// `Err` says why `url` is refused by its scheme or by what its host says literally. Other names pass:
    /// their addresses are checked when they are resolved.
    pub fn check_url(&self, url: &Url) -> Result<(), String> {
        match url.scheme() {
            "https" => {}
            "http" if self.allows_plain_http() || self.allows_literal(url) => {}
            "http" => return Err(PLAIN_HTTP.to_owned()),
            other => return Err(format!("scheme {other} is not http or https")),
        }
        match literal(url) {
            Some(ip) => self.check_address(ip),
            None => Ok(()),
        }
    }

    /// To names, whatever they resolve to.
    pub fn allows_plain_http(&self) -> bool {
        self.dev || self.allow_http
    }

    fn allows_literal(&self, url: &Url) -> bool {
        literal(url)
            .is_some_and(|ip| self.allow_networks.iter().any(|network| network.contains(unmapped(ip))))
    }
}

/// What rate limits, breakers and TLS policy hang on: `https://host:443`, always with its port.
pub fn destination(url: &Url) -> Option<String> {
    Some(format!("{}://{}:{}", url.scheme(), url.host_str()?, url.port_or_known_default()?))
}

/// The address a URL's host says literally. `localhost` and names under it count as 127.0.0.1. The `url` crate
/// has turned decimal, octal and hexadecimal spellings into addresses already.
fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(ip) => Some(IpAddr::V4(ip)),
        Host::Ipv6(ip) => Some(IpAddr::V6(ip)),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            (name == "localhost" || name.ends_with(".localhost")).then_some(IpAddr::V4(Ipv4Addr::LOCALHOST))
        }
    }
}

fn loopback(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "127.0.0.0/8" } else { "::1/128" }
}

/// The IPv4 address inside an IPv4-mapped IPv6 one.
fn unmapped(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

/// What kind of address `ip` is, if it is not a public unicast one. After the IANA special-purpose registries.
pub fn not_public(ip: IpAddr) -> Option<&'static str> {
    match unmapped(ip) {
        IpAddr::V4(v4) => not_public_v4(v4),
        IpAddr::V6(v6) => not_public_v6(v6),
    }
}

fn not_public_v4(ip: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = ip.octets();
    Some(match (a, b, c) {
        (0, ..) => "unspecified",
        (127, ..) => "loopback",
        (10, ..) | (192, 168, _) => "private",
        (172, 16..=31, _) => "private",
        (169, 254, _) => "link-local",
        (100, 64..=127, _) => "carrier-grade NAT",
        (192, 0, 0) | (192, 88, 99) => "reserved",
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => "documentation",
        (198, 18..=19, _) => "benchmarking",
        (224..=239, ..) => "multicast",
        (255, 255, 255) if ip.is_broadcast() => "broadcast",
        (240..=255, ..) => "reserved",
        _ => return None,
    })
}

fn not_public_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let [a, b, ..] = ip.segments();
    Some(match (a, b) {
        _ if ip.is_unspecified() => "unspecified",
        _ if ip.is_loopback() => "loopback",
        (0xfc00..=0xfdff, _) => "unique local",
        (0xfe80..=0xfebf, _) => "link-local",
        (0xfec0..=0xfeff, _) => "site-local",
        (0xff00..=0xffff, _) => "multicast",
        (0x2001, 0x0db8) | (0x3fff, 0..=0x0fff) => "documentation",
        // Addresses that carry an IPv4 one: as forbidden as what they carry.
        (0x0064, 0xff9b) => return embedded(ip, 12, "NAT64"),
        (0x2002, _) => return embedded(ip, 2, "6to4"),
        (0x2001, 0x0000) => "Teredo",
        (0x0100, 0x0000) => "discard-only",
        (0x0000, 0x0000) => "reserved",
        _ => return None,
    })
}

/// NAT64 and 6to4 addresses lead to the IPv4 address they carry; the local-use NAT64 prefix is never public.
fn embedded(ip: Ipv6Addr, at: usize, kind: &'static str) -> Option<&'static str> {
    let octets = ip.octets();
    if kind == "NAT64" && octets[4..12] != [0; 8] {
        return Some("local NAT64");
    }
    let carried = octets.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    carried.and_then(|bytes| not_public_v4(Ipv4Addr::from(bytes))).map(|_| kind)
}

impl Cidr {
    pub fn contains(&self, ip: IpAddr) -> bool {
        let prefix = u32::from(self.prefix);
        match (self.address, ip) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
                own.to_bits() & mask == ip.to_bits() & mask
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
                own.to_bits() & mask == ip.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Cidr, String> {
        let wrong = || format!("{text:?} is not a network, expected one like 10.1.0.0/16 or fd00::/8");
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| wrong())?
            }
            Some(_) => return Err(wrong()),
            None => bits,
        };
        if prefix > bits {
            return Err(wrong());
        }
        Ok(Cidr { address, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: &Policy, url: &str, allowed: bool) {
        let answer = policy.check_url(&Url::parse(url).unwrap());
        assert_eq!(answer.is_ok(), allowed, "{url}: {answer:?}");
    }

    #[test]
    fn only_public_https_targets_are_allowed_by_default() {
        let policy = Policy::default();
        for url in
            ["https://example.com/", "https://1.1.1.1/", "https://[2606:4700::1111]/", "https://172.32.0.1/"]
        {
            check(&policy, url, true);
        }
        for url in [
            "http://example.com/",
            "ftp://example.com/",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://a.localhost/",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://10.0.0.1/",
            "https://172.16.0.1/",
            "https://192.168.1.1/",
            "https://169.254.169.254/",
            "https://100.64.0.1/",
            "https://0.0.0.0/",
            "https://255.255.255.255/",
            "https://224.0.0.1/",
            "https://192.0.2.1/",
            "https://[::1]/",
            "https://[::]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[::127.0.0.1]/",
            "https://[fc00::1]/",
            "https://[fe80::1]/",
            "https://[ff02::1]/",
            "https://[2001:db8::1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[64:ff9b:1::1]/",
            "https://[2002:7f00:1::]/",
        ] {
            check(&policy, url, false);
        }
    }

    #[test]
    fn dev_allows_plain_http_and_loopback_and_nothing_else() {
        let dev = Policy { dev: true, ..Policy::default() };
        for url in
            ["http://example.com/", "http://localhost:9000/", "http://127.0.0.1:9000/x", "https://[::1]/"]
        {
            check(&dev, url, true);
        }
        for url in ["http://10.0.0.1/", "http://169.254.169.254/", "http://0.0.0.0/"] {
            check(&dev, url, false);
        }
    }

    #[test]
    fn an_allowed_network_is_reachable_also_over_plain_http() {
        let policy = Policy { allow_networks: vec!["127.0.0.0/8".parse().unwrap()], ..Policy::default() };
        check(&policy, "http://127.0.0.1:9000/", true);
        check(&policy, "http://[::ffff:127.0.0.1]/", true);
        check(&policy, "http://localhost/", true);
        check(&policy, "http://10.0.0.1/", false);
        check(&policy, "http://example.com/", false);
    }

    #[test]
    fn what_was_checked_when_it_was_saved_is_read_whatever_it_says() {
        for url in [
            "http://10.0.0.1/",
            "https://[::1]/",
            "http://localhost/",
            "https://255.255.255.255/",
            "https://[ff02::1]/",
        ] {
            check(&Policy::unchecked(), url, true);
        }
    }

    #[test]
    fn a_refusal_says_how_to_allow_it() {
        let text = Policy::default().check_address(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap_err();
        assert!(
            text.contains("campanile serve --dev") && text.contains("--allow-network 127.0.0.0/8"),
            "{text}"
        );
        let text = Policy::default().check_address("10.1.2.3".parse().unwrap()).unwrap_err();
        assert!(text.contains("--allow-network 10.1.2.3/32"), "{text}");
    }

    #[test]
    fn networks_are_read_and_contain_what_they_say() {
        for (network, inside, outside) in [
            ("10.1.0.0/16", "10.1.255.255", "10.2.0.0"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("192.168.1.7", "192.168.1.7", "192.168.1.8"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::/0", "::1", "127.0.0.1"),
        ] {
            let network: Cidr = network.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{network} {outside}");
        }
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "x/8",
            "10.0.0.0/",
            "1.1.1.1/999",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }
}
