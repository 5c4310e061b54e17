//! `kill` and `restore` of a fleet: what is switched off.

use crate::backend::{ATTEMPT, Value, failed};
use crate::publish::{CLAIMS_MAX, Change, Changer, crossed};
use crate::record::{Envelope, FleetSwitches, Ring, RingPointer, SWITCHES};
use crate::waiting::{self, Wanted};
use hedgerow::watch::directory::{FILES_VERSION, SwitchesFile};
use hedgerow::watch::moment;
use hedgerow::{Selector, Switches};
use hedgerow_cli::Report;
use hedgerow_cli::failure::Failure;
use serde_json::json;
use std::fmt::Write;
use std::time::Instant;
use tokio::time::timeout;

/// Switch a part of the engines of a whole fleet off, or on again
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
/// As [`Changer::switch`].
pub async fn switch(args: &SwitchArgs, off: bool) -> Result<Report, Failure> {
    let selector: Selector = args.selector.parse().map_err(|_| {
        let expected = "engine, ensemble, feature:NAME or detection:ID";
        Failure::usage("SELECTOR", expected, format!("{:?}", args.selector))
    })?;
    let changer = Changer::connect(&args.change).await?;
    let started = Instant::now();
    let file = changer.switch(&selector, off).await?;
    let wanted = Wanted::Switches(file.change);
    let nodes = waiting::until(&changer.store, &wanted, changer.wait, started).await?;
    let (verb, change) = (if off { "switched off" } else { "restored" }, file.change);
    let mut text = format!("{verb}: {selector}, change {change}; off now: ");
    text.push_str(match file.off.is_empty() {
        true => "nothing",
        false => "",
    });
    let _ = writeln!(text, "{}", file.off.join(", "));
    let ok = waiting::told(&mut text, &nodes);
    let json = json!({
        "ok": ok,
        "change": change,
        "off": file.off,
        "nodes": nodes,
        "warnings": changer.warnings(),
    });
    Ok(Report::checked(text, json, ok))
}

impl Changer {
    /// Switches a selector off, or on again.
    ///
    /// # Errors
    /// `selector` where there is nothing of that name; else where the store does not take it.
    pub async fn switch(&self, selector: &Selector, off: bool) -> Result<SwitchesFile, Failure> {
        if off {
            self.known(selector).await?;
        }
        // Side by side: who switches off is in a hurry.
        let (reported, past) = tokio::join!(
            self.reported(|node| node.switches),
            timeout(ATTEMPT, self.store.history(SWITCHES))
        );
        let past =
            past.unwrap_or_else(|_| Err(failed(SWITCHES, "its history", "no answer in time")));
        for _ in 0..CLAIMS_MAX {
            let value = self.store.last(SWITCHES).await?;
            let revision = value.as_ref().map_or(0, |value| value.revision);
            let last = self.newest(value.as_ref(), &past, off)?;
            let mut all = match &last {
                Some(file) => file
                    .switches(SWITCHES.as_ref())
                    .map_err(|refusal| Failure::of(&refusal))?,
                None => Switches::default(),
            };
            match off {
                true => _ = all.kill(selector.clone()),
                false if !all.restore(selector) => {
                    let expected = "something that is off";
                    return Err(no_selector(expected, selector));
                }
                false => {}
            }
            // Above the last one's also where that cannot be read, and above what nodes have.
            let known = last.map_or(0, |last| last.change).max(self.above);
            let said = reported.iter().copied().chain([revision]);
            let change = self.highest(known, said).saturating_add(1);
            let file = SwitchesFile {
                version: FILES_VERSION,
                change,
                off: all.iter().map(Selector::to_string).collect(),
                at: moment::now(),
                origin: self.origin.clone(),
            };
            let body = FleetSwitches {
                fleet: self.store.fleet.clone(),
                file,
            };
            let bytes = Envelope::seal(&body, SWITCHES, self.secret.as_ref());
            if self
                .store
                .replace(SWITCHES, bytes, revision)
                .await?
                .is_some()
            {
                return Ok(body.file);
            }
        }
        let got = format!("others, {CLAIMS_MAX} times in a row");
        Err(crossed(SWITCHES, "to change the switches", got))
    }

    /// The last switches by somebody who is trusted here. What stands there may be by somebody
    /// else, or may be put there again by somebody who has no key: neither keeps anybody from
    /// switching off.
    fn newest(
        &self,
        value: Option<&Value>,
        past: &Result<Vec<Value>, Failure>,
        off: bool,
    ) -> Result<Option<SwitchesFile>, Failure> {
        let open = |value: &Value| self.body::<FleetSwitches>(SWITCHES, value);
        let there = value.map(open);
        let there_is = there.as_ref().and_then(|there| there.as_ref().ok());
        match past {
            Err(failure) if off || there_is.is_some() => {
                self.warn(format!("what was off before may not be known: {failure}"));
            }
            Err(failure) => return Err(failure.clone()),
            Ok(_) => {}
        }
        let past = past.as_deref().unwrap_or_default();
        let known = past.iter().filter_map(|value| open(value).ok());
        let newest = known
            .chain(there_is.cloned())
            .max_by_key(|body| body.file.change);
        match &there {
            Some(Err(failure)) => self.passed_over(failure),
            Some(Ok(there)) if newest.as_ref() != Some(there) => {
                self.warn("passed over switches that are older than the last ones".into());
            }
            _ => {}
        }
        Ok(newest.map(|body| body.file))
    }

    /// What is switched off must be there: a slip of the finger would leave the trouble on.
    async fn known(&self, selector: &Selector) -> Result<(), Failure> {
        let (mut features, mut detections) = (Vec::new(), Vec::new());
        if matches!(selector, Selector::Engine | Selector::Ensemble) {
            return Ok(());
        }
        for ring in Ring::EACH {
            let key = ring.key();
            let Some(value) = self.store.last(&key).await? else {
                continue;
            };
            // What anybody wrote as well: this only keeps from slips.
            let said = Envelope::unverified::<RingPointer>(&value.bytes, &self.store.fleet, &key);
            let last = self.last::<RingPointer>(&key, &value).await?;
            for body in said.into_iter().chain(last) {
                features.extend(body.features);
                detections.extend(body.detections);
            }
        }
        match selector {
            Selector::Feature(name) if !features.contains(name) => {
                let expected = "a feature of a table that a ring runs";
                Err(no_selector(expected, selector))
            }
            Selector::Detection(id) if !detections.contains(id) => {
                let expected = "a detection of a table that a ring runs";
                Err(no_selector(expected, selector))
            }
            _ => Ok(()),
        }
    }
}

fn no_selector(expected: &str, got: &Selector) -> Failure {
    Failure {
        code: 608,
        ..Failure::new("selector", SWITCHES, expected, got)
    }
}
