//! The publisher's side of shadows: tables that engines try on live rows, and that never decide.

use super::{Published, Publisher};
use crate::ids::ContentId;
use crate::limits::SHADOWS_MAX;
use crate::refusal::{Refusal, RefusalKind};
use crate::table::Table;
use crate::watch::directory::{FILES_VERSION, ShadowEntry, ShadowsFile};
use crate::watch::ledger::{Event, Record};
use crate::watch::time;

/// The result of a change of shadows.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Shadowed {
    /// The shadows now.
    pub file: ShadowsFile,
    /// Problems that did not prevent the change.
    pub warnings: Vec<String>,
}

impl Publisher {
    /// Has engines try a table in shadow under a name, on this share of their sampled rows. It
    /// replaces a shadow of the same name.
    ///
    /// # Errors
    /// `Shadow` if the name or the share is out of range, or if there are [`SHADOWS_MAX`] already;
    /// `Directory`. Nothing has changed for engines then.
    pub fn shadow(mut self, table: &Table, name: &str, share: f64) -> Result<Shadowed, Refusal> {
        let content_id = table.content_id();
        let entry = ShadowEntry {
            name: name.into(),
            content_id,
            bytes: table.byte_count() as u64,
            share,
        };
        let mut shadows = self.shadows();
        match shadows.iter_mut().find(|shadow| shadow.name == name) {
            Some(shadow) => *shadow = entry,
            None => shadows.push(entry),
        }
        let path = self.directory.shadows();
        if shadows.len() > SHADOWS_MAX {
            let expected = format!("at most {SHADOWS_MAX} shadows: remove one first");
            return Err(RefusalKind::Shadow.at(path.display(), expected, shadows.len()));
        }
        let file = self.shadows_file(shadows);
        file.check(&path)?;
        self.write_table(table, content_id)?;
        self.replace_shadows(Event::Shadow, file, Some(content_id), name)
    }

    /// Removes a shadow.
    ///
    /// # Errors
    /// `Shadow` if there is none of that name; `Directory`.
    pub fn unshadow(mut self, name: &str) -> Result<Shadowed, Refusal> {
        self.remove_shadow(name)
    }

    /// Publishes a shadow under the next generation, through every check, and removes it from the
    /// shadows.
    ///
    /// # Errors
    /// `Shadow` if there is none of that name; a refusal of the table; else those of
    /// [`publish`](Publisher::publish).
    pub fn promote(mut self, name: &str, keep: usize) -> Result<Published, Refusal> {
        let shadow = self.named_shadow(name)?;
        let path = self.directory.table(shadow.content_id);
        let table = Table::open(&path)?;
        let got = table.content_id();
        if got != shadow.content_id {
            let (path, expected) = (path.display(), shadow.content_id);
            return Err(RefusalKind::PointerContent.at(path, expected, got));
        }
        self.check_number(&table, got)?;
        let generation = self.next_generation(0);
        let pointer = self.next(generation, shadow.content_id, None, false)?;
        let mut published = self.activate(Event::Publish, pointer, keep)?;
        if let Err(refused) = self.remove_shadow(name) {
            let warning = format!("the shadow stays: {refused}");
            published.warnings.push(warning);
        }
        Ok(published)
    }

    fn remove_shadow(&mut self, name: &str) -> Result<Shadowed, Refusal> {
        self.named_shadow(name)?;
        let mut shadows = self.shadows();
        shadows.retain(|shadow| shadow.name != name);
        let file = self.shadows_file(shadows);
        self.replace_shadows(Event::Unshadow, file, None, name)
    }

    fn named_shadow(&mut self, name: &str) -> Result<ShadowEntry, Refusal> {
        let shadows = self.shadows();
        if let Some(shadow) = shadows.iter().find(|shadow| shadow.name == name) {
            return Ok(shadow.clone());
        }
        let known: Vec<&str> = shadows.iter().map(|shadow| shadow.name.as_str()).collect();
        let expected = match known.join(", ") {
            none if none.is_empty() => "a shadow: there is none".into(),
            known => format!("one of the shadows {known}"),
        };
        let path = self.directory.shadows();
        Err(RefusalKind::Shadow.at(path.display(), expected, name))
    }

    /// Returns the shadows. A file that cannot be read counts as empty: shadows decide nothing.
    pub(super) fn shadows(&mut self) -> Vec<ShadowEntry> {
        match self.directory.read_shadows() {
            Ok(file) => file.map(|file| file.shadows).unwrap_or_default(),
            Err(refused) => {
                self.warnings.push(refused.to_string());
                Vec::new()
            }
        }
    }

    fn shadows_file(&self, shadows: Vec<ShadowEntry>) -> ShadowsFile {
        let known = self.records.iter().filter_map(|record| record.change);
        let read = |file: Option<ShadowsFile>| file.map(|file| file.change);
        let last = self.directory.read_shadows().ok().and_then(read);
        // Numbered together with the changes of switches.
        let switches = self.directory.read_switches().ok().flatten();
        let all = known.chain(last).chain(switches.map(|file| file.change));
        ShadowsFile {
            version: FILES_VERSION,
            change: all.max().unwrap_or_default().saturating_add(1),
            shadows,
            at: time::now(),
            origin: self.origin.clone(),
        }
    }

    fn replace_shadows(
        &mut self,
        event: Event,
        file: ShadowsFile,
        content_id: Option<ContentId>,
        name: &str,
    ) -> Result<Shadowed, Refusal> {
        self.append(Record {
            change: Some(file.change),
            content_id,
            note: Some(format!("shadow {name}")),
            ..Record::new(event, &self.origin)
        })?;
        self.write_json(&self.directory.shadows(), &file)?;
        Ok(Shadowed {
            file,
            warnings: std::mem::take(&mut self.warnings),
        })
    }

    /// Returns the number of the last change in the file; announcements above it did not happen.
    /// `None` if the file cannot be read.
    pub(super) fn shadows_change(&self) -> Option<u64> {
        let read = self.directory.read_shadows().ok()?;
        Some(read.map_or(0, |file| file.change))
    }
}
