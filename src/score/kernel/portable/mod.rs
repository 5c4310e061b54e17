//! The reference kernel: plain Rust for every machine.

pub mod batch;
pub mod bins;
mod oblivious;
pub mod trees;

use crate::limits::BATCH_ROWS_MAX;
use crate::row::Row;
use crate::score::layout::{Layouts, Missing, NodeWalk, Partition, Predicates, Prepared, Shapes};
use crate::table::View;
use crate::table::format::TreeRecord;

/// Returns `true`: it runs on every machine.
pub fn available() -> bool {
    true
}

/// The layouts that it runs.
pub fn prepare(view: &View<'_>, trees: Shapes<&[TreeRecord]>) -> Option<Layouts> {
    Some(Layouts {
        missing: Missing::of(view),
        predicates: Predicates::of(view)?,
        node_walk: NodeWalk::of(view, trees.plain.iter())?,
        partition: trees.try_map(|trees| Partition::of(view, trees))?,
        ..Layouts::default()
    })
}

/// A row's margin, fixed point.
pub fn margin(prepared: &Prepared, row: &Row) -> i64 {
    let view = prepared.view();
    let by_predicates = oblivious::sum_by_predicates(prepared, row);
    if let (Some(sum), []) = (by_predicates, view.trees) {
        return view.bias.wrapping_add(sum);
    }
    let bins = bins::binarise(prepared, row);
    let oblivious = by_predicates.unwrap_or_else(|| oblivious::sum(view, &bins));
    view.bias
        .wrapping_add(oblivious)
        .wrapping_add(trees::sum(prepared, &bins))
}

/// The margins of rows, fixed point.
pub fn margins(prepared: &Prepared, rows: &[Row], margins: &mut [i64]) {
    let chunks = rows.chunks(BATCH_ROWS_MAX);
    for (rows, margins) in chunks.zip(margins.chunks_mut(BATCH_ROWS_MAX)) {
        if batch::pays(prepared, rows) {
            batch::margins(prepared, rows, margins);
        } else {
            for (row, to) in rows.iter().zip(margins) {
                *to = margin(prepared, row);
            }
        }
    }
}
