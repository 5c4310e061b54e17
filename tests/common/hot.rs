//! The hot path under a storm of publishes: what the tests of invariant H have in common.
#![allow(dead_code, reason = "each test takes what it needs")]

#[path = "requests.rs"]
mod requests;

use hedgerow::http::{Request, extract};
use hedgerow::{Bound, DEFAULT_TABLE, Engine, PublishError, Row, Schema, Scorer, Table, Verdict};
pub use requests::{requests, rows};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Scores that a thread gives at least.
pub const SCORES: u64 = 1_000_000;

/// Tables that are published meanwhile, at least.
pub const PUBLISHES: u64 = 2_000;

/// An engine with a table, requests, and the margin that each must get.
pub struct Hot {
    pub engine: Engine,
    pub requests: Vec<Request<'static>>,
    pub margins: Vec<f64>,
    /// Counted by the publisher.
    pub published: AtomicU64,
    pub stop: AtomicBool,
}

impl Hot {
    pub fn new() -> Hot {
        let engine = Engine::new(Schema::http());
        engine.publish(table()).expect("the default table");
        let requests = requests();
        let bound = Bound::new(table(), engine.schema(), None).expect("a bound table");
        let margin = |row| bound.table().margin_f64(bound.margin(row));
        let margins = rows(&requests).iter().map(margin).collect();
        Hot {
            engine,
            requests,
            margins,
            published: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        }
    }

    /// Publishes fresh copies of the table until told to stop.
    pub fn storm(&self) {
        let _ended = Ended(self);
        // Relaxed, here and below: counters and a flag that nothing else depends on.
        while !self.stop.load(Ordering::Relaxed) {
            match self.engine.publish(table()) {
                Ok(_) => _ = self.published.fetch_add(1, Ordering::Relaxed),
                // The scoring thread was put off its core inside a guard.
                Err(PublishError::RetiredFull(_)) => std::thread::yield_now(),
                Err(refused) => panic!("{refused}"),
            }
        }
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Warms up: every request once.
    pub fn warm_up(&self, scorer: &mut Scorer) {
        assert_eq!(
            self.once(scorer, &mut 0),
            0,
            "wrong margins while warming up"
        );
    }

    /// Scores until there were enough scores and publishes. Returns how many margins were wrong,
    /// and how many generations were seen. Calls nothing but the hot path.
    #[inline(never)]
    pub fn score(&self, scorer: &mut Scorer) -> Outcome {
        let mut outcome = Outcome::default();
        let enough =
            |scores| scores >= SCORES && self.published.load(Ordering::Relaxed) >= PUBLISHES;
        let mut last = 0;
        while !enough(outcome.scores) {
            outcome.wrong += self.once(scorer, &mut last);
            outcome.scores += self.requests.len() as u64;
            outcome.last = last;
        }
        outcome
    }

    fn once(&self, scorer: &mut Scorer, last: &mut u64) -> u64 {
        let mut wrong = 0;
        let mut row = Row::MISSING;
        for (request, margin) in self.requests.iter().zip(&self.margins) {
            extract(request, &mut row);
            let right = match scorer.score(&row) {
                Verdict::Scored(scored) => {
                    let forward = scored.generation >= *last;
                    *last = scored.generation;
                    forward && scored.margin == *margin
                }
                Verdict::VerifiedBot(_) | Verdict::NotScored(_) => false,
            };
            wrong += u64::from(!right);
        }
        wrong
    }
}

/// Ends the scoring also where the storm fails.
struct Ended<'a>(&'a Hot);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.published.store(PUBLISHES, Ordering::Relaxed);
    }
}

/// What a scoring thread found.
#[derive(Debug, Default, Clone, Copy)]
pub struct Outcome {
    pub scores: u64,
    pub wrong: u64,
    /// The last generation that was seen.
    pub last: u64,
}

/// A fresh copy of the default table, sealed and validated.
pub fn table() -> Table {
    Table::from_bytes(DEFAULT_TABLE).expect("the default table")
}
