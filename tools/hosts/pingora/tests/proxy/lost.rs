//! No request is lost: load, while tables, switches and policies are replaced, good and bad.
//!
//! Three seconds; `HEDGEROW_PROXY_SECONDS=60 cargo test --release --test proxy lost -- --nocapture`
//! for long.

#[path = "../../../../cli/src/harness/faults.rs"]
#[allow(dead_code, reason = "the replay's own")]
mod faults;

use crate::common::*;
use crate::recorded::{self, Recorded};
use hedgerow::watch::Publisher;
use hedgerow::{DEFAULT_TABLE, Engine, Schema, Selector, Switches, Table};
use hedgerow_testkit::disturb::{self, content_id};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a table arrives.
const TICK: Duration = Duration::from_millis(50);

/// What is switched off at times, one at a time.
const SWITCHES: [Selector; 3] = [Selector::Engine, Selector::Ensemble, Selector::Detection(9)];

const CLIENTS: usize = 8;

/// Good and bad policies; none blocks anything but `/closed`.
const POLICIES: [&str; 6] = [
    "[default]\naction = \"tag\"\n",
    "[default\n",
    "[[route]]\nname = \"closed\"\npaths = [\"/closed\"]\naction = \"block\"\n",
    "[default]\nbelow = 0\n",
    "",
    "[[route]]\nname = \"everything\"\naction = \"block\"\n",
];

/// What an answer may say: by table, the scores with nothing and with one thing switched off; none
/// is no score.
type Allowed = [Vec<BTreeSet<Option<u8>>>; 2];

fn allowed(requests: &[Recorded], tables: &[Vec<u8>; 2]) -> Allowed {
    tables.each_ref().map(|table| {
        let engine = Engine::new(Schema::http_with_traffic());
        engine
            .publish(Table::from_bytes(table).expect("a table"))
            .expect("published");
        let mut scorer = engine.scorer().expect("a scorer");
        let mut sets = vec![BTreeSet::new(); requests.len()];
        let one = |selector: &Selector| Switches::from_iter([selector.clone()]);
        let states = SWITCHES.iter().map(one).chain([Switches::default()]);
        for state in states {
            engine.set_switches(state).expect("switched");
            for (request, set) in requests.iter().zip(&mut sets) {
                set.insert(
                    request
                        .verdict(&mut scorer)
                        .score()
                        .map(|score| score.get()),
                );
            }
        }
        sets
    })
}

/// What came back: the request's position, the generation and the score.
type Said = (usize, Option<u64>, Option<u8>);

/// Sends requests over and over on one connection; what came back, as often as it did.
fn client(
    proxy: &Proxy,
    requests: &[Recorded],
    from: usize,
    stop: &AtomicBool,
) -> BTreeMap<Said, u64> {
    let mut said = BTreeMap::new();
    let mut connection = Connection::new(proxy.address).expect("a connection");
    let mut at = from;
    while !stop.load(Ordering::Relaxed) {
        at = (at + CLIENTS) % requests.len();
        let wire = requests[at].wire();
        let answer = connection
            .ask(&wire)
            .expect("an answer: a request was lost");
        assert_eq!(answer.status, 200, "{answer:?}");
        // It is the answer to this request: the upstream tells the head that it got.
        let sent = String::from_utf8_lossy(&wire).into_owned();
        assert_eq!(answer.body.lines().next(), sent.lines().next());
        assert_eq!(
            header(&answer.body, "user-agent"),
            header(&sent, "user-agent")
        );
        let number = |name: &str| header(&answer.body, name).and_then(|text| text.parse().ok());
        let score = number("x-bot-score").and_then(|score: u64| u8::try_from(score).ok());
        *said
            .entry((at, number("x-bot-generation"), score))
            .or_insert(0) += 1;
        if at % 16 == from % 16 {
            let closed = connection
                .ask(curl("/closed").as_bytes())
                .expect("an answer");
            assert!(matches!(closed.status, 200 | 403), "{closed:?}");
        }
    }
    said
}

/// Publishes at every tick, good and bad by turns; which good table each generation is.
fn publish(
    tables: &Path,
    good: &[Vec<u8>; 2],
    bad: &[Vec<u8>],
    stop: &AtomicBool,
) -> BTreeMap<u64, usize> {
    let wait = Duration::from_secs(10);
    let publisher = || Publisher::create(tables, wait, "test").expect("a publisher");
    let mut generations = BTreeMap::new();
    let (mut turn, mut last, mut next) = (0usize, 0u64, Instant::now());
    while !stop.load(Ordering::Relaxed) {
        if turn % 2 == 0 {
            let table = Table::from_bytes(&good[turn / 2 % 2]).expect("a table");
            let published = publisher()
                .publish(&table, &Default::default())
                .expect("published");
            last = published.pointer.generation;
            generations.insert(last, turn / 2 % 2);
        } else {
            last += 1;
            place(tables, good, &bad[turn / 2 % bad.len()], last);
        }
        // Where a good table is active: its detections can be switched.
        if turn % 6 == 2 {
            let selector = &SWITCHES[turn / 12 % SWITCHES.len()];
            let off = turn / 6 % 2 == 0;
            publisher().switch(selector, off).expect("switched");
        }
        turn += 1;
        next += TICK;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    generations
}

/// Places bytes that no publisher would take, and points at them.
fn place(tables: &Path, good: &[Vec<u8>; 2], bytes: &[u8], generation: u64) {
    let mut id = content_id(bytes);
    // A fault that leaves the hash as it was gets another name: under its own it would take a good
    // table's place, or the pointer would name the good table.
    if good.iter().any(|good| content_id(good) == id) {
        id.0[..2].copy_from_slice(&[0xba, 0xd0]);
    }
    disturb::place(tables, generation, id, bytes);
}

#[test]
fn no_request_is_lost_while_everything_is_replaced() {
    let seconds = std::env::var("HEDGEROW_PROXY_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let lasts = Duration::from_secs(seconds.unwrap_or(3));
    let mut requests = recorded::requests();
    requests.retain(|request| !request.closes());
    let table = Table::from_bytes(DEFAULT_TABLE).expect("a table");
    let good = [DEFAULT_TABLE.to_vec(), faults::shifted(&table)];
    let mut bad: Vec<_> = faults::ALL
        .iter()
        .filter_map(|fault| fault.apply(&table))
        .collect();
    bad.extend(faults::constant(&table));
    assert!(bad.len() > 10, "{}", bad.len());
    let allowed = allowed(&requests, &good);

    let (upstream, folder) = (Upstream::start(), Folder::new());
    let config = folder.put("policy.toml", "");
    let tables = folder.path("tables");
    let wait = Duration::from_secs(10);
    let first = Publisher::create(&tables, wait, "test").expect("a publisher");
    let first = first
        .publish(&table, &Default::default())
        .expect("published");
    let path = |path: &Path| path.to_str().expect("a path").to_string();
    let arguments = [
        "--config".into(),
        path(&config),
        "--tables".into(),
        path(&tables),
        "--log".into(),
        path(&folder.path("log")),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut proxy = Proxy::start_in(folder, upstream.address, &arguments);
    let stop = AtomicBool::new(false);
    let (said, mut generations) = std::thread::scope(|scope| {
        let (proxy, requests, stop) = (&proxy, &requests, &stop);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|from| scope.spawn(move || client(proxy, requests, from, stop)))
            .collect();
        let publisher = scope.spawn(|| publish(&tables, &good, &bad, stop));
        let start = Instant::now();
        for turn in 0.. {
            if start.elapsed() >= lasts || clients.iter().any(|client| client.is_finished()) {
                break;
            }
            proxy
                .folder
                .put("policy.toml", POLICIES[turn % POLICIES.len()]);
            if turn % 5 == 0 {
                proxy.signal(libc::SIGHUP);
            }
            std::thread::sleep(Duration::from_millis(130));
        }
        stop.store(true, Ordering::Relaxed);
        let said: Vec<_> = clients
            .into_iter()
            .map(|client| client.join().expect("a client"))
            .collect();
        (said, publisher.join().expect("the publisher"))
    });
    generations.insert(first.pointer.generation, 0);

    let counts = hold(&said, &generations, &allowed);
    assert!(proxy.is_alive());
    judge(&proxy, counts, generations.len());
}

/// Holds each answer against the table that it claims to come from: answers, scores, generations.
fn hold(
    said: &[BTreeMap<Said, u64>],
    generations: &BTreeMap<u64, usize>,
    allowed: &Allowed,
) -> (u64, u64, usize) {
    let (mut answers, mut scored, mut seen) = (0, 0, BTreeSet::new());
    for ((at, generation, score), count) in said.iter().flatten() {
        let generation = generation.expect("every verdict has its generation");
        let table = generations.get(&generation);
        let table = *table.unwrap_or_else(|| panic!("a bad table answered: {generation}"));
        let allowed = &allowed[table][*at];
        assert!(
            allowed.contains(score),
            "{at} {generation}: {score:?} not of {allowed:?}"
        );
        answers += count;
        scored += if score.is_some() { *count } else { 0 };
        seen.insert(generation);
    }
    (answers, scored, seen.len())
}

/// Holds what the proxy says of itself against what must be.
fn judge(proxy: &Proxy, (answers, scored, seen): (u64, u64, usize), generations: usize) {
    let status = proxy.status();
    let watch = &status["watch"];
    println!(
        "{answers} answers, {scored} scored, under {} generations of {}; refused tables {}, \
         quarantined {}, refused policies {}, taken {}",
        seen,
        generations,
        watch["refusals"],
        watch["quarantines"],
        status["policy"]["refusals"],
        status["policy"]["taken"]
    );
    assert!(answers > 100 && scored > 0 && seen > 3, "{status}");
    assert_eq!(status["statuses"]["5xx"], 0, "{status}");
    assert_eq!(status["statuses"]["none"], 0, "{status}");
    for trouble in ["panic", "no-scorer", "no-table"] {
        assert_eq!(status["not_scored"][trouble], 0, "{status}");
    }
    assert!(
        !watch["refusals"].as_object().expect("refusals").is_empty(),
        "{status}"
    );
    assert!(
        status["policy"]["taken"].as_u64().expect("a count") > 3,
        "{status}"
    );
    assert!(
        !status["policy"]["refusals"]
            .as_object()
            .expect("refusals")
            .is_empty(),
        "{status}"
    );
}
