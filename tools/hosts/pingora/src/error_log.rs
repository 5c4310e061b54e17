//! The program's log lines, on the standard error: bounded in number and length.

use crate::lines::LineWriter;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Lines in a second, at most.
const LINES_MAX: u64 = 20;

/// Characters of a line, at most: Pingora puts a request's method and target into it.
const LINE_MAX: usize = 4 * 1024;

/// How long the end of the program waits for lines to be written.
pub const LAST_LINES: Duration = Duration::from_secs(1);

/// A text that Pingora logs as an error, and that is none: a task on a thread drawn by lot watches
/// an idle connection to the upstream. If it lets go of the connection a moment after a request has
/// taken it up, the request opens another one.
const NO_ERROR: &str = "failed to acquire reusable stream";

/// Where log lines go. `eprintln!` panics on a full disk, and within the panic hook ends the
/// process; a pipe that nobody reads would stop each thread that has a line.
#[derive(Debug)]
pub struct ErrorLog {
    second: AtomicU64,
    lines: AtomicU64,
    writer: LineWriter,
}

impl ErrorLog {
    /// Starts the log.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start() -> io::Result<ErrorLog> {
        Ok(ErrorLog {
            second: AtomicU64::default(),
            lines: AtomicU64::default(),
            writer: LineWriter::standard_error()?,
        })
    }

    /// Whether there is room for another line.
    fn has_room(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_secs());
        // Relaxed: two threads that meet at a second's turn write some lines more.
        if self.second.swap(now, Ordering::Relaxed) != now {
            self.lines.store(0, Ordering::Relaxed);
        }
        self.lines.fetch_add(1, Ordering::Relaxed) < LINES_MAX
    }
}

impl log::Log for ErrorLog {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.args().as_str() == Some(NO_ERROR) {
            return;
        }
        // The library's own lines are few, and each is logged once.
        if record.target().starts_with("hedgerow") || self.has_room() {
            let now = hedgerow::watch::time::now();
            let (level, target, args) = (record.level(), record.target(), record.args());
            let mut line = format!("{now} {level} {target}: {args}");
            if let Some((end, _)) = line.char_indices().nth(LINE_MAX) {
                line.truncate(end);
            }
            line.push('\n');
            self.writer.line(line.into_bytes());
        }
    }

    /// Waits for the lines that were handed over, and not for long.
    fn flush(&self) {
        self.writer.finish(LAST_LINES);
    }
}

/// Writes a line to the standard error, if that can be written.
pub fn say(line: &str) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
