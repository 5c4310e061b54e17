//! Who a client is: an address, or whatever bytes the host knows him by.

use super::hash::{Domain, Seed, hash};
use std::net::IpAddr;

/// What a client is recognised by.
///
/// - **An address.** IPv4 as a whole; an IPv4 address in IPv6 form (mapped as in
///   `::ffff:192.0.2.1`, behind NAT64's `64:ff9b::`, or in Teredo's) is the same client as the
///   address itself. IPv6 by its first 64 bits: a subscriber has at least that
///   much, and any device in it changes the rest at will. Whoever owns a /48 is still 65,536
///   clients, and everybody behind one NAT is one.
/// - **Any bytes**, such as a TLS fingerprint and the agent, one after the other with a byte
///   between that neither holds. All visitors with the same browser are then one client.
///
/// Addresses and bytes never meet, not even where the bytes spell an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientKey<'a>(Kind<'a>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind<'a> {
    V4([u8; 4]),
    V6([u8; 8]),
    Bytes(&'a [u8]),
}

/// A client in one core's windows: what [`observe`](super::Windows::observe) tells and
/// [`finish`](super::Windows::finish) asks for. It keeps nothing borrowed, so that it can wait
/// for the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientId(pub(super) u64);

/// Bytes of a key that count, one page: the work for a key is bounded.
pub const KEY_BYTES_MAX: usize = 4_096;

impl<'a> ClientKey<'a> {
    /// The client at this address.
    #[inline]
    pub fn address(address: IpAddr) -> ClientKey<'a> {
        ClientKey(match address.to_canonical() {
            IpAddr::V4(address) => Kind::V4(address.octets()),
            // The prefixes are of all clients of a translator and of a relay: they tell none apart.
            IpAddr::V6(address) => match address.octets() {
                [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, v4 @ ..] => Kind::V4(v4),
                [0x20, 1, 0, 0, .., a, b, c, d] => Kind::V4([!a, !b, !c, !d]),
                [a, b, c, d, e, f, g, h, ..] => Kind::V6([a, b, c, d, e, f, g, h]),
            },
        })
    }

    /// The client that is known by these bytes, of which the first [`KEY_BYTES_MAX`] count.
    #[inline]
    pub fn bytes(bytes: &'a [u8]) -> ClientKey<'a> {
        ClientKey(Kind::Bytes(bytes.get(..KEY_BYTES_MAX).unwrap_or(bytes)))
    }

    #[inline]
    pub(super) fn id(&self, seed: Seed) -> ClientId {
        ClientId(match &self.0 {
            Kind::V4(bytes) => hash(seed, Domain::V4, bytes),
            Kind::V6(bytes) => hash(seed, Domain::V6, bytes),
            Kind::Bytes(bytes) => hash(seed, Domain::Bytes, bytes),
        })
    }
}

impl ClientId {
    /// The client as a number, for a host that cannot hold this type.
    #[cfg(any(feature = "capi", test))]
    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    /// The client with this number. One that was made up is at worst another client.
    #[cfg(any(feature = "capi", test))]
    pub(crate) fn from_bits(bits: u64) -> ClientId {
        ClientId(bits)
    }

    /// What tells clients of one set apart; never 0, which is an empty way.
    #[inline]
    pub(super) fn tag(self) -> u32 {
        ((self.0 >> 32) as u32).max(1)
    }

    /// The set that the client is in, before it is cut to the number of sets.
    #[inline]
    pub(super) fn set(self) -> usize {
        (self.0 as u32) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_clients_by_network() {
        let id = |text: &str| ClientKey::address(text.parse().expect("an address")).id([1, 2]);
        assert_eq!(id("192.0.2.1"), id("::ffff:192.0.2.1"));
        assert_ne!(id("192.0.2.1"), id("192.0.2.2"));
        assert_eq!(id("192.0.2.1"), id("64:ff9b::192.0.2.1"));
        assert_eq!(id("192.0.2.1"), id("2001:0:cb00:7101::63bf:3fff:fdfe"));
        assert_ne!(id("192.0.2.1"), id("64:ff9b:1::192.0.2.1"));
        assert_ne!(id("192.0.2.1"), id("2001:1::3fff:fdfe"));
        assert_eq!(id("2001:db8:1:2::1"), id("2001:db8:1:2:ffff::9"));
        assert_ne!(id("2001:db8:1:2::1"), id("2001:db8:1:3::1"));
        let bytes = |bytes: &[u8]| ClientKey::bytes(bytes).id([1, 2]);
        assert_ne!(id("192.0.2.1"), bytes(&[192, 0, 2, 1]));
        assert_ne!(
            id("2001:db8:1:2::1"),
            bytes(&[0x20, 1, 0x0d, 0xb8, 0, 1, 0, 2])
        );
        assert_ne!(bytes(b""), bytes(b"\0"));
        assert_eq!(
            bytes(&[7; 5_000]),
            bytes(&[7; 6_000]),
            "the first bytes count"
        );
    }

    #[test]
    fn seeds_change_every_place() {
        let key = |n: u32| ClientKey::address(IpAddr::from(n.to_be_bytes()));
        let same = (0..10_000).filter(|n| {
            let (one, other) = (key(*n).id([1, 2]), key(*n).id([1, 3]));
            one.set() & 1_023 == other.set() & 1_023
        });
        let same = same.count();
        assert!(
            (3..30).contains(&same),
            "{same} of 10,000 in the same of 1,024 sets"
        );
    }

    /// Addresses that are chosen to share one set share none under another seed.
    #[test]
    fn chosen_addresses_spread_under_another_seed() {
        let key = |n: u32| ClientKey::address(IpAddr::from(n.to_be_bytes()));
        let chosen = (0..).filter(|n| key(*n).id([1, 2]).set() & 1_023 == 0);
        let mut sets = [0_u32; 1_024];
        for n in chosen.take(2_048) {
            sets[key(n).id([3, 4]).set() & 1_023] += 1;
        }
        let most = sets.iter().max().copied().unwrap_or_default();
        println!("2,048 addresses of one set: at most {most} in one of 1,024 sets");
        assert!(most <= 12, "{most}");
    }
}
