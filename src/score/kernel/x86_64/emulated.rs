//! Gathers for an emulated machine (`--cfg emulated`, `ci/avx512.sh`), in place of the
//! intrinsics of the same names.
//!
//! Bochs 2.7 takes a gather by a register above 15 for an invalid instruction, and the compiler
//! gives whichever is free. Here it is the same instruction, and its registers have names.

use std::arch::asm;
use std::arch::x86_64::{__m256i, __m512, __m512i};

macro_rules! gather {
    ($name:ident, $from:ty, $found:ty, $instruction:literal, $to:tt) => {
        /// As the intrinsic.
        ///
        /// # Safety
        /// As the intrinsic's: every element that is read lies in memory.
        // SAFETY: K2, by the caller, as for the intrinsic.
        #[inline]
        #[target_feature(enable = "avx512f")]
        pub unsafe fn $name<const SCALE: i32>(at: __m512i, from: *const $from) -> $found {
            let found: $found;
            // SAFETY: K2, as the caller of the intrinsic has it; all registers are named.
            unsafe {
                asm!(
                    "kxnorw k1, k1, k1",
                    "vpxord zmm2, zmm2, zmm2",
                    concat!($instruction, " ", $to, "{{k1}}, [{from} + zmm1*{scale}]"),
                    from = in(reg) from,
                    scale = const SCALE,
                    in("zmm1") at,
                    out($to) found,
                    out("k1") _,
                    options(pure, readonly, nostack, preserves_flags)
                );
            }
            found
        }
    };
}

gather!(_mm512_i32gather_ps, f32, __m512, "vgatherdps", "zmm2");
gather!(_mm512_i32gather_epi32, i32, __m512i, "vpgatherdd", "zmm2");
gather!(_mm512_i64gather_epi32, i32, __m256i, "vpgatherqd", "ymm2");
