//! TLS between a fleet and three servers, with certificates of a private authority.

use super::servers::binary;
use super::*;
use std::process::Command;

/// Makes a folder of certificates with the project's script.
fn certificates(folder: &Folder, name: &str) -> std::path::PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = folder.path(name);
    let done = Command::new("sh")
        .arg(root.join("certificates.sh"))
        .arg(&path)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    path
}

#[test]
fn a_fleet_is_encrypted_and_knows_its_servers() {
    if binary().is_none() {
        return;
    }
    let folder = Folder::new("fleet-tls");
    let (own, foreign) = (
        certificates(&folder, "own"),
        certificates(&folder, "foreign"),
    );
    let servers = Servers::start_secured(folder.path("nats"), 3, "", Some(&own)).unwrap();
    let address = servers.address();
    let ca = own.join("ca.pem").display().to_string();
    let wrong = foreign.join("ca.pem").display().to_string();
    let with = ["--ca", ca.as_str()];
    let init = ["init", &address, "--replicas", "3", "--within", "60"];
    let made = run(&[&init[..], &with].concat());
    assert_eq!(made.status, 0, "{made:?}");
    let node = Node::new(&folder, "one", &address, &with);
    let table = folder.table(1);
    let done = publish(
        &address,
        &table,
        &["--ca", &ca, "--wait", "30", "--within", "30"],
    );
    assert_eq!(done.json["nodes"]["done"], 1, "{done:?}");
    node.wait(done.generation());
    // The same from the environment.
    let mut status = command(&["status", &address]);
    let output = status.env("HEDGEROW_FLEET_CA", &ca).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    // An authority that did not sign the certificate, and none: refused at once, with the reason.
    for more in [&["--ca", wrong.as_str()][..], &[]] {
        let refused = run(&[&["status", &address, "--within", "20"], more].concat());
        refused.fails("fleet-store");
        let text = refused.json.to_string();
        let clear = text.contains("invalid peer certificate") && text.contains("--ca FILE");
        assert!(clear, "{text}");
    }
    let nothing = folder.path("nothing").display().to_string();
    let refused = run(&["status", &address, "--ca", &nothing]);
    refused.fails("io");
    // An agent logs the same, and its directory stays as it is.
    let late = Node::new(&folder, "late", &address, &["--ca", &wrong]);
    late.wait_for("a word", || late.log().contains("invalid peer certificate"));
    assert_eq!(late.generation(), 0);
}

#[test]
fn one_encrypted_address_of_several_means_all() {
    let Some(servers) = Servers::start("half-encrypted", 1) else {
        return;
    };
    let plain = servers.address();
    assert_eq!(run(&["init", &plain]).status, 0);
    let mixed = format!("tls://127.0.0.1:1,{plain}");
    let refused = run(&["status", &mixed, "--within", "1"]);
    refused.fails("fleet-store");
}
