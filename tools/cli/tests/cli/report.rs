//! `report`: a page that needs nothing else, looked at by a browser, and comparisons that see what
//! changed.

use super::common::*;
use hedgerow::KERNELS;
use hedgerow_testkit::skipped;
use serde_json::Value;
use std::process::{Command, Output};

/// A run with everything on the page.
fn drawn(folder: &Folder) -> (String, String) {
    let page = folder.path("run.html");
    let outcome = hedgerow!(
        "load --seconds 1 --rate 5000 --swap-rate 20 --sweep-seconds 2 --report {page} --json"
    );
    assert_eq!(outcome.status, 0, "{outcome:?}");
    (page, outcome.out)
}

/// Runs a browser; none, and loudly, where there is none.
fn browser(folder: &Folder, args: &[&str]) -> Option<Output> {
    let found = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| {
            let version = Command::new(name).arg("--version").output();
            version.is_ok_and(|output| output.status.success())
        });
    let Some(found) = found else {
        skipped("no chromium to look at a page with: run tools/cli/tests/setup.sh");
        return None;
    };
    let profile = format!("--user-data-dir={}", folder.path("profile"));
    let flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
                 --disable-background-networking --disable-component-update --disable-sync \
                 --hide-scrollbars --enable-logging=stderr";
    // Not longer than this: the test must end.
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", "240", found])
        .args(flags.split_whitespace());
    Some(command.arg(profile).args(args).output().unwrap())
}

const FIGURES: [&str; 8] = [
    "percentiles",
    "over-time",
    "sweep-cores",
    "sweep-batch",
    "sweep-swaps",
    "sweep-trees",
    "scores",
    "kernels",
];

#[test]
fn the_page_holds_every_plot_and_asks_no_network() {
    let folder = Folder::new("report-page");
    let (page, json) = drawn(&folder);
    let html = std::fs::read_to_string(&page).unwrap();
    for outside in [
        "http:", "https:", "<script", "<iframe", "src=", "@import", "url(", "//",
    ] {
        assert!(!html.contains(outside), "{outside}");
    }
    for figure in FIGURES {
        assert!(
            html.contains(&format!("<figure id=\"{figure}\"")),
            "{figure}"
        );
    }
    assert!(
        !html.contains("NaN") && !html.contains("inf"),
        "a number is missing"
    );
    let value: Value = serde_json::from_str(&json).unwrap();
    assert!(html.contains(value["asked"]["table_id"].as_str().unwrap()));
    let mut curves = list(&value["sweep"]).iter();
    assert!(curves.all(|curve| list(&curve["points"]).len() == 8));
    // The same page from the file, with the peers of a record.
    let run_json = folder.file("run.json", &json);
    let again = folder.path("again.html");
    let record = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../benches/record/2026-11-26-peers.json"
    );
    hedgerow!("report page {run_json} -o {again} --peers {record}").done();
    let again = std::fs::read_to_string(again).unwrap();
    assert!(again.contains("id=\"peers-r1\"") && again.contains("id=\"peers-r3\""));
    let bad = folder.file("bad.json", "{}");
    let page = folder.path("x.html");
    hedgerow!("report page {run_json} -o {page} --peers {bad}").refused(&["bad.json"]);
    hedgerow!("report page {bad} -o {page}").refused(&["bad.json"]);
}

#[test]
fn a_browser_draws_the_page_wide_narrow_and_on_paper() {
    let folder = Folder::new("report-browser");
    let (page, _) = drawn(&folder);
    let url = format!("file://{page}");
    let Some(dump) = browser(&folder, &["--dump-dom", &url]) else {
        return;
    };
    let dom = String::from_utf8(dump.stdout).unwrap();
    let said = String::from_utf8_lossy(&dump.stderr);
    assert!(dump.status.success(), "{said}");
    assert!(!said.contains("CONSOLE"), "{said}");
    assert!(
        dom.matches("<svg").count() >= FIGURES.len(),
        "{}",
        dom.len()
    );
    for figure in FIGURES {
        let at = dom.find(&format!("<figure id=\"{figure}\"")).expect(figure);
        let drawn = &dom[at..at + dom[at..].find("</figure>").unwrap()];
        let (lines, bars) = (
            drawn.matches("<path").count(),
            drawn.matches("<rect").count(),
        );
        assert!(lines + bars > 8, "{figure}: {lines} lines, {bars} bars");
    }
    for (width, name) in [(1200, "wide.png"), (390, "narrow.png")] {
        let file = folder.path(name);
        let size = format!("--window-size={width},2000");
        let shot = browser(&folder, &[&size, &format!("--screenshot={file}"), &url]).unwrap();
        assert!(shot.status.success(), "{shot:?}");
        let png = std::fs::read(&file).unwrap();
        assert!(png.starts_with(b"\x89PNG"), "{name}");
        let read = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        assert_eq!((read(16), read(20)), (width, 2000), "{name}");
        // A page without drawings is a tenth of it.
        assert!(png.len() > 40_000, "{name}: {} bytes", png.len());
    }
    let file = folder.path("paper.pdf");
    let printed = browser(&folder, &[&format!("--print-to-pdf={file}"), &url]).unwrap();
    assert!(printed.status.success(), "{printed:?}");
    assert!(std::fs::read(&file).unwrap().starts_with(b"%PDF"));
}

/// A run on a kernel, in a file.
fn on_kernel(folder: &Folder, kernel: &str, name: &str) -> String {
    let outcome = hedgerow!("load made:1000 --kernel {kernel} --seconds 2 --rate 2000 --json");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    folder.file(name, &outcome.out)
}

/// A run that answers nothing from its middle on, of one in a file.
fn half_dead(folder: &Folder, file: &str) -> String {
    let mut run: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let pieces = run["intervals"].as_array_mut().unwrap();
    let half = pieces.len() / 2;
    for piece in &mut pieces[half..] {
        piece["answered"] = 0.into();
        piece["max"] = 1_000_000_000.into();
    }
    folder.file("half-dead.json", run.to_string())
}

/// Half of it never answered, or a measure is not there.
fn what_cannot_be_compared_passes_no_check(folder: &Folder, one: &str) {
    let dead = half_dead(folder, one);
    let seen = hedgerow!("report compare {one} {dead} --only answered --check");
    assert_eq!(seen.status, 1, "{seen:?}");
    let mut less: Value = serde_json::from_slice(&std::fs::read(one).unwrap()).unwrap();
    less["kernels"] = serde_json::json!([]);
    let less = folder.file("less.json", less.to_string());
    let seen = hedgerow!("report compare {one} {less} --only kernel.row,answered --check");
    assert_eq!(seen.status, 1, "{seen:?}");
    holds(&seen.out, &["not in the run after: kernel.row"]);
}

/// What the kernel of a run in a file takes for a row, by the middle of its rounds.
fn row_ns(file: &str) -> f64 {
    let run: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let rounds = list(&run["kernels"][0]["row"]).iter();
    let mut rounds: Vec<f64> = rounds.map(number).collect();
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

#[test]
fn a_slower_kernel_is_seen_and_a_run_is_no_slower_than_itself() {
    let folder = Folder::new("report-compare");
    let one = on_kernel(&folder, "portable", "portable.json");
    let itself = hedgerow!("report compare {one} {one} --check --json");
    assert_eq!((itself.status, &itself.json()["worse"]), (0, &0.into()));
    let only = hedgerow!("report compare {one} {one} --only latency --json").json();
    assert_eq!(list(&only["measures"]).len(), 2);
    assert_eq!(only["measures"][0]["unit"], "ns");
    let said = hedgerow!("report compare {one} {one} --only answered").done();
    holds(&said, &["unit", "answered                  1/s"]);
    hedgerow!("report compare {one} {one} --only nothing").refused(&["nothing"]);
    what_cannot_be_compared_passes_no_check(&folder, &one);

    if !KERNELS
        .iter()
        .any(|kernel| kernel.name == "avx2" && kernel.available())
    {
        eprintln!("SKIPPED: no second kernel to compare with");
        return;
    }
    // Which of the two is slower depends on how they were compiled: without optimisation across
    // a crate's units it is the one of intrinsics. That one is, and by much, is certain.
    let other = on_kernel(&folder, "avx2", "avx2.json");
    let (fast, slow) = match row_ns(&one) < row_ns(&other) {
        true => (one, other),
        false => (other, one),
    };
    let only = "--only kernel.row --check";
    let seen = hedgerow!("report compare {fast} {slow} {only}");
    assert_eq!(seen.status, 1, "{seen:?}");
    holds(&seen.out, &["worse", "the runs differ in kernel"]);
    let json = hedgerow!("report compare {fast} {slow} {only} --json").json();
    assert_eq!(json["measures"][0]["change"], "worse", "{json}");
    assert!(number(&json["measures"][0]["low"]) > 1.0, "{json}");
    let back = hedgerow!("report compare {slow} {fast} {only} --json");
    assert_eq!(back.status, 0, "{back:?}");
    assert_eq!(back.json()["measures"][0]["change"], "better");
    let four = |file: &str| [file; 4].join(",");
    let (fast, slow) = (four(&fast), four(&slow));
    let many = hedgerow!("report compare {fast} {slow} --only kernel.row --json");
    assert_eq!(many.json()["measures"][0]["change"], "worse");
}

#[test]
fn what_is_no_run_is_refused_by_name() {
    let folder = Folder::new("report-bad");
    for (name, bytes) in [
        ("empty.json", &b""[..]),
        ("text.json", b"hello"),
        ("other.json", b"{}"),
        ("later.json", b"{\"form\":2}"),
        ("cut.json", b"{\"form\":1}"),
        ("array.json", b"[1]"),
        ("deep.json", &[b'['; 100_000]),
    ] {
        let file = folder.file(name, bytes);
        hedgerow!("report compare {file} {file}").refused(&[name]);
        let page = folder.path("x.html");
        hedgerow!("report page {file} -o {page}").refused(&[name]);
    }
    run(&["report", "compare", "no.json", "no.json"]).refused(&["no.json"]);
    assert!(!folder.names().contains(&"x.html".to_string()));
}
