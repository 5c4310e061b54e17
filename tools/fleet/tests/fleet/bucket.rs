//! A real server that speaks S3, on loopback: SeaweedFS with a bucket and two users.

use super::support::{Process, block_on, certificate, installed, ports, wait_until};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};
use std::cell::RefCell;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The secrets of the two users, which no output may have.
pub const SECRETS: [&str; 2] = ["secret-of-the-ops", "secret-of-the-node"];

/// The server's program.
fn binary() -> Option<PathBuf> {
    installed("s3-venv/bin/weed")
}

/// A server that ends with its test.
pub struct Bucket {
    folder: PathBuf,
    /// master, volume, filer, S3, each for people and for servers; S3 with TLS.
    ports: [u16; 9],
    running: RefCell<Option<Process>>,
}

impl Bucket {
    /// Starts one with the bucket `tables`. `None` if it is not installed.
    pub fn start(name: &str) -> Option<Bucket> {
        binary()?;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("s3-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("data")).unwrap();
        certificate(&folder);
        // A node reads, and writes reports only.
        let user = |name: &str, secret: &str, actions: &[&str]| {
            serde_json::json!({
                "name": name,
                "credentials": [{ "accessKey": format!("{name}-id"), "secretKey": secret }],
                "actions": actions,
            })
        };
        let users = serde_json::json!({ "identities": [
            user("ops", SECRETS[0], &["Read:tables", "Write:tables", "List:tables"]),
            user("node", SECRETS[1], &[
                "Read:tables", "List:tables", "Write:tables/edge/hedgerow/nodes/*",
            ]),
        ]});
        fs::write(folder.join("users.json"), users.to_string()).unwrap();
        let mut bucket = Bucket {
            folder,
            ports: [0; 9],
            running: RefCell::new(None),
        };
        for (name, secret) in ["ops", "node"].iter().zip(SECRETS) {
            bucket.keys(name, &format!("{name}-id"), secret);
        }
        // Between its choice and the server's start a port may go to somebody else.
        for _ in 0..5 {
            bucket.ports = ports();
            if bucket.try_run() {
                bucket.make("tables");
                return Some(bucket);
            }
        }
        panic!("SeaweedFS does not start: {}", bucket.log());
    }

    /// Starts it again.
    pub fn run(&self) {
        let started = (0..5).any(|_| self.try_run());
        assert!(started, "SeaweedFS does not start: {}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Starts it. Returns `false` if it ends at once.
    fn try_run(&self) -> bool {
        let at = |name: &str| self.folder.join(name).display().to_string();
        let [
            master,
            master_grpc,
            volume,
            volume_grpc,
            filer,
            filer_grpc,
            s3,
            s3_grpc,
            https,
        ] = self.ports;
        let log = fs::File::create(self.folder.join("log")).unwrap();
        let mut command = Command::new(binary().unwrap());
        let command = command
            .args([
                "server",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                "-filer",
                "-s3",
            ])
            .args(["-master.telemetry=false", "-s3.autoCreateBucket=false"])
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
            .args(["-master.volumeSizeLimitMB=64", "-volume.max=16"])
            // How long it waits for other servers after a restart: there are none.
            .arg("-master.electionTimeout=1s")
            .arg(format!("-dir={}", at("data")))
            .arg(format!("-s3.config={}", at("users.json")))
            .arg(format!("-s3.cert.file={}", at("cert.pem")))
            .arg(format!("-s3.key.file={}", at("key.pem")))
            .args([
                format!("-master.port={master}"),
                format!("-master.port.grpc={master_grpc}"),
                format!("-volume.port={volume}"),
                format!("-volume.port.grpc={volume_grpc}"),
                format!("-filer.port={filer}"),
                format!("-filer.port.grpc={filer_grpc}"),
                format!("-s3.port={s3}"),
                format!("-s3.port.grpc={s3_grpc}"),
                format!("-s3.port.https={https}"),
            ])
            .current_dir(&self.folder)
            .stdout(Stdio::null())
            .stderr(log);
        *self.running.borrow_mut() = Some(Process::start(command));
        let until = Instant::now() + Duration::from_secs(60);
        let answers = || {
            // The filer knows of a volume, and the gateway of the filer.
            let status = |port| self.ask(port, "GET", "/");
            status(filer).is_some()
                && status(s3).is_some()
                && TcpStream::connect(("127.0.0.1", https)).is_ok()
        };
        while !answers() {
            if self.running.borrow_mut().as_mut().unwrap().ended() {
                return false;
            }
            assert!(Instant::now() < until, "SeaweedFS: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        true
    }

    /// Sends a request past the gateway's rights. Returns the status.
    fn ask(&self, port: u16, method: &str, path: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).ok()?;
        std::str::from_utf8(&answer[9..]).ok()?.parse().ok()
    }

    fn make(&self, bucket: &str) {
        let path = format!("/buckets/{bucket}/");
        let made = || self.ask(self.ports[4], "POST", &path) == Some(201);
        wait_until(Duration::from_secs(30), made, || "no bucket can be made");
    }

    /// Kills it with SIGKILL.
    pub fn kill(&self) {
        *self.running.borrow_mut() = None;
    }

    /// Stops or continues it: it neither answers nor closes anything.
    pub fn freeze(&self, frozen: bool) {
        self.running.borrow().as_ref().unwrap().freeze(frozen);
    }

    /// Returns its address, with TLS or without.
    pub fn endpoint(&self, encrypted: bool) -> String {
        match encrypted {
            true => format!("https://localhost:{}", self.ports[8]),
            false => format!("http://127.0.0.1:{}", self.ports[6]),
        }
    }

    pub fn certificate(&self) -> String {
        self.folder.join("cert.pem").to_str().unwrap().into()
    }

    /// Writes a file of keys, which only its owner reads; its path.
    pub fn keys(&self, name: &str, id: &str, secret: &str) -> String {
        let path = self.folder.join(format!("{name}.keys"));
        let new = self.folder.join(format!("{name}.keys.new"));
        let text =
            format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
        fs::write(&new, text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&new, mode).unwrap();
        fs::rename(&new, &path).unwrap();
        path.to_str().unwrap().into()
    }

    /// The arguments that reach it as a user.
    pub fn args(&self, user: &str) -> Vec<String> {
        let keys = self.folder.join(format!("{user}.keys"));
        [
            "--endpoint",
            &self.endpoint(false),
            "--credentials",
            keys.to_str().unwrap(),
        ]
        .map(Into::into)
        .into()
    }

    fn objects(&self) -> AmazonS3 {
        let builder = AmazonS3Builder::new()
            .with_endpoint(self.endpoint(false))
            .with_allow_http(true)
            .with_bucket_name("tables")
            .with_region("us-east-1")
            .with_access_key_id("ops-id")
            .with_secret_access_key(SECRETS[0]);
        builder.build().unwrap()
    }

    fn with<T>(&self, act: impl AsyncFnOnce(AmazonS3) -> T) -> T {
        let _ = rustls::crypto::ring::default_provider().install_default();
        block_on(act(self.objects()))
    }

    /// Writes an object of the fleet, past every check.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let key = Key::from(format!("edge/hedgerow/{name}"));
        self.with(async |objects| objects.put(&key, bytes.into()).await.unwrap());
    }

    pub fn get(&self, name: &str) -> Vec<u8> {
        let key = Key::from(format!("edge/hedgerow/{name}"));
        self.with(async |objects| {
            let found = objects.get(&key).await.unwrap();
            found.bytes().await.unwrap().to_vec()
        })
    }

    pub fn delete(&self, name: &str) {
        let key = Key::from(format!("edge/hedgerow/{name}"));
        self.with(async |objects| objects.delete(&key).await.unwrap());
    }

    /// The names of all objects below a folder.
    pub fn list(&self, folder: &str) -> Vec<String> {
        use futures_util::TryStreamExt;
        let key = Key::from(format!("edge/hedgerow/{folder}"));
        self.with(async |objects| {
            let all: Vec<_> = objects.list(Some(&key)).try_collect().await.unwrap();
            all.iter().map(|meta| meta.location.to_string()).collect()
        })
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.kill();
        for port in self.ports {
            for part in [
                "s3",
                "s3-grpc",
                "filer",
                "filer-grpc",
                "master-grpc",
                "volume-grpc",
            ] {
                let _ = fs::remove_file(format!("/tmp/seaweedfs-{part}-{port}.sock"));
            }
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
