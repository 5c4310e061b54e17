//! The ledger: publishes, refusals, rollbacks and switches, one JSON object per line.
//!
//! It is only appended to. The next writer ends a line that a killed writer left unfinished;
//! readers skip such a line and report it. Times are informational: the order is that of the lines,
//! and generations grow.

use super::directory::{Origin, Pointer};
use super::disk::{self, open_history, sync_folder};
use crate::ids::ContentId;
use crate::refusal::Refusal;
use serde::{Deserialize, Deserializer, Serialize};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The kind of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// A table is published under a generation. Written before the pointer is replaced.
    Publish,
    /// An older table is published again, under a new generation. Written before as well.
    Rollback,
    /// A publish, a rollback, a switch or a shadow that was announced and did not happen: its
    /// process ended, or the disk was full.
    Abandon,
    /// A selector is switched off. Written before the switches are replaced.
    Kill,
    /// A selector is switched on again. Written before as well.
    Restore,
    /// A table is tried in shadow. Written before the shadows are replaced.
    Shadow,
    /// A table is no longer tried in shadow. Written before as well.
    Unshadow,
    /// Tables were removed to which nobody can go back.
    Prune,
    /// An unfinished line was ended, or a pointer without a line was noted.
    Repair,
    /// An engine took a table. In an engine's own ledger.
    Admit,
    /// An engine refused an artefact. In an engine's own ledger, once for each distinct artefact.
    Refuse,
    /// An engine holds back a table that differs too much from the running one. In an engine's own
    /// ledger.
    Quarantine,
    /// The watchdog reverted to the table before. In an engine's own ledger.
    Revert,
    /// An engine runs another table than the pointer's. In an engine's own ledger.
    Fallback,
    /// An engine's switches changed. In an engine's own ledger.
    Switch,
}

impl Event {
    /// Returns the event that a pointer came from.
    pub(super) fn of(pointer: &Pointer) -> Event {
        match pointer.from_generation {
            Some(_) => Event::Rollback,
            None => Event::Publish,
        }
    }

    /// Returns the name in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Event::Publish => "publish",
            Event::Rollback => "rollback",
            Event::Abandon => "abandon",
            Event::Kill => "kill",
            Event::Restore => "restore",
            Event::Shadow => "shadow",
            Event::Unshadow => "unshadow",
            Event::Prune => "prune",
            Event::Repair => "repair",
            Event::Admit => "admit",
            Event::Refuse => "refuse",
            Event::Quarantine => "quarantine",
            Event::Revert => "revert",
            Event::Fallback => "fallback",
            Event::Switch => "switch",
        }
    }
}

/// One line of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// RFC 3339 time. Informational.
    pub at: String,
    /// The kind of the record.
    pub event: Event,
    /// The generation concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The content hash of the table concerned. A text of another form is ignored.
    #[serde(
        default,
        deserialize_with = "well_formed",
        skip_serializing_if = "Option::is_none"
    )]
    pub content_id: Option<ContentId>,
    /// The generation that a rollback took its table from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_generation: Option<u64>,
    /// The number of a change of switches or shadows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<u64>,
    /// The selector that was switched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The reason of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Refusal>,
    /// A remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The author.
    pub origin: Origin,
}

/// Reads a content hash; `None` if the text has another form. The rest of the line counts.
fn well_formed<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ContentId>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

impl Record {
    /// Returns a record of an event now.
    pub fn new(event: Event, origin: &Origin) -> Record {
        Record {
            at: super::time::now(),
            event,
            generation: None,
            content_id: None,
            from_generation: None,
            change: None,
            selector: None,
            reason: None,
            note: None,
            origin: origin.clone(),
        }
    }
}

/// The note of a record that was made from the pointer, because the ledger had lost it.
pub(super) const FROM_POINTER: &str = "from the pointer: the ledger had no line of it";

/// The content of a ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct History {
    /// The records that could be read, oldest first.
    pub records: Vec<Record>,
    /// Lines that could not be read, by file and number.
    pub problems: Vec<String>,
}

/// The length from which a segment is full, 4 MiB: some ten thousand records.
const SEGMENT_BYTES: u64 = 4 << 20;

/// The most bytes that are read of one segment, from its end.
const READ_BYTES_MAX: u64 = 4 * SEGMENT_BYTES;

/// The most problems that are reported.
const PROBLEMS_MAX: usize = 100;

/// The ledger of a folder.
#[derive(Debug, Clone)]
pub struct Ledger {
    folder: PathBuf,
}

impl Ledger {
    /// Returns the ledger of this folder, which need not exist.
    pub fn of(folder: &Path) -> Ledger {
        Ledger {
            folder: folder.to_path_buf(),
        }
    }

    /// Returns the file that is appended to.
    pub fn path(&self) -> PathBuf {
        self.folder.join("ledger.jsonl")
    }

    /// Returns the full segments, oldest first.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn segments(&self) -> io::Result<Vec<PathBuf>> {
        let mut numbered = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if let Some(number) = segment_number(&path) {
                numbered.push((number, path));
            }
        }
        numbered.sort();
        Ok(numbered.into_iter().map(|(_, path)| path).collect())
    }

    /// Appends a record, and makes it durable. The caller holds the folder's lock. Returns the
    /// length of an unfinished line that was ended. On an error nothing of the record stays.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn append(&self, record: &Record) -> io::Result<u64> {
        let path = self.path();
        let mut file = open_history(&path)?;
        let before = file.metadata()?.len();
        if before >= SEGMENT_BYTES {
            self.start_segment()?;
            return self.append(record);
        }
        let torn = unfinished(&mut file, before)?;
        let mut line = serde_json::to_vec(record).map_err(io::Error::other)?;
        line.push(b'\n');
        if torn > 0 {
            line.insert(0, b'\n');
        }
        let written = file.write_all(&line).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // What was written of the line goes, or the next writer ends it.
            let _ = file.set_len(before);
            return Err(error);
        }
        if before == 0 {
            sync_folder(&self.folder)?;
        }
        Ok(torn)
    }

    fn start_segment(&self) -> io::Result<()> {
        let last = self
            .segments()?
            .iter()
            .filter_map(|path| segment_number(path))
            .max();
        let next = last.unwrap_or_default().saturating_add(1);
        let full = self.folder.join(format!("ledger.{next:06}.jsonl"));
        fs::rename(self.path(), full)?;
        sync_folder(&self.folder)
    }

    /// Reads the newest segment and the full one before it. A ledger that does not exist is empty.
    ///
    /// # Errors
    /// If a file exists and cannot be read.
    pub fn read(&self) -> io::Result<History> {
        let mut history = History::default();
        let older = match self.segments() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(history),
            segments => segments?.pop(),
        };
        for path in older.into_iter().chain([self.path()]) {
            read_segment(&path, &mut history)?;
        }
        Ok(history)
    }

    /// Reads the changes of switches and shadows in all segments, and whether the ledger was ever
    /// lost. For a file that has to be made again; gaps are among the problems.
    pub(super) fn changes(&self) -> io::Result<History> {
        let mut history = History::default();
        let mut next = 1;
        for path in self.segments()?.into_iter().chain([self.path()]) {
            let number = segment_number(&path).unwrap_or(next);
            if number != next {
                let gone = format!("{}: the segment before it is gone", path.display());
                history.problems.push(gone);
            }
            next = number.saturating_add(1);
            read_segment(&path, &mut history)?;
            let lost = |record: &Record| record.note.as_deref() == Some(FROM_POINTER);
            let kept = |record: &Record| record.change.is_some() || lost(record);
            history.records.retain(kept);
        }
        Ok(history)
    }
}

fn segment_number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix("ledger.")?
        .strip_suffix(".jsonl")?
        .parse()
        .ok()
}

/// Returns the number of bytes after the end of the last line.
fn unfinished(file: &mut File, len: u64) -> io::Result<u64> {
    let mut behind = 0u64;
    let mut end = len;
    while end > 0 {
        let start = end.saturating_sub(4_096);
        let mut chunk = vec![0u8; usize::try_from(end.saturating_sub(start)).unwrap_or(0)];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut chunk)?;
        if let Some(at) = chunk.iter().rposition(|byte| *byte == b'\n') {
            let after = chunk.len().saturating_sub(at).saturating_sub(1) as u64;
            return Ok(behind.saturating_add(after));
        }
        behind = behind.saturating_add(chunk.len() as u64);
        end = start;
    }
    Ok(behind)
}

fn read_segment(path: &Path, history: &mut History) -> io::Result<()> {
    let mut file = match disk::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let skipped = file.metadata()?.len().saturating_sub(READ_BYTES_MAX);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(READ_BYTES_MAX).read_to_end(&mut bytes)?;
    let mut problem = |text: String| {
        if history.problems.len() < PROBLEMS_MAX {
            history.problems.push(text);
        }
    };
    if skipped > 0 {
        problem(format!(
            "{}: the first {skipped} bytes are not read",
            path.display()
        ));
    }
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let last = lines.pop().unwrap_or_default();
    if !last.is_empty() {
        problem(format!(
            "{}: {} bytes of an unfinished line",
            path.display(),
            last.len()
        ));
    }
    for (index, line) in lines.into_iter().enumerate().skip(usize::from(skipped > 0)) {
        match serde_json::from_slice(line) {
            Ok(record) => history.records.push(record),
            Err(error) => {
                let number = index.saturating_add(1);
                problem(format!(
                    "{}: line {number} is no record: {error}",
                    path.display()
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let name = format!("hedgerow-ledger-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn record(generation: u64) -> Record {
        Record {
            generation: Some(generation),
            ..Record::new(Event::Publish, &Origin::here("me"))
        }
    }

    fn generations(ledger: &Ledger) -> Vec<u64> {
        let records = ledger.read().unwrap().records;
        records
            .iter()
            .map(|record| record.generation.unwrap())
            .collect()
    }

    #[test]
    fn a_line_cut_anywhere_costs_that_line_alone() {
        let folder = Folder::new("torn");
        let ledger = Ledger::of(&folder.0);
        assert_eq!(ledger.read().unwrap(), History::default());
        assert_eq!(ledger.append(&record(1)).unwrap(), 0);
        let first = fs::read(ledger.path()).unwrap();
        ledger.append(&record(2)).unwrap();
        let both = fs::read(ledger.path()).unwrap();
        for end in first.len()..both.len() {
            fs::write(ledger.path(), &both[..end]).unwrap();
            let torn = (end - first.len()) as u64;
            let read = ledger.read().unwrap();
            assert_eq!(read.problems.len(), usize::from(torn > 0), "{end}");
            assert_eq!(ledger.append(&record(3)).unwrap(), torn, "{end}");
            let whole = torn + 1 == (both.len() - first.len()) as u64;
            let want: &[u64] = if whole { &[1, 2, 3] } else { &[1, 3] };
            assert_eq!(generations(&ledger), want, "{end}");
        }
    }

    #[test]
    fn what_is_no_record_is_passed_over_and_told() {
        let folder = Folder::new("damaged");
        let ledger = Ledger::of(&folder.0);
        ledger.append(&record(1)).unwrap();
        let good = fs::read(ledger.path()).unwrap();
        let zeros = [0u8; 100];
        let bad: &[u8] = b"\n{}\n\xff\xfe\n[1]\n{\"event\":\"explode\"}\n";
        fs::write(ledger.path(), [&good, bad, &zeros, b"\n", &good].concat()).unwrap();
        let read = ledger.read().unwrap();
        assert_eq!(read.records.len(), 2);
        assert_eq!(read.problems.len(), 6, "{:?}", read.problems);
    }

    #[test]
    fn a_full_segment_is_put_aside_and_nothing_is_lost() {
        let folder = Folder::new("segments");
        let ledger = Ledger::of(&folder.0);
        ledger.append(&record(1)).unwrap();
        let line = fs::read(ledger.path()).unwrap();
        let count = SEGMENT_BYTES as usize / line.len() + 1;
        fs::write(ledger.path(), line.repeat(count)).unwrap();
        ledger.append(&record(2)).unwrap();
        ledger.append(&record(3)).unwrap();
        assert_eq!(ledger.segments().unwrap().len(), 1);
        let all = generations(&ledger);
        assert_eq!((all.len(), &all[count..]), (count + 2, &[2, 3][..]));
        fs::write(ledger.path(), line.repeat(count)).unwrap();
        ledger.append(&record(4)).unwrap();
        assert_eq!(ledger.segments().unwrap().len(), 2);
        assert_eq!(generations(&ledger).len(), count + 1);
    }
}
