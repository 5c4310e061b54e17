//! Instructions with masks that the AVX-512 kernel is made of, one by one, against what the manual
//! says: where an emulated machine gets one wrong, a kernel that disagrees there may yet be right.

use std::arch::asm;
use std::hint::black_box;

type Bytes = [u8; 64];

/// Two vectors and a mask to a mask: `zmm1`, `zmm2` (or `zmm17`, `zmm18`), `k2` to `k1`.
macro_rules! to_mask {
    ($instruction:literal) => {{
        #[target_feature(enable = "avx512f,avx512bw")]
        fn run(a: &Bytes, b: &Bytes, mask: u64) -> u64 {
            let found: u64;
            // SAFETY: loads of 64 bytes from references to 64; the registers are named.
            unsafe {
                asm!(
                    "vmovdqu64 zmm1, [{a}]", "vmovdqu64 zmm2, [{b}]",
                    "vmovdqa64 zmm17, zmm1", "vmovdqa64 zmm18, zmm2",
                    "kmovq k2, {mask}", $instruction, "kmovq {found}, k1",
                    a = in(reg) a, b = in(reg) b, mask = in(reg) mask, found = out(reg) found,
                    out("zmm1") _, out("zmm2") _, out("zmm17") _, out("zmm18") _,
                    out("k1") _, out("k2") _, options(nostack, readonly)
                );
            }
            found
        }
        run as unsafe fn(&Bytes, &Bytes, u64) -> u64
    }};
}

/// Two vectors and a mask to a vector, in place of the first.
macro_rules! to_bytes {
    ($instruction:literal, $first:literal) => {{
        #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
        fn run(a: &Bytes, b: &Bytes, mask: u64) -> Bytes {
            let mut found = [0; 64];
            // SAFETY: loads and a store of 64 bytes by references to 64; the registers are named.
            unsafe {
                asm!(
                    "vmovdqu64 zmm1, [{a}]", "vmovdqu64 zmm2, [rdx]",
                    "vmovdqa64 zmm17, zmm1", "vmovdqa64 zmm18, zmm2",
                    "kmovq k2, {mask}", $instruction, concat!("vmovdqu64 [{found}], ", $first),
                    a = in(reg) a, in("rdx") b, mask = in(reg) mask, found = in(reg) &mut found,
                    out("zmm1") _, out("zmm2") _, out("zmm17") _, out("zmm18") _,
                    out("k2") _, options(nostack)
                );
            }
            found
        }
        run as unsafe fn(&Bytes, &Bytes, u64) -> Bytes
    }};
}

type ToMask = (
    &'static str,
    unsafe fn(&Bytes, &Bytes, u64) -> u64,
    fn(u8, u8) -> bool,
);
type ToBytes = (
    &'static str,
    unsafe fn(&Bytes, &Bytes, u64) -> Bytes,
    fn(&Bytes, &Bytes, usize) -> u8,
);

fn to_masks() -> [ToMask; 6] {
    [
        (
            "vpcmpub above",
            to_mask!("vpcmpub k1{{k2}}, zmm1, zmm2, 6"),
            |a, b| a > b,
        ),
        (
            "vpcmpub above, high",
            to_mask!("vpcmpub k1{{k2}}, zmm17, zmm18, 6"),
            |a, b| a > b,
        ),
        (
            "vpcmpub above, memory",
            to_mask!("vpcmpub k1{{k2}}, zmm1, [{b}], 6"),
            |a, b| a > b,
        ),
        (
            "vpcmpb not equal",
            to_mask!("vpcmpb k1{{k2}}, zmm1, zmm2, 4"),
            |a, b| a != b,
        ),
        (
            "vpcmpeqb",
            to_mask!("vpcmpeqb k1{{k2}}, zmm1, zmm2"),
            |a, b| a == b,
        ),
        (
            "vptestmb",
            to_mask!("vptestmb k1{{k2}}, zmm1, zmm2"),
            |a, b| a & b != 0,
        ),
    ]
}

fn to_vectors() -> [ToBytes; 6] {
    [
        (
            "vmovdqu8",
            to_bytes!("vmovdqu8 zmm1{{k2}}, zmm2", "zmm1"),
            |_, b, at| b[at],
        ),
        (
            "vmovdqu8, high",
            to_bytes!("vmovdqu8 zmm17{{k2}}, zmm18", "zmm17"),
            |_, b, at| b[at],
        ),
        (
            "vpaddb",
            to_bytes!("vpaddb zmm1{{k2}}, zmm1, zmm2", "zmm1"),
            |a, b, at| a[at].wrapping_add(b[at]),
        ),
        (
            "vpermb",
            to_bytes!("vpermb zmm1{{k2}}, zmm2, zmm1", "zmm1"),
            |a, b, at| a[usize::from(b[at] & 63)],
        ),
        (
            "vpbroadcastb",
            to_bytes!("vpbroadcastb zmm1{{k2}}, xmm2", "zmm1"),
            |_, b, _| b[0],
        ),
        // The last one is reported, and not held against the machine: the kernel does without.
        (
            "vpbroadcastb, memory",
            to_bytes!("vpbroadcastb zmm1{{k2}}, byte ptr [rdx]", "zmm1"),
            |_, b, _| b[0],
        ),
    ]
}

#[test]
fn instructions_with_masks_do_what_the_manual_says() {
    if !(is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vbmi")) {
        println!("no AVX-512 VBMI on this machine: no instruction to try");
        return;
    }
    let mut random = crate::common::Random::new(5);
    let mut wrong = vec![];
    for round in 0..200 {
        let mut bytes = || -> Bytes {
            let few = if round % 2 == 0 { 3 } else { 255 };
            std::array::from_fn(|_| random.below(256) as u8 & few)
        };
        let (a, b, masks) = (bytes(), bytes(), bytes());
        let mask = u64::from_le_bytes(*masks.last_chunk().expect("eight bytes"));
        let mask = if round == 0 { u64::MAX } else { mask };
        for (name, run, above) in to_masks() {
            // SAFETY: the machine has the instructions.
            let found = unsafe { run(black_box(&a), black_box(&b), mask) };
            let expected = (0..64).filter(|at| above(a[*at], b[*at]) && mask >> at & 1 == 1);
            if found != expected.fold(0, |all, at| all | 1 << at) {
                wrong.push(name);
            }
        }
        for (name, run, value) in to_vectors() {
            // SAFETY: the machine has the instructions.
            let found = unsafe { run(black_box(&a), black_box(&b), mask) };
            let expected: Bytes = std::array::from_fn(|at| match mask >> at & 1 {
                1 => value(&a, &b, at),
                _ => a[at],
            });
            if found != expected {
                wrong.push(name);
            }
        }
    }
    wrong.sort_unstable();
    wrong.dedup();
    println!("instructions that differ from the manual here: {wrong:?}");
    wrong.retain(|name| *name != "vpbroadcastb, memory");
    assert!(wrong.is_empty(), "{wrong:?}");
}
