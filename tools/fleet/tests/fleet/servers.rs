//! Real NATS servers on loopback: one, or three that replicate.

use super::support::{Process, block_on, installed, port, wait_until};
use async_nats::jetstream::{self, Context};
use std::cell::RefCell;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The server's program.
pub fn binary() -> Option<PathBuf> {
    installed("fleet-venv/bin/nats-server")
}

/// Servers that end with their test.
pub struct Servers {
    folder: PathBuf,
    ports: Vec<u16>,
    /// Ports for leaf servers, if the configuration has them.
    leaves: Vec<u16>,
    scheme: &'static str,
    running: RefCell<Vec<Option<Process>>>,
}

/// The part of a server's configuration for leaf servers.
pub const WITH_LEAVES: &str = "leafnodes { listen: \"127.0.0.1:LEAF_PORT\" }\n";

/// A server between clients and the cluster, without a store. It ends with its test.
pub struct Leaf {
    config: PathBuf,
    pub address: String,
    port: u16,
    process: Option<Process>,
}

impl Leaf {
    pub fn of(servers: &Servers) -> Leaf {
        let port = port();
        let remotes = servers.leaves.iter();
        let remotes: Vec<String> = remotes
            .map(|port| format!("\"nats-leaf://127.0.0.1:{port}\""))
            .collect();
        let config = servers.folder.join("leaf.conf");
        let text = format!(
            "server_name: leaf\nlisten: \"127.0.0.1:{port}\"\n\
             leafnodes {{ reconnect: 1, remotes: [ {{ urls: [{}] }} ] }}\n",
            remotes.join(", ")
        );
        fs::write(&config, text).unwrap();
        let mut leaf = Leaf {
            config,
            address: format!("nats://127.0.0.1:{port}"),
            port,
            process: None,
        };
        leaf.run();
        leaf
    }

    pub fn run(&mut self) {
        self.process = Some(started(&self.config, self.port));
    }

    pub fn kill(&mut self) {
        self.process = None;
    }
}

/// Starts a server, and waits until it answers.
fn started(config: &Path, port: u16) -> Process {
    let log = fs::File::create(config.with_extension("log")).unwrap();
    let mut command = Command::new(binary().unwrap());
    let command = command.arg("-c").arg(config).stderr(log);
    let process = Process::start(command);
    let answers = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    wait_until(Duration::from_secs(20), answers, || {
        format!("{config:?}: does not start")
    });
    process
}

impl Servers {
    /// Starts servers, and waits until they answer. `None` if they are not installed.
    pub fn start(name: &str, count: usize) -> Option<Servers> {
        Servers::start_with(name, count, "")
    }

    /// As `start`, with more in their configuration.
    pub fn start_with(name: &str, count: usize, more: &str) -> Option<Servers> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("nats-{name}"));
        Servers::start_secured(folder, count, more, None)
    }

    /// As `start`, encrypted: to clients and to each other, with a folder's certificates.
    pub fn start_secured(
        folder: PathBuf,
        count: usize,
        more: &str,
        certificates: Option<&Path>,
    ) -> Option<Servers> {
        binary()?;
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let tls = certificates.map_or(String::new(), |folder| {
            let folder = folder.display();
            format!(
                "tls {{ cert_file: \"{folder}/server.pem\", key_file: \"{folder}/server.key\", \
                 ca_file: \"{folder}/ca.pem\" }}\n"
            )
        });
        let ports: Vec<u16> = (0..count).map(|_| port()).collect();
        let leaves: Vec<u16> = (0..count).map(|_| port()).collect();
        let routes: Vec<u16> = (0..count).map(|_| port()).collect();
        let all: Vec<String> = routes
            .iter()
            .map(|port| format!("\"nats://127.0.0.1:{port}\""))
            .collect();
        for at in 0..count {
            let store = folder.join(format!("store{at}"));
            let more = more.replace("LEAF_PORT", &leaves[at].to_string());
            let cluster = match count {
                1 => String::new(),
                _ => format!(
                    "cluster {{ name: c, listen: \"127.0.0.1:{}\", routes: [{}]\n{tls} }}\n",
                    routes[at],
                    all.join(", ")
                ),
            };
            let domain = if more.contains("leafnodes") {
                "domain: hub, "
            } else {
                ""
            };
            let text = format!(
                "server_name: n{at}\nlisten: \"127.0.0.1:{}\"\n\
                 jetstream {{ {domain}store_dir: \"{}\" }}\n{cluster}{tls}{more}",
                ports[at],
                store.display()
            );
            fs::write(folder.join(format!("n{at}.conf")), text).unwrap();
        }
        let servers = Servers {
            folder,
            ports,
            leaves,
            scheme: if tls.is_empty() { "nats" } else { "tls" },
            running: RefCell::new((0..count).map(|_| None).collect()),
        };
        (0..count).for_each(|at| servers.run(at));
        Some(servers)
    }

    /// Starts a server that is not running.
    pub fn run(&self, at: usize) {
        let config = self.folder.join(format!("n{at}.conf"));
        let process = started(&config, self.ports[at]);
        self.running.borrow_mut()[at] = Some(process);
    }

    /// Kills one with SIGKILL.
    pub fn kill(&self, at: usize) {
        self.running.borrow_mut()[at] = None;
    }

    /// Stops or continues one: it neither answers nor closes anything.
    pub fn freeze(&self, at: usize, frozen: bool) {
        self.running.borrow()[at].as_ref().unwrap().freeze(frozen);
    }

    /// Returns their addresses.
    pub fn address(&self) -> String {
        let all: Vec<String> = self
            .ports
            .iter()
            .map(|port| format!("{}://127.0.0.1:{port}", self.scheme))
            .collect();
        all.join(",")
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.running.borrow_mut().clear();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Reaches a fleet's servers past the program.
pub fn with_context<T>(address: &str, act: impl AsyncFnOnce(Context) -> T) -> T {
    block_on(async {
        let client = async_nats::connect(address).await.unwrap();
        act(jetstream::new(client)).await
    })
}

/// Writes under a key, as a user with the right to write may.
pub fn put_key(address: &str, key: &str, bytes: &[u8]) {
    with_context(address, async |context| {
        let keys = context.get_key_value("hedgerow").await.unwrap();
        keys.put(key, bytes.to_vec().into()).await.unwrap();
    });
}

/// Writes an object: the store knows its bytes to be right.
pub fn put_object(address: &str, object: &str, bytes: &[u8]) {
    with_context(address, async |context| {
        let objects = context.get_object_store("hedgerow").await.unwrap();
        let mut reader = bytes;
        objects.put(object, &mut reader).await.unwrap();
    });
}
