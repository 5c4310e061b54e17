//! Damaged models of all libraries: refused or well-formed, whatever was done to them. The fuzzers
//! under `fuzz/` make the same claim of far more; this is a fixed sample.

#[path = "common/claim.rs"]
mod claim;

use claim::{Fate, claim};
use std::time::{Duration, Instant};

const SEEDS: &[(&str, &[u8])] = &[
    ("CatBoost", include_bytes!("data/catboost-oblivious.json")),
    (
        "CatBoost, any shape",
        include_bytes!("data/catboost-nonsymmetric.json"),
    ),
    (
        "CatBoost, one-hot",
        include_bytes!("data/catboost-one-hot.json"),
    ),
    ("LightGBM", include_bytes!("data/lightgbm.txt")),
    (
        "LightGBM, categories",
        include_bytes!("data/lightgbm-categories.txt"),
    ),
    ("XGBoost", include_bytes!("data/xgboost-3.1.json")),
    (
        "XGBoost, categories",
        include_bytes!("data/xgboost-categories.json"),
    ),
    ("XGBoost, binary", include_bytes!("data/xgboost.ubj")),
    (
        "XGBoost, binary, categories",
        include_bytes!("data/xgboost-categories.ubj"),
    ),
];

/// Mutants of each model.
const MUTANTS: u64 = 1_500;

/// Far above what one takes: 10 ms in a debug build.
const LONGEST: Duration = Duration::from_secs(5);

/// Numbers and words that stand for more than they look.
const WORDS: &[&[u8]] = &[
    b"-1",
    b"0",
    b"1",
    b"9",
    b"1e308",
    b"-1e308",
    b"inf",
    b"nan",
    b"4294967295",
    b"2147483648",
    b"18446744073709551615",
    b"16777216",
    b"0.1",
    b"null",
    b"[]",
    b"{}",
    b"\"",
    b",",
    b" ",
    b"=",
    b"\n",
    b"[",
    b"}",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x7f\xc0\0\0",
    b"\0\0\0\0\0\0\x01\0",
];

/// Numbers that look random and are the same each time (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
    }
}

/// Changes bytes, a number, or the order of pieces.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len());
    let end = (at + 1 + random.below(24)).min(bytes.len());
    match random.below(8) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.below(256) as u8,
        2 => drop(bytes.drain(at..end)),
        3 => {
            let piece = bytes[at..end].to_vec();
            let to = random.below(bytes.len());
            drop(bytes.splice(to..to, piece));
        }
        4 => bytes.truncate(at),
        5 => {
            let word = WORDS[random.below(WORDS.len())];
            drop(bytes.splice(at..at, word.iter().copied()));
        }
        // A whole number for another, which keeps the syntax of text.
        _ => {
            let digit = |byte: &u8| byte.is_ascii_digit() || b"-.e".contains(byte);
            let Some(start) = bytes[at..].iter().position(digit) else {
                return;
            };
            let start = at + start;
            let length = bytes[start..].iter().position(|byte| !digit(byte));
            let end = length.map_or(bytes.len(), |length| start + length);
            let word = WORDS[random.below(12)];
            drop(bytes.splice(start..end, word.iter().copied()));
        }
    }
}

#[test]
fn mutants_are_refused_or_well_formed() {
    for (number, (name, seed)) in (1..).zip(SEEDS) {
        assert_eq!(claim(seed), Fate::Built, "{name}");
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ number);
        let mut fates = [0; 3];
        for mutant in 0..MUTANTS {
            let mut bytes = seed.to_vec();
            for _ in 0..1 + random.below(3) {
                mutate(&mut bytes, &mut random);
            }
            let started = Instant::now();
            fates[claim(&bytes) as usize] += 1;
            assert!(started.elapsed() < LONGEST, "{name}: mutant {mutant}");
        }
        let [refused, unbuilt, built] = fates;
        println!("{name}: {refused} refused, {unbuilt} without a table, {built} built");
        // A sample in which all are refused, or none, shows little.
        assert!(
            refused > MUTANTS / 10 && built > MUTANTS / 100,
            "{name}: {fates:?}"
        );
    }
}
