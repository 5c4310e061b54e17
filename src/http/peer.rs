//! What kind of address a client has; never which.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of address it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Peer {
    /// IPv6, an IPv4 address in IPv6 clothing not counted.
    pub v6: bool,
    /// Loopback, link-local, private or shared between a carrier's customers.
    pub private: bool,
    /// Documentation, benchmarks, multicast, reserved or unspecified: nobody's.
    pub special: bool,
    /// An IPv4 address within an IPv6 one: mapped, NAT64, 6to4 or Teredo.
    pub translated: bool,
}

impl Peer {
    /// The kind of an address. Of a mapped IPv4 address, the IPv4 address counts.
    pub fn of(address: IpAddr) -> Peer {
        match address {
            IpAddr::V4(address) => v4(address),
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(mapped) => Peer {
                    translated: true,
                    ..v4(mapped)
                },
                None => v6(address),
            },
        }
    }
}

fn v4(address: Ipv4Addr) -> Peer {
    let [a, b, c, _] = address.octets();
    Peer {
        private: match a {
            10 | 127 => true,
            100 => b & 0xc0 == 64,
            169 => b == 254,
            172 => b & 0xf0 == 16,
            192 => b == 168,
            _ => false,
        },
        special: match a {
            0 | 224..=255 => true,
            192 => b == 0 && (c == 0 || c == 2),
            198 => b & 0xfe == 18 || (b == 51 && c == 100),
            203 => b == 0 && c == 113,
            _ => false,
        },
        ..Peer::default()
    }
}

fn v6(address: Ipv6Addr) -> Peer {
    let [a, b, c, d, ..] = address.segments();
    let loopback = address == Ipv6Addr::LOCALHOST;
    Peer {
        v6: true,
        private: loopback || a & 0xffc0 == 0xfe80 || a & 0xfe00 == 0xfc00,
        special: address == Ipv6Addr::UNSPECIFIED
            || (a, b) == (0x2001, 0x0db8)
            || (a == 0x3fff && b & 0xf000 == 0)
            || (a, b, c, d) == (0x0100, 0, 0, 0)
            || a & 0xff00 == 0xff00,
        translated: (a, b) == (0x0064, 0xff9b) || a == 0x2002 || (a, b) == (0x2001, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Peer {
        Peer::of(text.parse().unwrap())
    }

    #[test]
    fn kinds_are_told() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.9",
            "169.254.1.1",
            "100.64.0.1",
            "::1",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(kind(private).private && !kind(private).special, "{private}");
        }
        for special in [
            "0.0.0.0",
            "192.0.2.1",
            "198.51.100.9",
            "203.0.113.5",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.0.8",
            "::",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "ff02::1",
            "::ffff:192.0.2.1",
        ] {
            assert!(kind(special).special && !kind(special).private, "{special}");
        }
        for plain in [
            "1.1.1.1",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "2606:4700::1",
            "64:ff9b::101:101",
            "2002:101:101::1",
            "2001::1",
            "::ffff:1.1.1.1",
            "4000::1",
        ] {
            assert!(!kind(plain).special && !kind(plain).private, "{plain}");
        }
        for translated in ["64:ff9b::1", "2002::1", "2001:0:1::", "::ffff:1.1.1.1"] {
            assert!(kind(translated).translated, "{translated}");
        }
        assert!(!kind("::ffff:1.1.1.1").v6 && kind("2002::1").v6 && !kind("1.1.1.1").v6);
    }
}
