//! Leaves of oblivious trees, byte by byte: for batches that look them up in narrow registers.
//!
//! The layout is derived from a validated table when it is bound, on the control plane.

use super::words::push;
use crate::table::View;
use crate::table::format::BLOCK_TREES;

/// Levels of a tree that is laid out so, at most.
pub(super) const LEVELS: u32 = 6;

/// A tree's 64 leaves: byte by byte, lowest first, and each byte of all leaves in quarters of 16.
/// The top byte has no sign: its highest bit is turned. A quarter but the first is written as what
/// differs from the one before.
pub(super) type Planes = [[[u8; 16]; 4]; 4];

/// What the turned bit adds to each leaf.
pub(super) const OFFSET: i64 = 1 << 31;

/// The planes of the trees of those blocks that have at most [`LEVELS`] levels, padding included;
/// they stand behind all others. None where there is no memory for it.
pub(super) fn planes(view: &View<'_>) -> Option<Vec<Planes>> {
    let blocks = view.blocks.len().saturating_sub(deep_blocks(view));
    let mut all = Vec::new();
    let trees = blocks.saturating_mul(BLOCK_TREES);
    all.try_reserve_exact(trees).ok()?;
    let starts = view.leaf_starts.len().saturating_sub(trees);
    let blocks = view.blocks.iter().skip(deep_blocks(view));
    let starts = view.leaf_starts.get(starts..).unwrap_or_default();
    for (block, starts) in blocks.zip(starts.chunks(BLOCK_TREES)) {
        for start in starts {
            let leaves = view.leaves.get(*start as usize..).unwrap_or_default();
            push(&mut all, planes_of(leaves, 1 << block.levels))?;
        }
    }
    Some(all)
}

/// How many blocks are too deep for it.
pub(super) fn deep_blocks(view: &View<'_>) -> usize {
    view.blocks.partition_point(|block| block.levels > LEVELS)
}

/// Leaves behind the tree's own are never looked up.
fn planes_of(leaves: &[i32], count: usize) -> Planes {
    let mut planes = Planes::default();
    for (at, leaf) in leaves.iter().enumerate().take(count) {
        let bytes = (*leaf ^ i32::MIN).to_le_bytes();
        for (plane, byte) in planes.iter_mut().zip(bytes) {
            if let Some(to) = plane.as_flattened_mut().get_mut(at) {
                *to = byte;
            }
        }
    }
    for plane in &mut planes {
        let mut before = [0; 16];
        for quarter in plane {
            let own = *quarter;
            for (byte, before) in quarter.iter_mut().zip(before) {
                *byte ^= before;
            }
            before = own;
        }
    }
    planes
}
