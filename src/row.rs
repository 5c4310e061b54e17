//! One request's inputs: a row of fixed capacity.

use crate::limits::FEATURES_MAX;

/// The feature values of one request, by their position in the host's [`Schema`].
///
/// The shape is always `[f32; FEATURES_MAX]`, whatever the schema holds: every table's feature
/// index is below [`FEATURES_MAX`], so any row is memory-safe with any table. A value that is not
/// known is NaN, never 0.
///
/// [`Schema`]: crate::Schema
#[derive(Debug, Clone, PartialEq)]
#[repr(C, align(64))]
pub struct Row {
    values: [f32; FEATURES_MAX],
}

impl Row {
    /// A row in which every value is missing.
    pub const MISSING: Row = Row {
        values: [f32::NAN; FEATURES_MAX],
    };

    /// A row that starts with `values`; the rest is missing. Values beyond the capacity are
    /// ignored.
    pub fn from_slice(values: &[f32]) -> Row {
        let mut row = Row::MISSING;
        for (to, from) in row.values.iter_mut().zip(values) {
            *to = *from;
        }
        row
    }

    /// Sets the value at a schema position. NaN means missing.
    #[inline]
    pub fn set(&mut self, index: u8, value: f32) {
        // One byte indexes 256 values: the check is gone from the machine code.
        if let Some(place) = self.values.get_mut(usize::from(index)) {
            *place = value;
        }
    }

    /// The value at a schema position; NaN where missing.
    #[inline]
    pub fn get(&self, index: u8) -> f32 {
        self.values
            .get(usize::from(index))
            .copied()
            .unwrap_or(f32::NAN)
    }

    /// All values, the unused ones included.
    #[inline]
    pub fn values(&self) -> &[f32; FEATURES_MAX] {
        &self.values
    }

    /// All values, to be filled in place.
    #[inline]
    pub fn values_mut(&mut self) -> &mut [f32; FEATURES_MAX] {
        &mut self.values
    }
}

impl Default for Row {
    fn default() -> Row {
        Row::MISSING
    }
}
