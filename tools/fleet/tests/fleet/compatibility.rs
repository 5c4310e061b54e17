//! Fleets that an earlier version wrote: the current one reads them, and changes them.

use super::*;
use hedgerow::watch::SecretKey;
use serde_json::{Value, json};
use std::path::PathBuf;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// The lines of a fixture.
fn lines(name: &str) -> Vec<Value> {
    let text = fs::read_to_string(fixture(name)).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// The tables of the signed fleets: their objects' names, and their bytes.
fn tables() -> Vec<(String, Vec<u8>)> {
    let of = |number: u8| {
        let file = fs::read(fixture(&format!("tables/signed-{number}.hedge"))).unwrap();
        (object(&file), file)
    };
    (1..=3).map(of).collect()
}

/// Writes a fixture's values into the buckets, each under the revision that it had.
fn restore(address: &str, name: &str, tables: &[(String, Vec<u8>)]) {
    with_context(address, async |context| {
        for record in lines(name) {
            let text = |field: &str| record[field].as_str().unwrap().to_string();
            let bucket = context.get_key_value(text("bucket")).await.unwrap();
            let wrote = bucket.put(text("key"), text("value").into()).await.unwrap();
            if let Some(revision) = record["revision"].as_u64() {
                assert_eq!(wrote, revision, "{record}");
            }
        }
    });
    for (object, file) in tables {
        put_object(address, object, file);
    }
}

fn history(outcome: &Outcome, name: &str) {
    let expected = lines(&format!("{name}.history.ndjson"));
    assert_eq!(outcome.json["history"], json!(expected), "{name}");
}

/// The states of the two nodes that reported.
fn states(status: &Outcome) -> Vec<&str> {
    let nodes = status.json["nodes"].as_array().unwrap().iter();
    nodes.map(|node| node["state"].as_str().unwrap()).collect()
}

/// A new operator's key file.
fn key(folder: &Folder) -> String {
    let secret = SecretKey::new("next").unwrap();
    folder.secret("next.key", secret.secret_text())
}

#[test]
fn a_signed_fleet_of_an_earlier_version_goes_on() {
    let (_servers, folder, address) = fleet!("earlier", 1);
    restore(&address, "nats-signed.ndjson", &tables());
    history(&run(&["history", &address]), "nats-signed");
    let status = run(&["status", &address]);
    assert_eq!(states(&status), ["refused 5: key"; 2], "{status:?}");

    // A node takes what the fixture's key signed, and nothing else.
    let trusted = fixture("fixture.pub").to_str().unwrap().to_string();
    let directory = folder.path("edge-3");
    let dir = directory.to_str().unwrap();
    let args = [
        "agent", &address, "--dir", dir, "--node", "edge-3", "--ring", "canary",
    ];
    let trust = ["--trust", &trusted, "--require-signature"];
    let mut agent = command(&[&args[..], &trust].concat()).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    let reported = loop {
        let status = run(&["status", &address]);
        let nodes = status.json["nodes"].as_array().unwrap();
        let new = nodes.iter().find(|node| node["node"] == "edge-3");
        let report = new.map_or(Value::Null, |node| node["report"].clone());
        let refused = &report["refused"][1]["name"];
        if report["generation"] == 4 && report["switches"] == 9 && *refused == "key" {
            break report;
        }
        assert!(Instant::now() < until, "{status:?}");
    };
    agent.kill().unwrap();
    agent.wait().unwrap();
    let table = fs::read(directory.join(format!(
        "tables/{}.hedge",
        reported["content_id"].as_str().unwrap()
    )));
    assert_eq!(table.unwrap(), tables()[2].1);

    // An operator with another key changes what the fixture's key signed.
    let key = key(&folder);
    let with = ["--key", &key, "--trust", &trusted];
    let back = run(&[&["rollback", &address, "--ring", "canary"][..], &with].concat());
    back.published(6, "/from_generation", 1);
    let on = run(&[&["restore", "feature:ua_bot_word", &address][..], &with].concat());
    assert_eq!((on.status, &on.json["off"]), (0, &json!([])), "{on:?}");
    assert_eq!(on.json["change"], 10, "{on:?}");
}

#[test]
fn an_unsigned_fleet_of_an_earlier_version_goes_on() {
    let (_servers, folder, address) = fleet!("earlier-unsigned", 1);
    restore(&address, "nats-unsigned.ndjson", &[]);
    history(&run(&["history", &address]), "nats-unsigned");
    let status = run(&["status", &address]);
    let held = "one refused 5: quarantined";
    assert_eq!(states(&status), [held; 2], "{status:?}");
    // Switches need no table.
    let node = Node::new(&folder, "edge-3", &address, &[]);
    node.wait_off(&["feature:ua_bot_word"]);
    let on = run(&["restore", "feature:ua_bot_word", &address]);
    assert_eq!((on.status, &on.json["off"]), (0, &json!([])), "{on:?}");
    node.wait_off(&[]);
    // A table that is numbered above the last one's.
    let table = folder.file("5.hedge", numbered(1, 5));
    let next = publish(&address, &table, &["--force"]);
    assert_eq!(next.generation(), 6, "{next:?}");
    node.wait(6);
}

#[test]
fn a_signed_bucket_of_an_earlier_version_goes_on() {
    let Some(bucket) = Bucket::start("earlier") else {
        return;
    };
    let folder = Folder::new("fleet-s3-earlier");
    for record in lines("s3-signed.ndjson") {
        let text = |field: &str| record[field].as_str().unwrap();
        bucket.put(text("object"), text("value").into());
    }
    for (object, file) in tables() {
        bucket.put(&format!("tables/{object}"), file);
    }
    let address = "s3://tables/edge";
    let more = bucket.args("ops");
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let with = |args: &[&str]| run(&[args, &more].concat());
    history(&with(&["history", address]), "s3-signed");
    let status = with(&["status", address]);
    assert_eq!(
        (status.status, states(&status)),
        (0, vec!["ok"; 2]),
        "{status:?}"
    );
    let (key, trusted) = (key(&folder), fixture("fixture.pub"));
    let signs = ["--key", &key, "--trust", trusted.to_str().unwrap()];
    let back = with(&[&["rollback", address][..], &signs].concat());
    back.published(5, "/from_generation", 1);
    let on = with(&[&["restore", "feature:ua_bot_word", address][..], &signs].concat());
    assert_eq!(
        (&on.json["off"], &on.json["change"]),
        (&json!([]), &json!(4)),
        "{on:?}"
    );
    let written = String::from_utf8(bucket.get("keys/switches")).unwrap();
    assert!(
        written.starts_with("hedgerow-fleet-value 4\n{\"body\":"),
        "{written}"
    );
    let kept = bucket.list("history/switches");
    assert_eq!(kept.len(), 4, "{kept:?}");
}
