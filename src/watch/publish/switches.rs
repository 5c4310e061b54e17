//! The publisher's side of kill switches.

use super::history::abandoned;
use super::{Publisher, Switched};
use crate::refusal::{Refusal, RefusalKind};
use crate::schema::Schema;
use crate::switches::{Selector, Switches};
use crate::table::{DEFAULT_TABLE, Table};
use crate::watch::directory::{FILES_VERSION, SwitchesFile};
use crate::watch::ledger::{Event, FROM_POINTER, Record};
use crate::watch::{status, time};

impl Publisher {
    /// Returns the number of the last change in the file. A file that is gone or damaged is made
    /// again from the whole ledger, and from the engines if that has gaps: nothing is switched on
    /// because a file was lost. If nobody knows, the file stays as it is. Without a file and
    /// without a change in the ledger nothing was switched off here: the switches of an engine are
    /// its host's own then.
    pub(super) fn switches_change(&mut self) -> Result<u64, Refusal> {
        let trouble = match self.directory.read_switches() {
            Ok(Some(file)) => return Ok(file.change),
            Ok(None) => "the switches were gone".into(),
            Err(refused) => refused.to_string(),
        };
        let (path, at) = (self.directory.switches(), self.ledger.path());
        let known = self.ledger.changes();
        let known = known.map_err(|error| Refusal::directory(&at, "a readable file", error))?;
        let (change, mut switches) = replayed(&known.records);
        if change == 0 && !path.exists() {
            return Ok(0);
        }
        let lost = |record: &Record| record.note.as_deref() == Some(FROM_POINTER);
        let lost = self.records.is_empty() || known.records.iter().any(lost);
        let mut whose = "the ledger has";
        if lost || !known.problems.is_empty() {
            let engines = status::engines(&self.directory);
            let off = engines.iter().flat_map(|(_, engine)| &engine.switches);
            let off = off.filter_map(|text| text.parse::<Selector>().ok());
            off.for_each(|selector| _ = switches.kill(selector));
            if change == 0 && switches.is_empty() {
                let note = "neither the ledger nor an engine knows what was off; it stays as it is";
                self.warnings.push(format!("{trouble}; {note}"));
                return Ok(u64::MAX);
            }
            whose = "the ledger and the engines have";
        }
        let file = self.switches_file(change, &switches);
        self.write_json(&path, &file)?;
        let note = format!("made the switches again as {whose} them: {trouble}");
        self.warnings.push(note.clone());
        self.append(Record {
            note: Some(note),
            ..Record::new(Event::Repair, &self.origin)
        })?;
        Ok(change)
    }

    fn switches_file(&self, change: u64, switches: &Switches) -> SwitchesFile {
        SwitchesFile {
            version: FILES_VERSION,
            change,
            off: switches.iter().map(Selector::to_string).collect(),
            at: time::now(),
            origin: self.origin.clone(),
        }
    }

    /// Switches a selector off, or on again.
    ///
    /// # Errors
    /// `Selector` if nothing has that name, or if it is not off; `Switches` if nobody knows what is
    /// off (the engine can still be switched off); `Directory`.
    pub fn switch(mut self, selector: &Selector, off: bool) -> Result<Switched, Refusal> {
        let path = self.directory.switches();
        let (change, mut switches) = match self.directory.read_switches() {
            Ok(Some(file)) => (file.change, file.switches(&path)?),
            Ok(None) => (0, Switches::default()),
            // With the engine off, other switches decide nothing.
            Err(_) if off && *selector == Selector::Engine => {
                let forgotten = "what else was off is forgotten: switch it off again before \
                                 `restore engine`";
                self.warnings.push(forgotten.into());
                (0, Switches::default())
            }
            Err(refused) => {
                let expected = "switches that can be read, for nobody knows what is off: switch \
                                off `engine`, or remove the file to begin with nothing off";
                return Err(RefusalKind::Switches.at(path.display(), expected, refused.got()));
            }
        };
        let known = self.records.iter().filter_map(|record| record.change);
        let change = known
            .max()
            .unwrap_or_default()
            .max(change)
            .saturating_add(1);
        match off {
            true => {
                self.check_selector(selector)?;
                switches.kill(selector.clone());
            }
            false if !switches.restore(selector) => {
                let all: Vec<String> = switches.iter().map(Selector::to_string).collect();
                let expected = match all.join(", ") {
                    none if none.is_empty() => "something that is off: nothing is".into(),
                    all => format!("one of those that are off: {all}"),
                };
                return Err(RefusalKind::Selector.at(path.display(), expected, selector));
            }
            false => {}
        }
        let event = if off { Event::Kill } else { Event::Restore };
        let record = Record {
            change: Some(change),
            selector: Some(selector.to_string()),
            ..Record::new(event, &self.origin)
        };
        let file = self.switches_file(change, &switches);
        self.append(record)?;
        self.write_json(&path, &file)?;
        Ok(Switched {
            file,
            warnings: std::mem::take(&mut self.warnings),
        })
    }

    /// Refuses a selector without a target: a typing error would leave the trouble on.
    fn check_selector(&self, selector: &Selector) -> Result<(), Refusal> {
        let at = selector.to_string();
        let refused =
            |expected: String, got: &str| Err(RefusalKind::Selector.at(&at, expected, got));
        // Before the first publish engines run the bundled table.
        let table = match self.newest() {
            Some(id) => Table::open(self.directory.table(id)),
            None => Table::from_bytes(DEFAULT_TABLE),
        };
        match selector {
            Selector::Engine | Selector::Ensemble => Ok(()),
            Selector::Feature(name) => {
                let active = table.map(|table| table.features()).unwrap_or_default();
                let built_in = Schema::http();
                let mut all = active.iter().chain(built_in.features());
                if all.any(|feature| feature.name == *name) {
                    return Ok(());
                }
                let count = active.len();
                let expected = format!(
                    "one of the active table's {count} features, or of the built-in schema"
                );
                refused(expected, "another name")
            }
            Selector::Detection(id) => {
                let known = table.map(|table| table.detections()).unwrap_or_default();
                let known: Vec<u32> = known.iter().map(|detection| detection.id).collect();
                if known.contains(id) {
                    return Ok(());
                }
                refused(
                    format!("a detection of the active table: {known:?}"),
                    "another",
                )
            }
        }
    }
}

/// Returns the number of the last change and the switches that the records lead to.
fn replayed(records: &[Record]) -> (u64, Switches) {
    let (_, abandoned) = abandoned(records);
    let (mut last, mut switches) = (0, Switches::default());
    for record in records {
        let (Some(change), Some(text)) = (record.change, &record.selector) else {
            continue;
        };
        let Ok(selector) = text.parse::<Selector>() else {
            continue;
        };
        if abandoned.contains(&change) {
            continue;
        }
        match record.event {
            Event::Kill => _ = switches.kill(selector),
            Event::Restore => _ = switches.restore(&selector),
            _ => continue,
        }
        last = change;
    }
    (last, switches)
}
