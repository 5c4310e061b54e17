//! Counts different things in sixteen bytes: linear counting, over the last one to two minutes.

use super::MINUTE;

/// Two bitmaps, of this minute and of the one before. A thing sets the bit that its hash names;
/// the number of bits left says how many things there were.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Sketch {
    now: u64,
    before: u64,
}

impl Sketch {
    pub const EMPTY: Sketch = Sketch { now: 0, before: 0 };

    /// Forgets what is too old, as time goes on from `last` to `now`, both nanoseconds.
    #[inline]
    pub fn advance(&mut self, last: u64, now: u64) {
        match (now / MINUTE).saturating_sub(last / MINUTE) {
            0 => {}
            1 => {
                self.before = self.now;
                self.now = 0;
            }
            _ => *self = Sketch::EMPTY,
        }
    }

    #[inline]
    pub fn add(&mut self, hash: u64) {
        self.now |= 1 << (hash >> 58);
    }

    /// About how many different things there were; NaN where nothing was ever added.
    #[inline]
    pub fn estimate(&self) -> f32 {
        let bits = (self.now | self.before).count_ones() as usize;
        match bits {
            0 => f32::NAN,
            _ => ESTIMATES.get(bits).copied().unwrap_or(f32::NAN),
        }
    }
}

/// How many things set that many of 64 bits: `64 ln(64 / zeros)`, and where no zero is left as if
/// half a one was. A test computes it again.
#[rustfmt::skip]
pub(super) const ESTIMATES: [f32; 65] = [
    0.000, 1.008, 2.032, 3.073, 4.130, 5.206, 6.300, 7.413,
    8.546, 9.699, 10.874, 12.070, 13.289, 14.532, 15.799, 17.092,
    18.412, 19.759, 21.135, 22.542, 23.980, 25.452, 26.958, 28.500,
    30.080, 31.701, 33.363, 35.070, 36.823, 38.626, 40.481, 42.392,
    44.361, 46.393, 48.492, 50.662, 52.907, 55.235, 57.650, 60.160,
    62.773, 65.497, 68.342, 71.319, 74.442, 77.724, 81.185, 84.843,
    88.723, 92.853, 97.269, 102.012, 107.134, 112.703, 118.803, 125.546,
    133.084, 141.630, 151.496, 163.164, 177.446, 195.857, 221.807, 266.169,
    310.530,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::hash::{Domain, hash};

    #[test]
    fn the_table_is_the_formula() {
        for (bits, estimate) in ESTIMATES.iter().enumerate() {
            let zeros = (64.0 - bits as f64).max(0.5);
            let exact = 64.0 * (64.0 / zeros).ln();
            assert!(
                (f64::from(*estimate) - exact).abs() <= 0.000_6,
                "{bits} bits"
            );
        }
    }

    /// The errors that the documentation states, over 4,000 clients each.
    #[test]
    fn errors_are_the_stated_ones() {
        for (count, bias, spread) in [
            (1_u32, 0.01_f64, 0.01),
            (2, 0.02, 0.08),
            (8, 0.02, 0.09),
            (32, 0.02, 0.10),
            (64, 0.02, 0.12),
            (128, 0.03, 0.15),
            (192, 0.06, 0.21),
        ] {
            let (mut sum, mut squares) = (0.0, 0.0);
            for client in 0..4_000_u64 {
                let mut sketch = Sketch::EMPTY;
                for thing in 0..u64::from(count) {
                    sketch.add(hash([client, 7], Domain::Path, &thing.to_le_bytes()));
                }
                let error = f64::from(sketch.estimate()) / f64::from(count) - 1.0;
                sum += error;
                squares += error * error;
            }
            let (mean, error) = (sum / 4_000.0, (squares / 4_000.0).sqrt());
            println!("{count:>4} things: bias {mean:+.4}, standard error {error:.4}");
            assert!(mean.abs() <= bias && error <= spread, "{count} things");
        }
    }
}
