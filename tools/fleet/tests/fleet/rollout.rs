//! A table that goes to one ring after the other, and back where it is not taken well.

use super::*;
use hedgerow::model::{BuildOptions, Ensemble, Node as TreeNode, Tree, build};
use hedgerow::{DEFAULT_TABLE, Table};
use std::process::{Command, Stdio};

/// Well-formed, and the same score for everybody: engines hold it in quarantine.
fn constant() -> Vec<u8> {
    let ensemble = Ensemble {
        features: Table::from_bytes(DEFAULT_TABLE).unwrap().features(),
        trees: vec![Tree::Any {
            nodes: vec![TreeNode::Leaf { value: 0.0 }],
        }],
        bias: -9.0,
    };
    build(&ensemble, &BuildOptions::default()).unwrap().bytes
}

/// Columns of the terminal.
const WIDTH: usize = 100;

/// Runs a command on a terminal. Returns its exit status, and all output.
fn in_a_terminal(args: &[&str]) -> (Option<i32>, String) {
    let command = command(args);
    let quoted = std::iter::once(command.get_program())
        .chain(command.get_args().filter(|arg| *arg != "--json"))
        .map(|word| format!("'{}'", word.to_str().unwrap()));
    let line = quoted.collect::<Vec<_>>().join(" ");
    let line = format!("stty cols {WIDTH} rows 24; {line}");
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), text)
}

/// The lines that are on the terminal in the end.
fn screen(text: &str) -> Vec<String> {
    let mut lines = vec![[' '; WIDTH]];
    let (mut row, mut column) = (0, 0);
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        match next {
            '\r' => column = 0,
            '\n' => row += 1,
            '\x1b' => {
                assert_eq!(rest.next(), Some('['));
                let until = |c: &char| !c.is_ascii_alphabetic();
                let number: String = rest.clone().take_while(until).collect();
                match rest.nth(number.len()).unwrap() {
                    'A' => row -= number.parse::<usize>().unwrap(),
                    'B' => row += number.parse::<usize>().unwrap(),
                    'K' => lines[row] = [' '; WIDTH],
                    'h' | 'l' => {}
                    other => panic!("{number}{other}"),
                }
            }
            next => {
                if column == WIDTH {
                    (row, column) = (row + 1, 0);
                }
                lines.resize(lines.len().max(row + 1), [' '; WIDTH]);
                lines[row][column] = next;
                column += 1;
            }
        }
        lines.resize(lines.len().max(row + 1), [' '; WIDTH]);
    }
    let lines = lines.iter().map(|line| line.iter().collect::<String>());
    lines.map(|line| line.trim_end().to_string()).collect()
}

/// On a terminal, each ring has its line, and the lines make room for the report.
fn on_a_terminal(args: &[String]) {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let (status, shown) = in_a_terminal(&words);
    assert_eq!(status, Some(0), "{shown}");
    for part in [
        "canary  [....................] 0 of 1 run it",
        "canary  [####################] 1 of 1 run it, watched for 1 of 3 s; health: ",
        "all     waits",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let left = screen(&shown);
    let text = left.join("\n");
    assert!(!text.contains("[#") && !text.contains("waits"), "{left:?}");
    assert!(
        left.iter().any(|line| line.starts_with("canary")),
        "{left:?}"
    );
}

#[test]
fn a_rollout_goes_ring_by_ring_and_back_by_itself() {
    let (_servers, folder, address) = fleet!("rollout", 1);
    let rings = ["canary", "early", "all"];
    let nodes = rings.map(|ring| Node::new(&folder, ring, &address, &["--ring", ring]));
    publish(&address, &folder.table(1), &["--wait", "20"]).generation();
    let args = |file: &str, soak: &str| {
        let rest = ["--soak", soak, "--ring-within", "20"];
        [&["rollout", file, &address], &rest[..]]
            .concat()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<String>>()
    };
    let rollout = |file: &str| {
        let args = args(file, "0.3");
        run(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let good = rollout(&folder.table(2));
    assert_eq!(good.status, 0, "{good:?}");
    let generation = good.json["generation"].as_u64().unwrap();
    for node in &nodes {
        node.wait(generation);
        assert_eq!(node.watcher.status().content_id, Some(content_id(2)));
    }
    on_a_terminal(&args(&folder.table(5), "3"));
    let generation = nodes[2].generation();
    // The canary holds it in quarantine: nobody else gets it, and the canary goes back.
    let bad = rollout(&folder.file("constant.hedge", constant()));
    assert_eq!(bad.status, 1, "{bad:?}");
    assert_eq!(bad.json["rings"].as_array().unwrap().len(), 1, "{bad:?}");
    assert!(bad.json.to_string().contains("quarantined"), "{bad:?}");
    let back = bad.json["back"]["generation"].as_u64().unwrap();
    nodes[0].wait(back);
    assert_eq!(nodes[0].watcher.status().content_id, Some(content_id(5)));
    assert_eq!(
        [nodes[1].generation(), nodes[2].generation()],
        [generation; 2]
    );

    // Paused at the canary, then resumed; halted at the canary.
    for (steer, status) in [("resume", 0), ("halt", 1)] {
        let number = 3 + status as u8;
        let args = args(&folder.table(number), "4");
        let child = spawn(&args.iter().map(String::as_str).collect::<Vec<_>>());
        nodes[0].wait_for("the canary's turn", || {
            nodes[0].watcher.status().content_id == Some(content_id(number))
        });
        assert_eq!(run(&["steer", "pause", &address]).status, 0);
        std::thread::sleep(Duration::from_secs(5));
        assert_ne!(
            nodes[2].watcher.status().content_id,
            Some(content_id(number))
        );
        assert_eq!(run(&["steer", steer, &address]).status, 0);
        let output = child.wait_with_output().unwrap();
        let report = String::from_utf8_lossy(&output.stdout).to_string();
        assert_eq!(output.status.code(), Some(status), "{report}");
        let there = nodes[2].watcher.status().content_id;
        assert_eq!(there == Some(content_id(number)), status == 0);
    }
}
