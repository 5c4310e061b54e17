//! What a drill prints at its end, and whether it was passed.

use super::exporter::Kind;
use super::legacy_proxy::{CAPACITY, Counts};
use crate::Report;
use crate::harness::stage::Sums;
use crate::harness::tally::BLOCKED_BELOW;
use hedgerow::watch::WatchStatus;
use serde_json::{Value, json};
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

/// What the watch made of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Treatment {
    /// Nothing, in all the time it had.
    None,
    /// It runs.
    Live,
    /// A check refused it.
    Refused {
        /// The refusal's number.
        code: u16,
        /// Its name.
        name: String,
    },
    /// It is held back, until a person forces it.
    Quarantined,
    /// It ran, and the engine went back.
    Reverted,
}

impl Treatment {
    /// The name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Treatment::None => "nothing",
            Treatment::Live => "live",
            Treatment::Refused { .. } => "refused",
            Treatment::Quarantined => "quarantined",
            Treatment::Reverted => "reverted",
        }
    }

    /// Whether this is what must become of such a table.
    pub fn suits(&self, kind: Kind) -> bool {
        match kind {
            Kind::Good => *self == Treatment::Live,
            Kind::Under | Kind::Over => matches!(self, Treatment::Refused { .. }),
            Kind::Constant => *self == Treatment::Quarantined,
        }
    }
}

/// One table's time.
#[derive(Debug, Clone)]
pub struct Tick {
    /// When it came, from the start on.
    pub at: Duration,
    /// Its generation.
    pub generation: u64,
    /// What came.
    pub kind: Kind,
    /// Features of the file.
    pub features: usize,
    /// What the watch made of it.
    pub treatment: Treatment,
    /// How soon.
    pub after: Duration,
    /// The generation that ran at its end.
    pub live: u64,
    /// Requests that got a verdict of hedgerow.
    pub served: u64,
    /// Requests that a thread of hedgerow took with it.
    pub lost: u64,
    /// What happened in the newer proxy's stand-in.
    pub new: Counts,
    /// What happened in the older one's.
    pub old: Counts,
}

/// Everything a finished drill knows.
pub struct Run<'a> {
    pub elapsed: Duration,
    /// Whether the user ended it before its time.
    pub interrupted: bool,
    /// Time between two tables.
    pub every: Duration,
    /// Threads that scored, and as many in each stand-in.
    pub cores: usize,
    /// Recorded requests.
    pub requests: usize,
    /// Those of humans whom the rule lets through.
    pub innocent: usize,
    /// What hedgerow's threads counted.
    pub sums: &'a Sums,
    /// Each table's time.
    pub ticks: &'a [Tick],
    /// The watch at the end.
    pub status: WatchStatus,
    /// The newer and the older proxy's stand-in.
    pub stand_ins: [Counts; 2],
    /// The message of the first panic.
    pub panic: Option<String>,
    /// The directory, if it is kept.
    pub kept: Option<&'a Path>,
}

/// What decides whether a drill was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Totals {
    served: u64,
    lost: u64,
    dead: u64,
    wrong: u64,
    not_scored: u64,
    blocked: u64,
    reverts: u64,
}

/// What went wrong, or was not tried in a drill that had its time; empty if it was passed.
fn failures(totals: &Totals, ticks: &[Tick], interrupted: bool) -> Vec<String> {
    let mut failures = Vec::new();
    let mut none = |count: u64, what: &str| {
        if count > 0 {
            failures.push(format!("{count} {what}"));
        }
    };
    none(totals.lost, "requests lost");
    none(totals.dead, "threads died");
    none(totals.wrong, "wrong verdicts");
    none(totals.not_scored, "requests not scored");
    none(totals.blocked, "humans blocked");
    none(totals.reverts, "times the engine had to go back");
    if totals.served == 0 && !interrupted {
        failures.push("no request was scored".into());
    }
    for kind in [Kind::Good].into_iter().chain(Kind::BAD) {
        let mut of_kind = ticks.iter().filter(|tick| tick.kind == kind).peekable();
        if of_kind.peek().is_none() && !interrupted {
            failures.push(format!("{} was not tried", kind.name()));
        }
        if let Some(tick) = of_kind.find(|tick| !tick.treatment.suits(kind)) {
            let (generation, what) = (tick.generation, tick.treatment.name());
            failures.push(format!("generation {generation}, {}: {what}", kind.name()));
        }
    }
    failures
}

impl Run<'_> {
    /// The report.
    pub fn report(&self) -> Report {
        let counts = &self.sums.counts;
        let totals = Totals {
            served: counts.answered,
            lost: self.sums.lost,
            dead: self.sums.dead as u64,
            wrong: counts.wrong,
            not_scored: counts.not_scored().iter().map(|(_, count)| count).sum(),
            blocked: counts.blocked,
            reverts: self.status.reverts,
        };
        let failures = failures(&totals, self.ticks, self.interrupted);
        let json = self.json(&totals, &failures);
        Report::checked(self.text(&totals, &failures), json, failures.is_empty())
    }

    fn text(&self, totals: &Totals, failures: &[String]) -> String {
        let (cores, requests, every) = (self.cores, self.requests, self.every.as_millis());
        let mut text = format!(
            "{cores} threads score {requests} recorded requests over and over; a table every \
             {every} ms.\n\
             The stand-ins have {CAPACITY} places for features, and their own threads.\n\n\
             {:>6}  {:<25} {:<31} {:>4}  {:<19} {:<38} old proxy\n",
            "s", "published", "hedgerow", "runs", "requests", "new proxy"
        );
        text.extend(self.ticks.iter().map(line));
        text += &outcomes(totals, &self.stand_ins);
        for held in &self.status.quarantined {
            let (generation, drift) = (held.generation, &held.drift);
            text += &format!("\nhedgerow held back generation {generation}: {drift}\n");
        }
        if let Some(panic) = &self.panic {
            text += &format!("what the new proxy's threads said: {panic}\n");
        }
        text += &format!(
            "a human is blocked where a rule `score < {BLOCKED_BELOW}` matches and would not under \
             a good table ({} recorded requests)\n",
            self.innocent
        );
        if let Some(kept) = self.kept {
            text += &format!("kept: {0} (hedgerow history {0})\n", kept.display());
        }
        text.extend(
            failures
                .iter()
                .map(|failure| format!("FAILED: {failure}\n")),
        );
        if self.interrupted {
            let (seconds, tables) = (self.elapsed.as_secs_f64(), self.ticks.len());
            text +=
                &format!("interrupted after {seconds:.1} s and {tables} tables: not finished\n");
        } else if failures.is_empty() {
            text += "passed: nothing lost, nothing wrong, every bad table kept out\n";
        }
        text
    }

    fn json(&self, totals: &Totals, failures: &[String]) -> Value {
        let [new, old] = &self.stand_ins;
        let bad = Kind::BAD.map(|kind| {
            let of_kind = || self.ticks.iter().filter(|tick| tick.kind == kind);
            let treated = |name| {
                of_kind()
                    .filter(|tick| tick.treatment.name() == name)
                    .count()
            };
            json!({
                "name": kind.name(),
                "tried": of_kind().count(),
                "refused": treated("refused"),
                "quarantined": treated("quarantined"),
                "live": treated("live") + treated("reverted"),
            })
        });
        json!({
            "ok": failures.is_empty(),
            "interrupted": self.interrupted,
            "failures": failures,
            "drill": "outage-2025-11-18",
            "seconds": self.elapsed.as_secs_f64(),
            "every_ms": self.every.as_secs_f64() * 1e3,
            "threads": self.cores,
            "requests_recorded": self.requests,
            "requests_of_humans_let_through": self.innocent,
            "directory": self.kept.map(|kept| kept.display().to_string()),
            "timeline": self.ticks.iter().map(of_tick).collect::<Vec<_>>(),
            "bad_tables": bad,
            "hedgerow": {
                "requests_served": totals.served,
                "requests_lost": totals.lost,
                "threads_died": totals.dead,
                "wrong_verdicts": totals.wrong,
                "not_scored": totals.not_scored,
                "humans_blocked": totals.blocked,
                "reverts": totals.reverts,
                "refusals": self.status.refusals,
                "quarantines": self.status.quarantines,
                "quarantined": self.status.quarantined,
            },
            "new_proxy": new,
            "old_proxy": old,
            "panic": self.panic,
        })
    }
}

/// The outcomes side by side.
fn outcomes(totals: &Totals, [new, old]: &[Counts; 2]) -> String {
    let line = |name: &str, here: &dyn Display, new: &dyn Display, old: &dyn Display| {
        format!("{name:<26} {here:>12} {new:>12} {old:>12}")
            .trim_end()
            .to_string()
            + "\n"
    };
    let counts =
        |name: &str, here: u64, of: fn(&Counts) -> u64| line(name, &here, &of(new), &of(old));
    let alone = |name: &str, here: u64| line(name, &here, &"", &"");
    String::from("\n")
        + &line("", &"hedgerow", &"new proxy", &"old proxy")
        + &counts("requests served", totals.served, |of| of.requests_served)
        + &counts("requests lost", totals.lost, |of| of.requests_lost)
        + &counts("threads that died", totals.dead, |of| of.threads_died)
        + &counts("scored 0 for an error", 0, |of| of.scored_zero)
        + &counts("humans blocked", totals.blocked, |of| of.humans_blocked)
        + &alone("wrong verdicts", totals.wrong)
        + &alone("verdicts not scored", totals.not_scored)
}

fn line(tick: &Tick) -> String {
    let Tick {
        new,
        old,
        served,
        lost,
        generation,
        live,
        ..
    } = tick;
    let hedgerow = match &tick.treatment {
        Treatment::Refused { code, name } => format!("refused {code} {name}"),
        other => other.name().to_string(),
    };
    let state = match (new.threads_died, new.threads_restarted) {
        (0, 0) if new.requests_served == 0 => "dead".to_string(),
        (0, 0) => "runs".to_string(),
        (0, restarts) => format!("{restarts} restarted"),
        (panics, 0) => format!("{panics} panicked"),
        (panics, restarts) => format!("{restarts} restarted, {panics} panicked"),
    };
    let (at, published) = (
        tick.at.as_secs_f64(),
        format!("{generation} {}", tick.kind.name()),
    );
    let requests = format!("{lost} of {} lost", lost + served);
    let new_lost = new.requests_lost;
    let new = format!(
        "{state}, lost {new_lost} of {}",
        new_lost + new.requests_served
    );
    let (zero, blocked) = (old.scored_zero, old.humans_blocked);
    format!(
        "{at:>6.2}  {published:<25} {hedgerow:<31} {live:>4}  {requests:<19} {new:<38} {zero} \
         scored 0, {blocked} humans blocked\n"
    )
}

fn of_tick(tick: &Tick) -> Value {
    let (code, name) = match &tick.treatment {
        Treatment::Refused { code, name } => (Some(*code), Some(name.as_str())),
        _ => (None, None),
    };
    json!({
        "at": tick.at.as_secs_f64(),
        "generation": tick.generation,
        "published": tick.kind.name(),
        "features": tick.features,
        "hedgerow": {
            "outcome": tick.treatment.name(),
            "code": code,
            "name": name,
            "after_ms": tick.after.as_secs_f64() * 1e3,
            "live": tick.live,
            "requests_served": tick.served,
            "requests_lost": tick.lost,
        },
        "new_proxy": tick.new,
        "old_proxy": tick.old,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(generation: u64, kind: Kind, treatment: Treatment) -> Tick {
        Tick {
            at: Duration::ZERO,
            generation,
            kind,
            features: 80,
            treatment,
            after: Duration::ZERO,
            live: 2,
            served: 1,
            lost: 0,
            new: Counts::default(),
            old: Counts::default(),
        }
    }

    fn refused() -> Treatment {
        Treatment::Refused {
            code: 201,
            name: "feature-duplicate".into(),
        }
    }

    fn good() -> (Totals, Vec<Tick>) {
        let totals = Totals {
            served: 1_000,
            ..Totals::default()
        };
        let ticks = vec![
            tick(2, Kind::Good, Treatment::Live),
            tick(3, Kind::Under, refused()),
            tick(5, Kind::Over, refused()),
            tick(7, Kind::Constant, Treatment::Quarantined),
        ];
        (totals, ticks)
    }

    #[test]
    fn a_drill_in_which_all_went_well_is_passed() {
        let (totals, ticks) = good();
        assert_eq!(failures(&totals, &ticks, false), Vec::<String>::new());
    }

    #[test]
    fn one_lost_request_or_wrong_verdict_fails_it() {
        type Plant = fn(&mut Totals);
        let plants: [(Plant, &str); 7] = [
            (|totals| totals.lost = 1, "1 requests lost"),
            (|totals| totals.dead = 1, "1 threads died"),
            (|totals| totals.wrong = 1, "1 wrong verdicts"),
            (|totals| totals.not_scored = 1, "1 requests not scored"),
            (|totals| totals.blocked = 1, "1 humans blocked"),
            (
                |totals| totals.reverts = 1,
                "1 times the engine had to go back",
            ),
            (|totals| totals.served = 0, "no request was scored"),
        ];
        for (plant, said) in plants {
            let (mut totals, ticks) = good();
            plant(&mut totals);
            assert_eq!(failures(&totals, &ticks, false), [said]);
        }
    }

    #[test]
    fn a_table_that_is_treated_otherwise_or_not_tried_fails_it() {
        let (totals, all) = good();
        let treatments = [
            Treatment::None,
            Treatment::Live,
            refused(),
            Treatment::Quarantined,
            Treatment::Reverted,
        ];
        for at in 0..all.len() {
            let suits = treatments.iter().filter(|treatment| {
                let mut ticks = all.clone();
                ticks[at].treatment = (*treatment).clone();
                failures(&totals, &ticks, false).is_empty()
            });
            assert_eq!(suits.count(), 1, "{:?}", all[at]);
            let mut ticks = all.clone();
            let missing = ticks.remove(at).kind.name();
            assert_eq!(
                failures(&totals, &ticks, false),
                [format!("{missing} was not tried")]
            );
        }
    }
}
