//! The server binary: reads the configuration, opens the sockets, starts the workers, and waits for the end.

mod alloc;
mod clients;
mod clock;
mod config;
mod errors;
mod expiry;
mod info;
mod lazy_free;
mod log;
mod memory;
mod net;
mod open_files;
mod pause;
mod rates;
mod registry;
mod server;
mod vitals;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use commands::env::Env;
use commands::settings::Settings;
use commands::stats::Stats;
use fastrand::Rng;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use config::{Config, keys};
use log::{Level, Log};
use net::worker::{Listener, Worker};
use server::{Server, WorkerHandle};

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

fn main() -> ExitCode {
    let arguments: Vec<Vec<u8>> = std::env::args_os().skip(1).map(std::os::unix::ffi::OsStringExt::into_vec).collect();
    let loaded = match Config::load(&arguments, &mut std::io::stdin()) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match serve(loaded) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(loaded: config::Loaded) -> Result<(), String> {
    let config = loaded.config;
    let log = Log::new(Level::named(config.get(keys::LOGLEVEL)), config.get(keys::LOGFILE));
    log.notice("oO0OoO0OoO0Oo Brindle is starting oO0OoO0OoO0Oo");
    loaded.warnings.iter().for_each(|warning| log.warning(warning));
    let threads = config.get(keys::IO_THREADS);
    let listeners = listen(&config, &log)?;
    let settings = Arc::new(Settings::default());
    apply_settings(&config, &settings);
    settings.maxclients.store(open_files::admit(config.get(keys::MAXCLIENTS), &log), Relaxed);
    let mut polls = Vec::new();
    let mut handles = Vec::new();
    for index in 0..threads {
        let (poll, inbox) = Worker::new(index).map_err(|error| format!("Opening an event loop: {error}"))?;
        polls.push(poll);
        handles.push(WorkerHandle { inbox, connections: AtomicUsize::new(0), stats: Arc::new(Stats::default()) });
    }
    log.raw(&format!(" PID: {}", std::process::id()));
    let lazy_free = lazy_free::LazyFree::start().map_err(|error| format!("Starting the lazyfree thread: {error}"))?;
    let server = Arc::new(Server::new(config, log, settings, handles, lazy_free));
    let env = |index: usize| {
        let stats = server.workers[index].stats.clone();
        Env::new(server.clone(), server.keyspace, server.settings.clone(), stats, Rng::new())
    };
    let mut listeners = Some(listeners);
    let mut workers = Vec::new();
    for (index, poll) in polls.into_iter().enumerate() {
        let listeners = listeners.take().unwrap_or_default();
        let worker = Worker::with(index, server.clone(), poll, env(index), listeners)
            .map_err(|error| format!("Starting worker {index}: {error}"))?;
        let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(move || worker.run());
        workers.push(thread.map_err(|error| format!("Starting worker {index}: {error}"))?);
    }
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|error| format!("Handling signals: {error}"))?;
    {
        let server = server.clone();
        thread::spawn(move || {
            if signals.forever().next().is_some() {
                server.log.warning("Received SIGTERM scheduling shutdown...");
                server.stop();
            }
        });
    }
    server.vitals.started();
    server.log.notice("Server initialized");
    server.log.notice("Ready to accept connections tcp");
    let mut env = env(0);
    env.stats = server.background_stats.clone();
    expiry::run(&server, &mut env);
    for worker in workers {
        worker.join().map_err(|_| "A worker has panicked".to_string())?;
    }
    server.log.warning("Brindle is now ready to exit, bye bye...");
    Ok(())
}

fn listen(config: &Config, log: &Log) -> Result<Vec<Listener>, String> {
    let port = config.get(keys::PORT);
    let backlog = i32::try_from(config.get(keys::TCP_BACKLOG)).unwrap_or(i32::MAX);
    let mut listeners = Vec::new();
    for bind in config.get(keys::BIND).iter().filter(|_| port != 0) {
        let bind = String::from_utf8_lossy(bind);
        match net::listener::tcp(&bind, port, backlog) {
            Ok(listener) => listeners.extend(listener.map(Listener::Tcp)),
            Err(error) => {
                log.warning(&format!("Warning: Could not create server TCP listening socket {bind}:{port}: {error}"));
                log.warning("Failed listening on port (TCP), aborting.");
                return Err(format!("Failed listening on port {port}: {error} (directives: port, bind)"));
            }
        }
    }
    if let Some(path) = config.get(keys::UNIXSOCKET) {
        let listener = net::listener::unix(&path, config.get(keys::UNIXSOCKETPERM))
            .map_err(|error| format!("Failed opening Unix socket {}: {error}", path.display()))?;
        listeners.push(Listener::Unix(listener));
    }
    Ok(listeners)
}

fn apply_settings(config: &Config, settings: &Settings) {
    settings.proto_max_bulk_len.store(config.get(keys::PROTO_MAX_BULK_LEN) as u64, Relaxed);
    settings.maxclients.store(config.get(keys::MAXCLIENTS), Relaxed);
    settings.timeout.store(config.get(keys::TIMEOUT), Relaxed);
    settings.latency_tracking.store(config.get(keys::LATENCY_TRACKING), Relaxed);
    settings.set_percentiles(config.get(keys::LATENCY_TRACKING_INFO_PERCENTILES));
    settings.set_password(&config.get(keys::REQUIREPASS));
    settings.hide_user_data_from_log.store(config.get(keys::HIDE_USER_DATA_FROM_LOG), Relaxed);
    settings.client_query_buffer_limit.store(config.get(keys::CLIENT_QUERY_BUFFER_LIMIT), Relaxed);
    for (setting, limit) in settings.output_limits.iter().zip(config.get(keys::CLIENT_OUTPUT_BUFFER_LIMIT)) {
        setting.hard_bytes.store(limit.hard_bytes, Relaxed);
        setting.soft_bytes.store(limit.soft_bytes, Relaxed);
        setting.soft_secs.store(limit.soft_seconds.max(0) as u64, Relaxed);
    }
}
