//! The sets of categories of one LightGBM tree: bitsets, which its categorical splits number.

use super::text::Block;
use crate::category::{CATEGORIES_END, EDGES_MAX, edges};
use hedgerow::Refusal;
use hedgerow::RefusalKind::{ModelOverCapacity, ModelUnsupported, ModelValue};
use std::sync::Arc;

/// The sets of a tree.
pub(super) struct Sets {
    /// Where each set's words begin; the last entry is the end of all.
    bounds: Vec<usize>,
    /// The bits: category `32 i + j` is bit `j` of a set's word `i`.
    words: Vec<u32>,
    /// The edges of the sets that were asked for. Splits may share a set, and then share these.
    edges: Vec<Option<Arc<[f32]>>>,
}

impl Sets {
    /// Reads the sets of a tree, which has none where `num_cat` is 0 or missing.
    pub fn read(block: &Block<'_>) -> Result<Sets, Refusal> {
        let count = block.count_or("num_cat", 0)?;
        if count == 0 {
            return Ok(Sets {
                bounds: Vec::new(),
                words: Vec::new(),
                edges: Vec::new(),
            });
        }
        let bounds: Vec<usize> = block.numbers(BOUNDS, count.saturating_add(1))?;
        if let Some(first @ 1..) = bounds.first() {
            let key = format!("{BOUNDS}[0]");
            return Err(block.refusal(ModelValue, &key, "0", first));
        }
        for (index, (low, high)) in (1_usize..).zip(bounds.iter().zip(bounds.iter().skip(1))) {
            if low > high {
                let key = format!("{BOUNDS}[{index}]");
                let expected = format!("at least {low}, the bound before it");
                return Err(block.refusal(ModelValue, &key, expected, high));
            }
        }
        let words = block.numbers(WORDS, bounds.last().copied().unwrap_or(0))?;
        Ok(Sets {
            bounds,
            words,
            edges: vec![None; count],
        })
    }

    /// How many sets there are.
    pub fn count(&self) -> usize {
        self.edges.len()
    }

    /// The edges of a set, which must be below [`count`](Sets::count). `total` counts those of all
    /// trees.
    pub fn edges(
        &mut self,
        set: usize,
        total: &mut usize,
        block: &Block<'_>,
    ) -> Result<Arc<[f32]>, Refusal> {
        if let Some(Some(known)) = self.edges.get(set) {
            return Ok(known.clone());
        }
        let (from, to) = match (self.bounds.get(set), self.bounds.get(set.saturating_add(1))) {
            (Some(from), Some(to)) => (*from, *to),
            _ => (0, 0),
        };
        let words = self.words.get(from..to).unwrap_or_default();
        let mut categories = Vec::new();
        for (index, word) in (from..).zip(words) {
            let first = index.saturating_sub(from).saturating_mul(32);
            let mut left = *word;
            while left != 0 {
                let category = first.saturating_add(left.trailing_zeros() as usize);
                if category >= CATEGORIES_END as usize {
                    let key = format!("{WORDS}[{index}]");
                    let expected = format!("categories below {CATEGORIES_END}, exact in f32");
                    let got = format!("category {category}");
                    return Err(block
                        .refusal(ModelUnsupported, &key, expected, got)
                        .with_hint("number the categories from 0 and train again"));
                }
                categories.push(category as u32);
                left &= left.wrapping_sub(1);
            }
        }
        // Values are cut towards zero there: all above -1 are category 0.
        let made = edges(categories, -1.0);
        *total = total.saturating_add(made.len());
        if *total > EDGES_MAX {
            let expected = format!("at most {EDGES_MAX} edges of sets in all trees (capacity)");
            let got = format!("{total} up to here");
            return Err(block.refusal(ModelOverCapacity, WORDS, expected, got));
        }
        if let Some(known) = self.edges.get_mut(set) {
            *known = Some(made.clone());
        }
        Ok(made)
    }
}

const BOUNDS: &str = "cat_boundaries";
const WORDS: &str = "cat_threshold";
