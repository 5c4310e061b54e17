//! Tables as kernels read them: the checked sections, and layouts that are derived from them.
//!
//! A layout is derived from a validated table on the control plane, when the table is prepared.
//! Each kernel derives the layouts that it runs, and no others. No content of a layout can lead a
//! kernel out of its arrays. No file here knows a kernel.

mod byte_planes;
mod missing;
mod node_walk;
mod partition;
mod predicate_words;
mod predicates;
mod quads;
mod spans;

pub use byte_planes::{BytePlanes, OFFSET, byte_planes, deep_blocks};
pub use missing::Missing;
pub use node_walk::{NodeArrays, NodeWalk};
pub use partition::{Partition, Step};
pub use predicate_words::{Complete, Marks, Paths, PredicateWords, SetSplit, Splits};
pub use predicates::{PREDICATES_MAX, Predicates, words};
pub use quads::{QUADS_TREES, Quads, Register, is_deep, quads};
pub use spans::{Span, spans};

use crate::limits::{BATCH_ROWS_MAX, FEATURES_MAX};
use crate::table::format::{NodeRecord, TreeRecord};
use crate::table::{Table, View};

/// A binarised row: one bin per lane.
pub type Bins = [u8; FEATURES_MAX];

/// The bins of up to 64 rows, by lane.
pub type Columns = [[u8; BATCH_ROWS_MAX]; FEATURES_MAX];

/// A checked table that is ready for kernels.
#[derive(Debug)]
pub struct Prepared {
    table: Table,
    lane_positions: [u8; FEATURES_MAX],
    plain_trees: usize,
    layouts: Layouts,
}

/// The derived layouts of one table. Those that its kernel does not run are empty.
#[derive(Debug, Default)]
pub struct Layouts {
    /// Missing values, lane by lane.
    pub missing: Missing,
    /// Oblivious trees: their splits as bytes of the row's predicates.
    pub predicates: Predicates,
    /// Oblivious trees: the groups of lanes of each level.
    pub spans: Vec<Span>,
    /// Oblivious trees: their leaves byte by byte.
    pub byte_planes: Vec<BytePlanes>,
    /// Plain trees: their nodes in arrays.
    pub node_walk: NodeWalk,
    /// Deep plain trees: their predicate words in narrow registers.
    pub quads: Vec<Quads>,
    /// Trees of any shape: their predicate words in wide registers.
    pub predicate_words: Shapes<PredicateWords>,
    /// Trees of any shape: lists of steps that partition a batch.
    pub partition: Shapes<Partition>,
}

/// One value for plain trees, and one for special trees, whose splits have marks or sets: so that
/// plain trees pay nothing for marks and sets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shapes<T> {
    /// Of trees without marks and sets.
    pub plain: T,
    /// Of trees with some.
    pub special: T,
}

impl Prepared {
    /// A table with the row position of each lane's value, and with the layouts of its kernel.
    pub fn new(table: Table, lane_positions: [u8; FEATURES_MAX], layouts: Layouts) -> Prepared {
        Prepared {
            plain_trees: Shapes::of(table.view()).plain.len(),
            table,
            lane_positions,
            layouts,
        }
    }

    /// The table.
    #[inline]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The table's sections.
    #[inline]
    pub fn view(&self) -> &View<'_> {
        self.table.view()
    }

    /// The row position of each lane's value.
    #[inline]
    pub fn lane_positions(&self) -> &[u8; FEATURES_MAX] {
        &self.lane_positions
    }

    /// The trees of any shape with marks or sets.
    #[inline]
    pub fn special_trees(&self) -> &[TreeRecord] {
        let special = self.view().trees.get(self.plain_trees..);
        special.unwrap_or_default()
    }

    /// The derived layouts.
    #[inline]
    pub fn layouts(&self) -> &Layouts {
        &self.layouts
    }
}

impl<'a> Shapes<&'a [TreeRecord]> {
    /// The trees of any shape of a table. Special trees follow the plain ones (T7).
    pub fn of(view: &View<'a>) -> Shapes<&'a [TreeRecord]> {
        let is_plain = |tree: &TreeRecord| !view.nodes_of(tree).iter().any(NodeRecord::is_special);
        let plain_trees = view.trees.partition_point(is_plain);
        let (plain, special) = view
            .trees
            .split_at_checked(plain_trees)
            .unwrap_or((view.trees, &[]));
        Shapes { plain, special }
    }

    /// A layout of each; `None` if one is `None`.
    pub fn try_map<T>(
        self,
        mut layout: impl FnMut(&'a [TreeRecord]) -> Option<T>,
    ) -> Option<Shapes<T>> {
        Some(Shapes {
            plain: layout(self.plain)?,
            special: layout(self.special)?,
        })
    }
}

/// As `Vec::push`; `None` if there is no memory.
fn push<T>(list: &mut Vec<T>, item: T) -> Option<()> {
    list.try_reserve(1).ok()?;
    list.push(item);
    Some(())
}

/// Writes a value to a place of an array; nothing beyond its end.
fn put<T>(values: &mut [T], at: usize, value: T) {
    if let Some(place) = values.get_mut(at) {
        *place = value;
    }
}
