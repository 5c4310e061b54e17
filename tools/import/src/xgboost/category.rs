//! The categories of XGBoost's splits: the lists of a tree, and the container of a model.

use super::raw;
use crate::category::{CATEGORIES_END, edges};
use hedgerow::Refusal;
use hedgerow::RefusalKind::{ModelShape, ModelUnsupported, ModelValue};
use std::sync::Arc;

/// The categorical splits of a tree, after a look that their lists agree.
pub(super) struct Categories<'a> {
    at: &'a str,
    /// The nodes, ascending.
    nodes: &'a [i32],
    /// Where the categories of each node begin, and how many there are.
    segments: &'a [i32],
    sizes: &'a [i32],
    categories: &'a [i32],
}

impl<'a> Categories<'a> {
    /// Checks that nodes ascend and exist, and that their segments follow each other without gaps
    /// up to the end: so no category is read twice, however many nodes name it.
    pub fn new(raw: &'a raw::Tree, at: &'a str) -> Result<Categories<'a>, Refusal> {
        let own = Categories {
            at,
            nodes: raw.categories_nodes.as_deref().unwrap_or_default(),
            segments: raw.categories_segments.as_deref().unwrap_or_default(),
            sizes: raw.categories_sizes.as_deref().unwrap_or_default(),
            categories: raw.categories.as_deref().unwrap_or_default(),
        };
        let count = own.nodes.len();
        for (key, length) in [
            ("categories_segments", own.segments.len()),
            ("categories_sizes", own.sizes.len()),
        ] {
            if length != count {
                let expected = format!("{count} entries, one for each of categories_nodes");
                return Err(ModelShape.at(format!("{at}.{key}"), expected, length));
            }
        }
        let mut least = 0_i64;
        let mut begin = 0_i64;
        let entries = own.nodes.iter().zip(own.segments).zip(own.sizes);
        for (index, ((node, segment), size)) in entries.enumerate() {
            let entry = |key: &str| format!("{at}.{key}[{index}]");
            let end = raw.left_children.len();
            if i64::from(*node) < least || i64::from(*node) >= end as i64 {
                let expected = format!("an ascending node, {least} to below {end}");
                return Err(ModelValue.at(entry("categories_nodes"), expected, node));
            }
            least = i64::from(*node).saturating_add(1);
            if i64::from(*segment) != begin {
                let expected = format!("{begin}, where the segment before it ends");
                return Err(ModelValue.at(entry("categories_segments"), expected, segment));
            }
            let left = (own.categories.len() as i64).saturating_sub(begin);
            let size = i64::from(*size);
            if !(1..=left).contains(&size) {
                let expected = format!("1 to {left}, the categories that are left");
                return Err(ModelValue.at(entry("categories_sizes"), expected, size));
            }
            begin = begin.saturating_add(size);
        }
        if begin != own.categories.len() as i64 {
            let expected = format!("{begin} entries, the sum of categories_sizes");
            let got = own.categories.len();
            return Err(ModelShape.at(format!("{at}.categories"), expected, got));
        }
        Ok(own)
    }

    /// The edges of a node's categories.
    pub fn edges(&self, node: usize) -> Result<Arc<[f32]>, Refusal> {
        let found = self
            .nodes
            .binary_search_by_key(&(node as i64), |node| i64::from(*node));
        let Ok(index) = found else {
            let at = format!("{}.categories_nodes", self.at);
            let expected = format!("an entry for node {node}, whose split_type is 1");
            return Err(ModelShape.at(at, expected, "none"));
        };
        let entry = |list: &[i32]| list.get(index).and_then(|at| usize::try_from(*at).ok());
        let (first, size) = (
            entry(self.segments).unwrap_or(0),
            entry(self.sizes).unwrap_or(0),
        );
        let categories = self.categories.iter().enumerate().skip(first).take(size);
        let mut read: Vec<u32> = Vec::with_capacity(size);
        for (position, category) in categories {
            let at = || format!("{}.categories[{position}]", self.at);
            let number = u32::try_from(*category).ok();
            let Some(number) = number.filter(|number| *number < CATEGORIES_END) else {
                let expected = format!("a category from 0 to below {CATEGORIES_END}");
                return Err(ModelValue.at(at(), expected, category));
            };
            if let Some(last) = read.last().filter(|last| **last >= number) {
                let expected = format!("ascending categories, above {last}");
                return Err(ModelValue.at(at(), expected, category));
            }
            read.push(number);
        }
        // A negative value is no category there, however near to zero it is; minus zero is none.
        Ok(edges(read, 0.0_f32.next_down()))
    }
}

/// Checks the container of categories that versions from 3.1 on keep for models that were trained
/// on data frames: with it, XGBoost recodes the values of a data frame before trees see them.
pub(super) fn check_container(cats: &raw::Container, at: &str) -> Result<(), Refusal> {
    let encodings = cats.enc.as_ref().map_or(&[][..], |list| &list.0);
    for (index, encoding) in encodings.iter().enumerate() {
        let strings = encoding.offsets.as_ref().is_some_and(|count| count.0 > 0);
        let got = match &encoding.values {
            _ if strings => "strings".to_owned(),
            Some(values) => match &values.stray {
                Some((place, stray)) => format!("{stray} at position {place}"),
                None => continue,
            },
            None => continue,
        };
        let at = format!("{at}.cats.enc[{index}]");
        let expected = "categories that are their own codes: 0, 1, 2 and so on";
        return Err(ModelUnsupported.at(at, expected, got).with_hint(
            "XGBoost recodes these; train on an array of codes, with feature_types \"c\"",
        ));
    }
    Ok(())
}
