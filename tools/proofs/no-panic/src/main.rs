//! Two proofs that the hot path cannot panic, about its optimised machine code.
//!
//! 1. Functions marked `#[no_panic]` link only if the optimiser has found that nothing in them
//!    unwinds: else a call to a function that does not exist is left over.
//! 2. Functions named `hot_…` are what `tests/hot_path_no_panic.rs` looks for in the assembly: it
//!    follows their calls and finds none of a panic. This one covers [`Scorer::score`] as a
//!    whole, where the kernel is called by a pointer, which the first proof cannot look behind.

use hedgerow::epoch::{Barrier, Reader, Swap};
use hedgerow::http::{Header, HeadersKnown, Request, extract};
use hedgerow::{Bound, DEFAULT_TABLE, Engine, KERNELS, Row, Schema, Scorer, Table, Verdict};
use no_panic::no_panic;
use std::hint::black_box;

#[no_panic]
#[inline(never)]
fn enter_and_leave(reader: &mut Reader<u64>) -> u64 {
    reader.enter().map_or(0, |value| *value)
}

#[no_panic]
#[inline(never)]
fn score_of_margin(bound: &Bound, margin: i64) -> u8 {
    bound.score(margin).get()
}

#[no_panic]
#[inline(never)]
fn extract_row(request: &Request<'_>, row: &mut Row) {
    extract(request, row);
}

#[no_panic]
#[inline(never)]
fn margin<const KERNEL: usize>(bound: &Bound, row: &Row) -> i64 {
    match KERNELS.get(KERNEL) {
        Some(kernel) => kernel.margin(bound, row),
        None => 0,
    }
}

#[no_panic]
#[inline(never)]
fn margins<const KERNEL: usize>(bound: &Bound, rows: &[Row], margins: &mut [i64]) {
    if let Some(kernel) = KERNELS.get(KERNEL) {
        kernel.margins(bound, rows, margins);
    }
}

/// An index that may be out of range.
#[cfg(feature = "plant")]
#[no_panic]
#[inline(never)]
fn planted(row: &Row, index: usize) -> f32 {
    row.values()[index]
}

#[unsafe(no_mangle)]
#[inline(never)]
fn hot_score(scorer: &mut Scorer, row: &Row) -> Verdict {
    #[cfg(feature = "plant-symbol")]
    black_box(row.values()[black_box(7)]);
    scorer.score(row)
}

#[unsafe(no_mangle)]
#[inline(never)]
fn hot_extract(request: &Request<'_>, row: &mut Row) {
    extract(request, row);
}

/// Every kernel, of either kind.
#[unsafe(no_mangle)]
#[inline(never)]
fn hot_kernels(bound: &Bound, rows: &[Row], to: &mut [i64]) -> i64 {
    let mut sum = 0i64;
    let Some(row) = rows.first() else { return 0 };
    every_kernel(|margin, margins| {
        sum = sum.wrapping_add(margin(bound, row));
        margins(bound, rows, to);
    });
    sum
}
