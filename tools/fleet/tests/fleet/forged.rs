//! Records of intruders: the next record does not take them over, and they steer no rollout.
//! Machines whose directories have higher numbers than the store.

use super::*;
use hedgerow::Table;
use hedgerow::watch::directory::{FILES_VERSION, Pointer, SwitchesFile};
use hedgerow::watch::{Origin, Publisher, SecretKey};
use serde_json::{Value, json};

/// Writes a record, as a user with the right to write may.
fn put(address: &str, key: &str, value: &Value) {
    put_key(address, key, value.to_string().as_bytes());
}

/// Returns the current record of a key.
fn envelope(address: &str, key: &str) -> Value {
    let bytes = with_context(address, async |context| {
        let keys = context.get_key_value("hedgerow").await.unwrap();
        keys.get(key).await.unwrap().unwrap()
    });
    serde_json::from_slice(&bytes).unwrap()
}

/// Replaces the record of a key by the same, edited and unsigned.
fn forge(address: &str, key: &str, edit: impl FnOnce(&mut Value)) {
    let there = envelope(address, key);
    let mut body: Value = serde_json::from_str(there["body"].as_str().unwrap()).unwrap();
    edit(&mut body);
    put(address, key, &json!({ "body": body.to_string() }));
}

/// A secret key's file, and its public half's.
fn key(folder: &Folder) -> (SecretKey, String, String) {
    let secret = SecretKey::new("ops").unwrap();
    let file = folder.secret("ops.key", secret.secret_text());
    let public = folder.file("ops.pub", secret.public().text());
    (secret, file, public)
}

/// Writes as an intruder without a key: everything off, the numbers used up, another table.
fn intrude(address: &str) {
    forge(address, "switches", |body| {
        body["file"]["off"] = json!(["engine"]);
        body["file"]["change"] = json!((1u64 << 62) - 1);
    });
    forge(address, "pointer.all", |body| {
        body["pointer"]["content_id"] = json!(content_id(9));
        body["pointer"]["generation"] = json!((1u64 << 62) - 2);
        body["table_generation"] = json!(u64::MAX);
        body["features"] = json!([]);
    });
    put(
        address,
        "generation",
        &json!({
            "generation": (1u64 << 62) - 2,
            "ring": "all",
            "content_id": content_id(9),
            "at": "",
            "origin": envelope(address, "generation")["origin"],
        }),
    );
}

#[test]
fn what_nobody_signed_is_not_signed_with_the_next_record() {
    let (_servers, folder, address) = fleet!("forged", 1);
    let (secret, file, public) = key(&folder);
    let trust = ["--trust", &public, "--require-signature"];
    let node = Node::new(&folder, "careful", &address, &trust);
    let signed = |number: u8| {
        let name = format!("signed-{number}.hedge");
        folder.file(&name, secret.sign(&bytes(number)))
    };
    let with = ["--key", &file, "--wait", "20"];
    for number in [1, 2] {
        let done = publish(&address, &signed(number), &with);
        assert_eq!(done.generation(), u64::from(number), "{done:?}");
    }
    let switch =
        |verb: &str, selector: &str| run(&[&[verb, selector, &address][..], &with].concat());
    assert_eq!(switch("kill", "feature:ua_bot_word").status, 0);

    let first = envelope(&address, "switches");

    intrude(&address);
    let killed = switch("kill", "ensemble");
    let off = json!(["ensemble", "feature:ua_bot_word"]);
    assert_eq!(
        (killed.status, &killed.json["off"]),
        (0, &off),
        "{killed:?}"
    );
    assert!(
        killed.json["change"].as_u64().unwrap() < 1_000,
        "{killed:?}"
    );
    assert!(
        killed.json["warnings"].to_string().contains("switches"),
        "{killed:?}"
    );
    node.wait_off(&["ensemble", "feature:ua_bot_word"]);
    // The first change, signed well and put there again, brings nothing back.
    put(&address, "switches", &first);
    // The selectors of the signed table are known.
    let killed = switch("kill", "feature:ua_bot_word");
    assert_eq!(
        (killed.status, &killed.json["off"]),
        (0, &off),
        "{killed:?}"
    );
    let back = run(&[&["rollback", &address][..], &with].concat());
    back.published(3, "/from_generation", 1);
    node.wait_table(3, content_id(1));
    // Publishes are still possible.
    forge(&address, "pointer.all", |body| {
        body["pointer"]["generation"] = json!((1u64 << 62) - 2);
        body["table_generation"] = json!(u64::MAX);
    });
    let next = publish(&address, &signed(4), &with);
    assert_eq!(next.generation(), 4, "{next:?}");
    node.wait_table(4, content_id(4));
    node.is_sound();
}

#[test]
fn a_rollout_with_a_key_is_forced_by_a_key_alone() {
    let (_servers, folder, address) = fleet!("steered", 1);
    let (_, file, public) = key(&folder);
    let node = Node::new(
        &folder,
        "one",
        &address,
        &["--trust", &public, "--ring", "canary"],
    );
    let table = folder.table(1);
    let args = [
        "rollout", &table, &address, "--rings", "canary", "--soak", "60",
    ];
    let mut rollout = spawn(&[&args[..], &["--key", &file]].concat());
    node.wait(1);
    let steer = |more: &[&str]| {
        let report = run(&[&["steer", "force", &address, "--ring"][..], more].concat());
        assert_eq!(report.status, 0, "{report:?}");
    };
    steer(&["canary"]);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(rollout.try_wait().unwrap(), None, "unsigned");
    steer(&["canary", "--key", &file]);
    node.wait_for("the rollout's end", || {
        std::path::Path::new(&format!("/proc/{}/exe", rollout.id()))
            .read_link()
            .is_err()
    });
    assert!(rollout.wait().unwrap().success());
}

#[test]
fn a_node_that_is_ahead_of_the_store_is_told_and_overtaken() {
    let (_servers, folder, address) = fleet!("ahead", 1);
    // The directory followed another store before, and has higher numbers.
    let directory = folder.path("old");
    fs::create_dir_all(directory.join("tables")).unwrap();
    let origin = Origin::here("before");
    let publisher = || Publisher::create(&directory, Duration::from_secs(5), "before").unwrap();
    let file = bytes(1);
    let pointer = Pointer {
        version: FILES_VERSION,
        generation: 40,
        content_id: content_id(1),
        bytes: file.len() as u64,
        from_generation: None,
        forced: false,
        at: String::new(),
        origin: origin.clone(),
    };
    publisher()
        .follow(&Table::from_bytes(&file).unwrap(), &pointer)
        .unwrap();
    let switches = SwitchesFile {
        version: FILES_VERSION,
        change: 90,
        off: vec!["ensemble".into()],
        at: String::new(),
        origin,
    };
    publisher().follow_switches(&switches).unwrap();
    let node = Node::new(&folder, "old", &address, &[]);
    node.wait(40);
    node.wait_for("a report", || {
        let status = run(&["status", &address]);
        status.status == 1 && status.json.to_string().contains("ahead of the fleet")
    });
    let next = publish(&address, &folder.table(2), &["--wait", "20"]);
    next.published(41, "/nodes/done", 1);
    node.wait_table(41, content_id(2));
    let restored = run(&["kill", "engine", &address, "--wait", "20"]);
    assert_eq!(
        (restored.status, &restored.json["change"]),
        (0, &json!(91)),
        "{restored:?}"
    );
    node.wait_off(&["engine"]);
    let above = publish(
        &address,
        &folder.table(3),
        &["--above", "100", "--wait", "20"],
    );
    assert_eq!(above.generation(), 101, "{above:?}");
    assert_eq!(run(&["status", &address]).status, 0);
}

#[test]
fn a_rollout_ends_where_somebody_else_goes_back() {
    let (_servers, folder, address) = fleet!("stepped", 1);
    let canary = Node::new(&folder, "canary", &address, &["--ring", "canary"]);
    publish(&address, &folder.table(1), &["--wait", "20"]).generation();
    let table = folder.table(2);
    let args = [
        "rollout",
        &table,
        &address,
        "--rings",
        "canary,all",
        "--soak",
        "30",
    ];
    let rollout = spawn(&args);
    canary.wait_table(2, content_id(2));
    let back = run(&["rollback", &address, "--ring", "canary", "--wait", "20"]);
    assert_eq!(back.generation(), 3, "{back:?}");
    let output = rollout.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["name"], "fleet-crossed", "{report}");
    // No other ring got the table, and no ring went back a second time.
    let history = run(&["history", &address]).json.to_string();
    assert!(!history.contains("\"generation\":4"), "{history}");
    canary.wait_table(3, content_id(1));
}

/// Fills a key's history with junk, so that nothing else is left of it, and puts a value back.
fn put_back(address: &str, key: &str, value: Option<&Value>) {
    for number in 0..64 {
        put_key(address, key, format!("junk {number}").as_bytes());
    }
    if let Some(value) = value {
        put(address, key, value);
    }
}

#[test]
fn an_old_value_behind_junk_is_not_signed_anew() {
    let (_servers, folder, address) = fleet!("replayed", 1);
    let (_, file, public) = key(&folder);
    let node = Node::new(&folder, "one", &address, &["--trust", &public]);
    let with = ["--key", &file, "--wait", "20"];
    let switch = |args: &[&str]| run(&[&args[..2], &[&address], &with[..], &args[2..]].concat());
    for number in [1, 2, 3] {
        let table = folder.table(number);
        let done = publish(&address, &table, &with);
        assert_eq!(done.status, 0, "{done:?}");
        if number == 1 {
            let pointer = envelope(&address, "pointer.all");
            folder.file("pointer.json", pointer.to_string());
        }
    }
    assert_eq!(switch(&["kill", "engine"]).status, 0);
    let engine_off = envelope(&address, "switches");
    assert_eq!(switch(&["restore", "engine"]).status, 0);

    // The node's report has the later change.
    put_back(&address, "switches", Some(&engine_off));
    switch(&["kill", "feature:ua_bot_word"]).fails("fleet-stale");
    // Nothing signed at all.
    put_back(&address, "switches", None);
    switch(&["kill", "feature:ua_bot_word"]).fails("fleet-stale");
    assert_eq!(node.watcher.status().switches, Vec::<String>::new());
    // Where somebody says so, what is left is gone on from: nothing, and above the node's number.
    let done = switch(&["kill", "feature:ua_bot_word", "--overtake"]);
    assert_eq!(
        (done.status, &done.json["off"]),
        (0, &json!(["feature:ua_bot_word"])),
        "{done:?}"
    );
    node.wait_off(&["feature:ua_bot_word"]);

    let first = std::fs::read_to_string(folder.path("pointer.json")).unwrap();
    put_back(&address, "pointer.all", Some(&first.parse().unwrap()));
    let back = run(&[&["rollback", &address][..], &with].concat());
    back.fails("fleet-stale");
    let table = folder.table(4);
    let rollout = run(&["rollout", &table, &address, "--key", &file, "--soak", "1"]);
    assert_eq!(rollout.status, 1, "{rollout:?}");
    assert!(
        rollout.json.to_string().contains("fleet-stale"),
        "{rollout:?}"
    );
    node.wait_table(3, content_id(3));
}

#[test]
fn an_operator_goes_on_from_what_its_key_signed_last() {
    let (_servers, folder, address) = fleet!("kept", 1);
    let (_, file, public) = key(&folder);
    let node = Node::new(&folder, "one", &address, &["--trust", &public]);
    let state = folder.text("state");
    let switch = |args: &[&str]| {
        let with = ["--key", &file, "--wait", "20"];
        let mut command = command(&[args, &[&address], &with[..]].concat());
        command.env("HEDGEROW_FLEET_STATE", &state);
        Outcome::of(&command.output().unwrap())
    };
    let table = folder.table(1);
    assert_eq!(
        publish(&address, &table, &["--wait", "20", "--key", &file]).status,
        0
    );
    assert_eq!(switch(&["kill", "engine"]).status, 0);
    let engine_off = envelope(&address, "switches");
    assert_eq!(switch(&["restore", "engine"]).status, 0);
    assert_eq!(switch(&["kill", "ensemble"]).status, 0);
    for there in [Some(&engine_off), None] {
        put_back(&address, "switches", there);
        let done = switch(&["kill", "feature:ua_bot_word"]);
        let off = json!(["ensemble", "feature:ua_bot_word"]);
        assert_eq!((done.status, &done.json["off"]), (0, &off), "{done:?}");
        node.wait_off(&["ensemble", "feature:ua_bot_word"]);
        assert_eq!(switch(&["restore", "feature:ua_bot_word"]).status, 0);
        node.wait_off(&["ensemble"]);
    }
    // Nobody else reads what an operator keeps.
    let mode = std::os::unix::fs::PermissionsExt::mode;
    assert_eq!(
        mode(&fs::metadata(&state).unwrap().permissions()) & 0o077,
        0
    );
}
