//! The outage of 18 November 2025 with a real database: a permission changes, and the old query
//! gives every feature twice. A table is made from its answer every second.
//!
//! `tools/fleet/outage.sh` runs it for longer, and shows the timeline.

use super::clickhouse::{self, ClickHouse, OLD_QUERY, TABLE, generate};
use super::support::{Folder, Outcome, wait_until};
use hedgerow::table::Table;
use hedgerow::watch::{Directory, PublishOptions, Publisher};
use hedgerow::{Engine, Feature, FeatureKind, Row, Schema, Verdict, WatchOptions, Watcher};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Features of the model, and columns of the database's table.
pub const FEATURES: usize = 60;

/// A watched directory, and an engine.
pub struct Place {
    pub root: PathBuf,
    pub engine: Engine,
}

impl Place {
    pub fn new(folder: &Folder, name: &str) -> Place {
        let feature = |index| Feature {
            name: format!("f{index:02}"),
            kind: FeatureKind::Number,
        };
        let schema = Schema::new((0..FEATURES).map(feature).collect()).unwrap();
        let root = folder.path(name);
        fs::create_dir_all(&root).unwrap();
        Place {
            root,
            engine: Engine::new(schema),
        }
    }

    pub fn publish(&self, file: &str) -> u64 {
        let wait = Duration::from_secs(10);
        let publisher = Publisher::create(&self.root, wait, "tester").unwrap();
        let options = PublishOptions::default();
        let published = publisher.publish(&table(file), &options).unwrap();
        published.pointer.generation
    }

    pub fn generation(&self) -> u64 {
        let pointer = Directory::new(&self.root).read_pointer().unwrap();
        pointer.map_or(0, |pointer| pointer.generation)
    }

    pub fn watch(&self, options: WatchOptions) -> Watcher {
        Watcher::start(&self.engine, &self.root, options).unwrap()
    }
}

pub fn table(file: &str) -> Table {
    Table::open(file).unwrap()
}

/// A LightGBM model of 60 features, f00 to f59, with a split on each.
pub fn model() -> String {
    let names: Vec<String> = (0..FEATURES).map(|index| format!("f{index:02}")).collect();
    let tree = |index: usize| {
        let leaf = 0.01 * (index as f64 + 1.0);
        format!(
            "Tree={index}\nnum_leaves=2\nnum_cat=0\nsplit_feature={index}\nsplit_gain=1\n\
             threshold=0.5\ndecision_type=2\nleft_child=-1\nright_child=-2\n\
             leaf_value={leaf} -{leaf}\nleaf_weight=1 1\nleaf_count=1 1\ninternal_value=0\n\
             internal_weight=2\ninternal_count=2\nis_linear=0\nshrinkage=1\n\n\n"
        )
    };
    let trees: Vec<String> = (0..FEATURES).map(tree).collect();
    let sizes: Vec<String> = trees.iter().map(|tree| tree.len().to_string()).collect();
    let text = format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n\
         max_feature_idx={}\nobjective=binary sigmoid:1\nfeature_names={}\nfeature_infos={}\n\
         tree_sizes={}\n\n{}",
        FEATURES - 1,
        names.join(" "),
        vec!["[0:1]"; FEATURES].join(" "),
        sizes.join(" "),
        trees.concat()
    );
    text + "end of trees\n\nparameters:\nend of parameters\n"
}

/// How often a table is made.
const TICK: Duration = Duration::from_secs(1);

/// The counts of a scoring thread.
#[derive(Default)]
struct Seen {
    scored: AtomicU64,
    wrong: AtomicU64,
    stop: AtomicBool,
}

fn ticks() -> u64 {
    let given = std::env::var("HEDGEROW_OUTAGE_TICKS").ok();
    given.map_or(8, |ticks| ticks.parse().expect("a number of ticks"))
}

#[test]
fn the_old_query_doubles_and_the_fleet_keeps_its_table() {
    let Some(server) = ClickHouse::start("outage") else {
        return;
    };
    let folder = Folder::new("outage-replayed");
    let query = folder.file("old.sql", OLD_QUERY);
    let model = folder.file("model.txt", model());
    // One directory's tables come from the old query, the other's from the scoped one.
    let (old, scoped) = (Place::new(&folder, "old"), Place::new(&folder, "scoped"));
    let make = |place: &Place, name: &str, more: &[&str]| -> Outcome {
        let output = folder.text(name);
        let _ = std::fs::remove_file(&output);
        let against = place.root.to_str().unwrap();
        let mut args = vec![model.as_str(), "-o", &output, "--against", against];
        args.extend(more);
        let outcome = generate(&server.as_reader(), &args);
        assert_eq!(outcome.ok(), std::path::Path::new(&output).exists());
        outcome
    };
    assert!(make(&old, "old.hedge", &["--query", &query]).ok());
    old.publish(&folder.text("old.hedge"));
    let watcher = old.watch(WatchOptions::default());
    let seen = Seen::default();
    let mut refused = 0;
    thread::scope(|scope| {
        scope.spawn(|| score(&old, &seen));
        for tick in 0..ticks() {
            let started = Instant::now();
            let changed = tick % 4 >= 2;
            server.permit(changed);
            let rows = server.wait_rows(if changed { 2 * FEATURES } else { FEATURES });
            let before = old.generation();
            let by_old = make(&old, "old.hedge", &["--query", &query]);
            if by_old.ok() {
                old.publish(&folder.text("old.hedge"));
            }
            let by_scoped = make(&scoped, "scoped.hedge", &[]);
            assert!(by_scoped.ok(), "{by_scoped:?}");
            scoped.publish(&folder.text("scoped.hedge"));
            let generation = old.generation();
            settled(&watcher, generation);
            let permission = if changed { "changed" } else { "as it was" };
            let outcome = if by_old.ok() {
                "accepted"
            } else {
                by_old.name()
            };
            println!(
                "{tick:>3} s  permission {permission:<7}  old query {rows:>3} rows, {outcome:<14}  \
                 generation {generation}, scoped {}",
                scoped.generation()
            );
            assert_eq!(by_old.ok(), !changed);
            assert_eq!(by_scoped.warns_of("r0"), changed, "{by_scoped:?}");
            if changed {
                refused += 1;
                let said = ["120 rows", "row 1 f00 and row 2 f00"];
                by_old.refused(705, "list-duplicate", &said);
                assert_eq!(generation, before, "the directory keeps its table");
            }
            thread::sleep(TICK.saturating_sub(started.elapsed()));
        }
        seen.stop.store(true, Ordering::Relaxed);
    });
    let scored = seen.scored.load(Ordering::Relaxed);
    println!("{refused} doubled lists refused, {scored} rows scored, none without a score");
    assert!(refused >= 2 && scored > 1_000);
    assert_eq!(seen.wrong.load(Ordering::Relaxed), 0);
}

/// Scores rows until it is stopped, and counts those without a score of a published table.
fn score(place: &Place, seen: &Seen) {
    let mut scorer = place.engine.scorer().unwrap();
    while !seen.stop.load(Ordering::Relaxed) {
        match scorer.score(&Row::MISSING) {
            Verdict::Scored(scored) if scored.generation > 0 => {
                seen.scored.fetch_add(1, Ordering::Relaxed);
            }
            _ => _ = seen.wrong.fetch_add(1, Ordering::Relaxed),
        }
        thread::sleep(Duration::from_micros(200));
    }
}

fn settled(watcher: &Watcher, generation: u64) {
    let runs = || watcher.status().generation == generation;
    let why = || format!("{:?}", watcher.status());
    wait_until(Duration::from_secs(10), runs, why);
}

#[test]
fn what_else_a_database_can_do_is_refused_by_name() {
    let Some(server) = ClickHouse::start("refusals") else {
        return;
    };
    let folder = Folder::new("outage-refusals");
    let model = folder.file("model.txt", model());
    let place = Place::new(&folder, "published");
    let output = folder.text("x.hedge");
    let make = |env: &[(&str, String)], more: &[&str]| -> Outcome {
        let against = place.root.to_str().unwrap();
        let mut args = vec![model.as_str(), "-o", &output, "--against", against];
        args.extend(more);
        generate(env, &args)
    };
    let reader = server.as_reader();
    assert!(make(&reader, &[]).ok());
    place.publish(&output);

    let column = "ALTER TABLE default.http_requests_features";
    server.run(&format!("{column} ADD COLUMN fresh UInt8"));
    make(&reader, &[]).refused(708, "list-unknown", &["row 61", "fresh"]);
    assert!(make(&reader, &["--unused"]).ok());
    server.run(&format!("{column} DROP COLUMN fresh"));

    server.run(&format!("{column} MODIFY COLUMN f07 Float64"));
    let words = ["f07 was Float32 and is Float64", "generation 1"];
    make(&reader, &[]).refused(710, "list-type-changed", &words);
    assert!(make(&reader, &["--accept-types"]).ok());
    server.run(&format!("{column} MODIFY COLUMN f07 String"));
    make(&reader, &[]).refused(709, "list-type", &["row 8", "String"]);
    server.run(&format!("{column} DROP COLUMN f07"));
    make(&reader, &[]).refused(707, "list-vanished", &["1 that are not there: f07"]);

    make(&reader, &["--database", "r0"]).refused(702, "list-empty", &["no rows"]);
    let wrong = server.with_password("wrong");
    make(&wrong, &[]).refused(701, "list-database", &["401"]);
    let broken = folder.file("broken.sql", "SELECT nothing FROM nowhere");
    make(&reader, &["--query", &broken]).refused(701, "list-database", &["status"]);
    let write = folder.file("write.sql", "DROP TABLE default.http_requests_features");
    make(&reader, &["--query", &write]).refused(701, "list-database", &["readonly"]);
    let foreign = folder.file(
        "foreign.sql",
        "SELECT database, table, name, type FROM system.columns WHERE database = 'system'",
    );
    make(&reader, &["--query", &foreign]).refused(703, "list-foreign", &["row 1 system."]);
    server.stop();
    make(&reader, &["--within", "2"]).refused(701, "list-database", &[]);
    for outcome in [make(&wrong, &[]), make(&reader, &["--within", "1"])] {
        assert!(!outcome.text().contains("wrong") && !outcome.text().contains(clickhouse::WORD));
    }
}

#[test]
fn a_running_table_gets_a_fresh_list_and_keeps_its_trees() {
    let Some(server) = ClickHouse::start("refresh") else {
        return;
    };
    let folder = Folder::new("outage-refresh");
    let model = folder.file("model.txt", model());
    let place = Place::new(&folder, "running");
    let (first, next) = (folder.text("first.hedge"), folder.text("next.hedge"));
    assert!(generate(&server.as_reader(), &[&model, "-o", &first]).ok());
    place.publish(&first);
    let root = place.root.to_str().unwrap();
    let env = server.as_reader();
    let refresh = |more: &[&str]| {
        let mut args = vec!["refresh", root, "--table", TABLE, "-o", &next];
        args.extend(more);
        clickhouse::run(&env, &args)
    };
    let done = refresh(&[]);
    assert!(done.ok(), "{done:?}");
    let (was, is) = (table(&first), table(&next));
    let golden = |table: &hedgerow::Table| table.golden_rows().map(|row| row.margin).collect();
    let (before, after): (Vec<i64>, Vec<i64>) = (golden(&was), golden(&is));
    assert_eq!(before, after);
    assert!(
        is.provenance().contains("\"f59\":\"Float32\""),
        "{}",
        is.provenance()
    );
    let old = folder.file("old.sql", OLD_QUERY);
    server.permit(true);
    server.wait_rows(2 * FEATURES);
    refresh(&["--query", &old]).refused(705, "list-duplicate", &["120 rows"]);
    let alter = "ALTER TABLE default.http_requests_features MODIFY COLUMN f00";
    server.run(&format!("{alter} UInt8"));
    refresh(&[]).refused(710, "list-type-changed", &["f00 was Float32 and is UInt8"]);
    let done = refresh(&["--accept-types"]);
    assert!(done.ok(), "{done:?}");
    assert!(table(&next).provenance().contains("\"f00\":\"UInt8\""));
}

#[test]
fn a_list_comes_over_tls_from_a_server_that_is_known() {
    let Some(server) = ClickHouse::start("tls") else {
        return;
    };
    let folder = Folder::new("outage-tls");
    let model = folder.file("model.txt", model());
    let output = folder.text("x.hedge");
    let args = [model.as_str(), "-o", &output, "--within", "5"];
    let (known, unknown) = (server.over_tls(true), server.over_tls(false));
    let done = generate(&known, &args);
    assert!(done.ok(), "{done:?}");
    generate(&unknown, &args).refused(701, "list-database", &[]);
}
