//! Recovery: puts right what a killed publisher left in a directory.

use super::Publisher;
use super::history::abandoned;
use crate::refusal::Refusal;
use crate::watch::disk::{create_folders, remove_partials};
use crate::watch::ledger::{Event, FROM_POINTER, Record};
use crate::watch::status;
use std::io;

impl Publisher {
    /// Removes unfinished files, reads the history, and marks announcements that did not happen.
    pub(super) fn recover(&mut self) -> Result<(), Refusal> {
        let root = self.directory.root().to_path_buf();
        let tables = self.directory.tables();
        let tidy = || -> io::Result<()> {
            create_folders(&tables)?;
            remove_partials(&root)?;
            remove_partials(&tables)
        };
        tidy().map_err(|error| Refusal::directory(&root, "a writable directory", error))?;
        let history = self.ledger.read();
        let path = self.ledger.path();
        let history =
            history.map_err(|error| Refusal::directory(&path, "a readable file", error))?;
        self.warnings.extend(history.problems);
        self.records = history.records;
        match self.directory.read_pointer() {
            Ok(pointer) => self.pointer = pointer,
            Err(refused) => self.warnings.push(refused.to_string()),
        }
        self.note_pointer()?;
        let change = self.switches_change()?;
        self.abandon(change)
    }

    /// Notes a pointer that the ledger lacks: the ledger was lost.
    fn note_pointer(&mut self) -> Result<(), Refusal> {
        let Some(pointer) = self.pointer.clone() else {
            return Ok(());
        };
        let known = |record: &Record| record.generation == Some(pointer.generation);
        if self.records.iter().any(known) {
            return Ok(());
        }
        let event = Event::of(&pointer);
        self.append(Record {
            at: pointer.at,
            generation: Some(pointer.generation),
            content_id: Some(pointer.content_id),
            from_generation: pointer.from_generation,
            note: Some(FROM_POINTER.into()),
            ..Record::new(event, &pointer.origin)
        })
    }

    /// Marks announcements that did not happen.
    fn abandon(&mut self, change: u64) -> Result<(), Refusal> {
        let active = self
            .pointer
            .as_ref()
            .map_or(0, |pointer| pointer.generation);
        let abandoned = abandoned(&self.records);
        let shadows = self.shadows_change().unwrap_or(u64::MAX);
        let mut marks = Vec::new();
        for record in &self.records {
            let mark = Record::new(Event::Abandon, &self.origin);
            match (record.event, record.generation, record.change) {
                (Event::Publish | Event::Rollback, Some(generation), _)
                    if generation > active && !abandoned.0.contains(&generation) =>
                {
                    marks.push(Record {
                        generation: Some(generation),
                        content_id: record.content_id,
                        ..mark
                    });
                }
                (Event::Kill | Event::Restore, _, Some(number))
                    if number > change && !abandoned.1.contains(&number) =>
                {
                    marks.push(Record {
                        change: Some(number),
                        selector: record.selector.clone(),
                        ..mark
                    });
                }
                (Event::Shadow | Event::Unshadow, _, Some(number))
                    if number > shadows && !abandoned.1.contains(&number) =>
                {
                    marks.push(Record {
                        change: Some(number),
                        content_id: record.content_id,
                        note: record.note.clone(),
                        ..mark
                    });
                }
                _ => {}
            }
        }
        // Without a readable pointer nobody knows which generation was the last. Each open marks
        // stale announcements, so only the last can be one: with more, the pointer was lost.
        let open = marks.iter().filter(|mark| mark.generation.is_some());
        let lost = open.clone().count() > 1 || open.clone().any(|mark| self.is_taken(mark));
        if self.pointer.is_none() && (lost || self.directory.active().exists()) {
            marks.retain(|mark| mark.change.is_some());
            if lost {
                let path = self.directory.active();
                let note = "the pointer was lost: publish or roll back to have one again";
                self.warnings.push(format!("{}: {note}", path.display()));
            }
        }
        marks.into_iter().try_for_each(|mark| self.append(mark))
    }

    /// Returns whether an engine that keeps its state here took an announced table.
    fn is_taken(&self, announced: &Record) -> bool {
        let engines = status::engines(&self.directory);
        let mut good = engines.iter().flat_map(|(_, engine)| &engine.good);
        good.any(|good| {
            Some(good.generation) == announced.generation
                && Some(good.content_id) == announced.content_id
        })
    }
}
