//! A fleet in a bucket with faults: keys, addresses, objects, the server, publishers.

use super::bucket::SECRETS;
use super::manual::follow_in_bucket;
use super::*;
use std::thread::sleep;

const ADDRESS: &str = "s3://tables/edge";

/// Runs a command as a user of the bucket. Its output has no secret.
fn run_as(bucket: &Bucket, user: &str, args: &[&str]) -> Outcome {
    let more = bucket.args(user);
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    run(&[args, &more].concat())
}

fn run(args: &[&str]) -> Outcome {
    let mut command = command(args);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        command.env_remove(name);
    }
    outcome(&command.output().unwrap())
}

fn outcome(output: &std::process::Output) -> Outcome {
    let outcome = Outcome::of(output);
    for secret in SECRETS {
        let report = outcome.json.to_string().contains(secret) || outcome.err.contains(secret);
        assert!(!report, "{outcome:?}");
    }
    outcome
}

fn publish(bucket: &Bucket, table: &str, more: &[&str]) -> Outcome {
    run_as(
        bucket,
        "ops",
        &[&["publish", table, ADDRESS], more].concat(),
    )
}

fn refused(outcome: &Outcome, status: i32, name: &str, text: &str) {
    assert_eq!(
        (outcome.status, outcome.name()),
        (status, name),
        "{outcome:?}"
    );
    assert!(
        outcome.json.to_string().contains(text),
        "{text}: {outcome:?}"
    );
}

fn agent(bucket: &Bucket, folder: &Folder, name: &str, ring: &str) -> Node {
    let mut more = bucket.args("node");
    more.extend(["--ring", ring, "--poll", "0.1"].map(Into::into));
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    Node::new(folder, name, ADDRESS, &more)
}

#[test]
fn a_bucket_in_trouble() {
    let Some(bucket) = Bucket::start("trouble") else {
        return;
    };
    let folder = Folder::new("fleet-s3");
    let started = Instant::now();
    let step = |name: &str| println!("{name}: {:?}", started.elapsed());
    wrong_addresses_are_refused(&bucket);
    wrong_keys_are_refused(&bucket, &folder);
    let made = run_as(&bucket, "ops", &["init", ADDRESS]);
    assert_eq!(made.status, 0, "{made:?}");
    let again = run_as(&bucket, "ops", &["init", ADDRESS]);
    assert_eq!(again.status, 0, "{again:?}");
    let nodes = ["canary", "all"].map(|ring| agent(&bucket, &folder, ring, ring));
    rings_go_one_after_the_other(&bucket, &folder, &nodes);
    step("rings_go_one_after_the_other");
    a_node_may_read_alone(&bucket, &folder, &nodes);
    step("a_node_may_read_alone");
    connections_are_encrypted(&bucket);
    step("connections_are_encrypted");
    follow_in_bucket(&bucket);
    step("follow_in_bucket");
    bad_objects_change_nothing(&bucket, &folder, &nodes);
    step("bad_objects_change_nothing");
    lost_objects_do_no_harm(&bucket, &folder, &nodes);
    step("lost_objects_do_no_harm");
    a_publisher_dies_at_any_step(&bucket, &folder, &nodes[1]);
    step("a_publisher_dies_at_any_step");
    a_server_dies_in_mid_publish(&bucket, &folder, &nodes);
    step("a_server_dies_in_mid_publish");
    for node in &nodes {
        node.is_sound();
        for secret in SECRETS {
            assert!(!node.log().contains(secret), "{}", node.log());
        }
    }
}

fn wrong_addresses_are_refused(bucket: &Bucket) {
    let keys = bucket.args("ops");
    let keys = ["--credentials", &keys[3]];
    for (address, more) in [
        (ADDRESS, &["--endpoint", "http://192.0.2.1:8333"][..]),
        (ADDRESS, &["--endpoint", "ftp://127.0.0.1"]),
        (ADDRESS, &["--nkey", "/dev/null"]),
        (
            ADDRESS,
            &["--replicas", "3", "--endpoint", "http://127.0.0.1:1"],
        ),
        ("s3://key:word@tables/edge", &[]),
        ("s3://tables/../edge", &[]),
        (
            "nats://127.0.0.1:4222",
            &["--endpoint", "http://127.0.0.1:1"],
        ),
    ] {
        let outcome = run(&[&["init", address], &keys[..], more].concat());
        refused(&outcome, 2, "usage", "expected");
        assert!(!outcome.json.to_string().contains("word@"), "{outcome:?}");
    }
    // No server listens there.
    let nobody = ["--endpoint", "http://127.0.0.1:1", "--within", "1"];
    let outcome = run(&[&["init", ADDRESS], &keys[..], &nobody].concat());
    refused(&outcome, 1, "fleet-store", "within 1 s");
    // A bucket without a fleet: a publish is refused.
    let outcome = publish(bucket, "default", &[]);
    refused(&outcome, 1, "fleet-store", "hedgerow-fleet init makes it");
    let outcome = run_as(bucket, "ops", &["init", "s3://other-tables/edge"]);
    refused(&outcome, 1, "fleet-store", "s3://other-tables/edge");
    assert!(bucket.list("").is_empty());
}

fn wrong_keys_are_refused(bucket: &Bucket, folder: &Folder) {
    let endpoint = ["--endpoint", &bucket.endpoint(false)];
    let init = |more: &[&str]| run(&[&["init", ADDRESS], &endpoint[..], more].concat());
    refused(&init(&[]), 1, "s3-keys", "AWS_ACCESS_KEY_ID");
    let open = folder.file("open.keys", "aws_access_key_id = ops-id");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(&open, mode).unwrap();
    refused(&init(&["--credentials", &open]), 1, "s3-keys", "0600");
    let none = bucket.keys("none", "", "");
    refused(&init(&["--credentials", &none]), 1, "s3-keys", "not shown");
    // Refused at once, not after a quarter of a minute.
    let started = Instant::now();
    for (id, secret) in [("ops-id", SECRETS[1]), ("nobody", SECRETS[0])] {
        let other = bucket.keys("other", id, secret);
        let outcome = init(&["--credentials", &other]);
        refused(&outcome, 1, "fleet-store", "keys that the bucket knows");
    }
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    // Keys of the environment.
    let mut command = command(&[&["status", ADDRESS], &endpoint[..]].concat());
    command.env("AWS_ACCESS_KEY_ID", "ops-id");
    command.env("AWS_SECRET_ACCESS_KEY", SECRETS[0]);
    let outcome = outcome(&command.output().unwrap());
    refused(&outcome, 1, "fleet-store", "hedgerow-fleet init makes it");
}

fn rings_go_one_after_the_other(bucket: &Bucket, folder: &Folder, nodes: &[Node; 2]) {
    let first = publish(bucket, &folder.table(1), &["--wait", "20"]);
    first.published(1, "/nodes/done", 2);
    let second = publish(
        bucket,
        &folder.table(2),
        &["--ring", "canary", "--wait", "20"],
    );
    second.published(2, "/nodes/all", 1);
    assert_eq!([nodes[0].generation(), nodes[1].generation()], [2, 1]);
    let rolled = run_as(
        bucket,
        "ops",
        &[
            "rollout",
            &folder.table(3),
            ADDRESS,
            "--rings",
            "canary,all",
            "--soak",
            "0.1",
        ],
    );
    assert_eq!(rolled.status, 0, "{rolled:?}");
    nodes.iter().for_each(|node| node.wait(rolled.generation()));
    let history = run_as(bucket, "ops", &["history", ADDRESS]);
    let lines = history.json["history"].as_array().unwrap();
    let of = |key: &str| lines.iter().filter(|line| line["key"] == key).count();
    assert_eq!(
        [of("pointer.canary"), of("pointer.all"), of("generation")],
        [2, 2, 3]
    );
    let status = run_as(bucket, "ops", &["status", ADDRESS]);
    assert_eq!(status.status, 0, "{status:?}");
}

fn a_node_may_read_alone(bucket: &Bucket, folder: &Folder, nodes: &[Node; 2]) {
    let before = bucket.list("keys").len();
    for args in [
        &["publish", "default", ADDRESS][..],
        &["kill", "ensemble", ADDRESS],
        &["rollback", ADDRESS],
    ] {
        let outcome = run_as(bucket, "node", args);
        refused(&outcome, 1, "fleet-store", "their right to it");
    }
    assert_eq!(bucket.list("keys").len(), before);
    // With wrong keys a node stays as it is, and logs why, until the keys are replaced.
    let generation = nodes[1].generation();
    bucket.keys("node", "node-id", "another-word");
    for node in nodes {
        node.wait_for("that it says so", || {
            node.log().contains("cannot ask the fleet")
        });
    }
    sleep(Duration::from_millis(2_500));
    let shown = run(&["node", nodes[1].directory.to_str().unwrap()]);
    assert!(
        shown.json["heard_seconds_ago"].as_u64().unwrap() >= 1,
        "{shown:?}"
    );
    assert_eq!(nodes[1].generation(), generation);
    bucket.keys("node", "node-id", SECRETS[1]);
    let next = publish(bucket, &folder.table(4), &["--wait", "20"]);
    nodes.iter().for_each(|node| node.wait(next.generation()));
}

fn connections_are_encrypted(bucket: &Bucket) {
    let keys = bucket.args("ops");
    let status = |more: &[&str]| {
        let endpoint = [
            "--endpoint",
            &bucket.endpoint(true),
            "--credentials",
            &keys[3],
        ];
        run(&[&["status", ADDRESS], &endpoint[..], more].concat())
    };
    let seen = status(&["--ca", &bucket.certificate()]);
    assert_eq!(seen.status, 0, "{seen:?}");
    // A certificate of an unknown authority.
    refused(&status(&["--within", "1"]), 1, "fleet-store", "ertificate");
    refused(&status(&["--ca", &keys[3]]), 1, "ca", "PEM");
}

fn bad_objects_change_nothing(bucket: &Bucket, folder: &Folder, nodes: &[Node; 2]) {
    let [canary, all] = nodes;
    // The canary's pointer is malformed: the switches still reach it.
    let sealed = bucket.get("keys/pointer.canary");
    let newer = String::from_utf8(sealed.clone())
        .unwrap()
        .replace("fleet-value 2", "fleet-value 9");
    let unnumbered = sealed
        .iter()
        .skip_while(|byte| **byte != b'\n')
        .copied()
        .collect();
    let selectors = ["ensemble", "feature:ua_bot_word", "feature:ua_browser"];
    let mut off = Vec::new();
    for (bad, selector) in [vec![b'9'; 3_000_000], newer.into_bytes(), unnumbered]
        .into_iter()
        .zip(selectors)
    {
        bucket.put("keys/pointer.canary", bad);
        let killed = run_as(bucket, "ops", &["kill", selector, ADDRESS, "--wait", "20"]);
        assert_eq!(killed.json["nodes"]["done"], 2, "{killed:?}");
        off.push(selector);
        canary.wait_off(&off);
    }
    for selector in selectors {
        let on = run_as(
            bucket,
            "ops",
            &["restore", selector, ADDRESS, "--wait", "20"],
        );
        assert_eq!(on.status, 0, "{on:?}");
    }
    let next = publish(bucket, &folder.table(5), &["--wait", "20"]).generation();
    nodes.iter().for_each(|node| node.wait(next));
    let trial = publish(
        bucket,
        &folder.table(6),
        &["--ring", "canary", "--wait", "20"],
    );
    canary.wait(trial.generation());
    assert_eq!(all.generation(), next);
    // An overwritten value is still in the history.
    let back = run_as(
        bucket,
        "ops",
        &["rollback", ADDRESS, "--ring", "canary", "--to", "2"],
    );
    canary.wait_table(back.generation(), content_id(2));
    // A table with too many bytes, and one that is cut.
    let last = publish(bucket, &folder.table(7), &["--wait", "20"]).generation();
    let file = bytes(7);
    let object = format!("tables/{}", object(&file));
    bucket.put(&object, [&file[..], &vec![0; 9_000_000]].concat());
    let late = agent(bucket, folder, "late", "all");
    late.wait_for("a refusal", || late.log().contains("got more"));
    bucket.put(&object, file[..file.len() - 1].to_vec());
    late.wait_for("a refusal", || {
        late.log()
            .contains(&format!("got {} bytes", file.len() - 1))
    });
    assert_eq!(late.generation(), 0);
    assert!(!late.directory.join("active").exists());
    bucket.put(&object, file);
    late.wait(last);
    // A machine that is out of service: its report is removed.
    drop(late);
    bucket.delete("nodes/late");
}

fn lost_objects_do_no_harm(bucket: &Bucket, folder: &Folder, nodes: &[Node; 2]) {
    let kill = |selector: &str| {
        let killed = run_as(bucket, "ops", &["kill", selector, ADDRESS, "--wait", "20"]);
        assert_eq!(killed.status, 0, "{killed:?}");
    };
    // After a deletion numbers do not begin again, and nothing is switched on: the history has the
    // last values.
    kill("ensemble");
    bucket.delete("keys/switches");
    kill("feature:ua_bot_word");
    nodes
        .iter()
        .for_each(|node| node.wait_off(&["ensemble", "feature:ua_bot_word"]));
    let before = publish(bucket, &folder.table(8), &["--wait", "20"]).generation();
    for name in ["keys/generation", "keys/pointer.all"] {
        bucket.delete(name);
    }
    let next = publish(bucket, &folder.table(9), &["--wait", "20"]).generation();
    assert!(next > before, "{next} after {before}");
    nodes.iter().for_each(|node| node.wait(next));
    // A rollback to a missing table is refused.
    bucket.delete(&format!("tables/{}", object(&bytes(8))));
    let to = before.to_string();
    let outcome = run_as(bucket, "ops", &["rollback", ADDRESS, "--to", &to]);
    refused(&outcome, 1, "no-generation", "still in the store");
    for selector in ["ensemble", "feature:ua_bot_word"] {
        let restored = run_as(bucket, "ops", &["restore", selector, ADDRESS]);
        assert_eq!(restored.status, 0, "{restored:?}");
    }
}

fn spawn(bucket: &Bucket, args: &[&str]) -> std::process::Child {
    let more = bucket.args("ops");
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    super::spawn(&[args, &more].concat())
}

fn a_publisher_dies_at_any_step(bucket: &Bucket, folder: &Folder, node: &Node) {
    let (mut died, rounds) = (0, rounds(6));
    for round in 0..rounds {
        let number = 10 + (round % 100) as u8;
        let mut child = spawn(bucket, &["publish", &folder.table(number), ADDRESS]);
        sleep(Duration::from_millis(u64::from(round * 7 % 50)));
        let _ = child.kill();
        died += u32::from(!child.wait().unwrap().success());
        let next = publish(bucket, &folder.table(number + 100), &["--wait", "20"]);
        node.wait_table(next.generation(), content_id(number + 100));
    }
    for name in bucket.list("tables") {
        let name = name.strip_prefix("edge/hedgerow/").unwrap();
        hedgerow::Table::from_bytes(&bucket.get(name)).unwrap();
    }
    println!("killed the publisher {rounds} times, {died} of them before it was done");
}

fn a_server_dies_in_mid_publish(bucket: &Bucket, folder: &Folder, nodes: &[Node; 2]) {
    let rounds = rounds(2);
    for round in 0..rounds {
        let number = 30 + (round % 200) as u8;
        let table = folder.table(number);
        let args = ["publish", &table, ADDRESS, "--within", "60", "--wait", "60"];
        let child = spawn(bucket, &args);
        sleep(Duration::from_millis(u64::from((round * 53 + 20) % 120)));
        bucket.kill();
        let before = nodes[1].generation();
        bucket.run();
        assert!(nodes[1].generation() >= before);
        let done = outcome(&child.wait_with_output().unwrap());
        for node in nodes {
            node.wait_table(done.generation(), content_id(number));
        }
    }
    println!("killed the server {rounds} times");
}
