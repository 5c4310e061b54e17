//! AVX2: eight floats at a time, and lookups among 16 bins.

mod batch;
mod bins;
mod lookup;
mod oblivious;
mod trees;

use crate::limits::BATCH_ROWS_MAX;
use crate::row::Row;
use crate::score::kernel::portable;
use crate::score::layout::{
    Layouts, NodeWalk, Partition, Prepared, Shapes, byte_planes, is_deep, quads, spans,
};
use crate::table::View;
use crate::table::format::{GROUP_LANES, TreeRecord};
use lookup::Groups;
use std::arch::x86_64::*;

/// Returns `true` if this machine has the instructions.
pub fn available() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
}

/// The layouts that it runs.
pub fn prepare(view: &View<'_>, trees: Shapes<&[TreeRecord]>) -> Option<Layouts> {
    Some(Layouts {
        spans: spans(view)?,
        byte_planes: byte_planes(view)?,
        node_walk: NodeWalk::of(view, trees.plain.iter().filter(|tree| !is_deep(tree)))?,
        quads: quads(view, trees.plain)?,
        partition: trees.try_map(|trees| Partition::of(view, trees))?,
        ..Layouts::default()
    })
}

/// A row's margin, fixed point.
pub fn margin(prepared: &Prepared, row: &Row) -> i64 {
    // SAFETY: K1 (a kernel runs only where it is `available`), made true by kernel::choose.
    unsafe { margin_of(prepared, row) }
}

#[target_feature(enable = "avx2,bmi1,bmi2")]
fn margin_of(prepared: &Prepared, row: &Row) -> i64 {
    let view = prepared.view();
    let bins = bins::binarise(view, prepared.lane_positions(), row);
    let groups = Groups::of(&bins);
    view.bias
        .wrapping_add(oblivious::sum(prepared, &groups))
        .wrapping_add(trees::sum(&groups, &prepared.layouts().quads))
        .wrapping_add(portable::trees::sum(prepared, &bins))
}

/// The margins of rows, fixed point.
pub fn margins(prepared: &Prepared, rows: &[Row], margins: &mut [i64]) {
    let chunks = rows.chunks(BATCH_ROWS_MAX);
    for (rows, margins) in chunks.zip(margins.chunks_mut(BATCH_ROWS_MAX)) {
        if portable::batch::pays(prepared, rows) {
            // SAFETY: K1, as in `margin`.
            unsafe { batch::margins(prepared, rows, margins) };
        } else {
            for (row, to) in rows.iter().zip(margins) {
                *to = margin(prepared, row);
            }
        }
    }
}

/// Sixteen floats in two registers.
#[inline]
#[target_feature(enable = "avx2")]
fn halves_of(floats: &[f32; GROUP_LANES]) -> [__m256; 2] {
    // SAFETY: K2: a reference to 16 floats; the second load starts at the eighth.
    unsafe {
        [
            _mm256_loadu_ps(floats.as_ptr()),
            _mm256_loadu_ps(floats.as_ptr().add(8)),
        ]
    }
}

/// Loads 32 plain bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn load<T: bytemuck::Pod>(from: &T) -> __m256i {
    const { assert!(size_of::<T>() == 32) };
    // SAFETY: K2: a reference to 32 plain bytes.
    unsafe { _mm256_loadu_si256(std::ptr::from_ref(from).cast()) }
}

/// Sixteen bytes in both halves of a register.
#[inline]
#[target_feature(enable = "avx2")]
fn load_twice(from: &[u8; 16]) -> __m256i {
    // SAFETY: K2: a reference to 16 bytes.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(from.as_ptr().cast()) })
}

/// Loads eight bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn load64(from: &[u8; 8]) -> __m128i {
    _mm_cvtsi64_si128(i64::from_le_bytes(*from))
}

/// Stores 32 plain bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn store<T: bytemuck::Pod>(to: &mut T, value: __m256i) {
    const { assert!(size_of::<T>() == 32) };
    // SAFETY: K2: an exclusive reference to 32 plain bytes.
    unsafe { _mm256_storeu_si256(std::ptr::from_mut(to).cast(), value) }
}

/// Stores 16 bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn store128(to: &mut [u8; 16], value: __m128i) {
    // SAFETY: K2: an exclusive reference to 16 bytes.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), value) }
}

/// Loads four words.
#[inline]
#[target_feature(enable = "avx2")]
fn load_four(from: &[u32; 4]) -> __m128i {
    // SAFETY: K2: a reference to 16 bytes.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

/// Stores four words.
#[inline]
#[target_feature(enable = "avx2")]
fn store_four(to: &mut [u32; 4], value: __m128i) {
    // SAFETY: K2: an exclusive reference to 16 bytes.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), value) }
}
