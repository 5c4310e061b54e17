//! A scorer's reservoir: the last rows of every n-th request, kept without locks and waits.
//!
//! One thread keeps rows, any thread may read them. Each slot has a sequence number, odd while its
//! row is replaced: a reader that finds it odd, or changed after reading, skips the row. The values
//! are atomics: a torn row is a wrong copy that is discarded, and never undefined.

use crate::limits::{FEATURES_MAX, RESERVOIR_EVERY, RESERVOIR_ROWS};
use crate::row::Row;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// The mask of a row's number that gives its slot.
const MASK: u64 = RESERVOIR_ROWS as u64 - 1;

const _: () = assert!(RESERVOIR_ROWS.is_power_of_two());

/// The last sampled rows of one scorer.
#[derive(Debug)]
pub(crate) struct Reservoir {
    /// Allocated and touched when the scorer is made.
    slots: Arc<[Slot]>,
    /// The number of values that are kept: those of the host's schema.
    features: usize,
    /// The number of rows that were ever kept, which numbers the next one.
    kept: AtomicU64,
}

#[derive(Debug)]
#[repr(align(64))]
struct Slot {
    /// Twice the row's number plus two; one less while it is replaced; 0 if there is none.
    sequence: AtomicU64,
    values: [AtomicU32; FEATURES_MAX],
}

impl Reservoir {
    /// Creates an empty reservoir for rows of this many features.
    pub(crate) fn new(features: usize) -> Reservoir {
        let missing = f32::NAN.to_bits();
        let slot = |_| Slot {
            sequence: AtomicU64::new(0),
            values: [const { AtomicU32::new(0) }; FEATURES_MAX],
        };
        let slots: Arc<[Slot]> = (0..RESERVOIR_ROWS).map(slot).collect();
        // Relaxed: nobody reads yet. Every page is touched, so that no row faults one in.
        for value in slots.iter().flat_map(|slot| &slot.values) {
            value.store(missing, Ordering::Relaxed);
        }
        Reservoir {
            slots,
            features: features.min(FEATURES_MAX),
            kept: AtomicU64::new(0),
        }
    }

    /// Keeps a row in the place of the oldest. Returns the number of rows to skip before the next
    /// one: 0 while it is filled for the first time. Only its owner's thread may call this.
    #[cold]
    #[inline(never)]
    pub(crate) fn keep(&self, row: &Row) -> u32 {
        let number = self.kept.load(Ordering::Relaxed);
        let full = RESERVOIR_ROWS as u64;
        if let Some(slot) = self.slots.get((number & MASK) as usize) {
            let sequence = number.wrapping_mul(2).wrapping_add(2);
            slot.sequence
                .store(sequence.wrapping_sub(1), Ordering::Relaxed);
            // Release: the odd number before the values; pairs with the fence in read.
            fence(Ordering::Release);
            for (to, from) in slot.values.iter().zip(row.values()).take(self.features) {
                to.store(from.to_bits(), Ordering::Relaxed);
            }
            // Release: the values before the even number; pairs with the Acquire in read.
            slot.sequence.store(sequence, Ordering::Release);
        }
        let next = number.wrapping_add(1);
        // Release: whoever sees the count sees the row.
        self.kept.store(next, Ordering::Release);
        match next < full {
            true => 0,
            false => RESERVOIR_EVERY.saturating_sub(1),
        }
    }

    /// Returns the number of rows that were ever kept.
    pub(crate) fn kept(&self) -> u64 {
        self.kept.load(Ordering::Acquire)
    }

    /// Returns the numbers of the rows that are there, from `first` on.
    pub(crate) fn since(&self, first: u64) -> std::ops::Range<u64> {
        let kept = self.kept();
        first.max(kept.saturating_sub(RESERVOIR_ROWS as u64))..kept
    }

    /// Returns the row of a number; `None` if it was replaced, or is being replaced.
    pub(crate) fn read(&self, number: u64) -> Option<Row> {
        let slot = self.slots.get((number & MASK) as usize)?;
        let sequence = number.wrapping_mul(2).wrapping_add(2);
        // Acquire: pairs with the Release in keep.
        if slot.sequence.load(Ordering::Acquire) != sequence {
            return None;
        }
        let mut row = Row::MISSING;
        let places = row.values_mut().iter_mut().zip(&slot.values);
        for (to, from) in places.take(self.features) {
            *to = f32::from_bits(from.load(Ordering::Relaxed));
        }
        // Acquire: the values before the number; pairs with the fence in keep.
        fence(Ordering::Acquire);
        (slot.sequence.load(Ordering::Relaxed) == sequence).then_some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    fn row(value: f32) -> Row {
        Row::from_slice(&[value; FEATURES_MAX])
    }

    #[test]
    fn the_newest_rows_are_there_and_older_ones_are_not() {
        let reservoir = Reservoir::new(3);
        assert_eq!((reservoir.kept(), reservoir.since(0)), (0, 0..0));
        assert!(reservoir.read(0).is_none());
        let all = 3 * RESERVOIR_ROWS as u64 + 7;
        for number in 0..all {
            let pass = reservoir.keep(&row(number as f32));
            let filling = number + 1 < RESERVOIR_ROWS as u64;
            assert_eq!(pass, if filling { 0 } else { RESERVOIR_EVERY - 1 });
        }
        let there = reservoir.since(0);
        assert_eq!(there, all - RESERVOIR_ROWS as u64..all);
        assert_eq!(reservoir.since(all - 2), all - 2..all);
        assert!(reservoir.read(there.start - 1).is_none() && reservoir.read(all).is_none());
        for number in there {
            let read = reservoir.read(number).unwrap();
            assert_eq!(read.values()[..3], [number as f32; 3]);
            assert!(read.values()[3..].iter().all(|value| value.is_nan()));
        }
    }

    #[test]
    fn no_row_that_is_read_is_torn() {
        let reservoir = Reservoir::new(FEATURES_MAX);
        let stop = AtomicBool::new(false);
        let (mut read, mut skipped) = (0u64, 0u64);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut value = 0;
                while !stop.load(Ordering::Relaxed) {
                    reservoir.keep(&row((value % (1 << 20)) as f32));
                    value += 1;
                }
            });
            let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
            while read < 20_000 && std::time::Instant::now() < until {
                for number in reservoir.since(0) {
                    match reservoir.read(number) {
                        None => skipped += 1,
                        Some(row) => {
                            let want = (number % (1 << 20)) as f32;
                            assert!(row.values().iter().all(|value| *value == want));
                            read += 1;
                        }
                    }
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert!(read >= 20_000, "{read} rows read, {skipped} skipped");
    }
}
