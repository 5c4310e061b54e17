//! What a replay prints at its end.

use crate::Report;
use crate::harness::publisher::Published;
use crate::harness::worker::{Counters, Outcome};
use core_affinity::CoreId;
use hdrhistogram::Histogram;
use hedgerow::{EngineStats, Reason};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Everything a finished replay knows.
pub struct Run<'a> {
    /// The cores that were worked on.
    pub cores: &'a [CoreId],
    /// Recorded requests.
    pub requests: usize,
    /// How long it took.
    pub elapsed: Duration,
    /// What workers took up and finished, those that died included.
    pub counters: &'a [Counters],
    /// What workers handed over.
    pub outcomes: &'a [Outcome],
    /// What the control side did.
    pub published: &'a Published,
    /// The engine at the end.
    pub stats: EngineStats,
}

/// The shares of a histogram that are shown.
const PERCENTILES: [(&str, f64); 4] = [
    ("p50", 50.0),
    ("p99", 99.0),
    ("p99.9", 99.9),
    ("max", 100.0),
];

impl Run<'_> {
    /// The report. The run failed where a request was lost or had no score, a verdict was wrong,
    /// or a table was not treated as it should be.
    pub fn report(&self) -> Report {
        let sum = |count: fn(&Counters) -> u64| self.counters.iter().map(count).sum::<u64>();
        let started = sum(|counters| counters.started.load(Ordering::Relaxed));
        let finished = sum(|counters| counters.finished.load(Ordering::Relaxed));
        let lost = started - finished;
        let scored: u64 = self.outcomes.iter().map(|outcome| outcome.scored).sum();
        let wrong: u64 = self.outcomes.iter().map(|outcome| outcome.wrong).sum();
        let not_scored: Vec<(&str, u64)> = Reason::ALL
            .iter()
            .enumerate()
            .map(|(at, reason)| {
                (
                    reason.name(),
                    self.outcomes
                        .iter()
                        .map(|outcome| outcome.not_scored[at])
                        .sum(),
                )
            })
            .collect();
        let latency = self.latency();
        // Its threads score inline, so that no request finds a full ring.
        let ok = lost == 0
            && wrong == 0
            && scored > 0
            && not_scored.iter().all(|(_, count)| *count == 0)
            && self.stats.retired == 0
            && self.published.surprises.is_empty()
            && self.outcomes.len() == self.cores.len();
        let totals = Totals {
            scored,
            wrong,
            lost,
            not_scored,
            latency,
        };
        Report::checked(self.text(&totals, ok), self.json(&totals, ok), ok)
    }

    fn latency(&self) -> Option<Histogram<u64>> {
        let mut outcomes = self.outcomes.iter();
        let mut all = outcomes.next()?.latency.clone();
        for outcome in outcomes {
            // Histograms of one shape always add up.
            let _ = all.add(&outcome.latency);
        }
        Some(all)
    }

    fn rate(&self, scored: u64) -> f64 {
        scored as f64 / self.elapsed.as_secs_f64() / self.cores.len() as f64
    }

    fn unbound(&self) -> usize {
        self.outcomes
            .iter()
            .filter(|outcome| !outcome.bound)
            .count()
    }

    fn text(&self, totals: &Totals, ok: bool) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<22} {value}");
        };
        let cores = self.cores.len();
        line(
            "requests scored",
            format!(
                "{} ({} recorded, over and over)",
                totals.scored, self.requests
            ),
        );
        line(
            "rate a core",
            format!(
                "{:.0} a second on each of {cores}",
                self.rate(totals.scored)
            ),
        );
        if self.unbound() > 0 {
            line(
                "threads not bound",
                format!("{}: the system refused affinity", self.unbound()),
            );
        }
        if let Some(latency) = &totals.latency {
            let shown = PERCENTILES.map(|(name, p)| {
                format!("{name} {:.2}", latency.value_at_percentile(p) as f64 / 1e3)
            });
            line(
                "latency, µs",
                format!("{} (request to verdict)", shown.join("  ")),
            );
        }
        line(
            "generations published",
            self.published.generation.to_string(),
        );
        if self.published.held_back > 0 {
            line(
                "publishing held back",
                format!("{} times", self.published.held_back),
            );
        }
        line("tables refused", self.published.refused.to_string());
        for it in &self.stats.refusals {
            line("", format!("{:>6}  {} {}", it.count, it.code, it.name));
        }
        let missed: Vec<_> = totals
            .not_scored
            .iter()
            .map(|(name, n)| format!("{n} {name}"))
            .collect();
        line("verdicts not scored", missed.join(", "));
        line("wrong verdicts", totals.wrong.to_string());
        line("requests lost", totals.lost.to_string());
        line("tables not reclaimed", self.stats.retired.to_string());
        for surprise in &self.published.surprises {
            line("UNEXPECTED", surprise.clone());
        }
        text.push_str(&self.distribution());
        if !ok {
            let what = "a request was lost or not scored, a verdict wrong, or a table mistreated";
            let _ = writeln!(text, "FAILED: {what}");
        }
        text
    }

    fn json(&self, totals: &Totals, ok: bool) -> Value {
        let percentiles = totals.latency.as_ref().map(|latency| {
            let pairs = PERCENTILES.map(|(name, p)| (name, json!(latency.value_at_percentile(p))));
            pairs
                .into_iter()
                .map(|(name, ns)| (name.to_string(), ns))
                .collect::<serde_json::Map<_, _>>()
        });
        let refusals = self.stats.refusals.iter().map(
            |refusal| json!({ "code": refusal.code, "name": refusal.name, "count": refusal.count }),
        );
        let not_scored: BTreeMap<_, _> = totals.not_scored.iter().cloned().collect();
        let [humans, bots] = self.scores();
        json!({
            "ok": ok,
            "seconds": self.elapsed.as_secs_f64(),
            "cores": self.cores.iter().map(|core| core.id).collect::<Vec<_>>(),
            "threads_not_bound": self.unbound(),
            "requests_recorded": self.requests,
            "requests_scored": totals.scored,
            "rate_per_core": self.rate(totals.scored),
            "latency_ns": percentiles,
            "generations_published": self.published.generation,
            "publishes_held_back": self.published.held_back,
            "tables_refused": self.published.refused,
            "refusals": refusals.collect::<Vec<_>>(),
            "faults_tried": self.published.tried,
            "not_scored": not_scored,
            "wrong_verdicts": totals.wrong,
            "requests_lost": totals.lost,
            "tables_not_reclaimed": self.stats.retired,
            "unexpected": self.published.surprises,
            "scores": { "humans": humans.to_vec(), "bots": bots.to_vec() },
        })
    }

    /// How often each score was given to humans and to bots.
    fn scores(&self) -> [[u64; 100]; 2] {
        let mut scores = [[0; 100]; 2];
        for outcome in self.outcomes {
            for (side, counts) in scores.iter_mut().zip(&outcome.scores) {
                for (all, count) in side.iter_mut().zip(counts) {
                    *all += count;
                }
            }
        }
        scores
    }

    fn distribution(&self) -> String {
        let [humans, bots] = self.scores();
        let (all_humans, all_bots) = (humans.iter().sum::<u64>(), bots.iter().sum::<u64>());
        if all_humans + all_bots == 0 {
            return String::from("scores                 the requests have no labels\n");
        }
        let mut text = String::from("\nscores      bots                                humans\n");
        for low in (0..100).step_by(10) {
            let share = |side: &[u64; 100], all: u64| {
                100.0 * side[low..low + 10].iter().sum::<u64>() as f64 / all.max(1) as f64
            };
            let bar = |share: f64| "#".repeat((share / 4.0).round() as usize);
            let (bot, human) = (share(&bots, all_bots), share(&humans, all_humans));
            let _ = writeln!(
                text,
                "{:>2} to {:>2}  {bot:>5.1} % {:<25}  {human:>5.1} % {}",
                low.max(1),
                low + 9,
                bar(bot),
                bar(human)
            );
        }
        text
    }
}

struct Totals {
    scored: u64,
    wrong: u64,
    lost: u64,
    not_scored: Vec<(&'static str, u64)>,
    latency: Option<Histogram<u64>>,
}
