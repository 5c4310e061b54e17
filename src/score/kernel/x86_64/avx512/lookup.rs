//! Lookups of bins with AVX-512: 64 bins at a time.

use super::load;
use crate::score::layout::Bins;
use std::arch::x86_64::*;

/// A binarised row in registers.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn row_registers(bins: &Bins) -> [__m512i; 4] {
    let mut registers = [_mm512_setzero_si512(); 4];
    for (register, bytes) in registers.iter_mut().zip(bins.as_chunks::<64>().0) {
        *register = load(bytes);
    }
    registers
}

/// The bins of 64 lanes, all of which are in the first `REGISTERS` registers of the row.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
pub fn lookup<const REGISTERS: usize>(row: &[__m512i; 4], lanes: __m512i) -> __m512i {
    let [a, b, c, d] = *row;
    if REGISTERS == 1 {
        return _mm512_permutexvar_epi8(lanes, a);
    }
    let low = _mm512_permutex2var_epi8(a, lanes, b);
    if REGISTERS == 2 {
        return low;
    }
    let high = match REGISTERS {
        3 => _mm512_permutexvar_epi8(lanes, c),
        _ => _mm512_permutex2var_epi8(c, lanes, d),
    };
    _mm512_mask_blend_epi8(_mm512_movepi8_mask(lanes), low, high)
}
