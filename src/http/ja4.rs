//! The JA4 of a TLS client, computed from the parts of its ClientHello.
//!
//! By the published description of the method (JA4 alone, which is free to use; none of the other
//! JA4+ methods). For logs and lists: features are made from the parts themselves, so that no hash
//! is computed on the hot path.

use super::tls::{ClientHello, LIST_MAX, is_grease, real};
use sha2::{Digest, Sha256};
use std::fmt;

/// A JA4, such as `t13d1516h2_8daaf6152771_e5627efa2ab1`: 36 bytes of ASCII.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ja4([u8; 36]);

/// What stands for an empty list.
const NOTHING: [u8; 12] = *b"000000000000";

/// The extensions that differ from one connection of a client to the next.
const NOT_HASHED: [u16; 2] = [0x0000, 0x0010];

impl Ja4 {
    /// The JA4 of a ClientHello. GREASE is ignored everywhere, in the signature algorithms too,
    /// where Chromium has begun to send it. None where a list is longer than any client's, see
    /// [`TLS_LIST_MAX`](crate::limits::TLS_LIST_MAX).
    pub fn of(hello: &ClientHello<'_>) -> Option<Ja4> {
        let lists = [hello.ciphers, hello.extensions, hello.signature_algorithms];
        if lists.iter().any(|list| list.len() > LIST_MAX) {
            return None;
        }
        let mut text = [b'_'; 36];
        let (head, hashes) = text.split_at_mut(11);
        let (ciphers, extensions) = hashes.split_at_mut(13);
        fill(head, &head_of(hello));
        fill(ciphers, &ciphers_hash(hello));
        fill(extensions, &extensions_hash(hello));
        Some(Ja4(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Ja4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Ja4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ja4({self})")
    }
}

fn fill(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// Protocol, version, server name, counts, ALPN.
fn head_of(hello: &ClientHello<'_>) -> [u8; 10] {
    let version = match hello.version() {
        0x0304 => *b"13",
        0x0303 => *b"12",
        0x0302 => *b"11",
        0x0301 => *b"10",
        0x0300 => *b"s3",
        0x0002 => *b"s2",
        _ => *b"00",
    };
    let [v1, v2] = version;
    let [c1, c2] = two_digits(real(hello.ciphers).count());
    let [e1, e2] = two_digits(real(hello.extensions).count());
    let [a1, a2] = alpn(hello.alpn);
    let protocol = if hello.quic { b'q' } else { b't' };
    let name = if hello.has_name() { b'd' } else { b'i' };
    [protocol, v1, v2, name, c1, c2, e1, e2, a1, a2]
}

/// The first and last character of the first protocol, or of its bytes in hexadecimal where they
/// are no letters and digits.
fn alpn(protocol: &[u8]) -> [u8; 2] {
    let (Some(first), Some(last)) = (protocol.first(), protocol.last()) else {
        return *b"00";
    };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [*first, *last];
    }
    [hex(first >> 4), hex(*last)]
}

fn ciphers_hash(hello: &ClientHello<'_>) -> [u8; 12] {
    let mut list = Sorted::of(real(hello.ciphers));
    if list.count == 0 {
        return NOTHING;
    }
    let mut hash = Sha256::new();
    list.write(&mut hash);
    digits(hash)
}

fn extensions_hash(hello: &ClientHello<'_>) -> [u8; 12] {
    if real(hello.extensions).next().is_none() {
        return NOTHING;
    }
    let hashed = |extension: &u16| !NOT_HASHED.contains(extension);
    let mut list = Sorted::of(real(hello.extensions).filter(hashed));
    let mut hash = Sha256::new();
    list.write(&mut hash);
    // In the order that they were sent in.
    let mut before = b'_';
    for algorithm in hello.signature_algorithms {
        if !is_grease(*algorithm) {
            hash.update([before]);
            hash.update(four_digits(*algorithm));
            before = b',';
        }
    }
    digits(hash)
}

/// A list that is to be sorted, without a heap.
struct Sorted {
    values: [u16; LIST_MAX],
    count: usize,
}

impl Sorted {
    fn of(from: impl Iterator<Item = u16>) -> Sorted {
        let mut list = Sorted {
            values: [0; LIST_MAX],
            count: 0,
        };
        for (to, value) in list.values.iter_mut().zip(from) {
            *to = value;
            list.count = list.count.saturating_add(1);
        }
        list
    }

    /// In ascending order, as four digits each with commas between.
    fn write(&mut self, to: &mut Sha256) {
        let Some(values) = self.values.get_mut(..self.count) else {
            return;
        };
        values.sort_unstable();
        for (at, value) in values.iter().enumerate() {
            if at != 0 {
                to.update(b",");
            }
            to.update(four_digits(*value));
        }
    }
}

/// The first twelve digits of a hash.
fn digits(hash: Sha256) -> [u8; 12] {
    let mut text = NOTHING;
    let hash = hash.finalize();
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(hash.iter()) {
        *pair = [hex(byte >> 4), hex(*byte)];
    }
    text
}

fn four_digits(value: u16) -> [u8; 4] {
    let [high, low] = value.to_be_bytes();
    [hex(high >> 4), hex(high), hex(low >> 4), hex(low)]
}

/// The low half of a byte as a digit.
fn hex(half: u8) -> u8 {
    match half & 15 {
        digit @ 0..=9 => digit.wrapping_add(b'0'),
        letter => letter.wrapping_add(b'a' - 10),
    }
}

fn two_digits(count: usize) -> [u8; 2] {
    let count = u8::try_from(count).unwrap_or(u8::MAX).min(99);
    [
        (count / 10).wrapping_add(b'0'),
        (count % 10).wrapping_add(b'0'),
    ]
}
