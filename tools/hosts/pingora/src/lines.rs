//! Lines that a thread of its own writes: to the access log, or to the standard error.
//!
//! A line that finds no room, or that cannot be written, is left out and counted: neither a slow
//! nor a full disk nor a pipe that nobody reads holds up or fails a request.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Lines of the access log that wait to be written, at most: some 8 MB.
const ACCESS_LINES_MAX: usize = 16 * 1024;

/// Lines for the standard error that wait to be written, at most.
const ERROR_LINES_MAX: usize = 256;

/// How long a line of the access log may stay in the writer's memory.
const FLUSH: Duration = Duration::from_millis(200);

/// Hands lines to a thread that writes them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LineWriter {
    queue: SyncSender<Vec<u8>>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    reopen: AtomicBool,
    /// Lines that were handed over, and neither written nor given up.
    waiting: AtomicU64,
    unwritten: AtomicU64,
}

type Out = BufWriter<Box<dyn Write + Send>>;

/// The writing thread's own.
struct Writer {
    shared: Arc<Shared>,
    open: Box<dyn FnMut() -> io::Result<Out> + Send>,
    out: Out,
    /// How long a line may stay in memory.
    flush: Duration,
    flushed: Instant,
    /// Lines in memory.
    held: u64,
    /// Whether trouble is logged, once until the file is opened again.
    complains: bool,
}

impl LineWriter {
    /// Opens the access log to append to; `-` is the standard output.
    ///
    /// # Errors
    /// If it cannot be opened, or the system gives no thread.
    pub fn access_log(path: &str) -> io::Result<LineWriter> {
        let path = (path != "-").then(|| PathBuf::from(path));
        let open = move || {
            let out: Box<dyn Write + Send> = match &path {
                None => Box::new(io::stdout()),
                Some(path) => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
            };
            Ok(BufWriter::with_capacity(64 * 1024, out))
        };
        LineWriter::start("hedgerow-log", ACCESS_LINES_MAX, FLUSH, true, open)
    }

    /// Starts a writer to the standard error, where each line is written at once.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn standard_error() -> io::Result<LineWriter> {
        let open = || {
            Ok(BufWriter::new(
                Box::new(io::stderr()) as Box<dyn Write + Send>
            ))
        };
        let at_once = Duration::ZERO;
        LineWriter::start("hedgerow-stderr", ERROR_LINES_MAX, at_once, false, open)
    }

    fn start(
        name: &str,
        room: usize,
        flush: Duration,
        complains: bool,
        mut open: impl FnMut() -> io::Result<Out> + Send + 'static,
    ) -> io::Result<LineWriter> {
        let out = open()?;
        let (queue, lines) = sync_channel(room);
        let shared = Arc::new(Shared::default());
        let writer = Writer {
            shared: shared.clone(),
            open: Box::new(open),
            out,
            flush,
            flushed: Instant::now(),
            held: 0,
            complains,
        };
        let thread = std::thread::Builder::new().name(name.into());
        thread.spawn(move || writer.run(&lines))?;
        Ok(LineWriter { queue, shared })
    }

    /// Hands over a line, which ends with a line feed. Returns `true` if there was room for it.
    #[inline]
    pub fn line(&self, line: Vec<u8>) -> bool {
        // Relaxed: what the queue hands over is ordered by the queue.
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        let sent = self.queue.try_send(line).is_ok();
        if !sent {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        sent
    }

    /// Has the file opened again, for those that move it away.
    pub fn reopen(&self) {
        // Relaxed: the writer sees it with one of its next lines.
        self.shared.reopen.store(true, Ordering::Relaxed);
    }

    /// Returns how many lines were handed over and could not be written.
    pub fn unwritten(&self) -> u64 {
        // Relaxed: a counter orders nothing.
        self.shared.unwritten.load(Ordering::Relaxed)
    }

    /// Waits until every line is written or given up. Returns `false` if that takes longer.
    pub fn finish(&self, patience: Duration) -> bool {
        let start = Instant::now();
        // Acquire: pairs with the Release in `settle`: what was flushed, was.
        while self.shared.waiting.load(Ordering::Acquire) > 0 {
            if start.elapsed() > patience {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }
}

impl Shared {
    /// Notes lines that are done with.
    fn settle(&self, lines: u64) {
        // Release: pairs with the Acquire in `finish`.
        self.waiting.fetch_sub(lines, Ordering::Release);
    }

    /// Counts lines that are not written.
    fn lose(&self, lines: u64) {
        self.unwritten.fetch_add(lines, Ordering::Relaxed);
    }
}

impl Writer {
    fn run(mut self, lines: &Receiver<Vec<u8>>) {
        loop {
            let line = lines.recv_timeout(FLUSH);
            if let Ok(line) = &line {
                self.write(line);
            }
            // By the clock, too: under steady traffic the queue is never empty for so long.
            if line.is_err() || self.flushed.elapsed() >= self.flush {
                self.flush();
            }
            if let Err(RecvTimeoutError::Disconnected) = line {
                return;
            }
            if self.shared.reopen.swap(false, Ordering::Relaxed) {
                self.reopen();
            }
        }
    }

    fn write(&mut self, line: &[u8]) {
        match self.out.write_all(line) {
            Ok(()) => self.held = self.held.saturating_add(1),
            Err(error) => {
                self.shared.lose(1);
                self.shared.settle(1);
                self.complain(&error);
            }
        }
    }

    fn flush(&mut self) {
        self.flushed = Instant::now();
        match self.out.flush() {
            Ok(()) => self.shared.settle(std::mem::take(&mut self.held)),
            Err(error) => self.complain(&error),
        }
    }

    fn reopen(&mut self) {
        match (self.open)() {
            Ok(opened) => {
                if self.out.flush().is_err() {
                    let left = self.out.buffer().iter();
                    self.shared
                        .lose(left.filter(|byte| **byte == b'\n').count() as u64);
                }
                self.shared.settle(std::mem::take(&mut self.held));
                (self.out, self.complains) = (opened, true);
            }
            Err(error) => log::error!("the access log cannot be opened again: {error}"),
        }
    }

    /// Logs trouble once: a full disk would fill the other log.
    fn complain(&mut self, error: &io::Error) {
        if std::mem::take(&mut self.complains) {
            log::error!("the access log cannot be written: {error}; this is logged once");
        }
    }
}
