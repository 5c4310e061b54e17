//! Gathers for an emulated machine (`--cfg emulated`, `tools/gate/avx512.sh`), in place of the
//! intrinsics of the same names.
//!
//! Bochs 2.7 takes a gather by a register above 15 for an invalid instruction, and the compiler
//! gives whichever is free. Here it is the same instruction, and its registers have names.

use std::arch::asm;
use std::arch::x86_64::{__m256i, __m512, __m512i};

/// As the intrinsic.
///
/// # Safety
/// As the intrinsic's: every element that is read lies in memory.
#[inline]
#[target_feature(enable = "avx512f")]
// SAFETY: K2, by the caller, as for the intrinsic.
pub(super) unsafe fn _mm512_i32gather_ps<const SCALE: i32>(
    at: __m512i,
    from: *const f32,
) -> __m512 {
    let found: __m512;
    // SAFETY: K2, as the caller of the intrinsic has it; the mask and both registers are named.
    unsafe {
        asm!(
            "kxnorw k1, k1, k1",
            "vpxord zmm2, zmm2, zmm2",
            "vgatherdps zmm2{{k1}}, [{from} + zmm1*{scale}]",
            from = in(reg) from,
            scale = const SCALE,
            in("zmm1") at,
            out("zmm2") found,
            out("k1") _,
            options(pure, readonly, nostack, preserves_flags)
        );
    }
    found
}

/// As the intrinsic.
///
/// # Safety
/// As the intrinsic's: every element that is read lies in memory.
#[inline]
#[target_feature(enable = "avx512f")]
// SAFETY: K2, by the caller, as for the intrinsic.
pub(super) unsafe fn _mm512_i32gather_epi32<const SCALE: i32>(
    at: __m512i,
    from: *const i32,
) -> __m512i {
    let found: __m512i;
    // SAFETY: K2, as the caller of the intrinsic has it; the mask and both registers are named.
    unsafe {
        asm!(
            "kxnorw k1, k1, k1",
            "vpxord zmm2, zmm2, zmm2",
            "vpgatherdd zmm2{{k1}}, [{from} + zmm1*{scale}]",
            from = in(reg) from,
            scale = const SCALE,
            in("zmm1") at,
            out("zmm2") found,
            out("k1") _,
            options(pure, readonly, nostack, preserves_flags)
        );
    }
    found
}

/// As the intrinsic.
///
/// # Safety
/// As the intrinsic's: every element that is read lies in memory.
#[inline]
#[target_feature(enable = "avx512f")]
// SAFETY: K2, by the caller, as for the intrinsic.
pub(super) unsafe fn _mm512_i64gather_epi32<const SCALE: i32>(
    at: __m512i,
    from: *const i32,
) -> __m256i {
    let found: __m256i;
    // SAFETY: K2, as the caller of the intrinsic has it; the mask and both registers are named.
    unsafe {
        asm!(
            "kxnorw k1, k1, k1",
            "vpxord zmm2, zmm2, zmm2",
            "vpgatherqd ymm2{{k1}}, [{from} + zmm1*{scale}]",
            from = in(reg) from,
            scale = const SCALE,
            in("zmm1") at,
            out("ymm2") found,
            out("k1") _,
            options(pure, readonly, nostack, preserves_flags)
        );
    }
    found
}
