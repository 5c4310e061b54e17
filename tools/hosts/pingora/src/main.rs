//! `hedgerow-proxy`: a reverse proxy that scores every request. See `--help`.

use hedgerow::watch::{Admission, Keys, PublicKey};
use hedgerow::{DEFAULT_TABLE, Engine, Schema, Table, WatchOptions, Watcher};
use hedgerow_proxy::access_log::AccessLog;
use hedgerow_proxy::admin::Admin;
use hedgerow_proxy::args::{Args, HELP};
use hedgerow_proxy::policies::Policies;
use hedgerow_proxy::policy::Policy;
use hedgerow_proxy::proxy::{Proxy, Shared};
use hedgerow_proxy::{Filter, FilterOptions, control};
use pingora::apps::HttpServerOptions;
use pingora::listeners::tls::TlsSettings;
use pingora::proxy::http_proxy_service_with_name;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::listening::Service;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where log lines go: so many in a second, and no more, whatever goes wrong with each request. A
/// thread of its own writes them: neither a full disk nor a pipe that nobody reads holds up or
/// fails a request, and lines that cannot be written are left out.
struct ToStandardError {
    second: AtomicU64,
    lines: AtomicU64,
    queue: SyncSender<String>,
    /// Lines that are handed over and not written yet.
    waiting: Arc<AtomicUsize>,
}

/// Lines that wait to be written, at most.
const WAITING_MAX: usize = 256;

/// Characters of a line, at most: Pingora puts a request's method and target into it.
const LINE_MAX: usize = 4 * 1024;

/// How long the end of the program waits for lines to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Lines in a second.
const LINES_MAX: u64 = 20;

/// What Pingora calls an error, and is none: an idle connection to the upstream is watched by a
/// task on a thread drawn by lot. Where that one lets go of it a moment after a request has taken
/// it up, the request opens another one.
const NO_ERROR: &str = "failed to acquire reusable stream";

impl ToStandardError {
    fn start() -> io::Result<ToStandardError> {
        let (queue, lines) = sync_channel::<String>(WAITING_MAX);
        let waiting = Arc::new(AtomicUsize::new(0));
        let left = waiting.clone();
        let thread = std::thread::Builder::new().name("hedgerow-stderr".into());
        thread.spawn(move || {
            for line in lines {
                say(&line);
                // Relaxed, as all of `waiting`: a count, and nothing else.
                left.fetch_sub(1, Ordering::Relaxed);
            }
        })?;
        Ok(ToStandardError {
            second: AtomicU64::default(),
            lines: AtomicU64::default(),
            queue,
            waiting,
        })
    }

    /// Whether there is room for another line.
    fn has_room(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_secs());
        // Relaxed: two threads that meet at a second's turn write some lines more.
        if self.second.swap(now, Ordering::Relaxed) != now {
            self.lines.store(0, Ordering::Relaxed);
        }
        self.lines.fetch_add(1, Ordering::Relaxed) < LINES_MAX
    }
}

impl log::Log for ToStandardError {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.args().as_str() == Some(NO_ERROR) {
            return;
        }
        // The library's own lines are few, and each is told once.
        if record.target().starts_with("hedgerow") || self.has_room() {
            let now = hedgerow::watch::time::now();
            let (level, target, args) = (record.level(), record.target(), record.args());
            self.waiting.fetch_add(1, Ordering::Relaxed);
            let mut line = format!("{now} {level} {target}: {args}");
            if let Some((end, _)) = line.char_indices().nth(LINE_MAX) {
                line.truncate(end);
            }
            if self.queue.try_send(line).is_err() {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Waits for the lines that were handed over, and not for long.
    fn flush(&self) {
        let start = Instant::now();
        while self.waiting.load(Ordering::Relaxed) > 0 && start.elapsed() < LAST_LINES {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Writes a line to the standard error, where that can be written: `eprintln!` panics where it
/// cannot, and the hook that tells of a panic would panic in its turn, which ends the process.
fn say(line: &str) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

fn main() -> ExitCode {
    // What is no text is none of the options, and a file with such a name is not found.
    let text = |argument: std::ffi::OsString| argument.to_string_lossy().into_owned();
    let args = match Args::parse(std::env::args_os().skip(1).map(text)) {
        Ok(Some(args)) => args,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            say(&format!("hedgerow-proxy: {wrong}"));
            return ExitCode::from(2);
        }
    };
    if let (true, Some(config)) = (args.check, &args.config) {
        return match Policy::read(config) {
            Ok(policy) => {
                println!(
                    "{}: a policy of {} routes",
                    config.display(),
                    policy.routes().len()
                );
                ExitCode::SUCCESS
            }
            Err(refused) => {
                say(&format!("{}: {refused}", config.display()));
                ExitCode::FAILURE
            }
        };
    }
    let ran = run(args);
    log::logger().flush();
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            say(&format!("hedgerow-proxy: {wrong}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let upstream = args.upstream.ok_or("expected --upstream ADDR, got none")?;
    let logger = ToStandardError::start().map_err(|error| told(&error))?;
    log::set_boxed_logger(Box::new(logger)).map_err(|error| told(&error))?;
    log::set_max_level(log::LevelFilter::Warn);
    // A line, and no backtrace, which takes a hundred milliseconds of a thread that serves.
    std::panic::set_hook(Box::new(|panic| log::error!(target: "panic", "{panic}")));
    for address in [Some(args.listen), args.admin].into_iter().flatten() {
        free(address)?;
    }
    let log = match &args.log {
        Some(path) => Some(AccessLog::start(path).map_err(|error| format!("{path}: {error}"))?),
        None => None,
    };
    let (filter, watcher) = match args.scoring {
        true => scoring(&args)?,
        false => (None, None),
    };
    let policies = Policies::new(args.config.clone());
    let shared = Arc::new(Shared::new(filter, policies, log, args.affinity));
    control::start(shared.clone()).map_err(|error| told(&error))?;

    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let conf = ServerConf {
        threads: args.threads.unwrap_or(cores),
        work_stealing: false,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(5),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let proxy = Proxy::new(shared.clone(), upstream);
    let mut service = http_proxy_service_with_name(&server.configuration, proxy, "hedgerow");
    if args.h2c {
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        if let Some(proxy) = service.app_logic_mut() {
            proxy.server_options = Some(options);
        }
    }
    let listen = args.listen.to_string();
    match &args.tls {
        Some((cert, key)) => service.add_tls_with_settings(&listen, None, tls(cert, key)?),
        None => service.add_tcp(&listen),
    }
    server.add_service(service);
    if let Some(address) = args.admin {
        let mut admin = Service::new("hedgerow-admin".into(), Admin::new(shared.clone(), watcher));
        admin.threads = Some(1);
        admin.add_tcp(&address.to_string());
        server.add_service(admin);
    }
    say(&format!("hedgerow-proxy: {} to {upstream}", args.listen));
    server.run(RunArgs::default());
    if let Some(log) = &shared.log
        && !log.finish(LAST_LINES)
    {
        log::warn!("the access log's last lines were not written in time");
    }
    log::logger().flush();
    // Nothing is taken down that a disk which hangs could hold up.
    std::process::exit(0)
}

/// What ends TLS. Pingora panics where a file is not what it must be: it is tried once here.
fn tls(cert: &str, key: &str) -> Result<TlsSettings, String> {
    let settings = || {
        let mut settings = TlsSettings::intermediate(cert, key)?;
        settings.enable_h2();
        Ok(settings)
    };
    let wrong = |error: Box<pingora::Error>| error.to_string();
    let tried = settings().map_err(wrong)?;
    match std::panic::catch_unwind(AssertUnwindSafe(|| tried.build())) {
        Ok(_) => settings().map_err(wrong),
        Err(_) => Err(format!(
            "expected certificates in {cert} and their key in {key}"
        )),
    }
}

/// The filter, and what watches the tables' directory where there is one.
fn scoring(args: &Args) -> Result<(Option<Filter>, Option<Watcher>), String> {
    let engine = Engine::new(Schema::http_with_traffic());
    let mut watcher = None;
    if let Some(directory) = &args.tables {
        let mut keys = Vec::new();
        for path in &args.trust {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
            keys.push(PublicKey::parse(&text, &name).map_err(|error| error.to_string())?);
        }
        let required = !keys.is_empty();
        let state = args.state.clone();
        let options = WatchOptions {
            admission: Admission {
                keys: Keys::new(keys, required),
                kernel: None,
            },
            state: Some(state.unwrap_or_else(|| directory.join("engines").join("proxy"))),
            name: "proxy".into(),
            ..WatchOptions::default()
        };
        let started = Watcher::start(&engine, directory, options);
        watcher = Some(started.map_err(|error| error.to_string())?);
    } else {
        let table = Table::from_bytes(DEFAULT_TABLE).map_err(|error| error.to_string())?;
        engine.publish(table).map_err(|error| error.to_string())?;
    }
    Ok((Some(Filter::new(engine, FilterOptions::default())), watcher))
}

/// Whether an address can be listened on: Pingora would panic where it cannot.
fn free(address: SocketAddr) -> Result<(), String> {
    let bound = TcpListener::bind(address);
    bound
        .map(drop)
        .map_err(|error| format!("{address}: {error}"))
}
