//! Rights: a node's key reads tables and writes its own report, and nothing else.

use super::servers::binary;
use super::support::block_on;
use super::*;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, HeaderMap};
use std::collections::BTreeMap;

/// The fleet's name, and what its accounts call the store's JetStream.
const FLEET: &str = "hedgerow";

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
            ("owner", "owner", &[][..]),
            ("node", "one", &["--node", "one"][..]),
            ("node", "two", &["--node", "two"][..]),
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
        let users = format!("accounts {{\n{entries}}}\n");
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
        let with = ["--nkey", &seed, "--domain", FLEET, "--within", within];
        publish(&self.address, &table, &[&with[..], more].concat())
    }

    fn node(&self, name: &str, more: &[&str]) -> Node {
        let seed = self.seed("one");
        let with = ["--nkey", seed.as_str(), "--domain", FLEET];
        let more = [&with[..], more].concat();
        Node::new(&self.folder, name, &self.address, &more)
    }

    fn status(&self) -> Outcome {
        let seed = self.seed("reader");
        run(&["status", &self.address, "--nkey", &seed, "--domain", FLEET])
    }

    fn kill(&self, by: &str) -> Outcome {
        let (seed, address) = (self.seed(by), &self.address);
        let with = ["--nkey", &seed, "--domain", FLEET, "--within", "3"];
        run(&[&["kill", "engine", address][..], &with].concat())
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
    let seed = fleet.seed("all");
    let pruned = run(&["prune", &fleet.address, "--nkey", &seed, "--domain", FLEET]);
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

/// The streams of a fleet.
const STREAMS: [&str; 3] = ["KV_hedgerow", "KV_hedgerow_nodes", "OBJ_hedgerow"];

/// Signs in with a seed.
async fn client(address: &str, seed: &str) -> Client {
    let seed = std::fs::read_to_string(seed).unwrap();
    let options = ConnectOptions::with_nkey(seed.trim().into());
    let first = address.split(',').next().unwrap();
    options.connect(first).await.unwrap()
}

/// Every message of the store: its stream, number, subject and bytes.
type Contents = BTreeMap<(String, u64), (String, Vec<u8>)>;

async fn contents(owner: &Context) -> Contents {
    let mut found = Contents::new();
    for name in STREAMS {
        let stream = owner.get_stream(name).await.expect("a stream of the store");
        let last = stream.get_info().await.unwrap().state.last_sequence;
        for number in 1..=last {
            if let Ok(message) = stream.get_raw_message(number).await {
                let subject = message.subject.to_string();
                found.insert((name.into(), number), (subject, message.payload.to_vec()));
            }
        }
    }
    found
}

/// What requests a client may send, as the account's subjects have them and as the owner's have.
fn requests() -> Vec<String> {
    let mut all = Vec::new();
    for prefix in ["$JS.hedgerow.API", "$JS.API"] {
        for stream in STREAMS {
            for request in [
                "STREAM.INFO.*",
                "STREAM.MSG.GET.*",
                "DIRECT.GET.*",
                "DIRECT.GET.*.$KV.hedgerow.switches",
                "DIRECT.GET.*.$KV.hedgerow_nodes.one",
                "CONSUMER.CREATE.*",
                "CONSUMER.CREATE.*.thief.$KV.hedgerow.switches",
                "CONSUMER.LIST.*",
                "STREAM.PURGE.*",
                "STREAM.DELETE.*",
                "STREAM.UPDATE.*",
                "STREAM.SNAPSHOT.*",
                "STREAM.MSG.DELETE.*",
            ] {
                all.push(format!("{prefix}.{}", request.replace('*', stream)));
            }
        }
        all.push(format!("{prefix}.INFO"));
        all.push(format!("{prefix}.STREAM.NAMES"));
        all.push(format!("{prefix}.STREAM.CREATE.thief"));
    }
    all
}

/// Subjects that nobody but the owner and publishers may reach.
fn targets() -> Vec<String> {
    let mut all: Vec<String> = [
        "$KV.hedgerow.switches",
        "$KV.hedgerow.pointer.canary",
        "$KV.hedgerow.pointer.all",
        "$KV.hedgerow.generation",
        "$KV.hedgerow.rollout",
        "$KV.hedgerow.another",
        "$KV.hedgerow_nodes.two",
        "$O.hedgerow.M.eA==",
        "$O.hedgerow.C.x",
    ]
    .map(String::from)
    .into();
    for stream in STREAMS {
        for verb in ["DELETE", "PURGE", "UPDATE"] {
            all.push(format!("$JS.API.STREAM.{verb}.{stream}"));
        }
    }
    let prefixed = |subject: &String| match subject.strip_prefix("$JS.API") {
        Some(rest) => format!("$JS.hedgerow.API{rest}"),
        None => format!("$JS.hedgerow.API.{subject}"),
    };
    let more: Vec<String> = all.iter().map(prefixed).collect();
    all.extend(more);
    all
}

/// Sends every request, with every target as the subject of its answer, and every target itself.
/// Returns how many messages that were.
async fn attack(thief: &Client, own: &[&str]) -> usize {
    let mut sent = 0;
    let bodies = [
        "",
        "{}",
        r#"{"seq":1}"#,
        r#"{"last_by_subj":"$KV.hedgerow.switches"}"#,
        r#"{"stream_name":"KV_hedgerow","config":{"deliver_subject":"$KV.hedgerow.switches",
            "deliver_policy":"all","ack_policy":"none"}}"#,
    ];
    let own = { own.iter() }.flat_map(|own| [own.to_string(), format!("$JS.hedgerow.API.{own}")]);
    let own: Vec<String> = own.collect();
    for target in targets() {
        for request in requests().iter().chain(&own) {
            for body in bodies {
                let (request, reply) = (request.clone(), target.clone());
                let sending = thief.publish_with_reply(request, reply, body.into());
                sending.await.unwrap();
                sent += 1;
            }
        }
        for body in bodies {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Rollup", "all");
            let sending = thief.publish_with_headers(target.clone(), headers, body.into());
            sending.await.unwrap();
            thief.publish(target.clone(), body.into()).await.unwrap();
            sent += 2;
        }
    }
    for own in own {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Rollup", "all");
        let sending = thief.publish_with_headers(own, headers, "{}".into());
        sending.await.unwrap();
        sent += 1;
    }
    thief.flush().await.unwrap();
    // What the server still answers.
    std::thread::sleep(Duration::from_millis(500));
    sent
}

/// The store before and after an attack, without what its client may write.
async fn attacked(owner: &Context, thief: &Client, own: &[&str]) -> (Contents, Contents, usize) {
    let before = contents(owner).await;
    let sent = attack(thief, own).await;
    let mut after = contents(owner).await;
    let is_own = |subject: &str| own.iter().any(|own| subject.starts_with(own));
    after.retain(|_, (subject, _)| !is_own(subject));
    let before = { before.into_iter() }
        .filter(|(_, (subject, _))| !is_own(subject))
        .collect();
    (before, after, sent)
}

#[test]
fn no_answer_reaches_the_store() {
    if binary().is_none() {
        return;
    }
    let fleet = Fleet::start("fleet-deputy");
    let mut nodes = [("one", "one"), ("two", "two")].map(|(name, seed)| {
        let with = ["--nkey", &fleet.seed(seed), "--domain", FLEET];
        Node::new(&fleet.folder, name, &fleet.address, &with)
    });
    let done = fleet.publish("all", &["--wait", "20"]).generation();
    nodes.iter().for_each(|node| node.wait(done));
    assert_eq!(fleet.kill("all").status, 0);
    // Both report once more, and then no more.
    std::thread::sleep(Duration::from_secs(3));
    nodes.iter_mut().for_each(Node::kill);
    block_on(async {
        let owner = jetstream::new(client(&fleet.address, &fleet.seed("owner")).await);
        for (role, own) in [
            ("one", &["$KV.hedgerow_nodes.one"][..]),
            ("reader", &[]),
            (
                "canary",
                &[
                    "$KV.hedgerow.pointer.canary",
                    "$KV.hedgerow.generation",
                    "$O.hedgerow.",
                ],
            ),
        ] {
            let thief = client(&fleet.address, &fleet.seed(role)).await;
            let (before, after, sent) = attacked(&owner, &thief, own).await;
            assert!(before.len() > 3 && sent > 1_000, "{sent} {before:?}");
            assert_eq!(before, after, "{role}");
            println!("{role}: {sent} messages to subjects of others, none stored");
        }
    });
    assert_eq!(fleet.publish("all", &[]).status, 0);
}

/// A key with rights in the account that holds the store reaches every subject of it: what the
/// attack above is worth.
#[test]
fn rights_in_the_stores_account_hold_nobody_back() {
    if binary().is_none() {
        return;
    }
    let folder = Folder::new("fleet-one-account");
    let [owner, thief] = ["owner", "thief"].map(|name| {
        let file = folder.text(&format!("{name}.seed"));
        let made = run(&["nkey", "reader", &file]);
        (file, made.json["nkey"].as_str().unwrap().to_string())
    });
    let may = "\"$JS.API.*.*.*\", \"$JS.API.*.*.*.*\", \"$KV.hedgerow_nodes.one\"";
    let users = format!(
        "authorization {{ users: [ {{ nkey: {} }}\n {{ nkey: {}, permissions: {{ \
         publish: [ {may} ], subscribe: [\"_INBOX.>\"] }} }} ] }}\n",
        owner.1, thief.1
    );
    let servers = Servers::start_with("fleet-one-account", 1, &users).unwrap();
    let address = servers.address();
    let made = run(&["init", &address, "--nkey", &owner.0]);
    assert_eq!(made.status, 0, "{made:?}");
    let table = folder.table(1);
    publish(&address, &table, &["--nkey", &owner.0]).generation();
    let (key, there) = ("$KV.hedgerow.switches", |contents: &Contents| {
        contents
            .values()
            .any(|(subject, _)| subject == "$KV.hedgerow.switches")
    });
    block_on(async {
        let store = jetstream::new(client(&address, &owner.0).await);
        assert!(!there(&contents(&store).await));
        let thief = client(&address, &thief.0).await;
        let request = "$JS.API.STREAM.INFO.KV_hedgerow";
        let sending = thief.publish_with_reply(request, key, "".into());
        sending.await.unwrap();
        thief.flush().await.unwrap();
        std::thread::sleep(Duration::from_millis(300));
        assert!(
            there(&contents(&store).await),
            "the server's answer is under the key"
        );
    });
}
