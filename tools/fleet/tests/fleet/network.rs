//! Networks that are cut and slow, and clocks that are an hour apart.

use super::faults::skipped;
use super::servers::binary;
use super::support::{Process, given, run_by};
use super::*;
use std::process::{Command, Stdio};
use std::thread::sleep;

/// Two private networks, joined by a cable: a server is in one, and a node in the other.
struct Networks {
    names: [String; 2],
    server: Option<Process>,
    address: String,
}

fn does(command: &str) -> bool {
    let mut words = command.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command.args(words).stdout(Stdio::null());
    let done = command.stderr(Stdio::null()).status();
    done.is_ok_and(|done| done.success())
}

impl Networks {
    /// `None` if this user may not make networks.
    fn make(folder: &Folder) -> Option<Networks> {
        let program = binary()?;
        let id = std::process::id();
        let names = ["a", "b"].map(|side| format!("hedgerow-{id}-{side}"));
        let mut networks = Networks {
            names: names.clone(),
            server: None,
            address: "nats://10.231.0.1:4222".into(),
        };
        let [a, b] = &names;
        let made = [
            format!("ip netns add {a}"),
            format!("ip netns add {b}"),
            format!("ip -n {a} link add va type veth peer name vb"),
            format!("ip -n {a} link set vb netns {b}"),
            format!("ip -n {a} addr add 10.231.0.1/24 dev va"),
            format!("ip -n {b} addr add 10.231.0.2/24 dev vb"),
            format!("ip -n {a} link set va up"),
            format!("ip -n {b} link set vb up"),
            format!("ip -n {a} link set lo up"),
            format!("ip -n {b} link set lo up"),
        ];
        if !made.iter().all(|command| does(command)) {
            skipped("no right, or no `ip`, to make a network of its own");
            return None;
        }
        let text = format!(
            "listen: \"10.231.0.1:4222\"\njetstream {{ store_dir: \"{}\" }}\n",
            folder.path("store").display()
        );
        let config = folder.file("n.conf", text);
        let mut server = Command::new("ip");
        let server = server.args(["netns", "exec", a]).arg(program);
        let server = server.args(["-c", &config]).stderr(Stdio::null());
        networks.server = Some(Process::start(server));
        let init = ["init", &networks.address, "--within", "30"];
        let made = run_by(&networks.by(0), &init);
        assert_eq!(made.status, 0, "{made:?}");
        Some(networks)
    }

    /// Returns the command that runs another in a network.
    fn by(&self, side: usize) -> Vec<String> {
        ["ip", "netns", "exec", &self.names[side]]
            .map(Into::into)
            .into()
    }

    fn node(&self, folder: &Folder, name: &str, side: usize) -> Node {
        let mut node = Node::new(folder, name, &self.address, &["--within", "10"]);
        node.restart_by(self.by(side));
        node
    }

    fn publish(&self, table: &str, wait: &str) -> Outcome {
        let args = ["publish", table, &self.address, "--wait", wait];
        run_by(&self.by(0), &args)
    }

    /// Pulls the cable, or puts it in. Packets are lost without an error.
    fn cut(&self, cut: bool) {
        let (a, state) = (&self.names[0], if cut { "down" } else { "up" });
        assert!(does(&format!("ip -n {a} link set va {state}")));
    }

    /// Limits the rate, or not.
    fn slow(&self, slow: bool) -> bool {
        let a = &self.names[0];
        match slow {
            true => does(&format!(
                "ip netns exec {a} tc qdisc add dev va root tbf rate 300kbit burst 4kb latency 2s"
            )),
            false => does(&format!("ip netns exec {a} tc qdisc del dev va root")),
        }
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        self.server = None;
        for name in &self.names {
            does(&format!("ip netns del {name}"));
        }
    }
}

#[test]
fn faults_of_a_network_that_is_cut_and_one_that_is_slow() {
    let folder = Folder::new("fleet-network");
    let Some(networks) = Networks::make(&folder) else {
        return;
    };
    let near = networks.node(&folder, "near", 0);
    let far = networks.node(&folder, "far", 1);
    let mut last = networks.publish(&folder.table(0), "20").generation();
    [&near, &far].iter().for_each(|node| node.wait(last));
    let seconds = u64::from(given("HEDGEROW_FLEET_CUT_SECONDS", 4));
    let (cuts, mut slowest) = (given("HEDGEROW_FLEET_CUTS", 1), Duration::ZERO);
    for round in 0..cuts {
        let number = (round % 100) as u8 + 1;
        networks.cut(true);
        let cut = Instant::now();
        let done = networks.publish(&folder.table(number), "1");
        let generation = done.json["generation"].as_u64().unwrap();
        near.wait(generation);
        let kill = ["kill", "ensemble", &networks.address];
        assert_eq!(run_by(&networks.by(0), &kill).status, 0);
        near.wait_off(&["ensemble"]);
        sleep(Duration::from_secs(seconds).saturating_sub(cut.elapsed()));
        // The far node keeps its table, and reports how old its knowledge is.
        assert_eq!(far.generation(), last);
        let shown = run(&["node", far.directory.to_str().unwrap()]);
        let age = shown.json["heard_seconds_ago"].as_u64().unwrap();
        assert!(age + 2 >= seconds.min(cut.elapsed().as_secs()), "{shown:?}");
        networks.cut(false);
        let joined = Instant::now();
        far.wait(generation);
        far.wait_off(&["ensemble"]);
        slowest = slowest.max(joined.elapsed());
        assert_eq!(far.watcher.status().content_id, Some(content_id(number)));
        let restore = ["restore", "ensemble", &networks.address, "--wait", "20"];
        assert_eq!(run_by(&networks.by(0), &restore).status, 0);
        last = generation;
    }
    println!(
        "a node's network, cut for {seconds} s: {cuts} times; at most {slowest:?} until it was \
         level again"
    );
    // A slow line: the table takes some seconds to one node.
    if !networks.slow(true) {
        return skipped("no `tc` that makes a network slow");
    }
    let rounds = rounds(1).min(10);
    for round in 0..rounds {
        let number = (round % 100) as u8 + 101;
        let generation = networks.publish(&folder.table(number), "0").generation();
        near.wait(generation);
        assert_eq!(far.generation(), last, "300 kbit/s for 90 kB");
        far.wait_table(generation, content_id(number));
        last = generation;
    }
    assert!(networks.slow(false));
    [&near, &far].iter().for_each(|node| node.is_sound());
    println!("a node at 300 kbit/s: {rounds} times");
}

/// The library that gives a program another time.
const OTHER_CLOCKS: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
];

/// Returns the command that runs another with a wrong clock.
fn by_clock(offset: &str) -> Option<Vec<String>> {
    let library = OTHER_CLOCKS
        .iter()
        .find(|library| std::path::Path::new(library).is_file());
    let Some(library) = library else {
        skipped("libfaketime is missing: tools/fleet/setup.sh --faults");
        return None;
    };
    Some(vec![
        "env".into(),
        format!("LD_PRELOAD={library}"),
        format!("FAKETIME={offset}"),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".into(),
    ])
}

#[test]
fn faults_of_clocks_that_are_an_hour_apart() {
    let (Some(ahead), Some(behind)) = (by_clock("+1h"), by_clock("-1h")) else {
        return;
    };
    let (_servers, folder, address) = fleet!("clocks", 1);
    let node = |name: &str, by: &[String]| {
        let mut node = Node::new(&folder, name, &address, &[]);
        node.restart_by(by.to_vec());
        node
    };
    let nodes = [
        node("ahead", &ahead),
        node("behind", &behind),
        node("here", &[]),
    ];
    let rounds = rounds(1);
    let mut times = Vec::new();
    for round in 0..rounds {
        // Each publisher's clock is an hour or two off the last one's.
        for (at, by) in [&ahead, &behind, &Vec::new()].into_iter().enumerate() {
            let number = ((3 * round + at as u32) % 200) as u8 + 1;
            let table = folder.table(number);
            let done = run_by(by, &["publish", &table, &address, "--wait", "20"]);
            assert_eq!(done.json["nodes"]["done"], 3, "{done:?}");
            times.push(done.json["at"].as_str().unwrap().to_string());
            for node in &nodes {
                node.wait_table(done.generation(), content_id(number));
            }
        }
        let back = run_by(&behind, &["rollback", &address, "--wait", "20"]);
        let killed = run_by(&ahead, &["kill", "ensemble", &address, "--wait", "20"]);
        let restored = run_by(&behind, &["restore", "ensemble", &address, "--wait", "20"]);
        for done in [&back, &killed, &restored] {
            assert_eq!(done.json["nodes"]["done"], 3, "{done:?}");
        }
    }
    // The clocks were apart: the first publish has a later time than the second.
    assert!(times[0] > times[2] && times[1] < times[2], "{times:?}");
    let status = run_by(&behind, &["status", &address]);
    assert_eq!(status.status, 0, "{status:?}");
    assert_eq!(
        publish(&address, &folder.table(250), &["--wait", "20"]).status,
        0
    );
    nodes.iter().for_each(Node::is_sound);
    println!("clocks of nodes and publishers, an hour ahead and behind: {rounds} times");
}
