//! Pure. Which addresses are not public unicast ones: the special-purpose registries of IANA for IPv4 and IPv6, and what carries an
//! IPv4 address inside an IPv6 one.
//!
//! Asked by `network` about every address a webhook would be sent to. Also the ranges that the registries call globally reachable are
//! listed: anycast relays and test prefixes, behind which no far end of a webhook stands.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Network, length of its prefix, what it is. The first that fits names an address.
const V4: &[([u8; 4], u32, &str)] = &[
    ([255, 255, 255, 255], 32, "broadcast"),
    ([0, 0, 0, 0], 8, "unspecified"),
    ([10, 0, 0, 0], 8, "private"),
    ([100, 64, 0, 0], 10, "carrier-grade NAT"),
    ([127, 0, 0, 0], 8, "loopback"),
    ([169, 254, 0, 0], 16, "link-local"),
    ([172, 16, 0, 0], 12, "private"),
    ([192, 0, 0, 0], 24, "reserved"),
    ([192, 0, 2, 0], 24, "documentation"),
    ([192, 31, 196, 0], 24, "AS112"),
    ([192, 52, 193, 0], 24, "AMT relay"),
    ([192, 88, 99, 0], 24, "6to4 relay"),
    ([192, 168, 0, 0], 16, "private"),
    ([192, 175, 48, 0], 24, "AS112"),
    ([198, 18, 0, 0], 15, "benchmarking"),
    ([198, 51, 100, 0], 24, "documentation"),
    ([203, 0, 113, 0], 24, "documentation"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([240, 0, 0, 0], 4, "reserved"),
];

/// Likewise. Outside of 2000::/3 nothing is public: those are named here, all others are `reserved`.
const V6: &[([u16; 8], u32, &str)] = &[
    ([0, 0, 0, 0, 0, 0, 0, 0], 128, "unspecified"),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback"),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "local NAT64"),
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "discard-only"),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, "Teredo"),
    ([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, "benchmarking"),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "protocol assignment"),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "documentation"),
    ([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48, "AS112"),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "documentation"),
    ([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, "segment routing"),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "unique local"),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local"),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "site-local"),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast"),
];

/// What kind of address `ip` is, if it is not a public unicast one.
pub fn not_public(ip: IpAddr) -> Option<&'static str> {
    match unmapped(ip) {
        IpAddr::V4(v4) => not_public_v4(v4),
        IpAddr::V6(v6) => not_public_v6(v6),
    }
}

/// The IPv4 address inside an IPv4-mapped IPv6 one.
pub fn unmapped(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

/// The IPv4 address that an IPv6 one leads to through a translator or a tunnel: NAT64, 6to4, ISATAP.
pub fn carried(ip: Ipv6Addr) -> Option<(Ipv4Addr, &'static str)> {
    let v4 = |a: u16, b: u16| Ipv4Addr::from((u32::from(a) << 16) | u32::from(b));
    match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, a, b] => Some((v4(a, b), "NAT64")),
        [0x2002, a, b, ..] => Some((v4(a, b), "6to4")),
        [_, _, _, _, 0 | 0x200 | 0x100 | 0x300, 0x5efe, a, b] => Some((v4(a, b), "ISATAP")),
        _ => None,
    }
}

fn not_public_v4(ip: Ipv4Addr) -> Option<&'static str> {
    let bits = ip.to_bits();
    let holds = |net: &[u8; 4], prefix: u32| (bits ^ u32::from_be_bytes(*net)).leading_zeros() >= prefix;
    V4.iter().find(|(net, prefix, _)| holds(net, *prefix)).map(|(.., kind)| *kind)
}

fn not_public_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let bits = ip.to_bits();
    let holds =
        |net: &[u16; 8], prefix: u32| (bits ^ Ipv6Addr::from(*net).to_bits()).leading_zeros() >= prefix;
    if let Some((.., kind)) = V6.iter().find(|(net, prefix, _)| holds(net, *prefix)) {
        return Some(kind);
    }
    // As forbidden as what they carry.
    if let Some((v4, kind)) = carried(ip)
        && (kind == "NAT64" || not_public_v4(v4).is_some())
    {
        return not_public_v4(v4).map(|_| kind);
    }
    // All that IANA has given out for unicast.
    (bits >> 125 != 1).then_some("reserved")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cidr::Cidr;

    /// The two registries as IANA publishes them (iana-ipv4-special-registry, iana-ipv6-special-registry), and multicast, written
    /// down apart from the tables above.
    const REGISTRIES: &str = "
        0.0.0.0/8 0.0.0.0/32 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.0.0/29
        192.0.0.8/32 192.0.0.9/32 192.0.0.10/32 192.0.0.170/32 192.0.0.171/32 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24
        192.88.99.0/24 192.88.99.2/32 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4
        240.0.0.0/4 255.255.255.255/32
        ::1/128 ::/128 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001::/32 2001:1::1/128 2001:1::2/128 2001:1::3/128
        2001:2::/48 2001:3::/32 2001:4:112::/48 2001:10::/28 2001:20::/28 2001:30::/28 2001:db8::/32 2620:4f:8000::/48
        3fff::/20 5f00::/16 fc00::/7 fe80::/10 ff00::/8";

    fn blocks() -> Vec<Cidr> {
        REGISTRIES.split_whitespace().map(|text| text.parse().expect(text)).collect()
    }

    /// The address of a block that `offset` picks.
    fn inside(block: &Cidr, offset: u128) -> IpAddr {
        let prefix = u32::from(block.prefix);
        match block.address {
            IpAddr::V4(net) => {
                let free = u32::MAX.checked_shr(prefix).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(net.to_bits() | (offset as u32 & free)))
            }
            IpAddr::V6(net) => {
                let free = u128::MAX.checked_shr(prefix).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(net.to_bits() | (offset & free)))
            }
        }
    }

    /// Every IPv6 spelling that leads to `ip`.
    fn disguised(ip: Ipv4Addr) -> Vec<Ipv6Addr> {
        let [a, b, c, d] = ip.octets();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        vec![
            ip.to_ipv6_mapped(),
            Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x2a00, 1, 2, 3, 0, 0x5efe, high, low),
            Ipv6Addr::new(0x2a00, 1, 2, 3, 0x200, 0x5efe, high, low),
        ]
    }

    #[test]
    fn first_and_last_of_every_registered_block_are_special() {
        for block in blocks() {
            for offset in [0, u128::MAX] {
                let ip = inside(&block, offset);
                assert!(not_public(ip).is_some(), "{ip} of {block}");
            }
        }
    }

    #[test]
    fn addresses_of_well_known_far_ends_are_public() {
        for ip in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "126.255.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "223.255.255.255",
        ] {
            assert_eq!(not_public(ip.parse().unwrap()), None, "{ip}");
        }
        for ip in
            ["2606:4700::1111", "2001:4860:4860::8888", "2a00:1450::1", "64:ff9b::1.1.1.1", "2002:101:101::1"]
        {
            assert_eq!(not_public(ip.parse().unwrap()), None, "{ip}");
        }
    }

    proptest! {
        #[test]
        fn no_address_of_a_registered_block_is_public_however_it_is_spelt(place in any::<prop::sample::Index>(), offset in any::<u128>()) {
            let blocks = blocks();
            let ip = inside(place.get(&blocks), offset);
            prop_assert!(not_public(ip).is_some(), "{}", ip);
            if let IpAddr::V4(v4) = ip {
                for v6 in disguised(v4) {
                    prop_assert!(not_public(IpAddr::V6(v6)).is_some(), "{} as {}", v4, v6);
                }
            }
        }

        #[test]
        fn every_ipv4_address_outside_the_registry_is_public(bits in any::<u32>()) {
            let ip = IpAddr::V4(Ipv4Addr::from_bits(bits));
            let is_registered = blocks().iter().any(|block| block.contains(ip));
            prop_assert_eq!(not_public(ip).is_some(), is_registered, "{}", ip);
        }

        /// Half of them are taken from 2000::/3, which alone is given out.
        #[test]
        fn an_ipv6_address_is_public_only_in_what_is_given_out(bits in any::<u128>(), is_unicast in any::<bool>()) {
            let bits = if is_unicast { bits >> 3 | 1 << 125 } else { bits };
            let v6 = Ipv6Addr::from_bits(bits);
            let ip = IpAddr::V6(v6);
            let is_registered = blocks().iter().any(|block| block.contains(ip));
            let is_given_out = bits >> 125 == 1;
            if v6.to_ipv4_mapped().is_none() && carried(v6).is_none() {
                prop_assert_eq!(not_public(ip).is_none(), is_given_out && !is_registered, "{}", ip);
            }
        }
    }
}
