//! `kill` and `restore` of a fleet: its kill switches.

use crate::backend::{ATTEMPT, Value, failed};
use crate::operator::{CLAIMS_MAX, Change, Operator, crossed};
use crate::record::{Envelope, FleetSwitches, Ring, RingPointer, SWITCHES};
use crate::waiting::{self, Target};
use hedgerow::RefusalKind;
use hedgerow::watch::directory::{FILES_VERSION, SwitchesFile};
use hedgerow::watch::time;
use hedgerow::{Selector, Switches};
use hedgerow_cli::Report;
use hedgerow_cli::failure::Failure;
use serde_json::json;
use std::fmt::Write;
use std::time::Instant;
use tokio::time::timeout;

/// Switch a part of the engines of a whole fleet off
///
/// Needs the fleet's keys alone, not its tables.
///
/// Example: hedgerow-fleet kill ensemble nats://127.0.0.1:4222 --key ops.key --wait 5
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct SwitchArgs {
    /// engine, ensemble, feature:NAME or detection:ID
    selector: String,
    #[command(flatten)]
    change: Change,
}

/// Switches a selector off, or on.
///
/// # Errors
/// As [`Operator::switch`].
pub async fn switch(args: &SwitchArgs, off: bool) -> Result<Report, Failure> {
    let selector: Selector = args.selector.parse().map_err(|_| {
        let expected = "engine, ensemble, feature:NAME or detection:ID";
        Failure::usage("SELECTOR", expected, format!("{:?}", args.selector))
    })?;
    let operator = Operator::connect(&args.change).await?;
    let started = Instant::now();
    let file = operator.switch(&selector, off).await?;
    let target = Target::Switches(file.change);
    let nodes = waiting::until(&operator, &target, started).await?;
    let (verb, change) = (if off { "switched off" } else { "restored" }, file.change);
    let now = match file.off.is_empty() {
        true => "nothing".into(),
        false => file.off.join(", "),
    };
    let mut text = String::new();
    let _ = writeln!(text, "{verb}: {selector}, change {change}; off now: {now}");
    let ok = nodes.describe(&mut text);
    let json = json!({
        "ok": ok,
        "change": change,
        "off": file.off,
        "nodes": nodes,
        "warnings": operator.warnings(),
    });
    Ok(Report::checked(text, json, ok))
}

impl Operator {
    /// Switches a selector off, or on again.
    ///
    /// # Errors
    /// `selector` if nothing has that name, or it is not off; `fleet-store` and `fleet-crossed` if
    /// the switches cannot be written.
    pub async fn switch(&self, selector: &Selector, off: bool) -> Result<SwitchesFile, Failure> {
        if off {
            self.check_selector(selector).await?;
        }
        // At the same time: a kill switch is urgent.
        let (reported, past) = tokio::join!(
            self.reported(|node| Some(node.switches)),
            timeout(ATTEMPT, self.store.history(SWITCHES))
        );
        let past =
            past.unwrap_or_else(|_| Err(failed(SWITCHES, "its history", "no answer in time")));
        for _ in 0..CLAIMS_MAX {
            let value = self.store.last(SWITCHES).await?;
            let revision = value.as_ref().map_or(0, |value| value.revision);
            let last = self.last_switches(value.as_ref(), &past, off)?;
            self.check_fresh(SWITCHES, last.as_ref().map(|last| last.change), &reported)?;
            let mut all = match &last {
                Some(file) => file.switches(SWITCHES.as_ref())?,
                None => Switches::default(),
            };
            match off {
                true => _ = all.kill(selector.clone()),
                false if all.restore(selector) => {}
                false => return Err(no_selector("something that is off", selector)),
            }
            // Above the last change even if that cannot be read, and above what nodes have.
            let known = last.map_or(0, |last| last.change).max(self.above);
            let others = reported.iter().map(|(_, number)| *number).chain([revision]);
            let file = SwitchesFile {
                version: FILES_VERSION,
                change: self.highest(known, others).saturating_add(1),
                off: all.iter().map(Selector::to_string).collect(),
                at: time::now(),
                origin: self.origin.clone(),
            };
            let record = FleetSwitches {
                fleet: self.store.fleet.clone(),
                file,
            };
            let bytes = Envelope::seal(&record, SWITCHES, self.secret.as_ref());
            let written = self.store.replace(SWITCHES, &bytes, revision).await?;
            if written.is_some() {
                self.signed.keep(SWITCHES, &bytes);
                return Ok(record.file);
            }
        }
        let got = format!("others, {CLAIMS_MAX} times in a row");
        Err(crossed(SWITCHES, "to change the switches", got))
    }

    /// Returns the last trusted switches. An intruder may have written the current record, or an
    /// old one again: neither prevents a kill switch.
    fn last_switches(
        &self,
        value: Option<&Value>,
        past: &Result<Vec<Value>, Failure>,
        off: bool,
    ) -> Result<Option<SwitchesFile>, Failure> {
        let open = |value: &Value| self.trusted::<FleetSwitches>(SWITCHES, value);
        let current = value.map(open);
        let trusted = current.as_ref().and_then(|it| it.as_ref().ok());
        match past {
            Err(failure) if off || trusted.is_some() => {
                self.warn(format!("what was off before may not be known: {failure}"));
            }
            Err(failure) => return Err(failure.clone()),
            Ok(_) => {}
        }
        let past = past.as_deref().unwrap_or_default();
        let known = past.iter().filter_map(|value| open(value).ok());
        let newest = known
            .chain(trusted.cloned())
            .chain(self.own_last(SWITCHES))
            .max_by_key(|record| record.file.change);
        match &current {
            Some(Err(failure)) => self.passed_over(failure),
            Some(Ok(current)) if newest.as_ref() != Some(current) => {
                self.warn("passed over switches that are older than the last ones".into());
            }
            _ => {}
        }
        Ok(newest.map(|record| record.file))
    }

    /// Checks that a table of some ring has what is to be switched off: a misspelt name would
    /// change nothing.
    async fn check_selector(&self, selector: &Selector) -> Result<(), Failure> {
        if matches!(selector, Selector::Engine | Selector::Ensemble) {
            return Ok(());
        }
        let mut tables: Vec<RingPointer> = Vec::new();
        for ring in Ring::EACH {
            // Unsigned ones as well: this check prevents slips only.
            let found = self.pointer(ring).await?;
            tables.extend([found.trusted, found.current].into_iter().flatten());
        }
        let mut tables = tables.iter();
        let (is_known, expected) = match selector {
            Selector::Feature(name) => (
                tables.any(|table| table.features.contains(name)),
                "a feature of a table that a ring runs",
            ),
            Selector::Detection(id) => (
                tables.any(|table| table.detections.contains(id)),
                "a detection of a table that a ring runs",
            ),
            _ => (true, ""),
        };
        match is_known {
            true => Ok(()),
            false => Err(no_selector(expected, selector)),
        }
    }
}

fn no_selector(expected: &str, got: &Selector) -> Failure {
    RefusalKind::Selector.at(SWITCHES, expected, got).into()
}
