//! The access log: a line of JSON for each request, written by a thread of its own.
//!
//! A line that finds the queue full, or that cannot be written, is left out and counted: a slow or
//! a full disk stops no traffic.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Lines that wait to be written, at most: some 8 MB.
const LINES_MAX: usize = 16 * 1024;

/// How long a line may wait in the writer's memory.
const FLUSH: Duration = Duration::from_millis(200);

/// Where lines go.
#[derive(Debug, Clone)]
pub struct AccessLog {
    lines: SyncSender<Vec<u8>>,
    shared: Arc<Shared>,
}

/// What the writer is asked, and what it tells.
#[derive(Debug, Default)]
struct Shared {
    reopen: AtomicBool,
    ending: AtomicBool,
    ended: AtomicBool,
    unwritten: AtomicU64,
}

impl AccessLog {
    /// Opens a file to append to; `-` is the standard output.
    ///
    /// # Errors
    /// Where it cannot be opened, or the system gives no thread.
    pub fn start(path: &str) -> io::Result<AccessLog> {
        let path = (path != "-").then(|| PathBuf::from(path));
        let out = open(path.as_ref())?;
        let (lines, queue) = sync_channel(LINES_MAX);
        let shared = Arc::new(Shared::default());
        let asked = shared.clone();
        let thread = std::thread::Builder::new().name("hedgerow-log".into());
        thread.spawn(move || {
            write(&queue, out, path, &asked);
            // Release: pairs with the Acquire in `finish`: what was flushed, was.
            asked.ended.store(true, Ordering::Release);
        })?;
        Ok(AccessLog { lines, shared })
    }

    /// Hands over a line; whether there was room for it.
    #[inline]
    pub fn line(&self, line: Vec<u8>) -> bool {
        self.lines.try_send(line).is_ok()
    }

    /// Has the file opened anew, for those that move it away.
    pub fn reopen(&self) {
        // Relaxed: the writer sees it with one of its next lines.
        self.shared.reopen.store(true, Ordering::Relaxed);
    }

    /// Lines that could not be written.
    pub fn unwritten(&self) -> u64 {
        // Relaxed: a counter orders nothing.
        self.shared.unwritten.load(Ordering::Relaxed)
    }

    /// Has what was handed over written, for the end of the program; whether it was, in so long.
    pub fn finish(&self, patience: Duration) -> bool {
        // Relaxed: the writer sees it when it has nothing to write.
        self.shared.ending.store(true, Ordering::Relaxed);
        let start = Instant::now();
        while !self.shared.ended.load(Ordering::Acquire) {
            if start.elapsed() > patience {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }
}

impl Shared {
    /// Counts lines that are not written.
    fn add(&self, lines: u64) {
        self.unwritten.fetch_add(lines, Ordering::Relaxed);
    }
}

type Out = BufWriter<Box<dyn Write + Send>>;

fn open(path: Option<&PathBuf>) -> io::Result<Out> {
    let out: Box<dyn Write + Send> = match path {
        None => Box::new(io::stdout()),
        Some(path) => {
            let file: File = OpenOptions::new().create(true).append(true).open(path)?;
            Box::new(file)
        }
    };
    Ok(BufWriter::with_capacity(64 * 1024, out))
}

/// Lines that end within some bytes.
fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

fn write(queue: &Receiver<Vec<u8>>, mut out: Out, path: Option<PathBuf>, shared: &Shared) {
    let (mut told, mut flushed) = (false, Instant::now());
    loop {
        let line = queue.recv_timeout(FLUSH);
        let mut written = Ok(());
        if let Ok(line) = &line {
            written = out.write_all(line);
            if written.is_err() {
                shared.add(1);
            }
        }
        // Whatever came: under steady traffic the queue is never empty for so long.
        if line.is_err() || flushed.elapsed() >= FLUSH {
            written = written.and(out.flush());
            flushed = Instant::now();
        }
        if let Err(error) = written {
            // Once: a full disk would fill the other log.
            if !told {
                log::error!("the access log cannot be written: {error}; this is logged once");
            }
            told = true;
        }
        match line {
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) if shared.ending.load(Ordering::Relaxed) => return,
            _ => {}
        }
        if shared.reopen.swap(false, Ordering::Relaxed) {
            match open(path.as_ref()) {
                Ok(opened) => {
                    let left = out.flush().is_err().then(|| lines(out.buffer()));
                    shared.add(left.unwrap_or_default());
                    (out, told) = (opened, false);
                }
                Err(error) => log::error!("the access log cannot be opened anew: {error}"),
            }
        }
    }
}
