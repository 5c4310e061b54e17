//! Who may do what: a node's key reads tables and writes its own report, and nothing else.

use super::node::{Folder, Node, run};
use super::publish;
use super::servers::{Servers, binary};

#[test]
fn a_key_has_the_rights_of_its_role_and_no_other() {
    if binary().is_none() {
        return;
    }
    let folder = Folder::new("fleet-rights");
    let mut entries = String::new();
    let mut key = |role: &str, name: &str, more: &[&str]| {
        let file = folder
            .path(&format!("{name}.seed"))
            .to_str()
            .unwrap()
            .to_string();
        let made = run(&[&["nkey", role, &file], more].concat());
        assert_eq!(made.status, 0, "{made:?}");
        let seed = std::fs::read_to_string(&file).unwrap();
        assert!(!made.json.to_string().contains(seed.trim()));
        entries.push_str(made.json["entry"].as_str().unwrap());
        file
    };
    let one = key("node", "one", &["--node", "one"]);
    let canary = key("publisher", "canary", &["--rings", "canary"]);
    let all = key(
        "publisher",
        "all",
        &["--rings", "canary,early,all", "--switches"],
    );
    let reader = key("reader", "reader", &[]);
    // Who makes the buckets may do everything.
    let owner_file = folder.path("owner.seed").to_str().unwrap().to_string();
    let owner = run(&["nkey", "reader", &owner_file]);
    let owner = format!("{{ nkey: {} }}\n", owner.json["nkey"].as_str().unwrap());
    let users = format!("authorization {{ users: [\n{owner}{entries}] }}\n");
    let servers = Servers::start_with("rights", 1, &users).unwrap();
    let address = servers.address();
    let made = run(&["init", &address, "--nkey", &owner_file]);
    assert_eq!(made.status, 0, "{made:?}");
    let node = Node::new(
        &folder,
        "one",
        &address,
        &["--ring", "canary", "--nkey", &one],
    );
    let by = |file: &str, more: &[&str]| {
        let table = folder.table(more.len() as u8);
        publish(
            &address,
            &table,
            &[&["--nkey", file, "--within", "3"], more].concat(),
        )
    };
    let done = by(&canary, &["--ring", "canary", "--wait", "20"]);
    node.wait(done.generation());
    let done = by(&all, &["--wait", "20"]);
    assert_eq!(done.json["nodes"]["done"], 1, "{done:?}");
    let status = run(&["status", &address, "--nkey", &reader]);
    assert_eq!(status.status, 0, "{status:?}");

    // A stolen node's key, a reader's, and a canary publisher's elsewhere: nothing changes.
    for (file, more) in [
        (&one, &["--ring", "canary"][..]),
        (&reader, &["--ring", "canary"][..]),
        (&canary, &["--ring", "all"][..]),
        (&canary, &["--ring", "early"][..]),
    ] {
        let refused = by(file, more);
        assert_eq!(
            (refused.status, refused.name()),
            (1, "fleet-store"),
            "{refused:?}"
        );
    }
    for file in [&one, &reader, &canary] {
        let args = ["kill", "engine", &address, "--nkey", file, "--within", "3"];
        let refused = run(&args);
        assert_eq!(
            (refused.status, refused.name()),
            (1, "fleet-store"),
            "{refused:?}"
        );
    }
    // A key that is no user's, and none at all.
    let stranger = folder.path("stranger.seed").to_str().unwrap().to_string();
    run(&["nkey", "reader", &stranger]);
    let with = ["status", &address, "--within", "2", "--nkey", &stranger];
    for args in [&with[..], &with[..4]] {
        assert_eq!(run(args).status, 1);
    }
    // Another node's report is not the own one.
    let mut thief = Node::new(&folder, "two", &address, &["--nkey", &one]);
    std::thread::sleep(std::time::Duration::from_secs(3));
    thief.kill();
    let status = run(&["status", &address, "--nkey", &reader]);
    assert_eq!(
        status.json["nodes"].as_array().unwrap().len(),
        1,
        "{status:?}"
    );
    assert_eq!(
        run(&["kill", "engine", &address, "--nkey", &all, "--wait", "20"]).status,
        0
    );
    node.wait_off(&["engine"]);
}
