//! What an agent knows: the store's records, the directory, and the last refusal.

use super::Agent;
use crate::record::{Envelope, FleetSwitches, RingPointer, SWITCHES};
use hedgerow::refusal::bounded;
use hedgerow::watch::Directory;
use hedgerow::watch::directory::SwitchesFile;
use hedgerow::{ContentId, Refusal};
use hedgerow_cli::failure::Failure;
use std::collections::BTreeSet;
use std::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

/// Distinct lines that are logged, at most.
const LOGGED_MAX: usize = 4_096;

/// What an agent knows.
#[derive(Default)]
pub struct State {
    /// The trusted pointer with the highest generation.
    pub wanted: Option<RingPointer>,
    /// The last trusted switches.
    pub switches: Option<SwitchesFile>,
    /// The generation of the directory.
    pub generation: u64,
    /// Its table.
    pub content_id: Option<ContentId>,
    /// The file of that table was removed or damaged.
    pub is_damaged: bool,
    /// The length, the time and the number of that file when it was found sound.
    pub seen: Option<(u64, i64, i64, u64)>,
    /// The last change of the switches in the directory.
    pub change: u64,
    /// The last refusal, and its generation.
    pub refused: Option<(u64, Refusal)>,
    /// Whether a trusted key signed that generation.
    is_refusal_signed: bool,
    /// Hashes of the lines that were logged.
    logged: BTreeSet<u64>,
    /// When the store last answered.
    pub contact: Option<Instant>,
}

impl State {
    /// Reads the directory.
    pub fn read(&mut self, directory: &Directory) {
        let pointer = directory.read_pointer().ok().flatten();
        let switches = directory.read_switches().ok().flatten();
        self.change = switches.map_or(0, |switches| switches.change);
        self.content_id = pointer.as_ref().map(|pointer| pointer.content_id);
        self.generation = pointer.map_or(0, |pointer| pointer.generation);
    }

    /// Returns the pointer that the directory does not have yet.
    pub fn due_pointer(&self) -> Option<RingPointer> {
        let wanted = self.wanted.as_ref();
        let due = wanted.filter(|wanted| {
            let generation = wanted.pointer.generation;
            generation > self.generation || (generation == self.generation && self.is_damaged)
        });
        due.cloned()
    }

    /// Returns the switches that the directory does not have yet.
    pub fn due_switches(&self) -> Option<SwitchesFile> {
        let switches = self.switches.as_ref();
        let due = switches.filter(|switches| switches.change > self.change);
        due.cloned()
    }

    /// Logs a line, once.
    pub fn log(&mut self, line: &str) {
        if self.logged.len() < LOGGED_MAX && self.logged.insert(xxh3_64(line.as_bytes())) {
            eprintln!("agent: {}", bounded(line));
        }
    }

    /// Notes a refusal. Returns `true` if it is the last one now: an unsigned generation gives way
    /// to a signed one, and of two alike the later counts.
    fn refuse(&mut self, generation: u64, is_signed: bool, why: Refusal) -> bool {
        let gives_way = is_signed && !self.is_refusal_signed;
        let hides = self.is_refusal_signed && !is_signed;
        let before = self.refused.as_ref().map_or(0, |(before, _)| *before);
        let stays = (before > generation && !gives_way) || (hides && before > self.generation);
        let refused = Some((generation, why));
        if stays || self.refused == refused {
            return false;
        }
        (self.refused, self.is_refusal_signed) = (refused, is_signed);
        true
    }
}

impl Agent {
    /// Takes note of a record. One that is malformed or not signed as it must be is reported, and
    /// changes nothing.
    pub fn consider(&self, key: &str, bytes: &[u8]) {
        self.state().contact = Some(Instant::now());
        let followed = self.ring.followed();
        if key == SWITCHES {
            self.consider_switches(bytes);
        } else if followed.iter().any(|ring| ring.key() == key) {
            self.consider_pointer(key, bytes);
        }
    }

    fn consider_switches(&self, bytes: &[u8]) {
        let fleet = &self.store.fleet;
        match Envelope::open::<FleetSwitches>(bytes, fleet, SWITCHES, &self.keys) {
            Err(failure) => self.refuse(0, false, &failure),
            Ok(record) => {
                let mut state = self.state();
                let known = state.switches.as_ref().map_or(0, |known| known.change);
                if record.file.change > known.max(state.change) {
                    state.switches = Some(record.file);
                    self.new_switches.notify_one();
                }
            }
        }
    }

    fn consider_pointer(&self, key: &str, bytes: &[u8]) {
        let fleet = &self.store.fleet;
        match Envelope::open::<RingPointer>(bytes, fleet, key, &self.keys) {
            Err(failure) => {
                // Unsigned: the number is reported, and used for nothing else.
                let record = Envelope::unverified::<RingPointer>(bytes, fleet, key);
                let generation = record.map_or(0, |record| record.pointer.generation);
                if generation == 0 || generation > self.state().generation {
                    self.refuse(generation, false, &failure);
                }
            }
            Ok(record) => {
                let mut state = self.state();
                let known = state.wanted.as_ref();
                let known = known.map_or(0, |known| known.pointer.generation);
                if record.pointer.generation > known.max(state.generation) {
                    state.wanted = Some(record);
                    self.new_pointer.notify_one();
                }
            }
        }
    }

    /// Logs and reports a refusal of a generation, 0 for none.
    pub fn refuse(&self, generation: u64, is_signed: bool, failure: &Failure) {
        let why = failure.refusal().clone();
        let (name, detail) = (why.name(), why.detail());
        let line = format!("refused generation {generation}: {name}: {detail}");
        let mut state = self.state();
        state.log(&line);
        if state.refuse(generation, is_signed, why) {
            self.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedgerow::refusal::TEXT_BYTES_MAX;

    #[test]
    fn the_texts_of_a_refusal_are_short() {
        let long = "ü".repeat(900_000);
        let short = Failure::new("fleet-record", &long, &long, &long);
        let short = short.refusal();
        for text in [short.message(), short.at(), short.expected(), short.got()] {
            assert!(
                text.len() <= TEXT_BYTES_MAX && text.ends_with('…'),
                "{text}"
            );
        }
        let short = Failure::new("fleet-record", "at", "this", "that");
        assert_eq!(short.refusal().message(), "at: expected this, got that");
    }
}
