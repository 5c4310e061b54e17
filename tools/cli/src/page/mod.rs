//! The page of a run of `load`: sums, plots, and how it was made.

mod plots;
mod sweeps;

use crate::drawing::{count, escaped, facts, figures, grouped, page, table, time};
use crate::failure::Failure;
use crate::files;
use crate::harness::run::{Run, parse};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The body of the page. `record` is a record of `tools/lab/peers`, if there is one.
fn body(run: &Run, title: &str, record: Option<&Value>) -> String {
    let mut out = head(run, title) + &tiles(run) + &figures(&plots::all(run, record));
    if record.is_none() {
        out += "<p class=\"note\">No record of peers was found beside the run.</p>\n";
    }
    if !run.refusals.is_empty() {
        let row = |it: &crate::harness::run::Refusals| {
            vec![it.code.to_string(), it.name.clone(), it.count.to_string()]
        };
        let rows: Vec<Vec<String>> = run.refusals.iter().map(row).collect();
        let table = table(&["code", "why", "how many"], &rows);
        out += &format!("<section>\n<h2>Refused tables</h2>\n{table}</section>\n");
    }
    let mut pairs = where_it_ran(run);
    pairs.extend(how_it_ran(run));
    out + &format!(
        "<section>\n<h2>Machine and command</h2>\n{}{NOTE}</section>\n",
        facts(&pairs)
    )
}

const NOTE: &str = "<p class=\"note\">Figures of one run stand beside each other; figures of two \
    runs, let alone of two machines, only beside their noise: <code>hedgerow report \
    compare</code>. On a virtual machine with shared cores the last percentiles are mostly the \
    machine's. The manual's chapter on measuring says what such a machine cannot show.</p>\n";

fn head(run: &Run, title: &str) -> String {
    let (class, words) = match run.ok {
        true => ("ok", "nothing lost, nothing wrong"),
        false => (
            "failed",
            "FAILED: a request was lost, a verdict wrong, or a table mistreated",
        ),
    };
    let machine = &run.machine;
    let is_virtual = if machine.is_virtual { "virtual, " } else { "" };
    let badge =
        |class: &str, words: &str| format!("<p class=\"badge {class}\">{}</p>\n", escaped(words));
    let mut out = format!(
        "<header>\n<h1>{}</h1>\n<p class=\"badge {class}\">{words}</p>\n\
         <p>{} UTC · {} ({is_virtual}{} cores)</p>\n<pre><code>{}</code></pre>\n</header>\n",
        escaped(title),
        escaped(run.at.get(..16).unwrap_or(&run.at)).replace('T', " "),
        escaped(&machine.processor),
        machine.cores,
        escaped(&run.command)
    );
    out.extend(machine.busy().map(|busy| badge("held", &busy)));
    out.extend(
        run.unexpected
            .iter()
            .map(|surprise| badge("failed", surprise)),
    );
    out
}

fn tiles(run: &Run) -> String {
    let totals = &run.totals;
    let knee = { run.sweep.iter() }
        .filter(|curve| curve.axis == "cores")
        .filter_map(|curve| Some((curve.value, curve.points.get(curve.knee?)?.answered)))
        .max_by(|one, other| one.0.total_cmp(&other.0));
    let mut all = vec![
        ("answered a second".to_string(), count(totals.rate)),
        ("p50".into(), time(run.latency.p50 as f64)),
        ("p99".into(), time(run.latency.p99 as f64)),
        ("p99.9".into(), time(run.latency.p999 as f64)),
        ("verdicts checked".into(), grouped(totals.answered)),
        ("wrong".into(), grouped(totals.wrong)),
        ("lost".into(), grouped(totals.lost)),
        ("tables published".into(), grouped(totals.generations)),
        ("tables refused".into(), grouped(totals.refused)),
    ];
    all.extend(knee.map(|(cores, rate)| {
        let plural = if cores > 1.0 { "s" } else { "" };
        (
            format!("a second at the knee, {cores} core{plural}"),
            count(rate),
        )
    }));
    let tile = |(name, value): &(String, String)| {
        format!("<div><b>{value}</b><span>{}</span></div>\n", escaped(name))
    };
    let all: String = all.iter().map(tile).collect();
    format!("<section class=\"tiles\" aria-label=\"Sums\">\n{all}</section>\n")
}

/// Where it ran, and on what.
fn where_it_ran(run: &Run) -> Vec<(&'static str, String)> {
    let (asked, machine) = (&run.asked, &run.machine);
    let (trees, features, id) = (asked.trees, asked.features, &asked.table_id);
    let bytes = grouped(asked.table_bytes as u64);
    let table = format!("{trees} trees, {features} features, {bytes} bytes, {id}");
    let is_virtual = if machine.is_virtual { "yes" } else { "no" };
    vec![
        ("processor", machine.processor.clone()),
        ("cores of this process", machine.cores.to_string()),
        ("virtual machine", is_virtual.into()),
        ("system", machine.system.clone()),
        (
            "runnable threads before",
            format!("{:.2}", machine.load_before),
        ),
        ("hedgerow", machine.hedgerow.clone()),
        ("table", format!("{}: {table}", asked.table)),
        ("kernel", asked.kernel.clone()),
        (
            "input",
            format!("{} of {}, over and over", asked.inputs, asked.input),
        ),
    ]
}

/// How it ran, and what it counted.
fn how_it_ran(run: &Run) -> Vec<(&'static str, String)> {
    let (asked, totals) = (&run.asked, &run.totals);
    let [offered, answered, unserved, queued, late] = [
        totals.offered,
        totals.answered,
        totals.unserved,
        totals.queued,
        totals.late,
    ]
    .map(grouped);
    let (mode, cores, batch) = (&asked.mode, &asked.cores, asked.batch);
    let (rate, bad, shadows) = (asked.swap_rate, 100.0 * asked.bad_share, asked.shadows);
    let most = count(totals.generator_max);
    let mut pairs = vec![
        (
            "arrivals",
            format!("{}, {} a second", asked.arrivals, asked.rate),
        ),
        (
            "who scores",
            format!("{mode}, cores {cores:?}, up to {batch} at once"),
        ),
        (
            "time",
            format!("{} s after a warm-up of {} s", asked.seconds, asked.warm_up),
        ),
        (
            "tables",
            format!("{rate} a second, {bad} % of them bad; {shadows} shadows"),
        ),
        (
            "requests",
            format!("{offered} came due, {answered} answered, {unserved} never begun"),
        ),
        ("came due while their thread was busy", queued),
        (
            "began over 10 µs late while their thread waited",
            format!("{late}: time that the system took away"),
        ),
        (
            "the generator's most",
            format!("{most} a second on one thread, scoring nothing"),
        ),
        (
            "verdicts without a score",
            grouped(run.not_scored.values().sum()),
        ),
        ("threads that were not bound", totals.unbound.to_string()),
        ("tables not reclaimed", totals.not_reclaimed.to_string()),
    ];
    if asked.evict_mib > 0.0 {
        let other = format!("reads {} MiB, {}", asked.evict_mib, asked.evict_by);
        pairs.push(("other work", other));
    }
    let shadows = run.shadows.iter();
    pairs.extend(shadows.map(|it| ("shadow", format!("{}: {} sampled rows", it.name, it.rows))));
    pairs
}

/// Draws a run into a file, with the figures of peers.
pub fn write(run: &Run, to: &Path, peers: Option<&Value>) -> Result<(), Failure> {
    let title = format!("hedgerow under load: {}", run.asked.table);
    let page = page(&title, &body(run, &title, peers));
    files::write_bytes(to, page.as_bytes())
}

/// The record of peers of a name, or the newest of the checkout that this runs in.
pub fn record(named: Option<&Path>) -> Result<Option<Value>, Failure> {
    let expected = "a record of tools/lab/peers in JSON";
    if let Some(path) = named {
        let record = parse(path, expected)?;
        return match record["models"].is_array() {
            true => Ok(Some(record)),
            false => {
                let at = path.display();
                Err(Failure::new("peers", at, expected, "something else"))
            }
        };
    }
    let Ok(entries) = fs::read_dir("benches/record") else {
        return Ok(None);
    };
    let is_peers = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.ends_with("-peers.json"))
    };
    // Names begin with the date.
    let paths = entries.flatten().map(|entry| entry.path());
    let newest = paths.filter(is_peers).max();
    newest.map(|path| parse(&path, expected)).transpose()
}
