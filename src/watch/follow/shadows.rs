//! Shadows: tables that are tried on live rows and never decide.
//!
//! A scorer keeps every n-th live row in its reservoir anyway. The control thread takes each such
//! row once, as it is kept, and has the running table and the shadows score it, so that a shadow
//! costs no request any time: not its own scoring, and not the caches that a second table would
//! push the first one out of. The price is that a shadow sees a sample and not every request; with
//! a thousand requests a second it has a thousand rows within about a minute.

use super::{Artefact, Shared};
use crate::limits::DRIFT_ROWS_MAX;
use crate::refusal::Refusal;
use crate::score::PreparedTable;
use crate::watch::directory::{ShadowEntry, parse_shadows, read_small};
use crate::watch::drift::{Both, score};
use crate::watch::status::ShadowStatus;
use crate::watch::time;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

/// How long a file that the system refused to read is left alone, and how often the counts of
/// shadows are saved.
const PAUSE: Duration = Duration::from_secs(1);

/// What the control thread remembers.
#[derive(Debug, Default)]
pub(super) struct Shadows {
    /// The file as it was last read, and what was wrong with it.
    seen: Option<(Vec<u8>, Option<Refusal>)>,
    all: Vec<Shadow>,
    /// By scorer, the number of the first row that was not taken yet.
    cursors: BTreeMap<u64, u64>,
    saved: Option<Instant>,
}

#[derive(Debug)]
struct Shadow {
    entry: ShadowEntry,
    /// None where it was refused.
    prepared: Option<Arc<PreparedTable>>,
    /// When it is tried again, where the system refused it.
    retry: Option<Instant>,
    /// The running generation that it is compared with, and since when.
    against: u64,
    since: String,
    both: Both,
}

impl Shadow {
    fn new(entry: ShadowEntry) -> Shadow {
        Shadow {
            entry,
            prepared: None,
            retry: Some(Instant::now()),
            against: 0,
            since: time::now(),
            both: Both::default(),
        }
    }

    /// Holds it against every check, drift aside: that is what it is here to show. Whether it was
    /// tried.
    fn admit(&mut self, shared: &Shared) -> bool {
        let now = Instant::now();
        if self.prepared.is_some() || self.retry.is_none_or(|retry| now < retry) {
            return false;
        }
        let id = &self.entry.content_id;
        let path = shared.directory.table(id);
        let admission = &shared.options.admission;
        self.retry = None;
        match admission.admit(&shared.engine, &path, Some(id)) {
            Ok(prepared) => self.prepared = Some(prepared),
            Err(rejected) => {
                self.retry = rejected.transient.then(|| now.checked_add(PAUSE)).flatten();
                let artefact = Artefact {
                    hash: rejected.artefact,
                    generation: None,
                    content_id: Some(id),
                };
                shared.refuse(artefact, &rejected.refusal);
            }
        }
        true
    }

    fn status(&self) -> ShadowStatus {
        let both = &self.both;
        ShadowStatus {
            name: self.entry.name.clone(),
            content_id: self.entry.content_id.clone(),
            share: self.entry.share,
            runs: self.prepared.is_some(),
            against: self.against,
            since: self.since.clone(),
            rows: both.candidate.rows(),
            scores: both.candidate.counts().to_vec(),
            running_scores: both.running.counts().to_vec(),
            psi: both.stability(),
            far: both.far,
            crossed: both.crossed.clone(),
        }
    }
}

impl Shadows {
    /// Looks at the file, and has the shadows score what was sampled since the last look.
    pub(super) fn look(&mut self, shared: &Shared) {
        let path = shared.directory.shadows();
        let before = self.seen.clone();
        match read_small(&path) {
            Err(refused) => shared.problem("shadows", Some(refused)),
            Ok(None) => {
                shared.problem("shadows", None);
                self.seen = None;
                self.all.clear();
            }
            Ok(Some(bytes)) => self.read(shared, &path, bytes),
        }
        let mut tried = false;
        for shadow in &mut self.all {
            tried |= shadow.admit(shared);
        }
        let scored = self.score(shared);
        if tried || scored || before != self.seen {
            self.tell(shared);
        }
    }

    fn read(&mut self, shared: &Shared, path: &std::path::Path, bytes: Vec<u8>) {
        if let Some((seen, wrong)) = &self.seen
            && *seen == bytes
        {
            return shared.problem("shadows", wrong.clone());
        }
        let wrong = match parse_shadows(&bytes, path) {
            Err(refused) => {
                let artefact = Artefact {
                    hash: xxh3_128(&bytes),
                    ..Artefact::default()
                };
                shared.refuse(artefact, &refused);
                Some(refused)
            }
            Ok(file) => {
                let mut before = std::mem::take(&mut self.all);
                for entry in file.shadows {
                    // One that is there goes on counting.
                    let same = |shadow: &Shadow| shadow.entry == entry;
                    self.all.push(match before.iter().position(same) {
                        Some(at) => before.swap_remove(at),
                        None => Shadow::new(entry),
                    });
                }
                None
            }
        };
        shared.problem("shadows", wrong.clone());
        self.seen = Some((bytes, wrong));
    }

    /// Whether there was something to score.
    fn score(&mut self, shared: &Shared) -> bool {
        // Without shadows rows are passed over: a new one begins with rows that come after it.
        let most = if self.all.is_empty() {
            0
        } else {
            DRIFT_ROWS_MAX
        };
        let rows = shared.engine.sample_since(&mut self.cursors, most);
        let Some((running, generation)) = shared.engine.live().filter(|_| !rows.is_empty()) else {
            return false;
        };
        for shadow in &mut self.all {
            if shadow.against != generation || shadow.both.crossed.is_empty() {
                shadow.against = generation;
                shadow.since = time::now();
                shadow.both = Both::new(&shared.options.drift.thresholds);
            }
        }
        for ((scorer, number), row) in &rows {
            let by_running = score(&running, row);
            for shadow in &mut self.all {
                let Some(prepared) = &shadow.prepared else {
                    continue;
                };
                if is_in(shadow.entry.share, *scorer, *number) {
                    shadow.both.add(by_running, score(prepared, row));
                }
            }
        }
        true
    }

    fn tell(&mut self, shared: &Shared) {
        let now = Instant::now();
        let due = self
            .saved
            .is_none_or(|saved| now.duration_since(saved) >= PAUSE);
        let mut desk = shared.desk();
        desk.status.shadows = self.all.iter().map(Shadow::status).collect();
        if due {
            self.saved = Some(now);
            desk.dirty = true;
        }
    }
}

/// Whether a row is in a share of all of them: decided by its number, evenly.
fn is_in(share: f64, scorer: u64, number: u64) -> bool {
    let hash = xxh3_64_with_seed(&number.to_le_bytes(), scorer);
    (hash as f64) < share * u64::MAX as f64 || share >= 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_rows_is_that_share() {
        for share in [0.01, 0.25, 0.5, 1.0] {
            let all = (0..4u64).flat_map(|scorer| (0..25_000).map(move |at| (scorer, at)));
            let count = all
                .filter(|(scorer, at)| is_in(share, *scorer, *at))
                .count();
            let got = count as f64 / 100_000.0;
            assert!((got - share).abs() < 0.005, "{share}: {got}");
        }
    }
}
