//! What crosses the border: statuses, options, verdicts, counts.

use crate::host::BreakerOptions;
use crate::score::{Reason, Source, Verdict};
use std::ffi::c_char;
use std::time::Duration;

/// How a call ended. Whatever is not `HEDGEROW_STATUS_OK` changed nothing; a verdict that was asked
/// for says then that there is no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// A pointer or a handle is NULL.
    Null = 1,
    /// A value is none of those that there are, or a pointer is not aligned.
    Argument = 2,
    /// A struct's `size` is not the one of this library: set it to `sizeof`, and compile against
    /// the header that came with the library.
    Size = 3,
    /// No such handle: it was freed, or never one.
    Handle = 4,
    /// The scorer was attached by another thread, or this thread is ending.
    Thread = 5,
    /// The thread is inside of the library already: a signal's handler came in between, and would
    /// wait for what it interrupted.
    Busy = 6,
    /// The handle is older than the fork that this process comes from.
    Forked = 7,
    /// All 64 engines, or all 1,024 scorers of an engine, are taken.
    Full = 8,
    /// The table was refused: see `hedgerow_last_error`. What ran runs on.
    Refused = 9,
    /// The system gave no thread or no memory.
    System = 10,
    /// A bug: the call ended early, and the host goes on.
    Panic = 11,
    /// There is nothing to read.
    Nothing = 12,
    /// The names of that generation are not known any more.
    Unknown = 13,
    /// The engine watches a directory: tables come from there.
    Watched = 14,
    /// The scorer's circuit breaker is open: the request was not looked at.
    BreakerOpen = 15,
}

/// The values of `hedgerow_verdict.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// There is no score; `reason` says why.
    NotScored = 0,
    /// There is a score.
    Scored = 1,
    /// A bot that its address verifies. It has no score: what becomes of it is a rule of its own.
    VerifiedBot = 2,
}

/// The values of `hedgerow_verdict.source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SourceCode {
    /// There is no score.
    None = 0,
    /// The ensemble.
    Ensemble = 1,
    /// The detection whose number is in `detection`.
    Detection = 2,
}

/// The values of `hedgerow_verdict.reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ReasonCode {
    /// There is a score, or a verified bot.
    None = 0,
    /// No table was published yet.
    NoTable = 1,
    /// Not given by these calls.
    Overloaded = 2,
    /// Not given by these calls.
    Closed = 3,
    /// A person has switched the engine or its ensemble off.
    Disabled = 4,
    /// The call failed: its status says why.
    Error = 5,
}

impl From<Reason> for ReasonCode {
    fn from(reason: Reason) -> ReasonCode {
        match reason {
            Reason::NoTable => ReasonCode::NoTable,
            Reason::Overloaded => ReasonCode::Overloaded,
            Reason::Closed => ReasonCode::Closed,
            Reason::Disabled => ReasonCode::Disabled,
        }
    }
}

/// The `score` of a verdict that has none: no rule of the form "below N" matches it.
pub const NO_SCORE: u8 = 255;

/// How an engine is opened. Set everything to zero, then `size`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Options {
    /// The size of this struct.
    pub size: usize,
    /// A table's file, or a directory to watch: one that is there, or a path with a slash at its
    /// end. NULL and `default` mean the bundled table.
    pub table: *const c_char,
    /// Where a directory is watched: a folder of this engine's own for its ledger, its status and
    /// copies of its last good tables. NULL means none.
    pub state: *const c_char,
    /// Where a directory is watched: this engine's name in its status. NULL means `engine`.
    pub name: *const c_char,
    /// Where a directory is watched: how often it is looked at, in milliseconds; 0 means 40.
    pub poll_ms: u32,
    /// Clients of each scorer's traffic windows, a power of two from 8 to 65,536, 136 bytes each;
    /// 0 means no windows.
    pub traffic_clients: u32,
    /// Where a directory is watched and has no good table: 0 means that the bundled table runs, 1
    /// that none does.
    pub no_fallback: u8,
    /// Who is at the other end of connections: a `hedgerow_hop`. A request may say it, too.
    pub hop: u8,
    /// The scheme of every client, where it is known: a `hedgerow_scheme`.
    pub client_scheme: u8,
    /// Whether each of the site's proxies keeps the order of a client's headers: 1 or 0.
    pub keeps_order: u8,
    /// The addresses of the site's proxies, as `192.0.2.0/24`, `2001:db8::/32` or `192.0.2.1`. What
    /// the headers below say of a client counts from them alone: each must set or remove them.
    pub trusted: *const *const c_char,
    /// How many there are.
    pub trusted_count: usize,
    /// The header with a client's address; NULL means `x-forwarded-for`. Here and below, an empty
    /// name means that no header says it.
    pub address_header: *const c_char,
    /// The header with a client's scheme; NULL means `x-forwarded-proto`.
    pub scheme_header: *const c_char,
    /// The header with the protocol version that a client speaks; NULL means none.
    pub version_header: *const c_char,
    /// The header with the JA4 of a client; NULL means none.
    pub ja4_header: *const c_char,
    /// Files of public keys, as `hedgerow key` writes them: tables that none of them signed are
    /// refused, but for the bundled one. With none, unsigned tables are taken, and in a
    /// directory signed ones are refused.
    pub keys: *const *const c_char,
    /// How many there are.
    pub key_count: usize,
    /// The host's own features, behind the built-in ones: tables may use them.
    pub features: *const OwnFeature,
    /// How many there are.
    pub feature_count: usize,
}

/// The values of `hedgerow_options.hop` and `hedgerow_request.hop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum HopCode {
    /// Of options: a proxy at trusted addresses, a client at all others. Of a request: as the
    /// options decide.
    Auto = 0,
    /// The client itself: headers are as it sent them.
    Client = 1,
    /// A proxy of the site. It may reorder, re-case, add and drop headers. Of a request: address,
    /// scheme and JA4 are the client's, and trusted headers say what the host leaves unknown.
    Proxy = 2,
}

/// When a scorer stops for a while: see `hedgerow_scorer_breaker`. Set everything to zero, then
/// `size`: what stays zero has its default.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Breaker {
    /// The size of this struct.
    pub size: usize,
    /// Nanoseconds that one call may take; 0 means 1,000,000. A longer call counts as late, and
    /// still gives its score.
    pub budget_nanos: u64,
    /// Late calls in a row that open the breaker; 0 means 16.
    pub late_max: u32,
    /// Panics within the window that open it; 0 means 8.
    pub panics_max: u32,
    /// How long a panic counts, in milliseconds; 0 means 10,000.
    pub window_ms: u32,
    /// How long the breaker stays open, in milliseconds; 0 means 1,000. Then one call is tried.
    pub pause_ms: u32,
}

impl From<&Breaker> for BreakerOptions {
    fn from(breaker: &Breaker) -> BreakerOptions {
        let of = |value: u64, unit: fn(u64) -> Duration, default| match value {
            0 => default,
            value => unit(value),
        };
        let number = |value, default| if value == 0 { default } else { value };
        let default = BreakerOptions::default();
        BreakerOptions {
            budget: of(breaker.budget_nanos, Duration::from_nanos, default.budget),
            late_max: number(breaker.late_max, default.late_max),
            panics_max: number(breaker.panics_max, default.panics_max),
            window: of(
                breaker.window_ms.into(),
                Duration::from_millis,
                default.window,
            ),
            pause: of(
                breaker.pause_ms.into(),
                Duration::from_millis,
                default.pause,
            ),
        }
    }
}

/// A feature of the host's own.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct OwnFeature {
    /// Its name in tables; no built-in feature has it.
    pub name: *const c_char,
    /// A `hedgerow_feature_kind`.
    pub kind: u8,
}

/// The values of `hedgerow_feature.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FeatureCode {
    /// A quantity.
    Number = 0,
    /// Yes or no: 1 or 0.
    Flag = 1,
    /// One of a list of codes, a whole number from 0 on.
    Category = 2,
}

/// The outcome for one request.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct VerdictView {
    /// The size of this struct; set by the host.
    pub size: usize,
    /// The generation of the table that was live; 0 for the bundled table of a watched directory,
    /// and where there was none.
    pub generation: u64,
    /// Which detections of that generation match: see `hedgerow_detections`.
    pub detections: u64,
    /// The client in the traffic windows, for `hedgerow_finish`.
    pub client: u64,
    /// The ensemble's margin (log-odds of a human); NaN where there is none.
    pub margin: f64,
    /// Nanoseconds that the call took, for a host that gives up scoring where it takes too long; 0
    /// where it failed.
    pub nanos: u64,
    /// The number of the detection that decided; 0 where none did.
    pub detection: u32,
    /// The bot's position in its table, for `hedgerow_bot_name`.
    pub bot: u16,
    /// A `hedgerow_kind`.
    pub kind: u8,
    /// 1 (certainly automated) to 99 (certainly human); `HEDGEROW_NO_SCORE` where there is none.
    pub score: u8,
    /// A `hedgerow_source`.
    pub source: u8,
    /// A `hedgerow_reason`.
    pub reason: u8,
    /// The bot's category, for `hedgerow_category_name`.
    pub category: u8,
    /// Whether `client` is known: 1 or 0.
    pub client_known: u8,
}

impl VerdictView {
    /// No score, because the call failed.
    pub(super) const ERROR: VerdictView = VerdictView {
        size: size_of::<VerdictView>(),
        generation: 0,
        detections: 0,
        client: 0,
        margin: f64::NAN,
        nanos: 0,
        detection: 0,
        bot: 0,
        kind: Kind::NotScored as u8,
        score: NO_SCORE,
        source: SourceCode::None as u8,
        reason: ReasonCode::Error as u8,
        category: 0,
        client_known: 0,
    };
}

impl From<Verdict> for VerdictView {
    fn from(verdict: Verdict) -> VerdictView {
        let mut view = VerdictView::ERROR;
        view.generation = verdict.generation();
        view.reason = ReasonCode::None as u8;
        match verdict {
            Verdict::Scored(scored) => {
                view.kind = Kind::Scored as u8;
                view.score = scored.score.get();
                view.margin = scored.margin;
                view.detections = scored.detections.bits();
                view.source = SourceCode::Ensemble as u8;
                if let Source::Detection(id) = scored.source {
                    (view.source, view.detection) = (SourceCode::Detection as u8, id);
                }
            }
            Verdict::VerifiedBot(verified) => {
                view.kind = Kind::VerifiedBot as u8;
                (view.bot, view.category) = (verified.bot, verified.category as u8);
            }
            Verdict::NotScored(not) => view.reason = ReasonCode::from(not.reason) as u8,
        }
        view
    }
}

/// The state of an engine: counts of all its scorers, those that are gone included.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Stats {
    /// The size of this struct; set by the host.
    pub size: usize,
    /// The generation that is live; 0 where there is none, or the bundled one of a watched
    /// directory.
    pub generation: u64,
    /// Requests that got a score, by whatever source.
    pub scored: u64,
    /// Those of them whose score is a detection's.
    pub by_detection: u64,
    /// Requests of verified bots.
    pub verified_bots: u64,
    /// Requests without a score because there was no table.
    pub no_table: u64,
    /// Requests without a score because a person switched scoring off.
    pub disabled: u64,
    /// Refused tables, and whatever else was refused in a watched directory.
    pub refused: u64,
    /// Tables that were quarantined for their drift.
    pub quarantined: u64,
    /// How often the engine went back to the table before by itself.
    pub reverted: u64,
    /// Half of all calls of `hedgerow_score` took at most this many nanoseconds.
    pub latency_p50: u64,
    /// 99 % of them took at most this many.
    pub latency_p99: u64,
    /// Scorers that are alive.
    pub scorers: u32,
    /// Replaced tables that a scorer still holds: above 1 for long, one stays inside.
    pub retired: u32,
    /// How many switches are off: 0 is the rule.
    pub switched_off: u32,
    /// The content hash of the live table in hexadecimal, and a zero byte; empty where there is
    /// none.
    pub content_id: [c_char; 33],
}
