//! The folder of tables: files are written once, and removed when no generation needs them.

use super::{KEEP_MIN, Publisher};
use crate::ids::ContentId;
use crate::refusal::Refusal;
use crate::table::Table;
use crate::table::format::{HEADER_BYTES, SIGNATURE_OFFSET};
use crate::table::sealed::Sealed;
use crate::watch::disk::{remove_if_there, replace, sync_folder};
use crate::watch::ledger::{Event, Record};
use crate::watch::status;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

impl Publisher {
    /// Writes a table's file. One that is there and whole stays, unless this one has another
    /// signature.
    pub(super) fn write_table(
        &mut self,
        table: &Table,
        content_id: ContentId,
    ) -> Result<(), Refusal> {
        let path = self.directory.table(content_id);
        if let Ok(there) = Sealed::from_file(&path) {
            let same = there.bytes() == table.bytes();
            let signed = there.bytes().get(SIGNATURE_OFFSET..HEADER_BYTES);
            let signed = signed.is_some_and(|field| field.iter().any(|byte| *byte != 0));
            let whole = || Table::from_bytes(there.bytes());
            let keeps = || signed && table.signed_by().is_none() && whole().is_ok();
            if same || keeps() {
                // Its writer may have been killed before it was durable, or be no publisher.
                let file = File::open(&path).and_then(|file| file.sync_all());
                let synced = file.and_then(|()| sync_folder(&self.directory.tables()));
                let expected = "a file that can be synced";
                return synced.map_err(|error| Refusal::directory(&path, expected, error));
            }
        }
        // Durable before anything refers to it.
        replace(&path, table.bytes())?.map_or(Ok(()), Err)
    }

    /// Removes the tables of generations before the last `keep`. The tables of the last two stay in
    /// any case, and those that an engine names as good. As many of the newest others stay as make
    /// `keep` together, in case the ledger lacks some.
    pub(super) fn prune(&mut self, keep: usize) -> Result<Vec<ContentId>, Refusal> {
        let keep = keep.max(KEEP_MIN);
        let tables = self.directory.tables();
        let mut kept: BTreeSet<ContentId> = BTreeSet::new();
        let all = self.generations();
        for (back, past) in all.iter().rev().enumerate() {
            if back < keep || kept.len() < KEEP_MIN {
                kept.insert(past.content_id);
            }
        }
        kept.extend(self.pointer.iter().map(|pointer| pointer.content_id));
        let shadows = self.shadows();
        kept.extend(shadows.into_iter().map(|shadow| shadow.content_id));
        for (_, engine) in status::engines(&self.directory) {
            kept.extend(engine.good.into_iter().map(|good| good.content_id));
        }
        let mut others = Vec::new();
        let listed = || -> io::Result<Vec<(std::time::SystemTime, ContentId, PathBuf)>> {
            for entry in fs::read_dir(&tables)? {
                let path = entry?.path();
                let name = path.file_name().and_then(|name| name.to_str());
                let id = name.and_then(|name| name.strip_suffix(".hedge"));
                let id = id.and_then(|id| id.parse().ok());
                let Some(id) = id.filter(|id| !kept.contains(id)) else {
                    continue;
                };
                others.push((fs::symlink_metadata(&path)?.modified()?, id, path));
            }
            Ok(others)
        };
        let failed = |error: io::Error| Refusal::directory(&tables, "a writable folder", error);
        let mut others = listed().map_err(failed)?;
        others.sort();
        let too_many = kept.len().saturating_add(others.len()).saturating_sub(keep);
        let mut pruned = Vec::new();
        for (_, id, path) in others.into_iter().take(too_many) {
            remove_if_there(&path).map_err(failed)?;
            pruned.push(id);
        }
        if !pruned.is_empty() {
            let note = match pruned.len() {
                1..=16 => {
                    let names: Vec<String> = pruned.iter().map(ContentId::to_string).collect();
                    names.join(" ")
                }
                many => format!("{many} tables"),
            };
            self.append(Record {
                note: Some(note),
                ..Record::new(Event::Prune, &self.origin)
            })?;
        }
        Ok(pruned)
    }
}
