//! Faults: servers, agents and publishers that die, and a network that is gone for a while.

use super::*;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;

/// Checks that accepted generations are in the fleet's history, as far as a bucket keeps it.
pub fn nothing_is_lost(address: &str, accepted: &[u64]) {
    let history = run(&["history", address, "--within", "60"]);
    let lines = history.json["history"].as_array().unwrap();
    let pointers = lines.iter().filter(|line| line["key"] == "pointer.all");
    let there: Vec<u64> = pointers
        .map(|line| line["body"]["pointer"]["generation"].as_u64().unwrap())
        .collect();
    for generation in accepted.iter().rev().take(60) {
        assert!(there.contains(generation), "{generation}: {there:?}");
    }
}

/// Returns a pause that differs from round to round.
fn spread(round: u32, below: u64) -> Duration {
    Duration::from_millis(u64::from(round).wrapping_mul(2_654_435_761) / 7 % below)
}

/// Waits until a command succeeds and every node runs its table. Returns the generation.
fn taken(command: Child, nodes: &[Node], number: u8) -> u64 {
    let done = Outcome::of(&command.wait_with_output().unwrap());
    let generation = done.generation();
    for node in nodes {
        node.wait_table(generation, content_id(number));
    }
    generation
}

#[test]
fn a_server_dies_in_mid_publish() {
    let (servers, folder, address) = fleet!("cluster", 3);
    let names = ["a", "b", "c"];
    let nodes = names.map(|name| Node::new(&folder, name, &address, &[]));
    let (mut slowest, mut accepted) = (Duration::ZERO, Vec::new());
    let rounds = rounds(3);
    for round in 0..rounds {
        let (victim, number) = ((round % 3) as usize, (round % 200 + 1) as u8);
        let table = folder.table(number);
        let args = [
            "publish", &table, &address, "--within", "60", "--wait", "60",
        ];
        let child = spawn(&args);
        sleep(spread(round, 120));
        servers.kill(victim);
        let started = Instant::now();
        accepted.push(taken(child, &nodes, number));
        slowest = slowest.max(started.elapsed());
        // Two of three are enough for a kill switch too.
        let killed = run(&[
            "kill", "ensemble", &address, "--within", "60", "--wait", "30",
        ]);
        assert_eq!(killed.status, 0, "{killed:?}");
        let restored = run(&[
            "restore", "ensemble", &address, "--within", "60", "--wait", "30",
        ]);
        assert_eq!(restored.status, 0, "{restored:?}");
        servers.run(victim);
    }
    nodes.iter().for_each(Node::is_sound);
    nothing_is_lost(&address, &accepted);
    println!(
        "a server of three, killed in mid-publish: {rounds} times; at most {slowest:?} to the last \
         node"
    );
}

#[test]
fn a_server_dies_in_mid_rollout() {
    let (servers, folder, address) = fleet!("cluster-rollout", 3);
    let rings = ["canary", "early", "all"];
    let nodes = rings.map(|ring| Node::new(&folder, ring, &address, &["--ring", ring]));
    publish(&address, &folder.table(0), &["--wait", "30"]).generation();
    let (mut slowest, mut accepted, rounds) = (Duration::ZERO, Vec::new(), rounds(2));
    for round in 0..rounds {
        let (victim, number) = ((round % 3) as usize, (round % 200 + 1) as u8);
        let table = folder.table(number);
        let args = [
            "rollout",
            &table,
            &address,
            "--within",
            "60",
            "--soak",
            "0.2",
            "--ring-within",
            "90",
        ];
        let started = Instant::now();
        let child = spawn(&args);
        sleep(spread(round, 1_500));
        servers.kill(victim);
        accepted.push(taken(child, &nodes, number));
        slowest = slowest.max(started.elapsed());
        servers.run(victim);
    }
    nodes.iter().for_each(Node::is_sound);
    nothing_is_lost(&address, &accepted);
    println!(
        "a server of three, killed in mid-rollout: {rounds} times; at most {slowest:?} for three \
         rings"
    );
}

#[test]
fn a_publisher_dies_at_any_step() {
    let (_servers, folder, address) = fleet!("publisher-dies", 1);
    let node = Node::new(&folder, "one", &address, &[]);
    let (mut died, rounds) = (0, rounds(10));
    for round in 0..rounds {
        let table = folder.table((round % 100) as u8);
        let mut child = spawn(&["publish", &table, &address]);
        sleep(spread(round, 250));
        let _ = child.kill();
        died += u32::from(!child.wait().unwrap().success());
        // The next publish succeeds, and every node has it.
        let number = (round % 100) as u8 + 100;
        let next = publish(&address, &folder.table(number), &["--wait", "20"]);
        node.wait_table(next.generation(), content_id(number));
    }
    node.is_sound();
    println!(
        "the publisher, killed at any step: {rounds} times, {died} of them before it was done"
    );
    assert!(died > 0);
}

#[test]
fn a_publisher_dies_between_object_and_pointer() {
    let (_servers, folder, address) = fleet!("between", 1);
    let node = Node::new(&folder, "one", &address, &[]);
    let (mut between, rounds) = (0, rounds(5));
    let mut last = publish(&address, &folder.table(0), &["--wait", "20"]).generation();
    for round in 0..rounds {
        let (lost, next) = ((round % 100) as u8 + 1, (round % 100) as u8 + 101);
        let table = folder.table(lost);
        kill_at_object(&address, &table);
        // Every node has the table that the pointer names, whole.
        let history = run(&["status", &address]);
        let pointer = history.json["rings"][0]["generation"].as_u64().unwrap();
        between += u32::from(pointer == last);
        node.wait(pointer);
        last = publish(&address, &folder.table(next), &["--wait", "20"]).generation();
        node.wait_table(last, content_id(next));
    }
    node.is_sound();
    println!(
        "the publisher, killed at its object: {rounds} times, {between} of them before its pointer"
    );
    assert!(between > 0);
}

/// Publishes, and kills the publisher as soon as its object is there.
fn kill_at_object(address: &str, table: &str) {
    use futures_util::StreamExt;
    support::block_on(async {
        let client = async_nats::connect(address).await.unwrap();
        let mut objects = client.subscribe("$O.hedgerow.M.>").await.unwrap();
        client.flush().await.unwrap();
        let mut child = spawn(&["publish", table, address]);
        let came = tokio::time::timeout(Duration::from_secs(30), objects.next());
        assert!(came.await.unwrap().is_some());
        let _ = child.kill();
        let _ = child.wait();
    });
}

#[test]
fn an_object_is_corrupted_before_a_node_has_it() {
    let (_servers, folder, address) = fleet!("corrupt", 1);
    let mut node = Node::new(&folder, "one", &address, &[]);
    let rounds = rounds(1);
    let mut last = publish(&address, &folder.table(0), &["--wait", "20"]).generation();
    for round in 0..rounds {
        let number = (round % 200) as u8 + 1;
        node.kill();
        let generation = publish(&address, &folder.table(number), &[]).generation();
        let file = bytes(number);
        let object = object(&file);
        let mut bad = file.clone();
        let at = (round as usize * 7_919 + 4_001) % bad.len();
        match round % 3 {
            0 => bad[at] ^= 1 << (round % 8),
            1 => bad.truncate(at),
            _ => bad.extend_from_slice(&file[..at]),
        }
        put_object(&address, &object, &bad);
        let said = node.log().matches(&object).count();
        node.start();
        node.wait_for("a refusal", || node.log().matches(&object).count() > said);
        assert_eq!(node.generation(), last, "round {round}");
        put_object(&address, &object, &file);
        node.wait(generation);
        last = generation;
    }
    node.is_sound();
    println!("an object, corrupted before a node had it: {rounds} times, refused each time");
}

#[test]
fn an_agent_is_stopped_for_a_while() {
    let (_servers, folder, address) = fleet!("stopped", 1);
    let (slow, other) = (
        Node::new(&folder, "slow", &address, &[]),
        Node::new(&folder, "other", &address, &[]),
    );
    publish(&address, &folder.table(0), &["--wait", "20"]).generation();
    let rounds = rounds(2);
    for round in 0..rounds {
        let number = (round % 200) as u8 + 1;
        slow.freeze(true);
        let done = publish(&address, &folder.table(number), &["--wait", "1"]);
        let generation = done.json["generation"].as_u64().unwrap();
        assert_eq!(done.status, 1, "{done:?}");
        assert!(
            done.json["nodes"].to_string().contains("not yet"),
            "{done:?}"
        );
        other.wait(generation);
        assert_eq!(slow.generation(), generation - 1);
        sleep(spread(round, 3_000));
        slow.freeze(false);
        slow.wait_table(generation, content_id(number));
    }
    slow.is_sound();
    println!("an agent, stopped while others take a table: {rounds} times");
}

#[test]
fn many_agents_are_on_one_machine() {
    let count = support::given("HEDGEROW_FLEET_MANY", 10);
    let (servers, folder, address) = fleet!("crowd", 1);
    let look = |options: &mut hedgerow::WatchOptions| options.poll = Duration::from_millis(250);
    let nodes: Vec<Node> = (0..count)
        .map(|at| Node::with(&folder, &format!("n{at}"), &address, &[], look))
        .collect();
    let wait = ["--within", "60", "--wait", "120"];
    let all_run = |number: u8, generation: u64| {
        for node in &nodes {
            node.wait_table(generation, content_id(number));
        }
    };
    let one = publish(&address, &folder.table(1), &wait);
    all_run(1, one.generation());
    // The server dies and comes back under all of them.
    servers.kill(0);
    sleep(Duration::from_millis(500));
    servers.run(0);
    let started = Instant::now();
    let two = publish(&address, &folder.table(2), &wait);
    all_run(2, two.generation());
    let after = started.elapsed();
    assert_eq!(two.json["nodes"]["done"], count, "{:?}", two.json["nodes"]);
    let back = run(&[&["rollback", &address], &wait[..]].concat());
    all_run(1, back.generation());
    let killed = run(&[&["kill", "ensemble", &address], &wait[..]].concat());
    assert_eq!(killed.json["nodes"]["done"], count, "{killed:?}");
    nodes.iter().for_each(|node| node.wait_off(&["ensemble"]));
    nodes.iter().for_each(Node::is_sound);
    println!(
        "{count} agents on one machine, whose server was killed: {after:?} to the last of a publish"
    );
}

#[test]
fn an_agent_dies_at_any_step() {
    let (_servers, folder, address) = fleet!("agent-dies", 1);
    let mut node = Node::new(&folder, "one", &address, &[]);
    publish(&address, &folder.table(0), &["--wait", "20"]).generation();
    let rounds = rounds(10);
    for round in 0..rounds {
        let number = (round % 200 + 1) as u8;
        let generation = publish(&address, &folder.table(number), &[]).generation();
        sleep(spread(round, 60));
        node.kill();
        // Its engine runs one of the two.
        assert!((generation - 1..=generation).contains(&node.generation()));
        node.start();
        node.wait_table(generation, content_id(number));
    }
    node.is_sound();
    println!("the agent, killed at any step: {rounds} times");
}

#[test]
fn a_fleet_without_a_network_stays_as_it_is_and_says_how_old_that_is() {
    let (servers, folder, address) = fleet!("cut", 1);
    let node = Node::new(&folder, "one", &address, &[]);
    publish(&address, &folder.table(1), &["--wait", "20"]).generation();
    let before = node.watcher.status();
    servers.freeze(0, true);
    sleep(Duration::from_secs(6));
    let shown = run(&["node", node.directory.to_str().unwrap()]);
    let age = shown.json["agent"]["heard_seconds_before"]
        .as_u64()
        .unwrap();
    assert!(age >= 2, "{shown:?}");
    assert_eq!(node.watcher.status().generation, before.generation);
    // A publisher fails, and in time.
    let started = Instant::now();
    let refused = run(&["publish", "default", &address, "--within", "2"]);
    refused.fails("fleet-store");
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "{:?}",
        started.elapsed()
    );
    servers.freeze(0, false);
    let generation = publish(&address, &folder.table(2), &["--wait", "30"]).generation();
    node.wait(generation);
    // The server ends and comes back.
    let rounds = rounds(1);
    for round in 0..rounds {
        servers.kill(0);
        sleep(Duration::from_secs(1));
        servers.run(0);
        let table = folder.table((round % 200) as u8 + 3);
        let done = publish(&address, &table, &["--within", "30", "--wait", "30"]);
        node.wait(done.generation());
    }
    println!("the one server, gone for a second: {rounds} times; frozen for 6 s: once");
}

/// Logs that something is missing. Fails if it must not be missing.
pub fn skipped(what: &str) {
    let required = std::env::var_os("HEDGEROW_FLEET_ALL").is_some_and(|set| set == "1");
    assert!(!required, "{what}");
    eprintln!("SKIPPED: {what}");
}

/// A small file system that goes with its test.
struct Small(std::path::PathBuf);

impl Small {
    /// Mounts one. `None` if this user may not.
    fn mount(place: std::path::PathBuf) -> Option<Small> {
        fs::create_dir_all(&place).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]);
        let done = command.arg(&place).stderr(Stdio::null()).status();
        match done.is_ok_and(|done| done.success()) {
            true => Some(Small(place)),
            false => {
                skipped("no right to mount a small file system");
                None
            }
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_refuses_a_table_and_says_so() {
    let (_servers, folder, address) = fleet!("full-disk", 1);
    let Some(small) = Small::mount(folder.path("full")) else {
        return;
    };
    let node = Node::new(&folder, "full", &address, &[]);
    let other = Node::new(&folder, "other", &address, &[]);
    let mut last = publish(&address, &folder.table(0), &["--wait", "20"]).generation();
    node.wait(last);
    let rounds = rounds(1);
    for round in 0..rounds {
        let rest = small.0.join("rest");
        let mut filler = fs::File::create(&rest).unwrap();
        while filler.write_all(&[0; 4_096]).is_ok() {}
        let table = folder.table((round % 200) as u8 + 1);
        let next = publish(&address, &table, &["--wait", "5"]);
        assert_eq!(next.status, 1, "{next:?}");
        let report = next.json["nodes"]["others"].to_string();
        assert!(
            report.contains("refused") && report.contains("directory"),
            "{report}"
        );
        let next = next.json["generation"].as_u64().unwrap();
        other.wait(next);
        assert_eq!(node.generation(), last);
        drop(filler);
        fs::remove_file(rest).unwrap();
        node.wait(next);
        last = next;
    }
    println!("a full disk: {rounds} times, refused each time, and taken when there was room");
    node.is_sound();
}

#[test]
fn a_directory_that_lost_its_files_gets_them_again() {
    let (_servers, folder, address) = fleet!("lost", 1);
    let node = Node::new(&folder, "one", &address, &[]);
    let wait = ["--wait", "20"];
    let done = publish(&address, &folder.table(1), &wait).generation();
    let killed = run(&[&["kill", "feature:ua_bot_word", &address][..], &wait].concat());
    assert_eq!(killed.status, 0, "{killed:?}");
    let directory = folder.path("one");
    let table = || {
        let tables = std::fs::read_dir(directory.join("tables")).ok()?;
        let tables = tables.flatten();
        let names = tables.map(|entry| entry.path());
        let mut tables = names.filter(|path| path.extension().is_some_and(|it| it == "hedge"));
        tables.next()
    };
    let is_whole = || {
        let pointer = std::fs::read_to_string(directory.join("active")).unwrap_or_default();
        let switches = std::fs::read_to_string(directory.join("switches")).unwrap_or_default();
        let file = table()
            .and_then(|path| std::fs::read(path).ok())
            .unwrap_or_default();
        pointer.contains(&format!("\"generation\":{done},"))
            && switches.contains("ua_bot_word")
            && hedgerow::Table::from_bytes(&file).is_ok_and(|it| it.content_id() == content_id(1))
    };
    wait_until(Duration::from_secs(10), is_whole, || node.log());
    let remove = |name: &str| {
        let path = directory.join(name);
        let removed = match path.is_dir() {
            true => std::fs::remove_dir_all(path),
            false => std::fs::remove_file(path),
        };
        removed.unwrap();
    };
    for lost in [
        &["active", "tables", "switches", "ledger.jsonl"][..],
        &["active"],
        &["switches"],
        &["tables"],
        &["ledger.jsonl"],
    ] {
        lost.iter().for_each(|name| remove(name));
        let why = || format!("{lost:?}: {}", node.log());
        wait_until(Duration::from_secs(20), is_whole, why);
    }
    // A damaged table, and half of one.
    for keep in [1.0, 0.5] {
        let path = table().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let length = (bytes.len() as f64 * keep) as usize;
        bytes[4_096] ^= 1;
        std::fs::write(&path, &bytes[..length]).unwrap();
        wait_until(Duration::from_secs(20), is_whole, || node.log());
    }
    node.wait_off(&["feature:ua_bot_word"]);
    node.wait_table(done, content_id(1));
}
