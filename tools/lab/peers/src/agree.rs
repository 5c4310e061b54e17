//! Results agree before anything is timed: every margin of every subject, on all rows.

use crate::Result;
use crate::measure::{Rows, all_margins};
use crate::subjects::Entry;

/// One margin that is off.
#[derive(Debug, Clone, PartialEq)]
pub struct Disagreement {
    pub row: usize,
    pub expected: f64,
    pub got: f64,
    /// How many rows disagree.
    pub rows: usize,
}

/// The first of the rows at which two lists of margins are further apart than `tolerance`.
pub fn compare(expected: &[f64], got: &[f64], tolerance: f64) -> Option<Disagreement> {
    // NaN is near nothing.
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= tolerance;
    let rows: Vec<usize> = (0..expected.len())
        .filter(|row| match got.get(*row) {
            Some(got) => !near((&expected[*row], got)),
            None => true,
        })
        .collect();
    let row = *rows.first()?;
    Some(Disagreement {
        row,
        expected: expected[row],
        got: got.get(row).copied().unwrap_or(f64::NAN),
        rows: rows.len(),
    })
}

/// The largest distance between two lists of margins.
pub fn furthest(expected: &[f64], got: &[f64]) -> f64 {
    let distances = expected.iter().zip(got).map(|(a, b)| (a - b).abs());
    distances.fold(0.0, f64::max)
}

/// The margins of every entry, on all rows.
pub fn collect(model: &str, entries: &mut [Entry], rows: &Rows) -> Result<Vec<Vec<f64>>> {
    let margins = |entry: &mut Entry| -> Result<Vec<f64>> {
        let margins = all_margins(&mut entry.runs, rows);
        margins.map_err(|error| format!("{}: {error}", named(model, entry)).into())
    };
    entries.iter_mut().map(margins).collect()
}

/// An entry, as complaints name it.
fn named(model: &str, entry: &Entry) -> String {
    format!("{model}: {}, {}", entry.name, entry.measure.name())
}

/// Holds every entry's margins against those of the first, which is hedgerow's; its other kernels
/// must give the same bits. Returns the largest distance of any, and whose it is.
///
/// # Errors
/// Which subject, and which row, disagrees.
pub fn judge(model: &str, entries: &[Entry], margins: &[Vec<f64>]) -> Result<(f64, String)> {
    let expected = margins.first().ok_or("nothing to compare")?;
    let mut largest = (0.0, String::from("every peer"));
    for (entry, margins) in entries.iter().zip(margins) {
        let tolerance = entry.tolerance;
        if let Some(off) = compare(expected, margins, tolerance) {
            return Err(format!(
                "{}: disagrees at row {}: expected {} (hedgerow, within {tolerance:e}), got {}; \
                 {} rows disagree",
                named(model, entry),
                off.row,
                off.expected,
                off.got,
                off.rows
            )
            .into());
        }
        let distance = furthest(expected, margins);
        if distance > largest.0 {
            largest = (distance, entry.name.clone());
        }
    }
    Ok(largest)
}

/// Makes each entry's results wrong in one row, in turn: a little, or NaN. Each must be reported,
/// by name and row. Returns how many were.
pub fn self_test(model: &str, entries: &[Entry], margins: &mut [Vec<f64>]) -> Result<usize> {
    for at in 1..entries.len() {
        let row = (at * 7_919 + 12_345) % margins[at].len();
        let right = margins[at][row];
        margins[at][row] = match at % 2 {
            0 => f64::NAN,
            _ => right + 1e-4,
        };
        let told = judge(model, entries, margins);
        margins[at][row] = right;
        let wanted = format!("{}: disagrees at row {row}:", named(model, &entries[at]));
        match told {
            Err(error) if error.to_string().starts_with(&wanted) => println!("noticed: {error}"),
            Err(error) => return Err(format!("self-test: wanted {wanted} got: {error}").into()),
            Ok(_) => return Err(format!("self-test: not noticed: {wanted}").into()),
        }
    }
    Ok(entries.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subjects::TOLERANCE;

    #[test]
    fn margins_within_the_tolerance_agree() {
        assert_eq!(compare(&[1.0, 2.0], &[1.0, 2.0], 0.0), None);
        assert_eq!(compare(&[1.0, 2.0], &[1.000_009, 2.0], TOLERANCE), None);
        assert_eq!(furthest(&[1.0, 2.0], &[1.5, 2.25]), 0.5);
    }

    #[test]
    fn a_margin_that_is_off_is_found_with_its_row() {
        let off = compare(&[1.0, 2.0, 3.0], &[1.0, 2.1, 3.1], TOLERANCE).expect("two are off");
        assert_eq!((off.row, off.rows), (1, 2));
        assert_eq!((off.expected, off.got), (2.0, 2.1));
    }

    #[test]
    fn missing_and_nan_margins_disagree() {
        assert_eq!(
            compare(&[1.0, 2.0], &[1.0], 1.0).map(|off| off.row),
            Some(1)
        );
        assert_eq!(
            compare(&[1.0], &[f64::NAN], 1.0).map(|off| off.row),
            Some(0)
        );
        assert_eq!(
            compare(&[f64::NAN], &[1.0], 1.0).map(|off| off.row),
            Some(0)
        );
    }
}
