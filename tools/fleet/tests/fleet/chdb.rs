//! The same query on a present-day engine: chDB, which is ClickHouse in a process.

use super::clickhouse::OLD_QUERY;
use super::clickhouse::generate;
use super::outage::model;
use super::support::{Folder, Process, port, root, wait_until};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

#[test]
fn a_present_day_engine_doubles_the_list_too() {
    let root = root();
    let python = root.join("target/chdb-venv/bin/python");
    if !python.is_file() {
        // Half a gigabyte: installed only on request.
        eprintln!("SKIPPED: chDB is missing: tools/fleet/setup.sh --chdb");
        return;
    }
    let port = port();
    let script = root.join("tools/fleet/tests/fleet/chdb_http.py");
    let mut command = Command::new(python);
    let _server = Process::start(command.arg(script).arg(port.to_string()));
    let answers = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    wait_until(Duration::from_secs(60), answers, || "chDB does not start");
    let folder = Folder::new("outage-chdb");
    let model = folder.file("model.txt", model());
    let (query, output) = (folder.file("old.sql", OLD_QUERY), folder.text("x.hedge"));
    let env = [(
        "HEDGEROW_CLICKHOUSE_URL",
        format!("http://127.0.0.1:{port}"),
    )];
    let old = generate(&env, &[&model, "-o", &output, "--query", &query]);
    old.refused(705, "list-duplicate", &["120 rows"]);
    let scoped = generate(&env, &[&model, "-o", &output]);
    assert_eq!(scoped.status, 0, "{scoped:?}");
    assert!(scoped.warns_of("r0"), "{scoped:?}");
}
