//! Fifty agents on this machine: how long until the last one's engine has what was published,
//! switched off, or gone back to. `tools/fleet/measure.sh` prints the figures.

use super::support::given;
use super::*;
use hedgerow::Schema;
use hedgerow::model::{BuildOptions, Ensemble, Missing, Split, Test, Tree, build};

/// A table of about 1 MB; each number gives the same scores and another content.
fn large(number: u64) -> Vec<u8> {
    let mut state = 7u64;
    let mut next = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let features: Vec<_> = Schema::http().features().iter().take(64).cloned().collect();
    let mut tree = || Tree::Oblivious {
        splits: (0..6)
            .map(|_| Split {
                feature: next(64) as u16,
                test: Test::Above(next(200) as f32 / 10.0),
                missing: Missing::Left,
                zero_is_missing: false,
            })
            .collect(),
        leaves: (0..64).map(|_| next(1_000) as f64 / 1e5 - 5e-3).collect(),
        weights: Vec::new(),
    };
    let ensemble = Ensemble {
        features,
        trees: (0..3_400).map(|_| tree()).collect(),
        bias: 0.0,
    };
    let row = |index: u64| {
        (0..64)
            .map(|at| ((index * 31 + at * 7) % 200) as f32 / 10.0)
            .collect()
    };
    let options = BuildOptions {
        created_at: number,
        golden: (0..16).map(row).collect(),
        ..BuildOptions::default()
    };
    build(&ensemble, &options).unwrap().bytes
}

/// Returns how long it takes until all nodes are so.
fn last(nodes: &[Node], so: impl Fn(&Node) -> bool) -> Duration {
    let started = Instant::now();
    let until = started + Duration::from_secs(60);
    for node in nodes {
        while !so(node) {
            assert!(Instant::now() < until, "{}: {}", node.name, node.log());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    started.elapsed()
}

fn print(what: &str, times: &mut [Duration]) {
    times.sort();
    let ms = |at: usize| times.get(at).map_or(0, Duration::as_millis);
    let (least, median, most) = (
        ms(0),
        ms(times.len() / 2),
        ms(times.len().saturating_sub(1)),
    );
    println!(
        "{what:<44} {least:>5} {median:>6} {most:>5} ms, of {}",
        times.len()
    );
}

/// How long each change took, from its command's start to the last engine.
#[derive(Default)]
struct Times {
    published: Vec<Duration>,
    back: Vec<Duration>,
    off: Vec<Duration>,
    on: Vec<Duration>,
}

impl Times {
    /// Publishes, goes back, switches off and on again.
    fn round(&mut self, nodes: &[Node], address: &str, file: &str) {
        let started = Instant::now();
        let generation = publish(address, file, &[]).generation();
        last(nodes, |node| node.generation() == generation);
        self.published.push(started.elapsed());
        let started = Instant::now();
        let generation = run(&["rollback", address]).generation();
        last(nodes, |node| node.generation() == generation);
        self.back.push(started.elapsed());
        for (verb, times) in [("kill", &mut self.off), ("restore", &mut self.on)] {
            std::thread::sleep(Duration::from_millis(300));
            let started = Instant::now();
            assert_eq!(run(&[verb, "ensemble", address]).status, 0);
            last(nodes, |node| {
                node.watcher.status().switches.is_empty() == (verb == "restore")
            });
            times.push(started.elapsed());
        }
    }
}

#[test]
fn the_last_of_many_agents_has_it_soon() {
    let count = given("HEDGEROW_FLEET_AGENTS", 5);
    let (_servers, tables, address) = fleet!("many", 1);
    // A fleet's machines do not share one disk: the folders may be in memory.
    let places = Folder::within("HEDGEROW_FLEET_PLACES", "fleet-many-nodes");
    let nodes: Vec<Node> = (0..count)
        .map(|at| Node::new(&places, &format!("n{at}"), &address, &[]))
        .collect();
    let mut number = 0;
    let mut next = || {
        number += 1;
        tables.file(&format!("{number}.hedge"), large(number))
    };
    let size = std::fs::metadata(next()).unwrap().len();
    println!("{count} agents, {size} bytes a table; from the command's start to the last engine:");
    println!("{:<44} least median  most", "");
    let first = publish(&address, &next(), &["--wait", "60"]).generation();
    last(&nodes, |node| node.generation() == first);
    let mut times = Times::default();
    for _ in 0..given("HEDGEROW_FLEET_MEASURES", 1) {
        times.round(&nodes, &address, &next());
    }
    print("publish", &mut times.published);
    print("rollback", &mut times.back);
    print("kill ensemble", &mut times.off);
    print("restore ensemble", &mut times.on);
    // Far above what is measured alone: others may be at work here.
    let least = [&times.published, &times.back, &times.off].map(|times| times[0]);
    let bounds = [20, 20, 10].map(Duration::from_secs);
    assert!(
        least.iter().zip(bounds).all(|(time, bound)| *time < bound),
        "{least:?}"
    );
}
