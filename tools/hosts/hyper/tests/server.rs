//! The example over real HTTP: each client's errors count for that client, on whichever thread the
//! answers come, and tables come from the watched directory.

use hedgerow::model::{BuildOptions, Ensemble, Tree, build};
use hedgerow::table::detections::{Condition, ConditionTest, Detection, FeatureRef};
use hedgerow::watch::{PublishOptions, Publisher};
use hedgerow::{Schema, Table};
use hedgerow_testkit::{Folder, terminate};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;

/// Lines of code, without comments and imports.
const LINES: usize = 40;

/// A table that gives everybody one score, and 3 to a client whose answers are errors.
fn table(margin: f64) -> Table {
    let features = Schema::http_with_traffic().features().to_vec();
    let errors = Detection {
        id: 7,
        name: "errors".into(),
        score: 3,
        active: true,
        conditions: vec![Condition {
            feature: FeatureRef::Name("traffic_error_share".into()),
            test: ConditionTest::Above(0.9),
        }],
    };
    let options = BuildOptions {
        golden: vec![vec![0.0; features.len()]],
        detections: vec![errors],
        ..BuildOptions::default()
    };
    let tree = Tree::Oblivious {
        splits: Vec::new(),
        leaves: vec![margin],
        weights: Vec::new(),
    };
    let ensemble = Ensemble {
        features,
        trees: vec![tree],
        bias: 0.0,
    };
    Table::from_bytes(&build(&ensemble, &options).unwrap().bytes).unwrap()
}

fn publish(directory: &Path, margin: f64) {
    let options = PublishOptions {
        forced: true,
        ..PublishOptions::default()
    };
    let publisher = Publisher::create(directory, Duration::from_secs(10), "test").unwrap();
    publisher.publish(&table(margin), &options).unwrap();
}

struct Server(Child, SocketAddr);

impl Server {
    fn start(directory: &Path) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hedgerow-hyper"))
            .arg("127.0.0.1:0")
            .arg(directory)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let said = child.stdout.take().unwrap();
        BufReader::new(said).read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        Server(child, address)
    }

    /// The status and the score of a request on a connection of its own.
    fn ask(&self, client: &str, path: &str) -> (u16, u8) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        let stream = runtime.block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(format!("{client}:0").parse().unwrap()).unwrap();
            socket.connect(self.1).await.unwrap().into_std().unwrap()
        });
        stream.set_nonblocking(false).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        (&stream).write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        (&stream).read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let score = answer
            .lines()
            .find_map(|line| line.strip_prefix("x-bot-score: "));
        (
            status,
            score.unwrap_or_else(|| panic!("{answer}")).parse().unwrap(),
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        terminate(&mut self.0);
    }
}

#[test]
fn clients_are_seen_whole_and_tables_come_from_the_directory() {
    let folder = Folder::new("hyper");
    let directory = Path::new(&folder.path("watched")).to_path_buf();
    publish(&directory, 3.0);
    let server = Server::start(&directory);
    let (status, usual) = server.ask("127.0.0.1", "/");
    assert_eq!(status, 200);
    assert!(usual > 90, "{usual}");
    // Requests at the same time, so that several threads take them: after four answers the next
    // request is by a client of errors alone, if each answer came to the windows that saw its
    // request.
    std::thread::scope(|scope| {
        for client in 2..18 {
            let server = &server;
            scope.spawn(move || {
                let (client, good) = (format!("127.0.0.{client}"), client % 2 == 0);
                let path = if good { "/" } else { "/guess" };
                for at in 0..12 {
                    let (status, score) = server.ask(&client, path);
                    assert_eq!(status, if good { 200 } else { 404 });
                    let expected = if good || at < 4 { usual } else { 3 };
                    assert_eq!(score, expected, "{client}, request {at}");
                }
            });
        }
    });
    publish(&directory, 0.0);
    let until = Instant::now() + Duration::from_secs(20);
    while server.ask("127.0.0.1", "/").1 != 50 {
        assert!(
            Instant::now() < until,
            "the table of the directory does not run"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// All that a reader has to write for hedgerow, besides imports.
#[test]
fn the_host_is_as_short_as_the_manual_says() {
    let code = include_str!("../src/bots.rs").lines().map(str::trim);
    let code = code.filter(|line| !["//", "use "].iter().any(|start| line.starts_with(start)));
    let code = code.filter(|line| !line.is_empty());
    let count = code.count();
    assert!(count <= LINES, "{count}");
}
