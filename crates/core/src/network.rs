//! Pure. Which addresses a webhook may be sent to, as rules on addresses and URLs: no name is resolved here.
//!
//! Asked at save and at render about what a URL says literally, and by the sender about every resolved address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use url::{Host, Url};

use crate::cidr::Cidr;
use crate::secret::host_matches;
use crate::special_address::{carried, not_public, unmapped};

/// Where this deployment sends to. By itself: public addresses, `https://`, and the ports of `Ports::default`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Plain `http://` to any host that is allowed otherwise.
    pub allow_http: bool,
    /// Networks reachable although they are not public; plain `http://` to a literal address in them is allowed too.
    pub allow_networks: Vec<Cidr>,
    /// Never reached, whatever else is allowed.
    pub deny_networks: Vec<Cidr>,
    /// If there are any, no other host is sent to: in the form of `secret::host_patterns`.
    pub allow_hosts: Vec<String>,
    pub ports: Ports,
    /// `campanile serve --dev`: plain `http://`, loopback targets, any port.
    pub dev: bool,
}

/// Ports that may be sent to, as ranges with both ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports(Vec<(u16, u16)>);

/// Why `http://` is refused.
pub(crate) const PLAIN_HTTP: &str = "plain http:// is refused, use https:// (allowed with `campanile serve --dev`, \
                                     or to an address of an `--allow-network`)";

impl Policy {
    /// For reading a campaign that was checked when it was saved: where it may send is asked when it is rendered.
    /// Never for sending.
    pub fn unchecked() -> Policy {
        let all = |address: IpAddr| Cidr { address, prefix: 0 };
        Policy {
            allow_http: true,
            allow_networks: vec![all(Ipv4Addr::UNSPECIFIED.into()), all(Ipv6Addr::UNSPECIFIED.into())],
            ports: Ports(vec![(0, u16::MAX)]),
            dev: true,
            ..Policy::default()
        }
    }

    /// `Err` says why a request to `ip` is refused and how to allow it.
    pub fn check_address(&self, ip: IpAddr) -> Result<(), String> {
        let ip = unmapped(ip);
        let inner = match ip {
            IpAddr::V6(v6) => carried(v6).map(|(v4, _)| IpAddr::V4(v4)),
            IpAddr::V4(_) => None,
        };
        let denies = |network: &&Cidr| network.contains(ip) || inner.is_some_and(|ip| network.contains(ip));
        if let Some(network) = self.deny_networks.iter().find(denies) {
            return Err(format!(
                "{ip} is in {network}, which this deployment never sends to (`--deny-network`)"
            ));
        }
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

    /// `Err` says why `url` is refused by its scheme, its port or by what its host says literally. Other names pass, if they are
    /// among those allowed: their addresses are checked when they are resolved.
    pub fn check_url(&self, url: &Url) -> Result<(), String> {
        match url.scheme() {
            "https" => {}
            "http" if self.allows_plain_http() || self.allows_literal(url) => {}
            "http" => return Err(PLAIN_HTTP.to_owned()),
            other => return Err(format!("scheme {other} is not http or https")),
        }
        if let Some((host, port)) = url.host_str().zip(url.port_or_known_default()) {
            self.check_host(host, port)?;
        }
        match literal(url) {
            Some(ip) => self.check_address(ip),
            None => Ok(()),
        }
    }

    /// Of a host as a URL says it, an IPv6 address with or without its brackets.
    pub fn check_host(&self, host: &str, port: u16) -> Result<(), String> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
        let allows =
            |pattern: &String| host_matches(pattern, &host) || pattern.trim_matches(['[', ']']) == bare;
        if !self.allow_hosts.is_empty() && !self.allow_hosts.iter().any(allows) {
            return Err(format!("{host} is not one of the hosts this deployment sends to (`--allow-host`)"));
        }
        if !self.dev && !self.ports.contains(port) {
            return Err(format!(
                "port {port} is not one of those this deployment sends to: {} (`--ports`)",
                self.ports
            ));
        }
        Ok(())
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

/// The web's own, and all above those that belong to the services of a machine: a webhook speaks to no mail server or shell.
impl Default for Ports {
    fn default() -> Ports {
        Ports(vec![(80, 80), (443, 443), (1024, u16::MAX)])
    }
}

impl Ports {
    pub fn contains(&self, port: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&port))
    }
}

/// `80,443,1024-65535`.
impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Ports, String> {
        let range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
            let range = port(first).zip(port(last)).filter(|(first, last)| first <= last);
            range
                .ok_or_else(|| format!("{text:?} is no range of ports, expected some like 443 or 1024-65535"))
        };
        Ok(Ports(text.split(',').map(range).collect::<Result<_, _>>()?))
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (first, last)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
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
    fn a_denied_network_wins_over_everything_that_allows_it() {
        let policy = Policy {
            deny_networks: vec!["10.1.2.0/24".parse().unwrap(), "1.1.1.0/24".parse().unwrap()],
            allow_networks: vec!["10.0.0.0/8".parse().unwrap()],
            dev: true,
            ..Policy::default()
        };
        for url in [
            "https://10.1.2.3/",
            "https://1.1.1.1/",
            "https://[::ffff:1.1.1.1]/",
            "https://[64:ff9b::1.1.1.1]/",
        ] {
            check(&policy, url, false);
        }
        check(&policy, "https://10.1.3.3/", true);
        check(&policy, "https://1.1.2.1/", true);
    }

    #[test]
    fn where_hosts_are_named_no_other_is_sent_to() {
        let allow_hosts =
            vec!["hooks.example.com".to_owned(), "*.example.org".to_owned(), "1.1.1.1".to_owned()];
        let policy = Policy { allow_hosts, ..Policy::default() };
        for url in [
            "https://hooks.example.com/",
            "https://HOOKS.example.com./",
            "https://a.b.example.org/",
            "https://1.1.1.1/",
        ] {
            check(&policy, url, true);
        }
        for url in [
            "https://example.com/",
            "https://example.org/",
            "https://hooks.example.com.evil.net/",
            "https://1.1.1.2/",
        ] {
            check(&policy, url, false);
        }
    }

    #[test]
    fn ports_of_other_services_are_refused_unless_named() {
        let policy = Policy::default();
        for (port, allowed) in [
            (80, true),
            (443, true),
            (1024, true),
            (8443, true),
            (65535, true),
            (22, false),
            (25, false),
            (1023, false),
        ] {
            check(&policy, &format!("https://example.com:{port}/"), allowed);
        }
        let policy = Policy { ports: "25, 100-200".parse().unwrap(), ..Policy::default() };
        check(&policy, "https://example.com:25/", true);
        check(&policy, "https://example.com:150/", true);
        check(&policy, "https://example.com/", false);
        assert_eq!(policy.ports.to_string(), "25, 100-200");
        for wrong in ["", "x", "0", "1-", "9-8", "65536", "1,,2", "-5"] {
            assert!(wrong.parse::<Ports>().is_err(), "{wrong}");
        }
    }

    /// What a browser would read as 127.0.0.1, 10.0.0.1 or 169.254.169.254, and what is no host at all.
    #[test]
    fn no_spelling_of_a_private_address_gets_past() {
        for url in [
            "https://127.1/",
            "https://127.0.0.1./",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0x7f.0.0.1/",
            "https://017700000001/",
            "https://0177.0.0.1/",
            "https://127.0.00000.1/",
            "https://0x7F.1/",
            "https://①②⑦.⓪.⓪.①/",
            "https://１２７.0.0.1/",
            "https://127。0。0。1/",
            "https://%31%32%37.0.0.1/",
            "https://10.1/",
            "https://012.0.0.1/",
            "https://a@127.0.0.1/",
            "https://example.com@127.0.0.1/",
            "https://example.com:443@10.0.0.1/",
            "https:\\\\127.0.0.1\\",
            "https:127.0.0.1",
            "https:///127.0.0.1/",
            "https://\t127.0.0.1/",
            "https://[::ffff:7f00:1]/",
            "https://[0:0:0:0:0:ffff:127.0.0.1]/",
            "https://[::ffff:0a00:0001]/",
            "https://[::7f00:1]/",
            "https://[64:ff9b::a00:1]/",
            "https://[64:ff9b::169.254.169.254]/",
            "https://[64:ff9b:1::a00:1]/",
            "https://[2002:a00:1::]/",
            "https://[2002:a9fe:a9fe::1]/",
            "https://[2a00::5efe:10.0.0.1]/",
            "https://[2a00::200:5efe:10.0.0.1]/",
            "https://[2001:0:1:2::3]/",
            "https://[fe80::1]/",
            "https://[fec0::1]/",
            "https://2852039166/",
            "https://0xa9fea9fe/",
            "https://169.254.43518/",
            "https://localhost.localhost./",
            "https://loCalHost/",
        ] {
            let parsed = Url::parse(url).unwrap_or_else(|e| panic!("{url}: {e}"));
            assert!(Policy::default().check_url(&parsed).is_err(), "{url}, which is {parsed}");
        }
        for url in [
            "https://[fe80::1%25eth0]/",
            "https://[fe80::1%eth0]/",
            "https://[::1/",
            "https://1.2.3.4.5/",
            "https://256.1.1.1/",
            "https://0x/",
        ] {
            let refused = Url::parse(url).map(|url| Policy::default().check_url(&url));
            assert!(!matches!(refused, Ok(Ok(()))), "{url}: {refused:?}");
        }
    }
}
