//! The hot path under a storm of publishes: what the tests of invariant H have in common.
#![allow(dead_code, reason = "each test takes what it needs")]

#[path = "../gate/edit.rs"]
mod edit;
#[path = "requests.rs"]
mod requests;

use bytemuck::{Pod, Zeroable};
use hedgerow::host::{HostOptions, RequestScorer, headers};
use hedgerow::http::{Request, extract};
use hedgerow::table::format::*;
use hedgerow::{
    Client, DEFAULT_TABLE, Engine, FeatureKind, PreparedTable, PublishError, Row, Schema, Scorer,
    Table, Verdict,
};
pub use requests::{requests, rows};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Scores that a thread gives at least.
pub const SCORES: u64 = 1_000_000;

/// Tables that are published meanwhile, at least.
pub const PUBLISHES: u64 = 2_000;

/// An engine with a table, requests, and the margin that each must get.
pub struct Hot {
    pub engine: Engine,
    /// The bytes of the table.
    pub bytes: Vec<u8>,
    pub requests: Vec<Request<'static>>,
    pub margins: Vec<f64>,
    /// Requests of many clients, more than the traffic windows hold, some of them without an
    /// address; each with its margin.
    pub visits: Vec<(Request<'static>, f64)>,
    /// Counted by the publisher.
    pub published: AtomicU64,
    pub stop: AtomicBool,
}

impl Hot {
    /// With the default table.
    pub fn new() -> Hot {
        Hot::with(DEFAULT_TABLE.to_vec())
    }

    /// With the default table, and in it as many detections as there can be, and a verified bot.
    pub fn full() -> Hot {
        Hot::with(full_table())
    }

    fn with(bytes: Vec<u8>) -> Hot {
        // With a feature of the host's own, behind all built-in ones.
        let schema = Schema::http_with_traffic().with("own", FeatureKind::Flag);
        let engine = Engine::new(schema.expect("a schema"));
        let table = || Table::from_bytes(&bytes).expect("a good table");
        engine.publish(table()).expect("a table that fits");
        let requests = requests();
        let prepared = PreparedTable::new(table(), engine.schema()).expect("a prepared table");
        let margins = |requests: &[Request<'static>]| -> Vec<f64> {
            let margin = |row| prepared.table().margin_f64(prepared.margin(row));
            rows(requests).iter().map(margin).collect()
        };
        let visit = |(at, request): (usize, &Request<'static>)| {
            let mut visit = *request;
            visit.peer = (at % 5 > 0).then(|| IpAddr::V4((at as u32).into()));
            visit
        };
        let visits: Vec<_> = requests.iter().enumerate().map(visit).collect();
        let of_visits = margins(&visits);
        Hot {
            engine,
            bytes,
            margins: margins(&requests),
            requests,
            visits: visits.into_iter().zip(of_visits).collect(),
            published: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        }
    }

    /// Publishes fresh copies of the table until told to stop.
    pub fn storm(&self) {
        let _ended = Ended(self);
        // Relaxed, here and below: counters and a flag that nothing else depends on.
        while !self.stop.load(Ordering::Relaxed) {
            let table = Table::from_bytes(&self.bytes).expect("a good table");
            match self.engine.publish(table) {
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

    /// Warms up: every request once, and the bot where there is one.
    pub fn warm_up(&self, scorer: &mut Scorer) {
        assert_eq!(
            self.once(scorer, &mut 0),
            0,
            "wrong margins while warming up"
        );
        let full = self.bytes != DEFAULT_TABLE;
        let client = Client::new(ADDRESS, b"Mozilla/5.0 (compatible; HotBot/1.0)");
        let verified = scorer.score_client(&Row::MISSING, &client);
        assert_eq!(matches!(verified, Verdict::VerifiedBot(_)), full);
        let rows = self.engine.stats().rows;
        let decided = rows.by_detection;
        assert!(
            !full || (decided > 0 && decided < rows.scored),
            "{decided} by detections"
        );
    }

    /// Scores until there were enough scores and publishes. Returns how many margins were wrong,
    /// and how many generations were seen. Calls nothing but the hot path.
    #[inline(never)]
    pub fn score(&self, scorer: &mut Scorer) -> Outcome {
        self.repeat(|last| self.once(scorer, last))
    }

    /// The same with requests, by the layer of the hosts.
    #[inline(never)]
    pub fn score_requests(&self, host: &mut RequestScorer) -> Outcome {
        self.repeat(|last| self.once_by_request(host, last))
    }

    /// A scorer of requests whose windows are smaller than the crowd.
    pub fn host(&self) -> RequestScorer {
        let options = HostOptions {
            traffic_clients: Some(256),
            ..HostOptions::default()
        };
        self.engine.request_scorer(options).expect("a slot")
    }

    /// Warms up: every request once.
    pub fn warm_up_requests(&self, host: &mut RequestScorer) {
        assert_eq!(self.once_by_request(host, &mut 0), 0, "while warming up");
    }

    fn repeat(&self, mut once: impl FnMut(&mut u64) -> u64) -> Outcome {
        let mut outcome = Outcome::default();
        let enough =
            |scores| scores >= SCORES && self.published.load(Ordering::Relaxed) >= PUBLISHES;
        let mut last = 0;
        while !enough(outcome.scores) {
            outcome.wrong += once(&mut last);
            outcome.scores += self.requests.len() as u64;
            outcome.last = last;
        }
        outcome
    }

    /// From each request to the values of its headers, and on to its answer.
    fn once_by_request(&self, host: &mut RequestScorer, last: &mut u64) -> u64 {
        let mut wrong = 0;
        for (request, margin) in &self.visits {
            let list = request.headers.iter().copied();
            let scored = host.score_with(request, list, |own| own.fill(1.0));
            host.finish(scored.client(), 200);
            let source = headers::source(&scored);
            let right = match scored.verdict() {
                Some(Verdict::Scored(scored)) => {
                    let forward = scored.generation >= *last;
                    *last = scored.generation;
                    forward && scored.margin == *margin && source.starts_with(scored.source.name())
                }
                _ => false,
            };
            wrong += u64::from(!right);
        }
        wrong
    }

    fn once(&self, scorer: &mut Scorer, last: &mut u64) -> u64 {
        let mut wrong = 0;
        let mut row = Row::MISSING;
        // An address of the bot with another agent: every step of the lookup, and no bot.
        let nobody = Client::new(ADDRESS, b"Mozilla/5.0 (compatible; HotBo/1.0)");
        for (request, margin) in self.requests.iter().zip(&self.margins) {
            extract(request, &mut row);
            let right = match scorer.score_client(&row, &nobody) {
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

/// Where the bot of the full table comes from.
pub const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

/// The default table with 64 detections, every other one a shadow, and a bot at one address. The
/// active ones hold for many of the requests that say which languages they take, and for no other.
fn full_table() -> Vec<u8> {
    fn put<T: Pod>(edit: &mut edit::Edit, section: Section, records: &[T]) {
        edit.section(section, |bytes| {
            *bytes = bytemuck::cast_slice(records).to_vec()
        });
    }
    let mut edit = edit::Edit::new(DEFAULT_TABLE);
    let features = edit.get_header().counts[0];
    let detections: Vec<DetectionRecord> = (0..64u8)
        .map(|at| {
            let mut record = DetectionRecord::zeroed();
            record.name[..2].copy_from_slice(&[b'a' + at / 8, b'a' + at % 8]);
            (record.name_bytes, record.conditions, record.score) = (2, 2, at + 1);
            (record.id, record.start, record.active) = (at.into(), 2 * u32::from(at), at % 2);
            record
        })
        .collect();
    let table = table().features();
    let language = table
        .iter()
        .position(|feature| feature.name == "has_accept_language");
    let language = language.expect("a feature that some requests have") as u8;
    let condition = |at: u32| {
        let (feature, operator) = match at % 4 {
            2 => (language, 0),
            odd => ((at * 7 % features) as u8, [4, 1][odd as usize % 2]),
        };
        ConditionRecord {
            feature,
            operator,
            zero: [0; 2],
            value: 0.0,
        }
    };
    let mut bot = BotRecord::zeroed();
    (bot.name[0], bot.name_bytes) = (b'b', 1);
    bot.agent[..6].copy_from_slice(b"hotbot");
    bot.agent_bytes = 6;
    let address = halves(hedgerow::table::bots::number(ADDRESS));
    let range = BotRangeRecord {
        low: address,
        high: address,
        bot: 0,
        zero: 0,
    };
    put(&mut edit, Section::Detections, &detections);
    put(
        &mut edit,
        Section::Conditions,
        &(0..128).map(condition).collect::<Vec<_>>(),
    );
    put(&mut edit, Section::Bots, &[bot]);
    put(&mut edit, Section::BotRanges, &[range]);
    edit.finish()
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
