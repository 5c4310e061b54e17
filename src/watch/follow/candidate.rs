//! A candidate: the table that the pointer names and that does not run yet.

use crate::refusal::{Refusal, RefusalKind};
use crate::score::PreparedTable;
use crate::watch::admission::Rejected;
use crate::watch::directory::Pointer;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a file that the system refused to read is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// The identity of a file's content: device, number, length, and times in nanoseconds.
type FileId = (u64, u64, u64, (i64, i64), (i64, i64));

fn file_id(path: &Path) -> Option<FileId> {
    let meta = std::fs::metadata(path).ok()?;
    let changed = (meta.ctime(), meta.ctime_nsec());
    let modified = (meta.mtime(), meta.mtime_nsec());
    Some((meta.dev(), meta.ino(), meta.len(), modified, changed))
}

/// The table that the pointer names and that does not run yet.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) pointer: Pointer,
    /// The file at the last look, and the time of its last change.
    file: Option<FileId>,
    since: Instant,
    /// The file was refused as it is.
    refused: bool,
    /// A file of the right length was refused, and that was reported.
    reported: bool,
    /// When the same file is tried again.
    retry: Option<Instant>,
    /// It passed every check, and waits for room among the retired tables.
    passed: Option<Arc<PreparedTable>>,
}

/// What is to be done with a candidate at a look.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing: it was refused as it is, or its file still changes.
    Wait,
    /// The file keeps another length than the pointer says.
    Refuse(Refusal),
    /// The file is to be checked.
    Check,
    /// It passed before, and is to be published.
    Publish(Arc<PreparedTable>),
}

impl Candidate {
    pub(super) fn new(pointer: Pointer) -> Candidate {
        Candidate {
            pointer,
            file: None,
            since: Instant::now(),
            refused: false,
            reported: false,
            retry: None,
            passed: None,
        }
    }

    /// Looks at the file. One of another length than the pointer says is awaited until it did not
    /// change for `settle`: somebody may be copying it.
    pub(super) fn step(&mut self, path: &Path, settle: Duration) -> Step {
        let (file, now) = (file_id(path), Instant::now());
        if file != self.file {
            (self.file, self.since) = (file, now);
            (self.refused, self.retry) = (false, None);
            // A writer is at work: the next look sees whether it continues.
            if self.reported {
                return Step::Wait;
            }
        }
        let due = self.retry.is_some_and(|retry| now >= retry);
        if self.refused && !due {
            return Step::Wait;
        }
        let expected = self.pointer.bytes;
        if file.is_some_and(|file| file.2 == expected) {
            return self.passed.take().map_or(Step::Check, Step::Publish);
        }
        if now.duration_since(self.since) < settle {
            return Step::Wait;
        }
        let got = match file {
            Some(file) => format!("{} bytes", file.2),
            None => "no file that can be read".into(),
        };
        (self.refused, self.retry) = (true, None);
        let expected = format!("{expected} bytes");
        Step::Refuse(RefusalKind::PointerContent.at(path.display(), expected, got))
    }

    /// Every check passed, but there was no room to publish: the next look tries again.
    pub(super) fn keep(&mut self, prepared: Arc<PreparedTable>) {
        self.passed = Some(prepared);
    }

    /// The file is not tried again as it is.
    pub(super) fn refuse(&mut self) {
        self.refused = true;
    }

    /// A check refused the file. Returns whether that is reported. A file that is still being
    /// written is reported once, and again when it did not change for `settle`.
    pub(super) fn reject(&mut self, rejected: &Rejected, settle: Duration) -> bool {
        self.refused = true;
        let now = Instant::now();
        let settled = self.since.checked_add(settle);
        let changes = !rejected.transient && settled.is_some_and(|settled| now < settled);
        if self.reported && changes {
            self.retry = settled;
            return false;
        }
        self.reported = true;
        self.retry = rejected.transient.then(|| now.checked_add(RETRY)).flatten();
        true
    }
}
