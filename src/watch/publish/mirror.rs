//! The publisher's side of a fleet: what another place has published or switched is done here too,
//! under that place's numbers, so that all its machines name a table alike.

use super::{KEEP, Published, Publisher, Switched};
use crate::refusal::{Refusal, RefusalKind};
use crate::switches::Switches;
use crate::table::Table;
use crate::table::sealed::Sealed;
use crate::table::validate::header_of;
use crate::watch::admission::replayed;
use crate::watch::directory::{Pointer, SwitchesFile};
use crate::watch::ledger::{Event, Record};

impl Publisher {
    /// The generation that the directory's pointer names; 0 where there is none.
    pub fn generation(&self) -> u64 {
        self.pointer
            .as_ref()
            .map_or(0, |pointer| pointer.generation)
    }

    /// Publishes a table as another place has published it: under that generation, on behalf of
    /// whoever did it there. What keeps a directory in step with a fleet.
    ///
    /// # Errors
    /// `Generation`, where the directory is at that generation or above; else as
    /// [`publish`](Publisher::publish).
    pub fn follow(mut self, table: &Table, there: &Pointer) -> Result<Published, Refusal> {
        let content_id = table.content_id();
        // What a killed process announced and did not do is done again under its number; so is
        // the last generation where its pointer was lost.
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
            self.check_number(table, &content_id)?;
        }
        self.write_table(table, &content_id)?;
        self.origin = there.origin.clone();
        let (generation, from) = (there.generation, there.from_generation);
        let pointer = self.next(generation, content_id, from, there.forced)?;
        self.activate(Event::of(&pointer), pointer, KEEP)
    }

    /// A table that is numbered below the active one is no new table. Where the active one is not
    /// whole, engines tell. It was checked when it was published: its hash is enough here.
    pub(super) fn check_number(&self, table: &Table, content_id: &str) -> Result<(), Refusal> {
        let newest = self.newest();
        let file = newest.map(|id| Sealed::from_file(&self.directory.table(&id)));
        let last = match file {
            Some(Ok(file)) => header_of(file.bytes()).map_or(0, |header| header.generation),
            _ => 0,
        };
        replayed(table, last, content_id).map_or(Ok(()), Err)
    }

    /// Switches off what another place has switched off, and nothing else, under its number.
    ///
    /// # Errors
    /// `Switches`, where the directory is at that change or above, or a selector is none;
    /// `Directory`.
    pub fn follow_switches(mut self, there: &SwitchesFile) -> Result<Switched, Refusal> {
        let path = self.directory.switches();
        let wanted = there.switches(&path)?;
        let (last, now) = match self.directory.read_switches() {
            Ok(Some(file)) => (file.change, file.switches(&path)?),
            // Also where nobody here knows what is off: the other place does.
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
