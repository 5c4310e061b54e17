//! An engine in a host that takes its tables from a watched directory.
//!
//! `cargo run --release --example watch -- DIR [--state DIR] [--trust FILE.pub] [--seconds N]`
//!
//! Scores a request over and over on one thread, as a host's thread would, and prints a line of
//! JSON ten times a second: the verdicts so far, the margin under each generation, what runs and
//! what was refused. Ends after some seconds, or with its standard input. `hedgerow publish`,
//! `rollback` and `kill` on the same directory show in the next lines.

use hedgerow::http::{Header, HeadersKnown, Request, extract};
use hedgerow::watch::{Admission, Keys, PublicKey};
use hedgerow::{Engine, Row, Schema, Verdict, WatchOptions, Watcher};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Where the library's log lines go: a host has a logger of its own.
struct ToStandardError;

impl log::Log for ToStandardError {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        eprintln!("{} {}", record.level(), record.args());
    }

    fn flush(&self) {}
}

/// The directory, the options, and for how long.
fn arguments() -> Result<(String, WatchOptions, Duration), Box<dyn std::error::Error>> {
    let (mut directory, mut seconds) = (None, 10.0);
    let (mut options, mut keys) = (WatchOptions::default(), Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or("an option without its value");
        match argument.as_str() {
            "--state" => options.state = Some(value()?.into()),
            "--trust" => {
                let path = value()?;
                keys.push(PublicKey::parse(&std::fs::read_to_string(&path)?, &path)?);
            }
            "--seconds" => seconds = value()?.parse()?,
            _ => directory = Some(argument),
        }
    }
    let required = !keys.is_empty();
    options.admission = Admission {
        keys: Keys::new(keys, required),
        kernel: None,
    };
    let directory = directory.ok_or("expected a directory")?;
    Ok((directory, options, Duration::from_secs_f64(seconds)))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (directory, options, lasts) = arguments()?;
    log::set_logger(&ToStandardError).map_err(|error| error.to_string())?;
    log::set_max_level(log::LevelFilter::Warn);

    let engine = Engine::new(Schema::http());
    let watcher = Watcher::start(&engine, directory, options)?;
    let mut scorer = engine.scorer()?;

    static ENDED: AtomicBool = AtomicBool::new(false);
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        ENDED.store(true, Ordering::Relaxed);
    });
    let headers = [Header::new(b"User-Agent", b"curl/8.5")];
    let request = Request::new(b"GET", b"/", &headers, HeadersKnown::Complete);
    let mut row = Row::MISSING;
    extract(&request, &mut row);

    let (start, mut next) = (Instant::now(), Instant::now());
    let (mut scored, mut not_scored) = (0u64, BTreeMap::new());
    let mut margins: BTreeMap<u64, f64> = BTreeMap::new();
    let mut other_margins = 0u64;
    loop {
        for _ in 0..100 {
            match scorer.score(&row) {
                Verdict::Scored(verdict) => {
                    scored += 1;
                    let first = margins.entry(verdict.generation).or_insert(verdict.margin);
                    other_margins += u64::from(*first != verdict.margin);
                }
                Verdict::VerifiedBot(_) => *not_scored.entry("verified-bot").or_insert(0) += 1,
                Verdict::NotScored(not) => *not_scored.entry(not.reason.name()).or_insert(0) += 1,
            }
        }
        let ends = start.elapsed() > lasts || ENDED.load(Ordering::Relaxed);
        if ends || Instant::now() >= next {
            next = Instant::now() + Duration::from_millis(100);
            let status = watcher.status();
            let line = serde_json::json!({
                "scored": scored,
                "not_scored": not_scored,
                "margins": margins,
                "other_margins": other_margins,
                "status": status,
            });
            writeln!(std::io::stdout(), "{line}")?;
        }
        if ends {
            return Ok(());
        }
    }
}
