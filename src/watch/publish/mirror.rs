//! Publishing for another place: a fleet's publishes and switches are repeated here under its
//! numbers, so that all its machines name a table alike.

use super::{KEEP, Published, Publisher, Switched};
use crate::ids::ContentId;
use crate::refusal::{Refusal, RefusalKind};
use crate::switches::Switches;
use crate::table::Table;
use crate::table::sealed::Sealed;
use crate::table::validate::header_of;
use crate::watch::admission::replayed;
use crate::watch::directory::{Pointer, SwitchesFile};
use crate::watch::ledger::{Event, Record};

impl Publisher {
    /// Returns the generation of the directory's pointer; 0 without one.
    pub fn generation(&self) -> u64 {
        self.pointer
            .as_ref()
            .map_or(0, |pointer| pointer.generation)
    }

    /// Publishes a table under the generation and the origin that another place published it with.
    /// Keeps a directory in step with a fleet.
    ///
    /// # Errors
    /// `Generation` if the directory is at that generation or above; else those of
    /// [`publish`](Publisher::publish).
    pub fn follow(mut self, table: &Table, there: &Pointer) -> Result<Published, Refusal> {
        let content_id = table.content_id();
        // A publish that a killed process only announced is repeated under its number; so is the
        // last generation if its pointer was lost.
        let known = self.generations().last().map_or(0, |past| past.generation);
        let last = match &self.pointer {
            Some(pointer) => pointer.generation,
            None => known.saturating_sub(1),
        };
        if there.generation <= last {
            let at = self.directory.active();
            let expected = format!("a generation above {last}, which the directory has");
            return Err(RefusalKind::Generation.at(at.display(), expected, there.generation));
        }
        if there.from_generation.is_none() {
            self.check_number(table, content_id)?;
        }
        self.write_table(table, content_id)?;
        self.origin = there.origin.clone();
        let (generation, from) = (there.generation, there.from_generation);
        let pointer = self.next(generation, content_id, from, there.forced)?;
        self.activate(Event::of(&pointer), pointer, KEEP)
    }

    /// Writes the running generation's table again, where its file was removed or damaged.
    ///
    /// # Errors
    /// `Generation` if another table runs; `Directory` if the file cannot be written.
    pub fn mend(&mut self, table: &Table) -> Result<(), Refusal> {
        let content_id = table.content_id();
        let running = self.pointer.as_ref().map(|pointer| pointer.content_id);
        if running != Some(content_id) {
            let at = self.directory.active();
            let running = running.map_or("none".into(), |running| running.to_string());
            let expected = format!("the running table, {running}");
            return Err(RefusalKind::Generation.at(at.display(), expected, content_id));
        }
        self.write_table(table, content_id)
    }

    /// Refuses a table whose own running number is below the active one's. The active file was
    /// checked when it was published, so its hash is enough here; engines report a damaged one.
    pub(super) fn check_number(&self, table: &Table, content_id: ContentId) -> Result<(), Refusal> {
        let newest = self.newest();
        let file = newest.map(|id| Sealed::from_file(&self.directory.table(id)));
        let last = match file {
            Some(Ok(file)) => header_of(file.bytes()).map_or(0, |header| header.generation),
            _ => 0,
        };
        replayed(table, last, content_id).map_or(Ok(()), Err)
    }

    /// Takes over the switches of another place, under its number.
    ///
    /// # Errors
    /// `Switches` if the directory is at that change or above, or if a text is not a selector;
    /// `Directory`.
    pub fn follow_switches(mut self, there: &SwitchesFile) -> Result<Switched, Refusal> {
        let path = self.directory.switches();
        let wanted = there.switches(&path)?;
        let (last, now) = match self.directory.read_switches() {
            Ok(Some(file)) => (file.change, file.switches(&path)?),
            // Also if nobody here knows what is off: the other place does.
            Ok(None) | Err(_) => (0, Switches::default()),
        };
        if there.change <= last {
            let expected = format!("a change above {last}, which the directory has");
            return Err(RefusalKind::Switches.at(path.display(), expected, there.change));
        }
        self.origin = there.origin.clone();
        let killed = wanted.iter().filter(|selector| !now.is_off(selector));
        let restored = now.iter().filter(|selector| !wanted.is_off(selector));
        let killed = killed.map(|selector| (Event::Kill, selector.to_string()));
        let restored = restored.map(|selector| (Event::Restore, selector.to_string()));
        let changes: Vec<_> = killed.chain(restored).collect();
        for (event, selector) in changes {
            self.append(Record {
                at: there.at.clone(),
                change: Some(there.change),
                selector: Some(selector),
                ..Record::new(event, &self.origin)
            })?;
        }
        self.write_json(&path, there)?;
        Ok(Switched {
            file: there.clone(),
            warnings: std::mem::take(&mut self.warnings),
        })
    }
}
