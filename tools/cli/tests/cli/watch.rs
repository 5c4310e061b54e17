//! Publishing, rollback, switches, keys and signatures, as a person and a script meet them.

use super::common::*;
use serde_json::Value;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const MANUAL: &str = include_str!("../../../../src/manual/operations.md");

/// Every command of the manual's chapter, as it is written, one after the other.
#[test]
fn the_manuals_commands_work_as_written() {
    let folder = Folder::new("manual");
    let directory = folder.path("watched");
    let commands = MANUAL
        .lines()
        .filter_map(|line| line.strip_prefix("$ hedgerow "));
    let commands: Vec<&str> = commands.collect();
    assert!(commands.len() > 15, "{commands:?}");
    let rollback = commands
        .iter()
        .position(|line| line.starts_with("rollback"));
    for (at, line) in commands.into_iter().enumerate() {
        // Going back needs something to go back from.
        if Some(at) == rollback {
            run(&["publish", &other_table(&folder), &directory]).done();
        }
        let line = line.replace("$DIR", &directory);
        let args: Vec<&str> = line.split(' ').collect();
        run(&args).done();
    }
    let history = run(&["history", &directory, "--json", "--last", "100"]).json();
    assert_eq!(history["problems"], serde_json::json!([]));
    let last = history["generations"].as_array().unwrap().last().unwrap();
    assert_eq!(*last, 1001, "{history}");
}

/// The bundled table with another provenance and hash.
fn other_table(folder: &Folder) -> String {
    let mut bytes = hedgerow::DEFAULT_TABLE.to_vec();
    let created = std::mem::offset_of!(hedgerow::table::format::Header, created_at);
    bytes[created] ^= 1;
    hedgerow::table::format::rehash(&mut bytes);
    folder.file("other.hedge", bytes)
}

#[test]
fn a_table_is_published_and_gone_back_from() {
    let folder = Folder::new("publish");
    let directory = folder.path("new/deep");
    let other = other_table(&folder);
    let first = run(&["publish", "default", &directory, "--json", "--by", "me"]).json();
    assert_eq!(
        (&first["ok"], &first["generation"]),
        (&true.into(), &1.into())
    );
    assert_eq!(first["origin"]["who"], "me");
    assert!(
        run(&["publish", &other, &directory])
            .done()
            .contains("generation 2")
    );
    let said = run(&["rollback", &directory]).done();
    assert!(
        said.contains("generation 3") && said.contains("was generation 1"),
        "{said}"
    );
    run(&["rollback", &directory]).refused(&["no such generation", "nothing before"]);
    run(&["rollback", &directory, "9"]).refused(&["one of 1, 2, 3", "got 9"]);

    let status = run(&["status", &directory, "--json"]).json();
    assert_eq!(status["active"]["generation"], 3);
    assert_eq!(status["active"]["content_id"], first["content_id"]);
    assert_eq!(
        (&status["engines"], &status["problems"]),
        (&Value::Array(vec![]), &Value::Array(vec![]))
    );
    let status = run(&["status", &directory]).done();
    assert!(
        status.contains("generation 3") && status.contains("nothing is off"),
        "{status}"
    );
    let history = run(&["history", &directory, "--json"]).json();
    assert_eq!(history["generations"], serde_json::json!([1, 2, 3]));
    assert_eq!(history["kept"], serde_json::json!([1, 2, 3]));
    assert_eq!(history["records"][2]["event"], "rollback");
    let lines = run(&["history", &directory, "--last", "1"]).done();
    assert!(
        lines.starts_with("20") && lines.contains("rollback  generation 3 from 1"),
        "{lines}"
    );
    assert_eq!(lines.lines().count(), 2);
    assert!(
        lines.ends_with("tables of 3 generations are kept: 1 to 3\n"),
        "{lines}"
    );
    // What was not kept ends a range; what was never published does not.
    run(&["publish", &other, &directory, "--above", "9"]).done();
    std::fs::remove_file(
        Path::new(&directory)
            .join("tables")
            .join(format!("{}.hedge", first["content_id"].as_str().unwrap())),
    )
    .unwrap();
    let lines = run(&["history", &directory]).done();
    assert!(
        lines.ends_with("tables of 2 generations are kept: 2, 10\n"),
        "{lines}"
    );
}

#[test]
fn status_says_how_engines_are_seen() {
    let folder = Folder::new("status-none");
    let directory = folder.path("watched");
    run(&["publish", "default", &directory]).done();
    let said = run(&["status", &directory]).done();
    holds(
        &said,
        &[
            "none keeps its state in",
            "WatchOptions::state",
            "bot_score_state",
            "--state",
        ],
    );
}

#[test]
fn a_report_that_cannot_be_written_says_what_was_done() {
    let folder = Folder::new("publish-full");
    let directory = folder.path("watched");
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_hedgerow"))
        .args(["publish", "default", &directory])
        .stdout(full)
        .output()
        .unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(1), "{said}");
    holds(
        &said,
        &[
            "No space left",
            "the command had ended",
            "published: generation 1",
        ],
    );
}

#[test]
fn paths_that_are_no_text_are_taken_by_every_command() {
    let folder = Folder::new("no-utf-8");
    let root = PathBuf::from(folder.path(""));
    let path = |name: &[u8]| root.join(OsStr::from_bytes(name));
    let (model, table, directory) = (path(b"m\xff.json"), path(b"t\xff.hedge"), path(b"d\xff"));
    std::fs::write(&model, MODEL).unwrap();
    let rows = path(b"r\xff.csv");
    std::fs::write(&rows, "f0,f1,f2,f3\n1,2,3,4\n").unwrap();
    let schema = path(b"s\xff.toml");
    std::fs::write(
        &schema,
        "features = [{ name = 'f0' }, { name = 'f1' }, { name = 'f2' }, { name = 'f3' }]",
    )
    .unwrap();
    let [model, table, directory, rows, schema] =
        [&model, &table, &directory, &rows, &schema].map(|path| path.as_os_str());
    let word = OsStr::new;
    let key = path(b"k\xff");
    let public = path(b"k\xff.pub");
    let (key, public) = (key.as_os_str(), public.as_os_str());
    for args in [
        &[
            word("compile"),
            model,
            word("--positive"),
            word("human"),
            word("-o"),
            table,
        ][..],
        &[word("inspect"), table],
        &[word("verify"), table, word("--schema"), schema],
        &[word("diff"), table, table],
        &[word("score"), table, rows],
        &[word("explain"), table, rows],
        &[word("bench"), table, rows, word("--seconds"), word("0.01")],
        &[word("key"), word("new"), key],
        &[word("sign"), table, word("--key"), key],
        &[
            word("publish"),
            table,
            directory,
            word("--schema"),
            schema,
            word("--trust"),
            public,
        ],
        &[
            word("shadow"),
            table,
            directory,
            word("--schema"),
            schema,
            word("--name"),
            word("x"),
            word("--trust"),
            public,
        ],
        &[word("status"), directory],
        &[word("history"), directory],
        &[word("kill"), directory, word("ensemble")],
    ] {
        let run = Command::new(env!("CARGO_BIN_EXE_hedgerow"))
            .args(args)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(0), "{args:?}: {said}");
    }
}

#[test]
fn what_is_refused_is_not_published_and_leaves_nothing_behind() {
    let folder = Folder::new("publish-refused");
    let directory = folder.path("watched");
    let mut flipped = hedgerow::DEFAULT_TABLE.to_vec();
    flipped[70_000] ^= 1;
    let bad = folder.file("bad.hedge", flipped);
    let stranger = folder.table();
    for (table, code) in [(&bad, 206), (&stranger, 401)] {
        let refused = run(&["publish", table, &directory, "--json"]);
        assert_eq!((refused.status, &refused.json()["code"]), (1, &code.into()));
        run(&["publish", table, &directory]).refused(&[table]);
    }
    assert!(!std::path::Path::new(&directory).exists());
    run(&["publish", &stranger, &directory, "--schema", "model"]).done();
    for command in ["status", "history", "rollback"] {
        run(&[command, &folder.path("nowhere")]).refused(&["nowhere"]);
    }
    run(&["kill", &folder.path("nowhere"), "engine"]).refused(&["nowhere"]);
    assert!(!std::path::Path::new(&folder.path("nowhere")).exists());
    let file = folder.file("file", "");
    run(&["publish", "default", &file]).refused(&["file"]);
    run(&["status", &file]).refused(&["file"]);
    for keep in ["1", "0", "x"] {
        run(&["publish", "default", &directory, "--keep", keep]).usage(&["--keep"]);
    }
    run(&["publish", "default", &directory, "--wait", "-1"]).usage(&[]);
}

#[test]
fn switches_are_flipped_by_exact_names_alone() {
    let folder = Folder::new("switch");
    let directory = folder.path("watched");
    run(&["publish", "default", &directory]).done();
    let name = hedgerow::Schema::http().features()[0].name.clone();
    let feature = format!("feature:{name}");
    for bad in [
        "",
        "all",
        "*",
        "Engine",
        "feature:",
        "feature",
        "detection:x",
        "engine ",
    ] {
        run(&["kill", &directory, bad]).usage(&["SELECTOR", "feature:NAME"]);
        run(&["restore", &directory, bad]).usage(&["SELECTOR"]);
    }
    run(&["kill", &directory]).usage(&[]);
    run(&["kill", &directory, "feature:no.such"]).refused(&["feature:no.such", "another name"]);
    run(&["kill", &directory, "detection:99"]).refused(&["detection:99"]);
    run(&["restore", &directory, "engine"]).refused(&["nothing is"]);
    assert!(!folder.names().contains(&"switches".to_string()));

    run(&["kill", &directory, &feature]).done();
    let json = run(&["kill", &directory, "engine", "--json"]).json();
    assert_eq!(json["off"], serde_json::json!(["engine", feature]));
    let status = run(&["status", &directory]).done();
    assert!(
        status.contains(&format!("off: engine, {feature}")),
        "{status}"
    );
    assert!(
        run(&["restore", &directory, "engine"])
            .done()
            .contains(&feature)
    );
    assert!(
        run(&["restore", &directory, &feature])
            .done()
            .contains("nothing is off")
    );
    // A file that was damaged by hand is made again from the ledger, and that is told.
    run(&["kill", &directory, "ensemble"]).done();
    folder.file("watched/switches", "{\"off\": [\"all\"]}");
    let status = run(&["status", &directory]).done();
    assert!(
        status.contains("problem") && status.contains("switches   not known"),
        "{status}"
    );
    let said = run(&["kill", &directory, "engine"]).done();
    assert!(
        said.contains("warning: ") && said.contains("engine, ensemble"),
        "{said}"
    );
    let active = folder.file("watched/active", "{");
    let status = run(&["status", &directory]).done();
    assert!(
        status.contains("active     not known") && status.contains(&active),
        "{status}"
    );
}

#[test]
fn keys_are_made_once_and_sign_what_others_verify() {
    let folder = Folder::new("keys");
    let (key, directory) = (folder.path("ops.key"), folder.path("watched"));
    let made = run(&["key", "new", &key, "--json"]).json();
    assert_eq!(made["name"], "ops");
    let mode = |path: &str| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&key), 0o600);
    let secret = std::fs::read_to_string(&key).unwrap();
    run(&["key", "new", &key]).refused(&["ops.key"]);
    assert_eq!(std::fs::read_to_string(&key).unwrap(), secret);
    std::fs::remove_file(format!("{key}.pub")).unwrap();
    run(&["key", "new", &key]).refused(&["ops.key"]);
    assert!(!std::path::Path::new(&format!("{key}.pub")).exists());
    let shown = run(&["key", "show", &key]).done();
    assert!(shown.contains(made["public"].as_str().unwrap()), "{shown}");
    let digits = secret.trim().rsplit(' ').next().unwrap();
    assert!(!shown.contains(digits));

    let public = format!(
        "hedgerow-public-key-1 ops {}\n",
        made["public"].as_str().unwrap()
    );
    let public = folder.file("ops.pub", public);
    assert_eq!(run(&["key", "show", &public]).done(), shown);
    run(&["key", "show", &folder.table()]).refused(&["model.hedge"]);
    let signed = folder.path("signed.hedge");
    run(&["sign", "default", "--key", &key]).usage(&["--output"]);
    run(&["sign", "default", "--key", &public, "-o", &signed]).refused(&["ops.pub"]);
    run(&["sign", "default", "--key", &key, "-o", &signed]).done();
    let trust = ["--trust", &public, "--require-signature"];
    run(&[&["verify", &signed][..], &trust].concat()).done();
    let unsigned = run(&["verify", "default", "--trust", &public]).done();
    assert!(unsigned.contains("NOT SIGNED"), "{unsigned}");
    run(&[&["verify", "default"][..], &trust].concat()).refused(&["signature-missing", "ops"]);
    assert!(
        run(&["verify", &signed])
            .done()
            .contains("was not verified")
    );
    run(&["publish", &signed, &directory]).refused(&["signature-key"]);
    run(&[&["publish", "default", &directory][..], &trust].concat()).refused(&["not signed"]);
    run(&[&["publish", &signed, &directory][..], &trust].concat()).done();
    // In its place, by another key that nobody trusts.
    let other = folder.path("other.key");
    run(&["key", "new", &other, "--name", "intruder"]).done();
    run(&["sign", &signed, "--key", &other]).done();
    run(&[&["verify", &signed][..], &trust].concat()).refused(&["signature-key"]);
    // A secret that others can read is none.
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    run(&["sign", "default", "--key", &key, "-o", &signed]).refused(&["0640", "0600"]);
}

#[test]
fn a_table_is_forced_tried_in_shadow_and_promoted() {
    let folder = Folder::new("shadow");
    let directory = folder.path("watched");
    let other = other_table(&folder);
    let forced = run(&["publish", "default", &directory, "--force", "--json"]).json();
    assert_eq!(
        (&forced["generation"], &forced["forced"]),
        (&1.into(), &true.into())
    );
    assert!(run(&["force", &directory]).done().contains("generation 2"));
    run(&["force", &directory, "9"]).refused(&["no such generation", "got 9"]);
    let status = run(&["status", &directory]).done();
    assert!(status.contains("forced"), "{status}");

    let said = run(&["shadow", &other, &directory, "--share", "0.5"]).done();
    assert!(said.contains("shadows now: other"), "{said}");
    let json = run(&["shadow", "default", &directory, "--name", "two", "--json"]).json();
    assert_eq!(json["shadows"].as_array().unwrap().len(), 2);
    let status = run(&["status", &directory]).done();
    assert!(
        status.contains("other on 50 % of sampled rows, two on 100 %"),
        "{status}"
    );
    let said = run(&["shadow", "--remove", "two", &directory]).done();
    assert!(said.contains("shadows now: other"), "{said}");
    run(&["shadow", "--remove", "two", &directory]).refused(&["one of the shadows other"]);
    run(&["promote", &directory, "two"]).refused(&["one of the shadows other"]);
    let promoted = run(&["promote", &directory, "other", "--json"]).json();
    assert_eq!(promoted["generation"], 3);
    let status = run(&["status", &directory, "--json"]).json();
    assert_eq!(status["active"]["content_id"], promoted["content_id"]);
    assert_eq!(status["shadows"]["shadows"], serde_json::json!([]));
    let history = run(&["history", &directory]).done();
    for word in ["forced", "shadow other", "unshadow", "generation 3"] {
        assert!(history.contains(word), "{word}: {history}");
    }
}

/// An engine's state is shown whole: what was held back, what the watchdog saw, and the shadows.
#[test]
fn status_shows_quarantine_watchdog_and_shadows() {
    use hedgerow::{DEFAULT_TABLE, Engine, Schema, Table, WatchOptions, Watcher};
    let folder = Folder::new("status-all");
    let directory = folder.path("watched");
    run(&["publish", "default", &directory]).done();
    run(&["shadow", "default", &directory, "--name", "same"]).done();
    let engine = Engine::new(Schema::http());
    let options = WatchOptions {
        state: Some(format!("{directory}/engines/a").into()),
        ..WatchOptions::default()
    };
    let watcher = Watcher::start(&engine, &directory, options).unwrap();
    let wait = |so: &dyn Fn() -> bool| {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !so() {
            assert!(std::time::Instant::now() < until, "{:?}", watcher.status());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    };
    run(&["publish", &other_table(&folder), &directory]).done();
    wait(&|| watcher.status().generation == 2);
    wait(&|| watcher.status().shadows.iter().any(|it| it.runs));
    let mut scorer = engine.scorer().unwrap();
    let table = Table::from_bytes(DEFAULT_TABLE).unwrap();
    let prepared = hedgerow::PreparedTable::new(table, engine.schema()).unwrap();
    for golden in prepared.table().golden_rows() {
        let _ = scorer.score(&prepared.row(&golden.values));
    }
    wait(&|| watcher.status().shadows.iter().any(|it| it.rows == 128));
    // The same margins for everyone: a score map that knows two scores.
    let low = folder.file("low.hedge", everyone_is_a_bot());
    run(&["publish", &low, &directory]).done();
    wait(&|| watcher.status().quarantines == 1);
    drop(watcher);
    let status = run(&["status", &directory]).done();
    for words in [
        "generation 2 since",
        "held back  generation 3",
        "quarantine generation 3",
        "hedgerow force DIR 3",
        "watchdog   watches: generation 2 after 1",
        "shadow     same: 128 rows beside generation 2; 0.0 % are 10 or more apart",
        "reservoir  128 live rows",
    ] {
        assert!(status.contains(words), "{words}: {status}");
    }
    let json = run(&["status", &directory, "--json"]).json();
    let engine = &json["engines"][0];
    assert_eq!(engine["quarantines"], 1);
    assert_eq!(engine["quarantined"][0]["drift"]["source"], "golden");
    assert_eq!(engine["watchdog"]["generation"], 2);
    assert_eq!(engine["shadows"][0]["rows"], 128);
    assert_eq!(engine["reservoir"], 128);
}

/// The bundled table with a score map of which every margin is below.
fn everyone_is_a_bot() -> Vec<u8> {
    use hedgerow::table::format::Section;
    let mut bytes = hedgerow::DEFAULT_TABLE.to_vec();
    let table = hedgerow::Table::from_bytes(&bytes).unwrap();
    let at = table.header().offsets[Section::ScoreMap as usize] as usize;
    for entry in bytes[at..at + 98 * 8].chunks_exact_mut(8) {
        entry.copy_from_slice(&(1i64 << 52).to_le_bytes());
    }
    hedgerow::table::format::rehash(&mut bytes);
    bytes
}
