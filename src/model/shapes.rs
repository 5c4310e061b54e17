//! Writes trees of any shape: their nodes, marks and sets.

use super::arrange::Placed;
use super::ensemble::{Ensemble, Tree};
use super::error::{BuildError, at_most};
use super::fixed_point::FixedPoint;
use super::lanes::{BinTest, Lanes, Place};
use super::sections::SectionWriter;
use crate::limits::{LEAVES_MAX, SETS_MAX, TREE_NODES_MAX};
use crate::table::format::*;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;

/// The ensemble with those oblivious trees in any shape whose levels cannot say what they test:
/// levels know neither sets nor marks.
pub(super) fn in_writable_form<'a>(
    ensemble: &'a Ensemble,
    lanes: &Lanes,
) -> Result<Cow<'a, Ensemble>, BuildError> {
    let mut written = Cow::Borrowed(ensemble);
    for (at, tree) in ensemble.trees.iter().enumerate() {
        if matches!(tree, Tree::Any { .. })
            || all_tests(tree, lanes, |test| test == BinTest::Above)?
        {
            continue;
        }
        let nodes = tree.leaves().count().saturating_mul(2).saturating_sub(1);
        let what = format!("nodes of oblivious tree {at} (sets, marks: written in any shape)");
        at_most(what, TREE_NODES_MAX, nodes)?;
        if let Some(place) = written.to_mut().trees.get_mut(at) {
            *place = tree.to_any();
        }
    }
    Ok(written)
}

fn all_tests(
    tree: &Tree,
    lanes: &Lanes,
    holds: impl Fn(BinTest) -> bool,
) -> Result<bool, BuildError> {
    for split in tree.splits() {
        if !holds(lanes.find(split)?.test) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The sets of a table, numbered in the order in which they are asked for.
#[derive(Default)]
struct Sets {
    numbers: HashMap<[u64; 4], usize>,
    records: Vec<[u64; 4]>,
}

impl Sets {
    /// What a node says that has this set: 1 and its position.
    fn name(&mut self, set: [u64; 4]) -> Result<i32, BuildError> {
        let next = self.records.len();
        let number = *self.numbers.entry(set).or_insert(next);
        if number == next {
            self.records.push(set);
        }
        at_most("sets", SETS_MAX, self.records.len())?;
        Ok((number as i32).saturating_add(1))
    }
}

impl SectionWriter {
    pub(super) fn add_any(
        &mut self,
        trees: &Placed<'_>,
        lanes: &Lanes,
        fixed: &FixedPoint,
    ) -> Result<(), BuildError> {
        let nodes: usize = trees.iter().map(|(_, tree)| tree.node_count()).sum();
        at_most("nodes of trees of any shape", LEAVES_MAX, nodes)?;
        let mut in_order = Vec::with_capacity(trees.len());
        for (source, tree) in trees {
            let special = !all_tests(tree, lanes, BinTest::is_plain)?;
            in_order.push((special, Reverse(tree.depth()), *source, *tree));
        }
        // Kernels walk neighbours side by side: of one kind, and about equally deep.
        in_order.sort_by_key(|(special, depth, _, _)| (*special, *depth));
        let mut sets = Sets::default();
        for (_, Reverse(depth), source, tree) in in_order {
            let start = self.count(Section::Nodes) as u32;
            self.add_nodes(tree, lanes, fixed, &mut sets)?;
            self.widen(tree.leaves().map(|leaf| fixed.leaf(leaf)));
            let record = TreeRecord {
                start,
                nodes: tree.node_count() as u32,
                depth: depth as u32,
                source,
            };
            self.push(Section::Trees, &record);
        }
        for set in &sets.records {
            self.push(Section::Sets, set);
        }
        Ok(())
    }

    fn add_nodes(
        &mut self,
        tree: &Tree,
        lanes: &Lanes,
        fixed: &FixedPoint,
        sets: &mut Sets,
    ) -> Result<(), BuildError> {
        for (at, node) in tree.breadth_first().iter().enumerate() {
            let Some(split) = &node.split else {
                let leaf = NodeRecord {
                    lane: 0,
                    threshold: NEVER,
                    child: at as u16,
                    value: fixed.leaf(node.value),
                };
                self.push(Section::Nodes, &leaf);
                continue;
            };
            let Place {
                lane,
                threshold,
                test,
            } = lanes.find(split)?;
            let value = match test {
                BinTest::Above | BinTest::Missing => 0,
                BinTest::AboveAndThere => MISSING_LEFT,
                BinTest::OneOf(set) => sets.name(set)?,
            };
            let record = NodeRecord {
                lane,
                threshold,
                child: node.child as u16,
                value,
            };
            self.push(Section::Nodes, &record);
        }
        Ok(())
    }
}
