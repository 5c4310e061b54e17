//! Metrics in Prometheus' text format.

use crate::shared::Shared;
use crate::status::{routes, statuses};
use hedgerow::host::HostSnapshot;
use hedgerow::stats::LatencySnapshot;
use hedgerow::watch::WatchStatus;
use hedgerow::{EngineStats, Reason};
use std::fmt::{Display, Write};

/// Upper bounds of scoring times, in nanoseconds.
const SCORING: &[u64] = &[
    1_000, 2_000, 3_000, 4_000, 5_000, 7_500, 10_000, 15_000, 20_000, 50_000, 100_000, 500_000,
    1_000_000, 10_000_000,
];

/// Upper bounds of request times, in nanoseconds.
const REQUESTS: &[u64] = &[
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
];

/// All metrics of a proxy.
pub fn text(shared: &Shared, watch: Option<&WatchStatus>) -> String {
    let mut page = Page(String::with_capacity(16 * 1024));
    let uptime = shared.start.elapsed().as_secs_f64();
    page.one(
        "hedgerow_uptime_seconds",
        "gauge",
        "Since the proxy started.",
        uptime,
    );
    traffic(&mut page, shared);
    policy(&mut page, shared);
    if let Some(filter) = &shared.filter {
        let engine = filter.engine().stats();
        verdicts(&mut page, &engine, &filter.stats());
        table(&mut page, shared, &engine, watch);
        detections(&mut page, &engine);
    }
    if let Some(watch) = watch {
        watched(&mut page, watch);
    }
    page.0
}

fn traffic(page: &mut Page, shared: &Shared) {
    let name = "hedgerow_proxy_answers_total";
    page.head(name, "counter", "Answers by the hundreds of their status.");
    for (status, count) in statuses(shared) {
        page.line(name, &[("status", &status)], count);
    }
    let threads = shared.registry.threads();
    let name = "hedgerow_proxy_thread_requests_total";
    page.head(
        name,
        "counter",
        "Requests by thread, and by the core it is bound to.",
    );
    let mut latency = LatencySnapshot::default();
    for (number, thread) in threads.iter().enumerate() {
        let core = thread.core.map_or("none".into(), |core| core.to_string());
        let requests: u64 = thread.statuses.iter().map(|one| one.get()).sum();
        page.line(name, &[("thread", &number), ("core", &core)], requests);
        thread.latency.add_to(&mut latency);
    }
    let name = "hedgerow_proxy_request_seconds";
    page.histogram(
        name,
        "From a request's head to the end of its answer.",
        REQUESTS,
        &latency,
    );
    let name = "hedgerow_proxy_unlogged_total";
    page.one(
        name,
        "counter",
        "Lines that the access log had no room for, or that could not be written.",
        shared.unlogged(),
    );
}

fn policy(page: &mut Page, shared: &Shared) {
    let name = "hedgerow_policy_decisions_total";
    page.head(name, "counter", "What became of requests, by route.");
    for (route, actions) in routes(shared) {
        for (action, count) in actions {
            page.line(name, &[("route", &route), ("action", &action)], count);
        }
    }
    let status = shared.policies.status();
    let name = "hedgerow_policy_taken_total";
    page.one(name, "counter", "Policies that were taken.", status.taken);
    let name = "hedgerow_policy_refusals_total";
    page.head(name, "counter", "Policies that were refused.");
    for (reason, count) in &status.refusals {
        page.line(name, &[("reason", reason)], count);
    }
    let refused = u8::from(status.refused.is_some());
    let name = "hedgerow_policy_refused";
    page.one(
        name,
        "gauge",
        "Whether the file as it stands was refused.",
        refused,
    );
}

fn verdicts(page: &mut Page, engine: &EngineStats, filter: &HostSnapshot) {
    let rows = &engine.rows;
    let name = "hedgerow_verdicts_total";
    page.head(name, "counter", "Verdicts by what decided.");
    let ensemble = rows.scored.saturating_sub(rows.by_detection);
    for (source, count) in [
        ("ensemble", ensemble),
        ("detection", rows.by_detection),
        ("verified-bot", rows.verified_bots),
    ] {
        page.line(name, &[("source", &source)], count);
    }
    let name = "hedgerow_scores_total";
    page.head(
        name,
        "counter",
        "Scores by ten: `0` is 1 to 9, `90` is 90 to 99.",
    );
    let mut tens = [0u64; 10];
    for (score, count) in (1usize..).zip(rows.scores.counts()) {
        if let Some(sum) = tens.get_mut(score / 10) {
            *sum = sum.saturating_add(*count);
        }
    }
    for (ten, count) in (0u32..).zip(tens) {
        page.line(name, &[("from", &ten.saturating_mul(10))], count);
    }
    let name = "hedgerow_not_scored_total";
    page.head(name, "counter", "Requests without a score, by reason.");
    for reason in Reason::ALL {
        let count = rows.not_scored(*reason);
        page.line(name, &[("reason", &reason.name())], count);
    }
    for (reason, count) in filter.passed() {
        page.line(name, &[("reason", &reason.name())], count);
    }
    let name = "hedgerow_filter_late_total";
    page.one(
        name,
        "counter",
        "Calls that took longer than the budget.",
        filter.late,
    );
    let name = "hedgerow_filter_breaker_opened_total";
    page.one(
        name,
        "counter",
        "How often a thread's breaker opened.",
        filter.opened,
    );
    let help = "From a request's head to its verdict.";
    page.histogram("hedgerow_scoring_seconds", help, SCORING, &rows.latency);
}

fn table(page: &mut Page, shared: &Shared, engine: &EngineStats, watch: Option<&WatchStatus>) {
    let name = "hedgerow_generation";
    page.one(name, "gauge", "The live generation.", engine.generation);
    let name = "hedgerow_table_info";
    page.head(name, "gauge", "The live table.");
    let from = watch.map_or("bundled", |watch| watch.source.name());
    let content = engine
        .content_id
        .map_or_else(String::new, |id| id.to_string());
    page.line(name, &[("content", &content), ("from", &from)], 1);
    let age = shared.live().since.elapsed().as_secs_f64();
    let help = "Since the live generation was published here.";
    page.one("hedgerow_table_age_seconds", "gauge", help, age);
    let name = "hedgerow_headroom_used";
    page.head(name, "gauge", "Use of each capacity by the live table.");
    for usage in &engine.headroom {
        page.line(name, &[("capacity", &usage.name)], usage.used);
    }
    let name = "hedgerow_headroom_max";
    page.head(name, "gauge", "Each capacity.");
    for usage in &engine.headroom {
        page.line(name, &[("capacity", &usage.name)], usage.max);
    }
    let name = "hedgerow_table_refusals_total";
    page.head(name, "counter", "Refused tables and artefacts, by reason.");
    match watch {
        Some(watch) => {
            for (reason, count) in &watch.refusals {
                page.line(name, &[("reason", reason)], count);
            }
        }
        None => {
            for (reason, count) in &engine.refusals {
                page.line(name, &[("reason", reason)], count);
            }
        }
    }
    let name = "hedgerow_switched_off";
    page.head(name, "gauge", "What is switched off.");
    for selector in engine.switches.iter() {
        page.line(name, &[("selector", selector)], 1);
    }
    let name = "hedgerow_retired_tables";
    let help = "Replaced tables that are not dropped yet: above 1 for long, a reader stays inside.";
    page.one(name, "gauge", help, engine.retired);
    let name = "hedgerow_scorers";
    page.one(name, "gauge", "Threads that score.", engine.scorers);
}

fn detections(page: &mut Page, engine: &EngineStats) {
    let name = "hedgerow_detection_matches_total";
    page.head(name, "counter", "Requests that a detection matched.");
    for count in &engine.detections {
        let mode = if count.active { "active" } else { "shadow" };
        page.line(name, &[("id", &count.id), ("mode", &mode)], count.matched);
    }
}

fn watched(page: &mut Page, watch: &WatchStatus) {
    let name = "hedgerow_quarantines_total";
    page.one(
        name,
        "counter",
        "Tables held back for their drift.",
        watch.quarantines,
    );
    let name = "hedgerow_reverts_total";
    page.one(
        name,
        "counter",
        "How often the engine went back by itself.",
        watch.reverts,
    );
    let name = "hedgerow_problems";
    page.head(name, "gauge", "What is wrong at the moment, by area.");
    for area in watch.problems.keys() {
        page.line(name, &[("area", area)], 1);
    }
    let name = "hedgerow_shadow_rows_total";
    page.head(
        name,
        "counter",
        "Rows that a shadow table and the running one have scored.",
    );
    for shadow in &watch.shadows {
        page.line(name, &[("shadow", &shadow.name)], shadow.rows);
    }
    let name = "hedgerow_shadow_far_total";
    page.head(
        name,
        "counter",
        "Rows whose two scores are 10 apart, or more.",
    );
    for shadow in &watch.shadows {
        page.line(name, &[("shadow", &shadow.name)], shadow.far);
    }
    let name = "hedgerow_shadow_psi";
    page.head(
        name,
        "gauge",
        "The population stability index of the two distributions.",
    );
    for shadow in &watch.shadows {
        page.line(name, &[("shadow", &shadow.name)], shadow.psi);
    }
}

/// A page of metrics.
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // A `String` takes everything, here and below.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.line(name, &[], value);
    }

    fn line(&mut self, name: &str, labels: &[(&str, &dyn Display)], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            let text = text.to_string();
            let text = text
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let _ = write!(self.0, "{label}=\"{text}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// A histogram over bounds that are coarser than what was recorded: a recorded bucket counts
    /// where its largest number lies, at most 1/32 too high.
    fn histogram(&mut self, name: &str, help: &str, bounds: &[u64], latency: &LatencySnapshot) {
        self.head(name, "histogram", help);
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        let bucket = format!("{name}_bucket");
        for bound in bounds {
            let within = latency
                .buckets()
                .take_while(|(highest, _)| highest <= bound);
            let count: u64 = within.map(|(_, count)| count).sum();
            self.line(&bucket, &[("le", &seconds(*bound))], count);
        }
        self.line(&bucket, &[("le", &"+Inf")], latency.count());
        let sum: f64 = { latency.buckets() }
            .map(|(highest, count)| seconds(highest) * count as f64)
            .sum();
        self.line(&format!("{name}_sum"), &[], sum);
        self.line(&format!("{name}_count"), &[], latency.count());
    }
}
