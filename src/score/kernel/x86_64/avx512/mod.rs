//! AVX-512 with VBMI: lookups of 64 bins at a time in registers.

mod batch;
mod bins;
mod lookup;
mod oblivious;
mod trees;

use crate::limits::BATCH_ROWS_MAX;
use crate::row::Row;
use crate::score::layout::{Layouts, Partition, PredicateWords, Prepared, Shapes};
use crate::table::View;
use crate::table::format::TreeRecord;
use std::arch::x86_64::*;

/// Returns `true` if this machine has the instructions.
pub fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
}

/// The layouts that it runs.
pub fn prepare(view: &View<'_>, trees: Shapes<&[TreeRecord]>) -> Option<Layouts> {
    Some(Layouts {
        predicate_words: trees.try_map(|trees| PredicateWords::of(view, trees))?,
        partition: trees.try_map(|trees| Partition::of(view, trees))?,
        ..Layouts::default()
    })
}

/// A row's margin, fixed point.
pub fn margin(prepared: &Prepared, row: &Row) -> i64 {
    // SAFETY: K1 (a kernel runs only where it is `available`), made true by kernel::choose.
    unsafe { margin_of(prepared, row) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn margin_of(prepared: &Prepared, row: &Row) -> i64 {
    let view = prepared.view();
    let bins = bins::binarise(view, prepared.lane_positions(), row);
    view.bias
        .wrapping_add(oblivious::sum(view, &bins))
        .wrapping_add(trees::sum(prepared, &bins))
}

/// The margins of rows, fixed point.
pub fn margins(prepared: &Prepared, rows: &[Row], margins: &mut [i64]) {
    let chunks = rows.chunks(BATCH_ROWS_MAX);
    for (rows, margins) in chunks.zip(margins.chunks_mut(BATCH_ROWS_MAX)) {
        if batch::pays(prepared, rows) {
            // SAFETY: K1, as in `margin`.
            unsafe { batch::margins(prepared, rows, margins) };
        } else {
            for (row, to) in rows.iter().zip(margins) {
                *to = margin(prepared, row);
            }
        }
    }
}

/// Loads 64 plain bytes.
#[inline]
#[target_feature(enable = "avx512f")]
fn load<T: bytemuck::Pod>(from: &T) -> __m512i {
    const { assert!(size_of::<T>() == 64) };
    // SAFETY: K2: a reference to 64 plain bytes.
    unsafe { _mm512_loadu_si512(std::ptr::from_ref(from).cast()) }
}

/// Loads 16 floats.
#[inline]
#[target_feature(enable = "avx512f")]
fn load_ps(from: &[f32; 16]) -> __m512 {
    // SAFETY: K2: a reference to 16 floats.
    unsafe { _mm512_loadu_ps(from.as_ptr()) }
}

/// Loads 16 bytes.
#[inline]
#[target_feature(enable = "avx512f")]
fn load128(from: &[u8; 16]) -> __m128i {
    // SAFETY: K2: a reference to 16 bytes.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

/// Stores 64 plain bytes.
#[inline]
#[target_feature(enable = "avx512f")]
fn store<T: bytemuck::Pod>(to: &mut T, value: __m512i) {
    const { assert!(size_of::<T>() == 64) };
    // SAFETY: K2: an exclusive reference to 64 plain bytes.
    unsafe { _mm512_storeu_si512(std::ptr::from_mut(to).cast(), value) }
}

/// Stores 16 bytes.
#[inline]
#[target_feature(enable = "avx512f")]
fn store128(to: &mut [u8; 16], value: __m128i) {
    // SAFETY: K2: an exclusive reference to 16 bytes.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), value) }
}
