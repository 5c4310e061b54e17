//! `hedgerow-proxy`: a reverse proxy that scores every request. See `--help`.

use hedgerow::Watcher;
use hedgerow::host::{self, HostOptions, OpenOptions, TableSource};
use hedgerow_proxy::admin::Admin;
use hedgerow_proxy::args::Args;
use hedgerow_proxy::error_log::{ErrorLog, LAST_LINES, say};
use hedgerow_proxy::lines::LineWriter;
use hedgerow_proxy::policies::Policies;
use hedgerow_proxy::policy::Policy;
use hedgerow_proxy::proxy::Proxy;
use hedgerow_proxy::shared::Shared;
use hedgerow_proxy::{Filter, control};
use pingora::apps::HttpServerOptions;
use pingora::listeners::tls::TlsSettings;
use pingora::proxy::http_proxy_service_with_name;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::listening::Service;
use std::net::{SocketAddr, TcpListener};
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let args = match Args::read(std::env::args_os()) {
        Ok(args) => args,
        Err(wrong) => wrong.exit(),
    };
    if let (true, Some(config)) = (args.check, &args.config) {
        return match Policy::read(config) {
            Ok(policy) => {
                println!(
                    "{}: a policy of {} routes and the default",
                    config.display(),
                    policy.routes().len().saturating_sub(1)
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
    let logger = ErrorLog::start().map_err(|error| told(&error))?;
    log::set_boxed_logger(Box::new(logger)).map_err(|error| told(&error))?;
    log::set_max_level(log::LevelFilter::Warn);
    // A line, and no backtrace, which takes a hundred milliseconds of a thread that serves.
    std::panic::set_hook(Box::new(|panic| log::error!(target: "panic", "{panic}")));
    for address in [Some(args.listen), args.admin].into_iter().flatten() {
        free(address)?;
    }
    let log = match &args.log {
        Some(path) => {
            Some(LineWriter::access_log(path).map_err(|error| format!("{path}: {error}"))?)
        }
        None => None,
    };
    let (filter, watcher) = match args.scoring {
        true => scoring(&args)?,
        false => (None, None),
    };
    let policies = Policies::new(args.config.clone());
    let shared = Arc::new(Shared::new(
        filter,
        policies,
        log,
        args.log_facts_below,
        args.affinity,
    ));
    control::start(shared.clone()).map_err(|error| told(&error))?;

    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let conf = ServerConf {
        threads: args.threads.map_or(cores, usize::from),
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
    match args.tls() {
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
    let mut options = OpenOptions {
        keys: args.trust.clone(),
        ..OpenOptions::default()
    };
    options.watch.name = "proxy".into();
    if let Some(directory) = args.tables.clone() {
        let state = args.state.clone();
        let state = state.unwrap_or_else(|| directory.join("engines").join("proxy"));
        options.watch.state = Some(state);
        options.table = TableSource::of(&directory);
        if options.table.directory().is_none() {
            return Err(format!(
                "--tables: expected a directory that exists, or a slash at the end of one that \
                 comes later, got {}",
                directory.display()
            ));
        }
    }
    let opened = host::open(options).map_err(|failure| failure.to_string())?;
    let filter = Filter::new(opened.engine, HostOptions::default());
    Ok((Some(filter), opened.watcher))
}

/// Whether an address can be listened on: Pingora would panic where it cannot.
fn free(address: SocketAddr) -> Result<(), String> {
    let bound = TcpListener::bind(address);
    bound
        .map(drop)
        .map_err(|error| format!("{address}: {error}"))
}
