//! Sets of categories as sets of intervals: what a categorical split becomes.

use hedgerow::limits::{LANE_BORDERS_MAX, SETS_MAX};
use std::sync::Arc;

/// Categories are below this, 2^24: `f32` holds every whole number up to here and skips some
/// beyond, so that two categories of a model would be one to a host.
pub(crate) const CATEGORIES_END: u32 = 1 << 24;

/// Edges of all sets of a model: as many as the sets of a table can have between them. It bounds
/// the memory that a file takes, of which a few bytes can stand for many edges.
pub(crate) const EDGES_MAX: usize = SETS_MAX * LANE_BORDERS_MAX;

/// The edges of a set of categories, for a value `x` that belongs to category `c` where
/// `c <= x < c + 1`; only category 0 begins at its own place: where `x > zero_above`.
///
/// Categories ascend, and are below [`CATEGORIES_END`]. Neighbours share one interval.
pub(crate) fn edges(categories: impl IntoIterator<Item = u32>, zero_above: f32) -> Arc<[f32]> {
    let mut edges: Vec<f32> = Vec::new();
    let mut next = None;
    for category in categories {
        let after = (category.saturating_add(1) as f32).next_down();
        match edges.last_mut() {
            Some(last) if next == Some(category) => *last = after,
            _ => {
                let above = match category {
                    0 => zero_above,
                    _ => (category as f32).next_down(),
                };
                edges.extend([above, after]);
            }
        }
        next = Some(category.saturating_add(1));
    }
    edges.into()
}

#[cfg(test)]
mod tests {
    use super::{CATEGORIES_END, edges};
    use hedgerow::model::Test;

    #[test]
    fn a_value_is_in_the_set_where_its_whole_part_is() {
        let last = CATEGORIES_END - 1;
        for categories in [
            vec![],
            vec![0],
            vec![1],
            vec![0, 1, 2, 5],
            vec![3, 4, 6, 7, 8, 31, 32, 33, 63, 64],
            vec![7, last - 1, last],
        ] {
            let test = Test::Within(edges(categories.iter().copied(), -1.0));
            assert!(test.edges().is_sorted_by(|a, b| a < b), "{test:?}");
            let numbers = (0..70).chain([last - 2, last - 1, last, CATEGORIES_END]);
            for whole in numbers.map(|number| number as f32) {
                for value in [whole, whole + 0.5, whole.next_up(), whole.next_down()] {
                    let inside = value > -1.0 && categories.contains(&(value as u32));
                    assert_eq!(test.holds(value), inside, "{value} in {categories:?}");
                }
            }
            for value in [-0.0, -0.5, -1.0, -1.5, f32::INFINITY, f32::NEG_INFINITY] {
                let inside = value > -1.0 && value <= 0.0 && categories.contains(&0);
                assert_eq!(test.holds(value), inside, "{value} in {categories:?}");
            }
        }
    }

    #[test]
    fn category_zero_begins_where_it_is_told() {
        let tiny = f32::from_bits(1);
        let test = Test::Within(edges([0], -tiny));
        for (value, inside) in [(-0.0, true), (0.0, true), (tiny, true), (-tiny, false)] {
            assert_eq!(test.holds(value), inside, "{value}");
        }
        assert_eq!(edges([0, 1], -1.0).as_ref(), [-1.0, 2.0_f32.next_down()]);
    }
}
