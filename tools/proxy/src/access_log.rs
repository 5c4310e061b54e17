//! The access log: a line of JSON for each request, written by a thread of its own.
//!
//! A line that finds the queue full is left out and counted: a slow disk stops no traffic.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Lines that wait to be written, at most: some 8 MB.
const LINES_MAX: usize = 16 * 1024;

/// How long a line may wait in the writer's memory.
const FLUSH: Duration = Duration::from_millis(200);

/// Where lines go.
#[derive(Debug, Clone)]
pub struct AccessLog {
    lines: SyncSender<Vec<u8>>,
    reopen: Arc<AtomicBool>,
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
        let reopen = Arc::new(AtomicBool::new(false));
        let asked = reopen.clone();
        let thread = std::thread::Builder::new().name("hedgerow-log".into());
        thread.spawn(move || write(&queue, out, path, &asked))?;
        Ok(AccessLog { lines, reopen })
    }

    /// Hands over a line; whether there was room for it.
    #[inline]
    pub fn line(&self, line: Vec<u8>) -> bool {
        self.lines.try_send(line).is_ok()
    }

    /// Has the file opened anew, for those that move it away.
    pub fn reopen(&self) {
        // Relaxed: the writer sees it with one of its next lines.
        self.reopen.store(true, Ordering::Relaxed);
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

fn write(queue: &Receiver<Vec<u8>>, mut out: Out, path: Option<PathBuf>, reopen: &AtomicBool) {
    let mut told = false;
    loop {
        let line = queue.recv_timeout(FLUSH);
        let written = match &line {
            Ok(line) => out.write_all(line),
            Err(_) => out.flush(),
        };
        if let Err(error) = written {
            // Once: a full disk would fill the other log.
            if !told {
                log::error!("the access log cannot be written: {error}; this is logged once");
            }
            told = true;
        }
        if line == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        if reopen.swap(false, Ordering::Relaxed) {
            let _ = out.flush();
            match open(path.as_ref()) {
                Ok(opened) => (out, told) = (opened, false),
                Err(error) => log::error!("the access log cannot be opened anew: {error}"),
            }
        }
    }
}
