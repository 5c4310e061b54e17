//! Names, the last error of a thread, and log lines, as a C host reads them.

use super::{Kind, SourceCode, Status};
use crate::score::Reason;
use crate::table::bots::Category;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::CStr;
use std::fmt::{self, Write};
use std::sync::{Mutex, MutexGuard, TryLockError};

/// Bytes of the last error that are kept.
const ERROR_BYTES_MAX: usize = 512;

/// Lines that wait to be read, at most: with more the oldest go.
const LINES_MAX: usize = 64;

/// The name of a status.
pub(super) fn status(status: i32) -> &'static CStr {
    let all: [(Status, &CStr); 16] = [
        (Status::Ok, c"ok"),
        (Status::Null, c"null"),
        (Status::Argument, c"argument"),
        (Status::Size, c"size"),
        (Status::Handle, c"handle"),
        (Status::Thread, c"thread"),
        (Status::Busy, c"busy"),
        (Status::Forked, c"forked"),
        (Status::Full, c"full"),
        (Status::Refused, c"refused"),
        (Status::System, c"system"),
        (Status::Panic, c"panic"),
        (Status::Nothing, c"nothing"),
        (Status::Unknown, c"unknown"),
        (Status::Watched, c"watched"),
        (Status::BreakerOpen, c"breaker-open"),
    ];
    let found = all.iter().find(|(of, _)| *of as i32 == status);
    found.map_or(c"no status", |(_, name)| name)
}

/// The name of a verdict's kind.
pub(super) fn kind(kind: u8) -> &'static CStr {
    let all = [
        (Kind::NotScored, c"not-scored"),
        (Kind::Scored, c"scored"),
        (Kind::VerifiedBot, c"verified-bot"),
    ];
    let found = all.iter().find(|(of, _)| *of as u8 == kind);
    found.map_or(c"no kind", |(_, name)| name)
}

/// The name of what decided a score.
pub(super) fn source(source: u8) -> &'static CStr {
    let all = [
        (SourceCode::None, c"none"),
        (SourceCode::Ensemble, c"ensemble"),
        (SourceCode::Detection, c"detection"),
    ];
    let found = all.iter().find(|(of, _)| *of as u8 == source);
    found.map_or(c"no source", |(_, name)| name)
}

/// A name of the library's, with a zero byte behind it.
type CName = [u8; 24];

const fn c_name(name: &str) -> CName {
    let mut bytes = [0; _];
    // The last byte stays 0: a name that does not fit is refused when this is compiled.
    let (places, _) = bytes.split_at_mut(name.len());
    places.copy_from_slice(name.as_bytes());
    assert!(name.len() < bytes.len());
    bytes
}

/// The names of an enumeration of the library's, as C reads them.
macro_rules! c_names {
    ($of:ident) => {{
        #[allow(clippy::indexing_slicing, reason = "the compiler runs it")]
        static NAMES: [CName; $of::ALL.len()] = {
            let mut names = [[0; _]; _];
            let mut at = 0;
            while at < names.len() {
                names[at] = c_name($of::ALL[at].name());
                at += 1;
            }
            names
        };
        &NAMES
    }};
}

fn name(names: &'static [CName], at: u8) -> Option<&'static CStr> {
    let name = names.get(usize::from(at))?;
    CStr::from_bytes_until_nul(name).ok()
}

/// The name of a reason for no score.
pub(super) fn reason(reason: u8) -> &'static CStr {
    match reason {
        0 => c"none",
        5 => c"error",
        reason => name(c_names!(Reason), reason.wrapping_sub(1)).unwrap_or(c"no reason"),
    }
}

/// The name of a verified bot's category.
pub(super) fn category(category: u8) -> &'static CStr {
    name(c_names!(Category), category).unwrap_or(c"no category")
}

/// The text of the last call of this thread that failed, in memory of a fixed size: to fail
/// allocates nothing.
#[derive(Debug)]
struct LastError {
    bytes: [u8; ERROR_BYTES_MAX],
    len: usize,
}

impl Write for LastError {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        for (place, byte) in room.iter_mut().zip(text.as_bytes()) {
            *place = *byte;
            self.len = self.len.saturating_add(1);
        }
        Ok(())
    }
}

thread_local! {
    static LAST: RefCell<LastError> = const {
        RefCell::new(LastError { bytes: [0; ERROR_BYTES_MAX], len: 0 })
    };
}

/// Remembers why a call failed.
pub(super) fn failed(why: fmt::Arguments<'_>) {
    let _ = LAST.try_with(|last| {
        // Busy where a signal's handler fails within a call that fails: the outer one is told.
        if let Ok(mut last) = last.try_borrow_mut() {
            last.len = 0;
            let _ = last.write_fmt(why);
        }
    });
}

/// Hands the last error of this thread to `read`.
pub(super) fn last_error<T>(read: impl FnOnce(&[u8]) -> T) -> Option<T> {
    let read = LAST.try_with(|last| {
        let last = last.try_borrow().ok()?;
        Some(read(last.bytes.get(..last.len).unwrap_or_default()))
    });
    read.ok().flatten()
}

/// Keeps lines until the host asks for them: no thread of the library calls into the host.
#[derive(Debug)]
struct Lines {
    waiting: Mutex<VecDeque<String>>,
}

static LINES: Lines = Lines {
    waiting: Mutex::new(VecDeque::new()),
};

impl Lines {
    /// None where another thread is at it, or was when the process forked: a line may be lost, and
    /// nobody waits.
    fn try_get(&self) -> Option<MutexGuard<'_, VecDeque<String>>> {
        match self.waiting.try_lock() {
            Ok(waiting) => Some(waiting),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Info
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            log::Level::Error => "error",
            log::Level::Warn => "warn",
            _ => "info",
        };
        let line = format!("{level}: {}", record.args());
        if let Some(mut waiting) = self.try_get() {
            if waiting.len() >= LINES_MAX {
                waiting.pop_front();
            }
            waiting.push_back(line);
        }
    }

    fn flush(&self) {}
}

/// Keeps the library's log lines from now on, unless the host is one in Rust that has a logger.
pub(super) fn keep_lines() {
    if log::set_logger(&LINES).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
    }
}

/// Hands the oldest line that waits to `copy`, and lets it go where that took it.
pub(super) fn next_line(copy: impl FnOnce(&str) -> Result<bool, Status>) -> Result<(), Status> {
    let mut waiting = LINES.try_get().ok_or(Status::Nothing)?;
    let line = waiting.front().ok_or(Status::Nothing)?;
    if copy(line)? {
        waiting.pop_front();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::ReasonCode;
    use super::*;

    #[test]
    fn names_are_those_of_the_library() {
        for reason in Reason::ALL {
            let code = ReasonCode::from(*reason);
            assert_eq!(super::reason(code as u8).to_str(), Ok(reason.name()));
        }
        for category in Category::ALL {
            assert_eq!(
                super::category(*category as u8).to_str(),
                Ok(category.name())
            );
        }
        assert_eq!(source(1).to_str(), Ok(crate::Source::Ensemble.name()));
        assert_eq!(source(2).to_str(), Ok(crate::Source::Detection(1).name()));
        for beyond in [kind(3), source(3), reason(6), category(12)] {
            assert!(beyond.to_bytes().starts_with(b"no "));
        }
        assert_eq!(status(16), c"no status");
        assert_eq!(status(-1), c"no status");
        assert_eq!(status(14), c"watched");
    }

    #[test]
    fn a_long_error_is_cut() {
        failed(format_args!("{}", "x".repeat(2 * ERROR_BYTES_MAX)));
        assert_eq!(last_error(|text| text.len()), Some(ERROR_BYTES_MAX));
        failed(format_args!("short"));
        assert_eq!(last_error(|text| text == b"short"), Some(true));
    }
}
