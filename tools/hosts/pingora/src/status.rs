//! What the status page reads: the proxy's state as JSON.

use crate::filter::Filter;
use crate::policies::PolicyStatus;
use crate::policy::Action;
use crate::shared::Shared;
use hedgerow::host::HostSnapshot;
use hedgerow::stats::LatencySnapshot;
use hedgerow::watch::WatchStatus;
use hedgerow::{ContentId, EngineStats, Reason};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Debug, Serialize)]
struct Status {
    uptime_seconds: f64,
    scoring: bool,
    generation: u64,
    #[serde(with = "hedgerow::ids::or_empty")]
    content_id: Option<ContentId>,
    table_age_seconds: f64,
    switches: Vec<String>,
    scores: Vec<u64>,
    verdicts: BTreeMap<String, u64>,
    not_scored: BTreeMap<&'static str, u64>,
    late: u64,
    breaker_opened: u64,
    scoring_latency: Latencies,
    request_latency: Latencies,
    statuses: BTreeMap<&'static str, u64>,
    threads: Vec<Thread>,
    unlogged: u64,
    routes: BTreeMap<String, BTreeMap<&'static str, u64>>,
    policy: PolicyStatus,
    refusals: BTreeMap<String, u64>,
    detections: Vec<Detection>,
    headroom: Vec<Room>,
    watch: Option<WatchStatus>,
}

#[derive(Debug, Serialize)]
struct Latencies {
    count: u64,
    p50: u64,
    p90: u64,
    p99: u64,
    p999: u64,
    max: u64,
    /// Each filled bucket: its largest number of nanoseconds, and its count.
    buckets: Vec<(u64, u64)>,
}

#[derive(Debug, Serialize)]
struct Thread {
    core: Option<usize>,
    requests: u64,
}

#[derive(Debug, Serialize)]
struct Detection {
    id: u32,
    name: String,
    active: bool,
    matched: u64,
}

#[derive(Debug, Serialize)]
struct Room {
    name: &'static str,
    used: u64,
    max: u64,
}

impl Latencies {
    fn of(latency: &LatencySnapshot) -> Latencies {
        Latencies {
            count: latency.count(),
            p50: latency.quantile(0.5),
            p90: latency.quantile(0.9),
            p99: latency.quantile(0.99),
            p999: latency.quantile(0.999),
            max: latency.quantile(1.0),
            buckets: latency.buckets().collect(),
        }
    }
}

/// The state of a proxy, as JSON.
pub fn json(shared: &Shared, watch: Option<WatchStatus>) -> String {
    let status = status(shared, watch);
    // Every field can be written.
    serde_json::to_string(&status).unwrap_or_default()
}

fn status(shared: &Shared, watch: Option<WatchStatus>) -> Status {
    let engine = shared.filter.as_ref().map(|filter| filter.engine().stats());
    let filter = { shared.filter.as_ref() }.map_or(HostSnapshot::default(), |one| one.stats());
    let threads = shared.registry.threads();
    let mut request = LatencySnapshot::default();
    threads
        .iter()
        .for_each(|thread| thread.latency.add_to(&mut request));
    let live = shared.live();
    let mut status = Status {
        uptime_seconds: shared.start.elapsed().as_secs_f64(),
        scoring: shared.filter.is_some(),
        generation: live.generation,
        content_id: None,
        table_age_seconds: live.since.elapsed().as_secs_f64(),
        switches: Vec::new(),
        scores: Vec::new(),
        verdicts: BTreeMap::new(),
        not_scored: BTreeMap::new(),
        late: filter.late,
        breaker_opened: filter.opened,
        scoring_latency: Latencies::of(&LatencySnapshot::default()),
        request_latency: Latencies::of(&request),
        statuses: statuses(shared).into_iter().collect(),
        threads: { threads.iter() }
            .map(|thread| Thread {
                core: thread.core,
                requests: thread.statuses.iter().map(|one| one.get()).sum(),
            })
            .collect(),
        unlogged: shared.unlogged(),
        routes: routes(shared),
        policy: shared.policies.status(),
        refusals: BTreeMap::new(),
        detections: Vec::new(),
        headroom: Vec::new(),
        watch,
    };
    for (reason, count) in filter.passed() {
        status.not_scored.insert(reason.name(), count);
    }
    if let Some((filter, engine)) = shared.filter.as_ref().zip(engine) {
        add_engine(&mut status, filter, &engine);
    }
    if let Some(watch) = &status.watch {
        for (name, count) in &watch.refusals {
            status.refusals.insert(name.clone(), *count);
        }
    }
    status
}

/// What the engine says: scores, reasons, refusals, detections, headroom.
fn add_engine(status: &mut Status, filter: &Filter, engine: &EngineStats) {
    let rows = &engine.rows;
    for reason in Reason::ALL {
        let count = rows.not_scored(*reason);
        status.not_scored.insert(reason.name(), count);
    }
    let ensemble = rows.scored.saturating_sub(rows.by_detection);
    let verdicts = [
        ("ensemble", ensemble),
        ("detection", rows.by_detection),
        ("verified-bot", rows.verified_bots),
    ];
    status.verdicts = verdicts
        .map(|(name, count)| (name.to_string(), count))
        .into();
    status.generation = engine.generation;
    status.content_id = engine.content_id;
    status.switches = engine.switches.iter().map(ToString::to_string).collect();
    status.scores = rows.scores.counts().to_vec();
    status.scoring_latency = Latencies::of(&rows.latency);
    for (kind, count) in &engine.refusals {
        status.refusals.insert(kind.name().into(), *count);
    }
    let catalog = filter.engine().catalog(engine.generation);
    let named = |id: u32| {
        let found = catalog.as_ref().and_then(|catalog| catalog.detection(id));
        found.map_or(String::new(), |found| found.name.clone())
    };
    let detections = engine.detections.iter().map(|count| Detection {
        id: count.id,
        name: named(count.id),
        active: count.active,
        matched: count.matched,
    });
    status.detections = detections.collect();
    let headroom = engine.headroom.iter().map(|usage| Room {
        name: usage.name,
        used: usage.used,
        max: usage.max,
    });
    status.headroom = headroom.collect();
}

/// Answers by the hundreds of their status.
pub(crate) fn statuses(shared: &Shared) -> Vec<(&'static str, u64)> {
    let names = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
    let threads = shared.registry.threads();
    let sum = |at: usize| {
        let counters = threads.iter().filter_map(|thread| thread.statuses.get(at));
        counters.map(|counter| counter.get()).sum()
    };
    { names.into_iter().enumerate() }
        .map(|(at, name)| (name, sum(at)))
        .collect()
}

/// Decisions by route.
pub(crate) fn routes(shared: &Shared) -> BTreeMap<String, BTreeMap<&'static str, u64>> {
    let routes = shared.registry.routes().into_iter();
    let named = routes.map(|(name, counts)| {
        let actions = Action::ALL.iter().map(|action| action.name());
        (name, actions.zip(counts).collect())
    });
    named.collect()
}
