//! The start of a watch: the engine has a table afterwards, whatever is in the directory.

use super::context::Artefact;
use super::tables::Tables;
use crate::refusal::Refusal;
use crate::score::PreparedTable;
use crate::table::{DEFAULT_TABLE, Table};
use crate::watch::ledger::{Event, Ledger, Record};
use crate::watch::options::Fallback;
use crate::watch::publish::generations;
use crate::watch::status::{KnownGood, Source};
use std::path::Path;
use std::sync::Arc;

/// Generations of the directory's ledger that a start tries, at most.
const LEDGER_TRIES: usize = 8;

impl Tables {
    /// Looks for the first time. The table that runs is the pointer's, else the newest copy of the
    /// state folder, else the newest of the directory's ledger that passes, else the fallback.
    pub(super) fn start(&mut self) {
        self.take_up();
        if self.state.source() == Source::None {
            self.fall_back();
            self.warn_without_table();
        }
        self.publish_status();
    }

    /// Logs that no published table runs: the path of the directory may be wrong.
    fn warn_without_table(&self) {
        let runs = match self.state.source() {
            Source::Bundled => "the bundled one runs",
            Source::None => "requests pass without a score",
            _ => return,
        };
        let directory = self.context.directory.root();
        log::warn!(
            "{}: the directory has no table: {runs} until one is published",
            directory.display()
        );
    }

    fn fall_back(&mut self) {
        for good in self.state.good().to_vec() {
            let kept = self.context.folder.kept(good.content_id);
            if kept.is_some_and(|path| self.try_good(&good, &path, Source::Kept)) {
                return;
            }
        }
        for good in self.of_ledger() {
            let path = self.context.directory.table(good.content_id);
            if self.try_good(&good, &path, Source::Ledger) {
                return;
            }
        }
        if self.context.options.fallback == Fallback::Bundled {
            self.try_bundled();
        }
    }

    /// Returns the last generations of the directory's ledger, newest first, each table once.
    fn of_ledger(&self) -> Vec<KnownGood> {
        let ledger = Ledger::of(self.context.directory.root());
        let history = match ledger.read() {
            Ok(history) => history,
            Err(error) => {
                let refused = Refusal::directory(&ledger.path(), "a readable file", error);
                self.context.problem("ledger", Some(refused));
                return Vec::new();
            }
        };
        let pointer = self.candidate.as_ref().map(|candidate| &candidate.pointer);
        let mut found: Vec<KnownGood> = Vec::new();
        for past in generations(&history.records, pointer).into_iter().rev() {
            let named = pointer.is_some_and(|pointer| pointer.content_id == past.content_id);
            let there = found.iter().any(|good| good.content_id == past.content_id);
            let kept_out = self.state.is_kept_out(past.content_id);
            if !named && !there && !kept_out && found.len() < LEDGER_TRIES {
                found.push(KnownGood {
                    generation: past.generation,
                    content_id: past.content_id,
                    table_generation: 0,
                });
            }
        }
        found
    }

    /// Makes a good table live. Returns whether it passed every check.
    fn try_good(&mut self, good: &KnownGood, path: &Path, source: Source) -> bool {
        let context = &self.context;
        let (generation, content_id) = (good.generation, good.content_id);
        let admission = &context.options.admission;
        let prepared = match admission.admit(&context.engine, path, Some(content_id)) {
            Ok(prepared) => prepared,
            Err(rejected) => {
                let artefact = Artefact {
                    hash: rejected.artefact,
                    generation: Some(generation),
                    content_id: Some(content_id),
                };
                context.refuse(artefact, &rejected.refusal);
                return false;
            }
        };
        let published = context.engine.publish_as(prepared.clone(), generation);
        if published.is_err() {
            return false;
        }
        self.state.counts_from(KnownGood {
            table_generation: prepared.table().header().generation,
            ..good.clone()
        });
        self.state.runs(&prepared, generation, source, None);
        log::warn!(
            "{}: runs the last known good, generation {generation}",
            context.directory.root().display()
        );
        context.note(Record {
            generation: Some(generation),
            content_id: Some(content_id),
            note: Some(format!("last known good, {}", source.name())),
            ..Record::new(Event::Fallback, &context.origin)
        });
        true
    }

    fn try_bundled(&mut self) {
        let context = &self.context;
        let kernel = context.options.admission.kernel.as_deref();
        let prepared = Table::from_bytes(DEFAULT_TABLE)
            .and_then(|table| PreparedTable::with_kernel(table, context.engine.schema(), kernel));
        let prepared = match prepared {
            Ok(prepared) => Arc::new(prepared),
            // A host with another schema cannot run the bundled table.
            Err(refused) => {
                context.engine.count(&refused);
                return context.refuse(Artefact::default(), &refused);
            }
        };
        if context.engine.publish_as(prepared.clone(), 0).is_ok() {
            self.state.runs(&prepared, 0, Source::Bundled, None);
            context.note(Record {
                generation: Some(0),
                note: Some("the bundled table".into()),
                ..Record::new(Event::Fallback, &context.origin)
            });
        }
    }
}
