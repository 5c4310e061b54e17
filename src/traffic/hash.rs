//! SipHash-1-3: a keyed hash, so that nobody who does not know the key can choose his place.

/// A key of 128 bits, as two words.
pub(super) type Seed = [u64; 2];

/// What a hash is for. The same bytes hash differently for each.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(super) enum Domain {
    Bytes = 0,
    V4 = 4,
    V6 = 6,
    Path = 8,
    Agent = 9,
}

/// The hash of the bytes for this use: SipHash-1-3 of the use as one word, then the bytes.
#[inline]
pub(super) fn hash(seed: Seed, domain: Domain, bytes: &[u8]) -> u64 {
    let mut state = State::new(seed);
    state.word::<1>(u64::from(domain as u8));
    state.finish::<1, 3>(bytes, 8)
}

struct State {
    v: [u64; 4],
}

impl State {
    #[inline]
    fn new([k0, k1]: Seed) -> State {
        State {
            v: [
                k0 ^ 0x736f_6d65_7073_6575,
                k1 ^ 0x646f_7261_6e64_6f6d,
                k0 ^ 0x6c79_6765_6e65_7261,
                k1 ^ 0x7465_6462_7974_6573,
            ],
        }
    }

    #[inline(always)]
    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.v;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.v = [a, b, c, d];
    }

    #[inline(always)]
    fn word<const ROUNDS: usize>(&mut self, word: u64) {
        self.v[3] ^= word;
        for _ in 0..ROUNDS {
            self.round();
        }
        self.v[0] ^= word;
    }

    /// Takes the last bytes in; `before` bytes went in already.
    #[inline]
    fn finish<const ROUNDS: usize, const LAST: usize>(mut self, bytes: &[u8], before: u8) -> u64 {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word::<ROUNDS>(u64::from_le_bytes(*word));
        }
        // The rest in the last word's low bytes; the length modulo 256 in its highest.
        let tail = { rest.iter().rev() }.fold(0, |tail, byte| (tail << 8) | u64::from(*byte));
        let length = (bytes.len() as u8).wrapping_add(before);
        self.word::<ROUNDS>((u64::from(length) << 56) | tail);
        self.v[2] ^= 0xff;
        for _ in 0..LAST {
            self.round();
        }
        self.v.iter().fold(0, |all, word| all ^ word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::Hasher;

    const BYTES: [u8; 64] = {
        let mut bytes = [0; 64];
        let mut at = 0;
        while at < 64 {
            bytes[at] = (at as u8).wrapping_mul(37);
            at += 1;
        }
        bytes
    };

    /// The standard library's SipHash-2-4 takes keys: it shows that words, tail and keys are right.
    #[test]
    #[allow(deprecated)]
    fn is_siphash() {
        for length in 0..=BYTES.len() {
            let bytes = &BYTES[..length];
            for seed in [
                [0, 0],
                [1, u64::MAX],
                [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908],
            ] {
                let mut theirs = std::hash::SipHasher::new_with_keys(seed[0], seed[1]);
                theirs.write(bytes);
                assert_eq!(State::new(seed).finish::<2, 4>(bytes, 0), theirs.finish());
            }
        }
    }

    /// And its SipHash-1-3 has the rounds, with a key of zero.
    #[test]
    fn is_siphash_1_3_of_the_use_and_the_bytes() {
        for domain in [
            Domain::Bytes,
            Domain::V4,
            Domain::V6,
            Domain::Path,
            Domain::Agent,
        ] {
            for length in 0..=BYTES.len() {
                let mut theirs = std::hash::DefaultHasher::new();
                theirs.write(&u64::from(domain as u8).to_le_bytes());
                theirs.write(&BYTES[..length]);
                assert_eq!(hash([0, 0], domain, &BYTES[..length]), theirs.finish());
            }
        }
    }
}
