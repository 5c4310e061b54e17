//! One XGBoost tree: parallel lists of node properties to nodes.

use super::category::Categories;
use super::{raw, several_outputs};
use hedgerow::Refusal;
use hedgerow::RefusalKind::{ModelOverCapacity, ModelShape, ModelUnsupported, ModelValue};
use hedgerow::limits::{TREE_DEPTH_MAX, TREE_NODES_MAX};
use hedgerow::model::{Missing, Node, Split, Test};

/// The nodes of a tree, and its leaves' numbers from left to right.
///
/// The lists are walked from node 0: pruned nodes stay in them, and are not looked at.
pub(super) fn read(
    raw: &raw::Tree,
    at: &str,
    features: usize,
    weight: Option<f32>,
) -> Result<(Vec<Node>, Vec<u32>), Refusal> {
    let lists = Lists {
        raw,
        at,
        features,
        categories: Categories::new(raw, at)?,
    };
    lists.check()?;
    let mut seen = vec![false; raw.left_children.len()];
    let mut nodes = vec![PLACE];
    let mut order = Vec::new();
    // Node, its depth, and its place in `nodes`. The left child is taken first.
    let mut waiting = vec![(0_usize, 0_usize, 0_usize)];
    while let Some((node, depth, place)) = waiting.pop() {
        match seen.get_mut(node) {
            Some(seen) if !*seen => *seen = true,
            _ => {
                let expected = "every node below exactly one parent, from node 0 down";
                return Err(ModelShape.at(at.to_owned(), expected, format!("node {node} twice")));
            }
        }
        if depth > TREE_DEPTH_MAX {
            let expected = format!("at most {TREE_DEPTH_MAX} levels in a tree (capacity)");
            return Err(ModelOverCapacity.at(at.to_owned(), expected, "more"));
        }
        let read = match lists.children(node)? {
            None => {
                order.push(node as u32);
                lists.leaf(node, weight)?
            }
            Some((left, right)) => {
                let split = lists.split(node)?;
                let number = nodes.len() as u32;
                let places = (nodes.len(), nodes.len().saturating_add(1));
                if places.1 >= TREE_NODES_MAX {
                    let expected = format!("at most {TREE_NODES_MAX} nodes in a tree (capacity)");
                    return Err(ModelOverCapacity.at(at.to_owned(), expected, "more"));
                }
                nodes.extend([PLACE, PLACE]);
                let below = depth.saturating_add(1);
                waiting.extend([(right, below, places.1), (left, below, places.0)]);
                Node::Split {
                    split,
                    left: number,
                    right: number.saturating_add(1),
                }
            }
        };
        if let Some(node) = nodes.get_mut(place) {
            *node = read;
        }
    }
    Ok((nodes, order))
}

/// Holds the place of a node that is yet to be read.
const PLACE: Node = Node::Leaf { value: 0.0 };

struct Lists<'a> {
    raw: &'a raw::Tree,
    at: &'a str,
    features: usize,
    categories: Categories<'a>,
}

impl Lists<'_> {
    /// Checks that there is one output, and that all lists have an entry for each node.
    fn check(&self) -> Result<(), Refusal> {
        let raw = self.raw;
        if let Some(raw::Count(size @ 2..)) = raw.tree_param.size_leaf_vector {
            let at = format!("{}.tree_param.size_leaf_vector", self.at);
            return Err(several_outputs(at, format!("leaves of {size} outputs")));
        }
        let count = raw.tree_param.num_nodes.0;
        if count == 0 {
            let at = format!("{}.tree_param.num_nodes", self.at);
            return Err(ModelShape.at(at, "at least 1 node", "none"));
        }
        let split_types = raw.split_type.as_ref().map(Vec::len);
        for (key, length) in [
            ("left_children", raw.left_children.len()),
            ("right_children", raw.right_children.len()),
            ("split_indices", raw.split_indices.len()),
            ("split_conditions", raw.split_conditions.len()),
            ("default_left", raw.default_left.len()),
            ("split_type", split_types.unwrap_or(raw.left_children.len())),
        ] {
            if length as u64 != count {
                let expected = format!("num_nodes = {count} entries");
                return Err(ModelShape.at(self.key(key), expected, length));
            }
        }
        Ok(())
    }

    /// The children of a split, and none of a leaf.
    fn children(&self, node: usize) -> Result<Option<(usize, usize)>, Refusal> {
        let entry = |key, list: &[i32]| {
            let child = list.get(node).copied();
            child.ok_or_else(|| self.hole(key, node))
        };
        let left = entry("left_children", &self.raw.left_children)?;
        if left == -1 {
            return Ok(None);
        }
        let right = entry("right_children", &self.raw.right_children)?;
        let count = self.raw.left_children.len();
        let child = |key, child: i32| {
            let index = usize::try_from(child).ok();
            index.filter(|index| *index < count).ok_or_else(|| {
                let expected = format!("a node below {count}, or -1 on both sides of a leaf");
                ModelValue.at(self.entry(key, node), expected, child)
            })
        };
        let children = (
            child("left_children", left)?,
            child("right_children", right)?,
        );
        // XGBoost's own walk adds the comparison to the left child, and looks at the right one
        // for missing values only.
        if left.checked_add(1) != Some(right) {
            let expected = format!(
                "{}, next to the left child",
                i64::from(left).saturating_add(1)
            );
            return Err(ModelUnsupported.at(self.entry("right_children", node), expected, right));
        }
        Ok(Some(children))
    }

    fn leaf(&self, node: usize, weight: Option<f32>) -> Result<Node, Refusal> {
        let leaf = self.condition(node)?;
        let value = match weight {
            None => leaf,
            Some(weight) => leaf * weight,
        };
        if value.is_finite() {
            let value = f64::from(value);
            return Ok(Node::Leaf { value });
        }
        let got = match weight {
            None => leaf.to_string(),
            Some(weight) => format!("{leaf} times the tree's weight {weight}"),
        };
        Err(ModelValue.at(self.entry("split_conditions", node), "a finite leaf", got))
    }

    fn split(&self, node: usize) -> Result<Split, Refusal> {
        let index = self.raw.split_indices.get(node).copied();
        let index = index.ok_or_else(|| self.hole("split_indices", node))?;
        let feature = u16::try_from(index).ok();
        let feature = feature.filter(|feature| usize::from(*feature) < self.features);
        let feature = feature.ok_or_else(|| {
            let expected = format!("a feature below {}", self.features);
            ModelValue.at(self.entry("split_indices", node), expected, index)
        })?;
        let default_left = self.raw.default_left.get(node);
        let default_left = default_left
            .ok_or_else(|| self.hole("default_left", node))?
            .0;
        Ok(Split {
            feature,
            test: self.test(node)?,
            missing: if default_left {
                Missing::Left
            } else {
                Missing::Right
            },
            zero_is_missing: false,
        })
    }

    /// The test of a split. The condition of a categorical one means nothing.
    fn test(&self, node: usize) -> Result<Test, Refusal> {
        let types = self.raw.split_type.as_ref();
        match types.map_or(Some(0), |types| types.get(node).copied()) {
            Some(0) => {
                let threshold = self.condition(node)?;
                let border = border(threshold).ok_or_else(|| {
                    let expected = "a finite threshold above the lowest f32";
                    ModelValue.at(self.entry("split_conditions", node), expected, threshold)
                })?;
                Ok(Test::Above(border))
            }
            Some(1) => Ok(Test::Within(self.categories.edges(node)?)),
            Some(other) => {
                let expected = "0 (numerical) or 1 (categorical)";
                Err(ModelValue.at(self.entry("split_type", node), expected, other))
            }
            None => Err(self.hole("split_type", node)),
        }
    }

    /// The threshold of a split or the value of a leaf.
    fn condition(&self, node: usize) -> Result<f32, Refusal> {
        let condition = self.raw.split_conditions.get(node);
        let condition = condition.ok_or_else(|| self.hole("split_conditions", node))?;
        Ok(condition.0)
    }

    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.at)
    }

    fn entry(&self, key: &str, node: usize) -> String {
        format!("{}.{key}[{node}]", self.at)
    }

    /// A node that is not there, which the check of the lengths and children leaves no way to.
    fn hole(&self, key: &str, node: usize) -> Refusal {
        ModelShape.at(self.entry(key, node), "an entry", "nothing")
    }
}

/// The border of a threshold: `x > border` exactly where `x < threshold` does not hold. Zero of
/// either sign gives the negative `f32` nearest to it. None where that is no finite number: nothing
/// finite is below the lowest `f32`, and no value at all below minus infinity.
fn border(threshold: f32) -> Option<f32> {
    let border = threshold.next_down();
    (threshold.is_finite() && border.is_finite()).then_some(border)
}

#[cfg(test)]
mod tests {
    use super::border;

    #[test]
    fn borders_part_the_same_values_as_thresholds() {
        let tiny = f32::from_bits(1);
        for (threshold, expected) in [
            (0.0, Some(-tiny)),
            (-0.0, Some(-tiny)),
            (tiny, Some(0.0)),
            (-tiny, Some(-2.0 * tiny)),
            (f32::MIN_POSITIVE, Some(f32::MIN_POSITIVE.next_down())),
            (1.0, Some(1.0_f32.next_down())),
            (f32::MAX, Some(f32::MAX.next_down())),
            (f32::MIN.next_up(), Some(f32::MIN)),
            (f32::MIN, None),
            (f32::NEG_INFINITY, None),
            (f32::INFINITY, None),
            (f32::NAN, None),
        ] {
            assert_eq!(border(threshold), expected, "{threshold}");
            let Some(border) = border(threshold) else {
                continue;
            };
            for value in [
                threshold,
                threshold.next_down(),
                threshold.next_up(),
                0.0,
                -0.0,
            ] {
                let goes_left = value < threshold;
                assert_eq!(value > border, !goes_left, "{value} at {threshold}");
            }
        }
    }
}
