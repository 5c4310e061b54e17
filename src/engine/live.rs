//! The value that a scorer finds when it enters: the live table, and the parts switched off.

use crate::limits::FEATURES_MAX;
use crate::row::Row;
use crate::schema::Schema;
use crate::score::{Client, NotScored, PreparedTable, Reason, Verdict};
use crate::stats::{Counters, ScorerStats};
use crate::switches::{Selector, Switches};
use crate::table::Catalog;
use std::sync::Arc;

/// A table under the generation that it was published as, and the parts that are switched off.
/// A flipped switch publishes the same table again.
#[derive(Debug)]
pub(super) struct LiveTable {
    pub(super) prepared: Arc<PreparedTable>,
    pub(super) generation: u64,
    /// The counter of each detection.
    pub(super) counters: Counters,
    /// `None` unless a switch concerns this table: the hot path checks one branch.
    pub(super) off: Option<ActiveSwitches>,
}

/// The kill switches that concern a table, by position.
#[derive(Debug)]
pub(super) struct ActiveSwitches {
    engine: bool,
    ensemble: bool,
    features: FeatureMask,
    /// Bits of the table's detections.
    detections: u64,
}

/// The row positions of features that are switched off.
#[derive(Debug, Clone)]
pub(super) struct FeatureMask([bool; FEATURES_MAX]);

impl LiveTable {
    #[inline]
    pub(super) fn judge(&self, row: &Row, client: Option<&Client<'_>>) -> Verdict {
        if let Some(off) = &self.off {
            return self.judge_switched(off, row, client);
        }
        match client.and_then(|client| self.verified(client)) {
            Some(verified) => verified,
            None => self.verdict(row, self.prepared.margin(row)),
        }
    }

    /// Judges a row while something is switched off.
    #[cold]
    pub(super) fn judge_switched(
        &self,
        off: &ActiveSwitches,
        row: &Row,
        client: Option<&Client<'_>>,
    ) -> Verdict {
        let disabled = Verdict::NotScored(NotScored {
            reason: Reason::Disabled,
            generation: self.generation,
        });
        if off.engine {
            return disabled;
        }
        if let Some(verified) = client.and_then(|client| self.verified(client)) {
            return verified;
        }
        let mut seen = row.clone();
        off.features.apply(&mut seen);
        let margin = match off.ensemble {
            true => None,
            false => Some(self.prepared.margin(&seen)),
        };
        let scored = self
            .prepared
            .scored_without(&seen, margin, self.generation, off.detections);
        scored.map_or(disabled, Verdict::Scored)
    }

    #[inline]
    pub(super) fn verdict(&self, row: &Row, margin: i64) -> Verdict {
        Verdict::Scored(self.prepared.scored(row, margin, self.generation))
    }

    #[inline]
    pub(super) fn verified(&self, client: &Client<'_>) -> Option<Verdict> {
        let verified = self.prepared.verified(client, self.generation)?;
        Some(Verdict::VerifiedBot(verified))
    }

    /// Counts a verdict of this table.
    #[inline]
    pub(super) fn count(&self, stats: &ScorerStats, verdict: &Verdict) {
        stats.count(verdict);
        if let Verdict::Scored(scored) = verdict {
            stats.count_matches(scored.detections, &self.counters);
        }
    }
}

impl ActiveSwitches {
    /// Resolves switches to positions. Returns `None` if none of them concerns this schema and
    /// table.
    pub(super) fn new(
        switches: &Switches,
        schema: &Schema,
        catalog: &Catalog,
    ) -> Option<ActiveSwitches> {
        let mut off = ActiveSwitches {
            engine: false,
            ensemble: false,
            features: FeatureMask::new(switches, schema),
            detections: 0,
        };
        for selector in switches.iter() {
            match selector {
                Selector::Engine => off.engine = true,
                Selector::Ensemble => off.ensemble = true,
                Selector::Feature(_) => {}
                Selector::Detection(id) => {
                    let mut all = catalog.detections().iter();
                    let at = all.position(|detection| detection.id == *id);
                    let bit = at.and_then(|at| 1u64.checked_shl(at as u32));
                    off.detections |= bit.unwrap_or_default();
                }
            }
        }
        let any = off.engine || off.ensemble || off.detections != 0;
        (any || off.features.any()).then_some(off)
    }
}

impl FeatureMask {
    /// Resolves the switched-off features. Ignores those that the schema does not have.
    pub(super) fn new(switches: &Switches, schema: &Schema) -> FeatureMask {
        let mut mask = FeatureMask([false; FEATURES_MAX]);
        for selector in switches.iter() {
            let Selector::Feature(name) = selector else {
                continue;
            };
            let position = schema.index_of(name).map(usize::from);
            if let Some(place) = position.and_then(|at| mask.0.get_mut(at)) {
                *place = true;
            }
        }
        mask
    }

    fn any(&self) -> bool {
        self.0.contains(&true)
    }

    /// Makes the switched-off features of a row missing.
    pub(super) fn apply(&self, row: &mut Row) {
        for (value, off) in row.values_mut().iter_mut().zip(&self.0) {
            if *off {
                *value = f32::NAN;
            }
        }
    }
}
