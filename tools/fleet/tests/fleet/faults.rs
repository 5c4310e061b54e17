//! Faults: servers, agents and publishers that die, and a network that is gone for a while.

use super::node::{self, Folder, Node, content_id, run};
use super::servers::Servers;
use super::{fleet, publish};
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often each fault is tried.
fn rounds(short: u32) -> u32 {
    let given = std::env::var("HEDGEROW_FLEET_ROUNDS").ok();
    given.map_or(short, |rounds| rounds.parse().expect("a number of rounds"))
}

/// A small sequence that differs from round to round.
fn spread(round: u32, below: u64) -> Duration {
    Duration::from_millis(u64::from(round).wrapping_mul(2_654_435_761) / 7 % below)
}

#[test]
fn a_server_dies_in_mid_publish() {
    let (servers, folder, address) = fleet!("cluster", 3);
    let names = ["a", "b", "c"];
    let nodes = names.map(|name| Node::new(&folder, name, &address, &[]));
    let mut slowest = Duration::ZERO;
    let rounds = rounds(3);
    for round in 0..rounds {
        let (victim, number) = ((round % 3) as usize, (round % 200 + 1) as u8);
        let table = folder.table(number);
        let args = [
            "publish", &table, &address, "--within", "60", "--wait", "60",
        ];
        let mut command = node::command(&args);
        let child = command.stdout(Stdio::piped()).spawn().unwrap();
        sleep(spread(round, 120));
        servers.kill(victim);
        let started = Instant::now();
        let output = child.wait_with_output().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(output.status.success(), "round {round}: {json}");
        let generation = json["generation"].as_u64().unwrap();
        for node in &nodes {
            node.wait(generation);
            assert_eq!(node.watcher.status().content_id, content_id(number));
        }
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
    println!("killed one of three servers {rounds} times; at most {slowest:?} to the last node");
}

#[test]
fn a_publisher_dies_at_any_step() {
    let (_servers, folder, address) = fleet!("publisher-dies", 1);
    let node = Node::new(&folder, "one", &address, &[]);
    let (mut died, rounds) = (0, rounds(10));
    for round in 0..rounds {
        let table = folder.table((round % 100) as u8);
        let mut child = node::command(&["publish", &table, &address])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        sleep(spread(round, 250));
        let _ = child.kill();
        died += u32::from(!child.wait().unwrap().success());
        // Whatever it left, the next one goes through and everybody has it.
        let number = (round % 100) as u8 + 100;
        let next = publish(&address, &folder.table(number), &["--wait", "20"]);
        node.wait(next.generation());
        assert_eq!(node.watcher.status().content_id, content_id(number));
    }
    node.is_sound();
    println!("killed the publisher {rounds} times, {died} of them before it was done");
    assert!(died > 0);
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
        // Its engine goes on with one of the two.
        assert!((generation - 1..=generation).contains(&node.generation()));
        node.start();
        node.wait(generation);
        assert_eq!(node.watcher.status().content_id, content_id(number));
    }
    node.is_sound();
    println!("killed the agent {rounds} times");
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
    // A publisher says so, and in time.
    let started = Instant::now();
    let refused = run(&["publish", "default", &address, "--within", "2"]);
    assert_eq!(
        (refused.status, refused.name()),
        (1, "fleet-store"),
        "{refused:?}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "{:?}",
        started.elapsed()
    );
    servers.freeze(0, false);
    let generation = publish(&address, &folder.table(2), &["--wait", "30"]).generation();
    node.wait(generation);
    // And where the server itself was gone and comes back.
    servers.kill(0);
    sleep(Duration::from_secs(1));
    servers.run(0);
    let generation = publish(
        &address,
        &folder.table(3),
        &["--within", "30", "--wait", "30"],
    );
    node.wait(generation.generation());
}

/// A small file system that goes with its test.
struct Small(std::path::PathBuf);

impl Small {
    /// Mounts one; none where this user may not.
    fn mount(place: std::path::PathBuf) -> Option<Small> {
        fs::create_dir_all(&place).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]);
        let done = command.arg(&place).stderr(Stdio::null()).status();
        match done.is_ok_and(|done| done.success()) {
            true => Some(Small(place)),
            false => {
                eprintln!("SKIPPED: no right to mount a small file system");
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
    let first = publish(&address, &folder.table(1), &["--wait", "20"]).generation();
    node.wait(first);
    let rest = small.0.join("rest");
    let mut filler = fs::File::create(&rest).unwrap();
    while filler.write_all(&[0; 4_096]).is_ok() {}
    let second = publish(&address, &folder.table(2), &["--wait", "5"]);
    assert_eq!(second.status, 1, "{second:?}");
    let told = second.json["nodes"]["others"].to_string();
    assert!(
        told.contains("refused") && told.contains("directory"),
        "{told}"
    );
    let second = second.json["generation"].as_u64().unwrap();
    other.wait(second);
    assert_eq!(node.generation(), first);
    drop(filler);
    fs::remove_file(rest).unwrap();
    node.wait(second);
    node.is_sound();
}
