//! Rights: a node's key reads tables and writes its own report, and nothing else.

use super::servers::binary;
use super::*;

/// A fleet whose servers know one key for each role.
struct Fleet {
    folder: Folder,
    _servers: Servers,
    address: String,
}

impl Fleet {
    fn start(name: &str) -> Fleet {
        let folder = Folder::new(name);
        let seed = |name: &str| folder.path(&format!("{name}.seed")).display().to_string();
        let mut entries = String::new();
        for (role, name, more) in [
            ("node", "one", &["--node", "one"][..]),
            ("publisher", "canary", &["--rings", "canary"][..]),
            (
                "publisher",
                "all",
                &["--rings", "canary,early,all", "--switches"][..],
            ),
            ("reader", "reader", &[][..]),
        ] {
            let file = seed(name);
            let made = run(&[&["nkey", role, &file][..], more].concat());
            assert_eq!(made.status, 0, "{made:?}");
            let secret = std::fs::read_to_string(&file).unwrap();
            assert!(!made.json.to_string().contains(secret.trim()));
            entries.push_str(made.json["entry"].as_str().unwrap());
        }
        // The owner makes the buckets, and may do everything.
        let owner = run(&["nkey", "reader", &seed("owner")]);
        let owner = format!("{{ nkey: {} }}\n", owner.json["nkey"].as_str().unwrap());
        let users = format!("authorization {{ users: [\n{owner}{entries}] }}\n");
        let servers = Servers::start_with(name, 1, &users).unwrap();
        let address = servers.address();
        let made = run(&["init", &address, "--nkey", &seed("owner")]);
        assert_eq!(made.status, 0, "{made:?}");
        Fleet {
            folder,
            _servers: servers,
            address,
        }
    }

    fn seed(&self, name: &str) -> String {
        let path = self.folder.path(&format!("{name}.seed"));
        path.display().to_string()
    }

    fn publish(&self, by: &str, more: &[&str]) -> Outcome {
        self.publish_within("3", by, more)
    }

    fn publish_within(&self, within: &str, by: &str, more: &[&str]) -> Outcome {
        let table = self.folder.table(more.len() as u8);
        let seed = self.seed(by);
        let with = ["--nkey", &seed, "--within", within];
        publish(&self.address, &table, &[&with[..], more].concat())
    }

    fn node(&self, name: &str, more: &[&str]) -> Node {
        let seed = self.seed("one");
        let with = ["--nkey", seed.as_str()];
        let more = [&with[..], more].concat();
        Node::new(&self.folder, name, &self.address, &more)
    }

    fn status(&self) -> Outcome {
        run(&["status", &self.address, "--nkey", &self.seed("reader")])
    }

    fn kill(&self, by: &str) -> Outcome {
        let (seed, address) = (self.seed(by), &self.address);
        run(&["kill", "engine", address, "--nkey", &seed, "--within", "3"])
    }
}

fn is_refused(refused: &Outcome) {
    refused.fails("fleet-store");
}

#[test]
fn a_stolen_key_publishes_nothing() {
    if binary().is_none() {
        return;
    }
    let fleet = Fleet::start("fleet-stolen");
    let node = fleet.node("one", &[]);
    let mut last = fleet.publish("all", &["--wait", "20"]).generation();
    let rounds = rounds(1);
    for _ in 0..rounds {
        is_refused(&fleet.publish_within("1", "one", &[]));
        node.wait(last);
        last = fleet.publish("all", &["--wait", "20"]).generation();
        node.wait(last);
    }
    println!("a stolen node's key, used to publish: {rounds} times, refused each time");
}

#[test]
fn a_key_has_the_rights_of_its_role_and_no_other() {
    if binary().is_none() {
        return;
    }
    let fleet = Fleet::start("fleet-rights");
    let node = fleet.node("one", &["--ring", "canary"]);
    let done = fleet.publish("canary", &["--ring", "canary", "--wait", "20"]);
    node.wait(done.generation());
    let done = fleet.publish("all", &["--wait", "20"]);
    assert_eq!(done.json["nodes"]["done"], 1, "{done:?}");
    assert_eq!(fleet.status().status, 0);

    // A stolen key of a node, a reader's, and a canary publisher's in another ring.
    for (by, ring) in [
        ("one", "canary"),
        ("reader", "canary"),
        ("canary", "all"),
        ("canary", "early"),
    ] {
        is_refused(&fleet.publish(by, &["--ring", ring]));
    }
    for by in ["one", "reader", "canary"] {
        is_refused(&fleet.kill(by));
    }
    let pruned = run(&["prune", &fleet.address, "--nkey", &fleet.seed("all")]);
    assert_eq!(pruned.status, 0, "{pruned:?}");
    // A key of no user, and no key.
    let stranger = fleet.seed("stranger");
    run(&["nkey", "reader", &stranger]);
    let with = [
        "status",
        &fleet.address,
        "--within",
        "2",
        "--nkey",
        &stranger,
    ];
    for args in [&with[..], &with[..4]] {
        assert_eq!(run(args).status, 1);
    }
    // A node cannot write the report of another.
    let mut thief = fleet.node("two", &[]);
    std::thread::sleep(Duration::from_secs(3));
    thief.kill();
    let status = fleet.status();
    assert_eq!(
        status.json["nodes"].as_array().unwrap().len(),
        1,
        "{status:?}"
    );
    assert_eq!(fleet.kill("all").status, 0);
    node.wait_off(&["engine"]);
}
