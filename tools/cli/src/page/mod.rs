//! The report of a run as one page that needs nothing else: no network, no script.

mod plots;
mod sweeps;

use crate::drawing::{Figure, count, escaped, grouped, time};
use crate::failure::Failure;
use crate::files;
use crate::harness::run::{Run, parse};
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

const STYLE: &str = include_str!("../drawing/page.css");

/// The whole page. `record` is a record of `tools/lab/peers`, where there is one.
fn page(run: &Run, record: Option<&Value>) -> String {
    let title = format!("hedgerow under load: {}", run.asked.table);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
        escaped(&title)
    );
    head(&mut out, run, &title);
    tiles(&mut out, run);
    out.push_str("<section class=\"plots\" aria-label=\"Plots\">\n");
    plots::all(run, record)
        .iter()
        .for_each(|it| figure(&mut out, it));
    out.push_str("</section>\n");
    if record.is_none() {
        out.push_str("<p class=\"note\">No record of peers was found beside the run.</p>\n");
    }
    published(&mut out, run);
    machine(&mut out, run);
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn head(out: &mut String, run: &Run, title: &str) {
    let (class, words) = match run.ok {
        true => ("ok", "nothing lost, nothing wrong"),
        false => (
            "failed",
            "FAILED: a request was lost, a verdict wrong, or a table mistreated",
        ),
    };
    let virtual_word = if run.machine.is_virtual {
        "virtual, "
    } else {
        ""
    };
    let _ = writeln!(
        out,
        "<header>\n<h1>{}</h1>\n<p class=\"badge {class}\">{words}</p>\n\
         <p>{} · {} ({virtual_word}{} cores)</p>\n<pre><code>{}</code></pre>\n</header>",
        escaped(title),
        escaped(run.at.get(..16).unwrap_or(&run.at)).replace('T', " ") + " UTC",
        escaped(&run.machine.processor),
        run.machine.cores,
        escaped(&run.command)
    );
    if let Some(busy) = run.machine.busy() {
        let _ = writeln!(out, "<p class=\"badge held\">{}</p>", escaped(&busy));
    }
    for surprise in &run.unexpected {
        let _ = writeln!(out, "<p class=\"badge failed\">{}</p>", escaped(surprise));
    }
}

fn tiles(out: &mut String, run: &Run) {
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
    if let Some((cores, rate)) = knee {
        let plural = if cores > 1.0 { "s" } else { "" };
        all.push((
            format!("a second at the knee, {cores} core{plural}"),
            count(rate),
        ));
    }
    out.push_str("<section class=\"tiles\" aria-label=\"Sums\">\n");
    for (name, value) in all {
        let _ = writeln!(
            out,
            "<div><b>{value}</b><span>{}</span></div>",
            escaped(&name)
        );
    }
    out.push_str("</section>\n");
}

fn figure(out: &mut String, it: &Figure) {
    let _ = writeln!(
        out,
        "<figure id=\"{}\" class=\"plot\">\n<figcaption>{}</figcaption>",
        it.id,
        escaped(&it.title)
    );
    if !it.legend.is_empty() {
        out.push_str("<ul class=\"legend\">");
        for (class, name) in &it.legend {
            let _ = write!(
                out,
                "<li><i class=\"swatch {class}\"></i>{}</li>",
                escaped(name)
            );
        }
        out.push_str("</ul>\n");
    }
    out.push_str(&it.svg);
    let _ = writeln!(out, "<p class=\"about\">{}</p>", escaped(&it.about));
    out.push_str("<details><summary>In figures</summary>\n");
    let (names, rows) = &it.table;
    table(out, names, rows);
    out.push_str("</details>\n</figure>\n");
}

fn table(out: &mut String, head: &[&str], rows: &[Vec<String>]) {
    let cells = |words: Vec<&str>, tag: &str| -> String {
        words
            .iter()
            .map(|word| format!("<{tag}>{}</{tag}>", escaped(word)))
            .collect()
    };
    let _ = writeln!(
        out,
        "<div class=\"wide\"><table>\n<tr>{}</tr>",
        cells(head.to_vec(), "th")
    );
    for row in rows {
        let row = row.iter().map(String::as_str).collect();
        let _ = writeln!(out, "<tr>{}</tr>", cells(row, "td"));
    }
    out.push_str("</table></div>\n");
}

fn published(out: &mut String, run: &Run) {
    if run.refusals.is_empty() {
        return;
    }
    out.push_str("<section>\n<h2>Refused tables</h2>\n");
    let rows: Vec<Vec<String>> = { run.refusals.iter() }
        .map(|it| vec![it.code.to_string(), it.name.clone(), it.count.to_string()])
        .collect();
    table(out, &["code", "why", "how many"], &rows);
    out.push_str("</section>\n");
}

/// Where it ran, and on what.
fn where_it_ran(run: &Run) -> Vec<(&'static str, String)> {
    let (asked, machine) = (&run.asked, &run.machine);
    let yes = |is: bool| if is { "yes" } else { "no" }.to_string();
    vec![
        ("processor", machine.processor.clone()),
        ("cores of this process", machine.cores.to_string()),
        ("virtual machine", yes(machine.is_virtual)),
        ("system", machine.system.clone()),
        (
            "runnable threads before",
            format!("{:.2}", machine.load_before),
        ),
        ("hedgerow", machine.hedgerow.clone()),
        (
            "table",
            format!(
                "{}: {} trees, {} features, {} bytes, {}",
                asked.table,
                asked.trees,
                asked.features,
                grouped(asked.table_bytes as u64),
                asked.table_id
            ),
        ),
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
    let not_scored: u64 = run.not_scored.values().sum();
    vec![
        (
            "arrivals",
            format!("{}, {} a second", asked.arrivals, asked.rate),
        ),
        (
            "who scores",
            format!(
                "{}, cores {:?}, up to {} at once",
                asked.mode, asked.cores, asked.batch
            ),
        ),
        (
            "time",
            format!("{} s after a warm-up of {} s", asked.seconds, asked.warm_up),
        ),
        (
            "tables",
            format!(
                "{} a second, {} % of them bad; {} shadows",
                asked.swap_rate,
                100.0 * asked.bad_share,
                asked.shadows
            ),
        ),
        (
            "requests",
            format!(
                "{} came due, {} answered, {} never begun",
                grouped(totals.offered),
                grouped(totals.answered),
                grouped(totals.unserved)
            ),
        ),
        (
            "came due while their thread was busy",
            grouped(totals.queued),
        ),
        (
            "began over 10 µs late while their thread waited",
            format!("{}: time that the system took away", grouped(totals.late)),
        ),
        (
            "the generator's most",
            format!(
                "{} a second on one thread, scoring nothing",
                count(totals.generator_max)
            ),
        ),
        ("verdicts without a score", grouped(not_scored)),
        ("threads that were not bound", totals.unbound.to_string()),
        ("tables not reclaimed", totals.not_reclaimed.to_string()),
    ]
}

fn machine(out: &mut String, run: &Run) {
    let asked = &run.asked;
    let mut pairs = where_it_ran(run);
    pairs.extend(how_it_ran(run));
    if asked.evict_mib > 0.0 {
        pairs.push((
            "other work",
            format!("reads {} MiB, {}", asked.evict_mib, asked.evict_by),
        ));
    }
    for shadow in &run.shadows {
        pairs.push((
            "shadow",
            format!("{}: {} sampled rows", shadow.name, shadow.rows),
        ));
    }
    out.push_str("<section>\n<h2>Machine and command</h2>\n<dl>\n");
    for (name, value) in pairs {
        let _ = writeln!(out, "<dt>{name}</dt><dd>{}</dd>", escaped(&value));
    }
    out.push_str(
        "</dl>\n<p class=\"note\">Figures of one run stand beside each other; figures of two runs, \
         let alone of two machines, only beside their noise: <code>hedgerow report compare</code>. \
         On a virtual machine with shared cores the last percentiles are mostly the machine's. The \
         manual's chapter on measuring says what such a machine cannot show.</p>\n</section>\n",
    );
}

/// Draws a run into a file, with the figures of peers beside it.
pub fn write(run: &Run, to: &Path, peers: Option<&Value>) -> Result<(), Failure> {
    let page = page(run, peers);
    files::write_whole(to, |file| {
        let failed = |error| Failure::io(to, "a writable file", error);
        file.write_all(page.as_bytes()).map_err(failed)
    })
}

/// The record of peers of a name, or the newest of the checkout that this runs in.
pub fn record(named: Option<&Path>) -> Result<Option<Value>, Failure> {
    let expected = "a record of tools/lab/peers in JSON";
    if let Some(path) = named {
        let record = parse(path, expected)?;
        return match record["models"].is_array() {
            true => Ok(Some(record)),
            false => Err(Failure::new(
                "peers",
                path.display(),
                expected,
                "something else",
            )),
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
    let newest = { entries.flatten() }
        .map(|entry| entry.path())
        .filter(is_peers)
        .max();
    newest.map(|path| parse(&path, expected)).transpose()
}
