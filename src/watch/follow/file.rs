//! A small file of the directory that is read whole at every look.

use super::context::{Artefact, Context};
use crate::refusal::{Refusal, RefusalKind};
use crate::watch::disk::read_small;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_128;

/// A file whose bytes are compared with those of the last look: nothing else says for certain
/// whether it changed.
#[derive(Debug)]
pub(super) struct WatchedFile {
    /// The area of its problems in the status.
    area: &'static str,
    path: PathBuf,
    /// The refusal of a file that is gone; `None` if it may be.
    gone: Option<(RefusalKind, &'static str)>,
    /// A file with content was there, or a former engine saw one.
    known: bool,
    /// The bytes of the last look, and what was wrong with them.
    seen: Option<(Vec<u8>, Option<Refusal>)>,
}

/// The result of a look.
#[derive(Debug)]
pub(super) enum Look<T> {
    /// The file is as it was, or cannot be used.
    Same,
    /// There is no file.
    Gone,
    /// The file has this content now.
    New(T),
}

impl WatchedFile {
    /// A file that may be removed.
    pub(super) fn optional(area: &'static str, path: PathBuf) -> WatchedFile {
        WatchedFile {
            area,
            path,
            gone: None,
            known: false,
            seen: None,
        }
    }

    /// A file that is a problem once it is gone. `known` if it was there before.
    pub(super) fn lasting(
        area: &'static str,
        path: PathBuf,
        gone: (RefusalKind, &'static str),
        known: bool,
    ) -> WatchedFile {
        WatchedFile {
            gone: Some(gone),
            known,
            ..WatchedFile::optional(area, path)
        }
    }

    /// From now on it is a problem if the file is not there.
    pub(super) fn expect(&mut self) {
        self.known = true;
    }

    /// Reads the file. Content that cannot be parsed is refused once, and a problem as long as it
    /// is there.
    pub(super) fn look<T>(
        &mut self,
        context: &Context,
        parse: impl FnOnce(&[u8], &Path) -> Result<T, Refusal>,
    ) -> Look<T> {
        let bytes = match read_small(&self.path) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                let missing = self
                    .gone
                    .filter(|_| self.known)
                    .map(|(kind, expected)| kind.at(self.path.display(), expected, "no file"));
                context.problem(self.area, missing);
                if self.gone.is_none() {
                    self.seen = None;
                }
                return Look::Gone;
            }
            Err(refused) => {
                context.problem(self.area, Some(refused));
                return Look::Same;
            }
        };
        if let Some((seen, wrong)) = &self.seen
            && *seen == bytes
        {
            context.problem(self.area, wrong.clone());
            return Look::Same;
        }
        let (look, wrong) = match parse(&bytes, &self.path) {
            Ok(content) => {
                self.known = true;
                (Look::New(content), None)
            }
            Err(refused) => {
                let artefact = Artefact {
                    hash: xxh3_128(&bytes),
                    ..Artefact::default()
                };
                context.refuse(artefact, &refused);
                (Look::Same, Some(refused))
            }
        };
        context.problem(self.area, wrong.clone());
        self.seen = Some((bytes, wrong));
        look
    }
}
