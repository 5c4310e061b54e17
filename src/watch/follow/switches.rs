//! The thread that keeps an engine's switches as the directory says.

use super::Artefact;
use super::Shared;
use crate::refusal::{Refusal, RefusalKind};
use crate::switches::{Selector, Switches};
use crate::watch::directory::{parse_switches, read_small};
use crate::watch::ledger::{Event, Record};
use crate::watch::status::WatchStatus;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_128;

/// What the thread remembers.
#[derive(Debug)]
pub(super) struct Switching {
    /// The file as it was last read, and what was wrong with it.
    seen: Option<(Vec<u8>, Option<Refusal>)>,
    /// Whether there ever was a file that said something.
    said: bool,
    /// What is to be off.
    wanted: Switches,
    /// Whether the engine has it so.
    done: bool,
}

impl Switching {
    /// Starts with what the engine before this one had switched off: a restart switches nothing
    /// on, should the file be gone or damaged. Where there was none, with what the host has off.
    pub(super) fn new(shared: &Shared, last: Option<&WatchStatus>) -> Switching {
        let texts = last.map(|last| last.switches.iter());
        let wanted = texts.map(|texts| texts.filter_map(|text| text.parse().ok()).collect());
        let said = wanted
            .as_ref()
            .is_some_and(|wanted: &Switches| !wanted.is_empty());
        let here = shared.engine.stats().switches;
        let wanted = wanted.unwrap_or_else(|| here.clone());
        shared.desk().status.switches = wanted.iter().map(Selector::to_string).collect();
        Switching {
            seen: None,
            said,
            done: wanted == here,
            wanted,
        }
    }

    /// Looks at the file, and has the engine follow. A file that is damaged or gone leaves the
    /// switches as they are.
    pub(super) fn look(&mut self, shared: &Shared) {
        let path = shared.directory.switches();
        match read_small(&path) {
            Err(refused) => shared.problem("switches", Some(refused)),
            Ok(None) => {
                let gone = || {
                    let expected = "the switches that were there";
                    RefusalKind::Switches.at(path.display(), expected, "no file")
                };
                shared.problem("switches", self.said.then(gone));
            }
            Ok(Some(bytes)) => self.read(shared, &path, bytes),
        }
        self.follow(shared);
    }

    fn read(&mut self, shared: &Shared, path: &Path, bytes: Vec<u8>) {
        if let Some((seen, wrong)) = &self.seen
            && *seen == bytes
        {
            return shared.problem("switches", wrong.clone());
        }
        let wrong = match parse_switches(&bytes, path) {
            Err(refused) => {
                let hash = xxh3_128(&bytes);
                let artefact = Artefact {
                    hash,
                    ..Artefact::default()
                };
                shared.refuse(artefact, &refused);
                Some(refused)
            }
            Ok((_, switches)) => {
                self.said = true;
                self.done &= switches == self.wanted;
                self.wanted = switches;
                None
            }
        };
        shared.problem("switches", wrong.clone());
        self.seen = Some((bytes, wrong));
    }

    fn follow(&mut self, shared: &Shared) {
        if self.done {
            return;
        }
        // Where too many retired tables wait for their readers, the next look tries again.
        if shared.engine.set_switches(self.wanted.clone()).is_err() {
            return;
        }
        self.done = true;
        let off: Vec<String> = self.wanted.iter().map(Selector::to_string).collect();
        log::warn!(
            "{}: switched off: {off:?}",
            shared.directory.root().display()
        );
        shared.note(Record {
            note: Some(match off.join(" ") {
                none if none.is_empty() => "nothing is off".into(),
                off => format!("off: {off}"),
            }),
            ..Record::new(Event::Switch, &shared.origin)
        });
        {
            let mut desk = shared.desk();
            desk.status.switches = off;
        }
        shared.save();
    }
}
