//! A leaf server between agents and the cluster.

use super::servers::{Leaf, WITH_LEAVES};
use super::*;

#[test]
fn faults_of_a_leaf_server_between_agents_and_the_cluster() {
    let Some(servers) = Servers::start_with("leaf", 3, WITH_LEAVES) else {
        return;
    };
    let (folder, address) = (Folder::new("fleet-leaf"), servers.address());
    let made = run(&["init", &address, "--replicas", "3", "--within", "60"]);
    assert_eq!(made.status, 0, "{made:?}");
    let mut leaf = Leaf::of(&servers);
    let nodes =
        ["a", "b"].map(|name| Node::new(&folder, name, &leaf.address, &["--domain", "hub"]));
    let everywhere = |number: u8, generation: u64| {
        for node in &nodes {
            node.wait_table(generation, content_id(number));
        }
    };
    // The agents' first reports.
    let reports = || {
        let status = run(&["status", &address, "--within", "30"]);
        status.json["nodes"].as_array().map_or(0, Vec::len) == 2
    };
    wait_until(Duration::from_secs(30), reports, || nodes[0].log());
    let wait = ["--within", "60", "--wait", "60"];
    let done = publish(&address, &folder.table(1), &wait);
    assert_eq!(done.json["nodes"]["done"], 2, "{done:?}");
    everywhere(1, done.generation());
    let killed = run(&[&["kill", "ensemble", &address], &wait[..]].concat());
    assert_eq!(killed.json["nodes"]["done"], 2, "{killed:?}");
    nodes.iter().for_each(|node| node.wait_off(&["ensemble"]));
    // The leaf ends, and comes back after a publish.
    leaf.kill();
    let missed = publish(&address, &folder.table(2), &["--within", "60"]).generation();
    nodes
        .iter()
        .for_each(|node| assert!(node.generation() < missed));
    leaf.run();
    everywhere(2, missed);
    // A server of the cluster ends.
    servers.kill(0);
    let done = publish(&address, &folder.table(3), &wait);
    everywhere(3, done.generation());
    // A publish through the leaf.
    let done = publish(
        &leaf.address,
        &folder.table(4),
        &[&wait[..], &["--domain", "hub"]].concat(),
    );
    everywhere(4, done.generation());
    nodes.iter().for_each(Node::is_sound);
    println!("a leaf server, killed; and a server of the cluster behind it: once each");
}
