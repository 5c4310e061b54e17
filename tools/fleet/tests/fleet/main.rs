//! A fleet on real NATS servers and in a real bucket: published tables run everywhere, bad ones
//! nowhere, whichever process dies. `tools/fleet/faults.sh` tries the faults for longer.

mod bucket;
mod chdb;
mod clickhouse;
mod compatibility;
mod conformance;
mod faults;
mod forged;
mod health;
mod leaf;
mod manual;
mod measure;
mod network;
mod no_conditions;
mod node;
mod outage;
mod prune;
mod rights;
mod rollout;
mod s3;
mod servers;
mod support;
mod tls;

use bucket::Bucket;
use node::{Node, bytes, content_id, numbered, object};
use servers::{Servers, put_key, put_object, with_context};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use support::{Folder, Outcome, command, rounds, run, spawn, wait_until};

/// The server, folder and address of a new fleet. The test ends if no server is installed.
macro_rules! fleet {
    ($name:literal, $count:literal) => {{
        let Some(servers) = Servers::start($name, $count) else {
            return;
        };
        let (folder, address) = (Folder::new(concat!("fleet-", $name)), servers.address());
        let replicas = if $count == 1 { "1" } else { "3" };
        let made = run(&["init", &address, "--replicas", replicas, "--within", "60"]);
        assert_eq!(made.status, 0, "{made:?}");
        (servers, folder, address)
    }};
}
pub(crate) use fleet;

fn publish(address: &str, table: &str, more: &[&str]) -> Outcome {
    run(&[&["publish", table, address, "--by", "ops"], more].concat())
}

#[test]
fn rings_take_what_is_theirs_and_everybody_goes_back() {
    let (_servers, folder, address) = fleet!("rings", 1);
    let node = |ring: &str| Node::new(&folder, ring, &address, &["--ring", ring]);
    let (canary, early, all) = (node("canary"), node("early"), node("all"));
    let table = |number| folder.table(number);
    let one = publish(&address, &table(1), &["--wait", "20"]);
    one.published(1, "/nodes/done", 3);
    for node in [&canary, &early, &all] {
        node.wait(1);
    }
    let two = publish(&address, &table(2), &["--ring", "canary", "--wait", "20"]);
    two.published(2, "/nodes/all", 1);
    let three = publish(&address, &table(3), &["--ring", "early", "--wait", "20"]);
    three.published(3, "/nodes/all", 2);
    assert_eq!(
        [canary.generation(), early.generation(), all.generation()],
        [3, 3, 1]
    );
    // The canaries' trial ends: they go back, and the others stay.
    let back = run(&["rollback", &address, "--ring", "canary", "--wait", "20"]);
    assert_eq!(back.json["from_generation"], 2, "{back:?}");
    canary.wait(back.generation());
    assert_eq!([early.generation(), all.generation()], [3, 1]);
    let five = publish(&address, &table(5), &["--wait", "20"]).generation();
    let back = run(&["rollback", &address, "--wait", "20"]);
    assert_eq!(
        (five, back.generation(), &back.json["from_generation"]),
        (5, 6, &1.into())
    );
    for node in [&canary, &early, &all] {
        node.wait(6);
        assert_eq!(node.watcher.status().content_id, Some(content_id(1)));
        node.is_sound();
    }
    let history = run(&["history", &address]);
    let lines = history.json["history"].as_array().unwrap();
    let claims = lines.iter().filter(|line| line["key"] == "generation");
    assert_eq!(claims.count(), 6, "{history:?}");
    let status = run(&["status", &address]);
    assert_eq!(status.status, 0, "{status:?}");
    assert_eq!(status.json["nodes"].as_array().unwrap().len(), 3);
    // One agent per directory.
    let dir = canary.directory.to_str().unwrap();
    let second = run(&["agent", &address, "--dir", dir]);
    assert_eq!((second.status, second.name()), (1, "agent"), "{second:?}");
}

#[test]
fn a_kill_switch_reaches_all_and_needs_no_tables() {
    let (servers, folder, address) = fleet!("switches", 1);
    let nodes: Vec<Node> = ["a", "b"]
        .map(|name| Node::new(&folder, name, &address, &[]))
        .into();
    publish(&address, &folder.table(1), &[]).generation();
    publish(&address, &folder.table(2), &["--wait", "20"]).generation();
    let switch = |verb: &str, selector: &str, more: &[&str]| {
        run(&[&[verb, selector, &address], more].concat())
    };
    for (selector, status) in [
        ("all", 2),
        ("", 2),
        ("feature:nothing", 1),
        ("detection:999", 1),
    ] {
        let refused = switch("kill", selector, &[]);
        assert_eq!(refused.status, status, "{selector}: {refused:?}");
    }
    // Without the stream of tables, switches still reach every node.
    object_store_goes(&address);
    let killed = switch("kill", "ensemble", &["--wait", "20"]);
    assert_eq!(killed.json["nodes"]["done"], 2, "{killed:?}");
    assert_eq!(
        switch("kill", "feature:ua_bot_word", &["--wait", "20"]).status,
        0
    );
    for node in &nodes {
        node.wait_off(&["ensemble", "feature:ua_bot_word"]);
    }
    assert_eq!(switch("restore", "ensemble", &[]).status, 0);
    assert_eq!(switch("restore", "ensemble", &[]).name(), "selector");
    for node in &nodes {
        node.wait_off(&["feature:ua_bot_word"]);
    }
    // So does a rollback: nodes still have the table.
    let back = run(&["rollback", &address, "--wait", "20"]);
    back.published(3, "/nodes/done", 2);
    assert_eq!(
        back.json["content_id"],
        content_id(1).to_string(),
        "{back:?}"
    );
    assert!(
        back.json["warnings"].to_string().contains("not known"),
        "{back:?}"
    );
    drop(servers);
    let mut nodes = nodes;
    for node in &mut nodes {
        node.kill();
        node.start();
        node.wait_for("a table without a fleet", || node.generation() == 3);
        node.wait_off(&["feature:ua_bot_word"]);
    }
}

/// Deletes the object store.
fn object_store_goes(address: &str) {
    with_context(address, async |context| {
        context.delete_stream("OBJ_hedgerow").await.unwrap();
    });
}

#[test]
fn what_is_not_signed_as_it_must_be_is_refused_and_told() {
    let (_servers, folder, address) = fleet!("signed", 1);
    let key = |name: &str| {
        let secret = hedgerow::watch::SecretKey::new(name).unwrap();
        let file = folder.secret(&format!("{name}.key"), secret.secret_text());
        folder.file(&format!("{name}.pub"), secret.public().text());
        (secret, file)
    };
    let ((ops, ops_file), (thief, thief_file)) = (key("ops"), key("thief"));
    let trusted = folder.path("ops.pub");
    let trust = ["--trust", trusted.to_str().unwrap(), "--require-signature"];
    let node = Node::new(&folder, "careful", &address, &trust);
    let signed = |secret: &hedgerow::watch::SecretKey, number: u8| {
        folder.file(
            &format!("signed-{number}.hedge"),
            secret.sign(&bytes(number)),
        )
    };
    let both = [&trust[..], &["--key", &ops_file, "--wait", "20"]].concat();
    let first = publish(&address, &signed(&ops, 1), &both);
    assert_eq!((first.generation(), first.status), (1, 0), "{first:?}");
    node.wait(1);
    // A pointer without a signature, one of an untrusted key, and a table without a signature.
    let thiefs = folder.path("thief.pub").to_str().unwrap().to_string();
    let by_thief = ["--trust", &thiefs, "--key", &thief_file];
    for (more, table, why) in [
        (&trust[..], signed(&ops, 2), "key"),
        (&by_thief[..], signed(&thief, 3), "key"),
        (
            &["--key", &ops_file][..],
            folder.table(4),
            "signature-missing",
        ),
    ] {
        let done = publish(&address, &table, more);
        assert_eq!(done.status, 0, "{done:?}");
        node.wait_for(why, || node.log().contains(&format!(": {why}: ")));
    }
    assert_eq!(node.generation(), 1);
    let status = run(&["status", &address]);
    assert_eq!(status.status, 1, "{status:?}");
    assert!(
        status.json.to_string().contains("signature-missing"),
        "{status:?}"
    );
    // Signed changes are still taken; a record that is written again is not.
    let last = publish(&address, &signed(&ops, 5), &both).generation();
    node.wait(last);
    replay_first_pointer(&address);
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(node.generation(), last);
    node.is_sound();
}

/// Writes the ring's first pointer again, as a user with the right to write may.
fn replay_first_pointer(address: &str) {
    use futures_util::StreamExt;
    with_context(address, async |context| {
        let keys = context.get_key_value("hedgerow").await.unwrap();
        let mut history = keys.history("pointer.all").await.unwrap();
        let first = history.next().await.unwrap().unwrap();
        keys.put("pointer.all", first.value).await.unwrap();
    });
}

#[test]
fn a_corrupted_object_is_refused_until_it_is_put_right() {
    let (_servers, folder, address) = fleet!("corrupted", 1);
    let node = Node::new(&folder, "one", &address, &[]);
    publish(&address, &folder.table(1), &["--wait", "20"]).generation();
    // Other bytes under the name of the next table, with a digest of the store that fits them.
    let file = bytes(2);
    let object = object(&file);
    let mut other = file.clone();
    other[5_000] ^= 1;
    let put = |object: &str, bytes: &[u8]| put_object(&address, object, bytes);
    let second = publish(&address, &folder.table(2), &[]).generation();
    node.wait(second);
    node.is_sound();
    // After the publish it is corrupted; a new node refuses it.
    put(&object, &other);
    let late = Node::new(&folder, "late", &address, &[]);
    late.wait_for("a refusal", || late.log().contains("fleet-store"));
    assert_eq!(late.generation(), 0, "the bundled table");
    assert!(!Path::new(&late.directory.join("active")).exists());
    put(&object, &file);
    late.wait(second);
    // A publisher finds the wrong bytes, and replaces them.
    put(&object, &other[..4_000]);
    let third = publish(&address, &folder.table(2), &["--wait", "20"]);
    assert_eq!(third.status, 0, "{third:?}");
    let later = Node::new(&folder, "later", &address, &[]);
    later.wait(third.generation());
}

#[test]
fn two_publishers_do_not_cross() {
    let (_servers, folder, address) = fleet!("crossing", 1);
    let node = Node::new(&folder, "one", &address, &[]);
    let mut taken = std::collections::BTreeMap::new();
    let mut crossed = 0;
    for round in 0..6u8 {
        let files = [folder.table(2 * round), folder.table(2 * round + 1)];
        let children = files.map(|file| spawn(&["publish", &file, &address]));
        for (number, child) in (2 * round..).zip(children) {
            let done = Outcome::of(&child.wait_with_output().unwrap());
            match done.status {
                0 => assert_eq!(taken.insert(done.generation(), number), None, "{done:?}"),
                _ => {
                    assert_eq!(done.name(), "fleet-crossed", "{done:?}");
                    crossed += 1;
                }
            }
        }
    }
    println!("{} published, {crossed} came second", taken.len());
    let (last, number) = taken.last_key_value().unwrap();
    node.wait_table(*last, content_id(*number));
    assert_eq!(taken.len() + crossed, 12);
}
