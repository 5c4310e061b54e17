//! Shadows: tables that are tried on live rows and never decide.
//!
//! A scorer keeps every n-th live row in its reservoir anyway. The control thread takes each such
//! row once, as it is kept, and has the running table and the shadows score it, so that a shadow
//! costs no request any time: not its own scoring, and not the caches that a second table would
//! push the first one out of. The price is that a shadow sees a sample and not every request; with
//! a thousand requests a second it has a thousand rows within about a minute.

use super::context::{Artefact, Context};
use super::file::{Look, WatchedFile};
use crate::limits::DRIFT_ROWS_MAX;
use crate::score::PreparedTable;
use crate::watch::directory::{ShadowEntry, ShadowsFile, parse_shadows};
use crate::watch::drift::{Both, score};
use crate::watch::status::ShadowStatus;
use crate::watch::time;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How long a file that the system refused to read is left alone, and how often the counts of
/// shadows are saved.
const PAUSE: Duration = Duration::from_secs(1);

/// The shadows of an engine.
#[derive(Debug)]
pub(super) struct Shadows {
    context: Arc<Context>,
    file: WatchedFile,
    all: Vec<Shadow>,
    /// The number of the first row that was not taken yet, by scorer.
    cursors: BTreeMap<u64, u64>,
    saved: Option<Instant>,
}

#[derive(Debug)]
struct Shadow {
    entry: ShadowEntry,
    /// `None` if it was refused.
    prepared: Option<Arc<PreparedTable>>,
    /// When it is tried again, if the system refused it.
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

    /// Runs every check on the table but drift, which a shadow is to show. Returns whether it was
    /// tried.
    fn admit(&mut self, context: &Context) -> bool {
        let now = Instant::now();
        if self.prepared.is_some() || self.retry.is_none_or(|retry| now < retry) {
            return false;
        }
        let id = self.entry.content_id;
        let path = context.directory.table(id);
        let admission = &context.options.admission;
        self.retry = None;
        match admission.admit(&context.engine, &path, Some(id)) {
            Ok(prepared) => self.prepared = Some(prepared),
            Err(rejected) => {
                self.retry = rejected.transient.then(|| now.checked_add(PAUSE)).flatten();
                let artefact = Artefact {
                    hash: rejected.artefact,
                    generation: None,
                    content_id: Some(id),
                };
                context.refuse(artefact, &rejected.refusal);
            }
        }
        true
    }

    fn status(&self) -> ShadowStatus {
        let both = &self.both;
        ShadowStatus {
            name: self.entry.name.clone(),
            content_id: self.entry.content_id,
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
    pub(super) fn new(context: Arc<Context>) -> Shadows {
        Shadows {
            file: WatchedFile::optional("shadows", context.directory.shadows()),
            context,
            all: Vec::new(),
            cursors: BTreeMap::new(),
            saved: None,
        }
    }

    /// Looks at the file, and has the shadows score the rows sampled since the last look.
    pub(super) fn look(&mut self) {
        let changed = match self.file.look(&self.context, parse_shadows) {
            Look::Same => false,
            Look::Gone => {
                let changed = !self.all.is_empty();
                self.all.clear();
                changed
            }
            Look::New(file) => {
                self.replace(file);
                true
            }
        };
        let mut tried = false;
        for shadow in &mut self.all {
            tried |= shadow.admit(&self.context);
        }
        let scored = self.score();
        if changed || tried || scored {
            self.report(changed || tried);
        }
    }

    /// Takes the shadows of a file. A shadow that stays continues to count.
    fn replace(&mut self, file: ShadowsFile) {
        let mut before = std::mem::take(&mut self.all);
        for entry in file.shadows {
            let same = |shadow: &Shadow| shadow.entry == entry;
            self.all.push(match before.iter().position(same) {
                Some(at) => before.swap_remove(at),
                None => Shadow::new(entry),
            });
        }
    }

    /// Has the shadows score new rows. Returns whether there were any.
    fn score(&mut self) -> bool {
        let context = &self.context;
        // Without shadows, rows are skipped: a new shadow begins with rows that come after it.
        let most = if self.all.is_empty() {
            0
        } else {
            DRIFT_ROWS_MAX
        };
        let rows = context.engine.sample_since(&mut self.cursors, most);
        let Some((running, generation)) = context.engine.live().filter(|_| !rows.is_empty()) else {
            return false;
        };
        for shadow in &mut self.all {
            if shadow.against != generation || shadow.both.crossed.is_empty() {
                shadow.against = generation;
                shadow.since = time::now();
                shadow.both = Both::new(&context.options.drift.thresholds);
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

    /// Publishes the counts. They are saved each second, and at once if the shadows changed.
    fn report(&mut self, changed: bool) {
        let all = self.all.iter().map(Shadow::status).collect();
        self.context.publish(|status| status.shadows = all);
        let now = Instant::now();
        let since = |saved| now.duration_since(saved);
        if changed || self.saved.map(since).is_none_or(|since| since >= PAUSE) {
            self.saved = Some(now);
            self.context.save_soon();
        }
    }
}

/// Returns whether a row is in a share of all rows: its number decides, evenly.
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
