//! The same query on a present-day engine: chDB, which is ClickHouse in a process.

use super::clickhouse::OLD_QUERY;
use super::common::{self, Folder, generate, port};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_present_day_engine_doubles_the_list_too() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join("target/chdb-venv/bin/python");
    if !python.is_file() {
        // Half a gigabyte, so that it is asked for by itself.
        eprintln!("SKIPPED: chDB is missing: tools/fleet/setup.sh --chdb");
        return;
    }
    let port = port();
    let script = root.join("tools/fleet/tests/outage/chdb_http.py");
    let started = Command::new(python)
        .arg(script)
        .arg(port.to_string())
        .stdin(Stdio::null())
        .spawn();
    let _server = Server(started.unwrap());
    let until = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "chDB does not start");
        std::thread::sleep(Duration::from_millis(100));
    }
    let folder = Folder::new("outage-chdb");
    let model = folder.file("model.txt", common::model());
    let (query, output) = (folder.file("old.sql", OLD_QUERY), folder.path("x.hedge"));
    let env = [(
        "HEDGEROW_CLICKHOUSE_URL",
        format!("http://127.0.0.1:{port}"),
    )];
    let old = generate(&env, &[&model, "-o", &output, "--query", &query]);
    old.refused(705, "list-duplicate", &["120 rows"]);
    let scoped = generate(&env, &[&model, "-o", &output]);
    assert!(scoped.ok(), "{scoped:?}");
    assert!(scoped.warns_of("r0"), "{scoped:?}");
}
