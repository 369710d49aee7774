//! The server binary. A start goes through named stages, each of which may refuse it: read the configuration, settle
//! with whoever started us, open the sockets, start the workers. Then the main thread does the periodic work until the
//! end, and tidies up.

mod alloc;
mod apply;
mod background;
mod banner;
mod cli;
mod clients;
mod clock;
mod config;
mod configuration;
mod crash;
mod cron;
mod daemon;
mod ending;
mod errors;
mod eviction;
mod expiry;
mod huge_pages;
mod info;
mod lazy_free;
mod listening;
mod live;
mod log;
mod memory;
mod migrate;
mod net;
mod oom_score;
mod open_files;
mod pause;
mod persistence;
mod pid_file;
mod promptness;
mod rates;
mod registry;
mod replication;
mod server;
mod signals;
mod supervise;
mod version;
mod vitals;
mod workers;

use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;
use std::sync::Arc;

use commands::table::{self, RenameError};

use config::{Config, Loaded, Rename, StartError, keys};
use listening::Listening;
use log::{Log, Role};
use persistence::{loading, snapshot};
use pid_file::PidFile;
use server::Server;
use supervise::Supervisor;

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

fn main() -> ExitCode {
    alloc::prepare();
    let mut arguments = std::env::args_os().map(OsStringExt::into_vec);
    let program = String::from_utf8_lossy(&arguments.next().unwrap_or_default()).into_owned();
    let arguments: Vec<Vec<u8>> = arguments.collect();
    if let Some(code) = cli::answer(&program, &arguments) {
        return code;
    }
    match start(&program, &arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn start(program: &str, arguments: &[Vec<u8>]) -> Result<(), String> {
    let Loaded { config, warnings, renames } =
        Config::load(arguments, &mut std::io::stdin()).map_err(|error| error.to_string())?;
    rename_commands(&renames).map_err(|error| error.to_string())?;
    let log = Log::new(&config);
    let supervisor = Supervisor::find(&config, &log);
    let background = config.get(keys::DAEMONIZE) && supervisor == Supervisor::None;
    if background {
        daemon::go_to_background()
            .map_err(|error| format!("Going to the background: {error} (directive: daemonize)"))?;
    }
    banner::begin(&log, program, arguments.len());
    warnings.iter().for_each(|warning| log.warning(warning));
    supervisor.greet(&log);
    crash::install(&log);
    serve(config, log, supervisor, background)
}

/// From here on the process is the one that stays, and has more than one thread.
fn serve(config: Config, log: Log, supervisor: Supervisor, background: bool) -> Result<(), String> {
    log.set_role(Role::Primary);
    open_files::fit(&config, &log)?;
    if config.get(keys::DISABLE_THP) {
        huge_pages::refuse(&log);
    }
    let (listening, listeners) = Listening::start(&config, &log)?;
    let pid_file = PidFile::write(&config, background, &log);
    banner::mode(&log, &config);
    banner::check_backlog(&log, &config);
    let (seats, handles) = workers::seats(config.get(keys::IO_THREADS))?;
    let (jobs, saves) = crossbeam::channel::unbounded();
    let server = Arc::new(Server::new(config, log, listening, supervisor, handles, jobs));
    server.replication.attach(&server);
    apply::all(&server);
    server.vitals.started();
    signals::listen(server.clone()).map_err(|error| format!("Handling signals: {error}"))?;
    lazy_free::start(&server).map_err(|error| format!("Starting the lazyfree thread: {error}"))?;
    snapshot::start(server.clone(), saves).map_err(|error| format!("Starting the snapshot thread: {error}"))?;
    server.log.notice("Server initialized");
    let file = loading::prepare(&server)?;
    let workers = workers::start(&server, seats, listeners)?;
    migrate::start(&server).map_err(|error| format!("Starting the threads for MIGRATE: {error}"))?;
    match file {
        Some(file) => loading::at_start(server.clone(), file, ready).map_err(|error| format!("Loading: {error}"))?,
        None => ready(&server),
    }

    cron::run(&server, &mut workers::background_env(&server));

    let outcome = workers::join(workers);
    pid_file.remove(&server.log);
    server.listening.end(&server.log);
    server.log.warning("Brindle is now ready to exit, bye bye...");
    outcome
}

/// The data is there: says so to whoever waits for it.
fn ready(server: &Server) {
    for kind in server.listening.kinds() {
        server.log.notice(&format!("Ready to accept connections {kind}"));
    }
    server.supervisor.ready(&server.log);
    server.replication.follow_configured(server);
}

fn rename_commands(renames: &[Rename]) -> Result<(), StartError> {
    let pairs: Vec<(&[u8], &[u8])> = renames.iter().map(|rename| (&rename.from[..], &rename.to[..])).collect();
    table::rename(&pairs).map_err(|(at, error)| {
        let reason = match error {
            RenameError::Unknown => "No such command in rename-command",
            RenameError::Taken => "Target command name already exists",
        };
        StartError::line(&renames[at].origin, reason)
    })
}
