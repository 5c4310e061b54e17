//! Leaves of oblivious trees byte by byte: for batches that look them up in narrow registers.

use super::push;
use crate::table::View;
use crate::table::format::BLOCK_TREES;

/// The most levels of a tree that is laid out so.
const LEVELS_MAX: u32 = 6;

/// A tree's 64 leaves: byte by byte, lowest first, and each byte of all leaves in quarters of 16.
/// The top byte has no sign: its highest bit is flipped. Each quarter but the first is stored as
/// its difference (xor) from the quarter before.
pub type BytePlanes = [[[u8; 16]; 4]; 4];

/// What the flipped bit adds to each leaf.
pub const OFFSET: i64 = 1 << 31;

/// The byte planes of the trees of the blocks with at most six levels, padding included; these
/// blocks follow all deeper ones. `None` if there is no memory.
pub fn byte_planes(view: &View<'_>) -> Option<Vec<BytePlanes>> {
    let deep = deep_blocks(view);
    let blocks = view.blocks.get(deep..).unwrap_or_default();
    let starts = view.leaf_starts.as_chunks::<BLOCK_TREES>().0;
    let starts = starts.get(deep..).unwrap_or_default();
    let mut all = Vec::new();
    let trees = blocks.len().saturating_mul(BLOCK_TREES);
    all.try_reserve_exact(trees).ok()?;
    for (block, starts) in blocks.iter().zip(starts) {
        for start in starts {
            let leaves = view.leaves.get(*start as usize..).unwrap_or_default();
            push(&mut all, planes_of(leaves, 1 << block.levels))?;
        }
    }
    Some(all)
}

/// The number of blocks that are too deep for byte planes.
#[inline]
pub fn deep_blocks(view: &View<'_>) -> usize {
    view.blocks
        .partition_point(|block| block.levels > LEVELS_MAX)
}

/// Leaves beyond the tree's own `count` are never looked up.
fn planes_of(leaves: &[i32], count: usize) -> BytePlanes {
    let mut planes = BytePlanes::default();
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
