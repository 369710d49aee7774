//! The report of a crash, in the log: what happened, where, and the stack of the thread that it happened to.
//!
//! Writing it from a signal handler is best effort: the stack is read and lines are put together in memory that the
//! crash may have harmed. So it is done once, an alarm ends the process should the report hang, and the signal's
//! own effect (a core dump, say) follows in any case. The report holds no user data: neither keys nor arguments.

use std::backtrace::Backtrace;
use std::fs;
use std::panic;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use commands::host::Crash;
use signal_hook::consts::SIGSEGV;

use crate::log::Log;
use crate::{signals, version};

static LOG: OnceLock<Log> = OnceLock::new();
static ENABLED: AtomicBool = AtomicBool::new(true);
static REPORTED: AtomicBool = AtomicBool::new(false);

/// From now on panics and fatal signals are reported to this log.
pub fn install(log: &Log) {
    if LOG.set(log.clone()).is_err() {
        return;
    }
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        usual(info);
        let thread = std::thread::current();
        report(&format!("crashed in thread '{}': {info}", thread.name().unwrap_or("?")));
    }));
    signals::on_crash(|signal, code, address| {
        let name = signal_hook::low_level::signal_name(signal).unwrap_or("?");
        report(&format!("crashed by signal: {signal} ({name}), si_code: {code}, address: {address:#x}"));
    });
}

/// `crash-log-enabled`.
pub fn enable(on: bool) {
    ENABLED.store(on, SeqCst);
}

/// Logs what every thread is doing, as the system sees it: somebody wants to know why the server does not answer.
pub fn log_threads(log: &Log) {
    log.warning("Received SIGALRM. The threads, their states, and where in the system they wait:");
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    for task in tasks.map(|task| task.path()) {
        let read = |file: &str| fs::read_to_string(task.join(file)).unwrap_or_default();
        let status = read("status");
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?").trim();
        log.warning(&format!("{} '{}': {}, {}", field("Pid:"), field("Name:"), field("State:"), read("wchan")));
    }
}

/// Crashes: DEBUG has asked for it.
pub fn on_purpose(how: Crash) {
    match how {
        Crash::Assertion => panic!("ASSERTION FAILED: DEBUG ASSERT called"),
        Crash::Panic => panic!("DEBUG PANIC called"),
        // The handler reports, and lets the signal take its effect.
        Crash::Segfault => _ = signal_hook::low_level::raise(SIGSEGV),
    }
}

/// Ends the process, with a report: it is set up not to go on after this.
pub fn stop(why: &str) -> ! {
    report(&format!("has stopped itself: {why}"));
    std::process::abort()
}

fn report(what: &str) {
    let Some(log) = LOG.get() else { return };
    if !ENABLED.load(SeqCst) || REPORTED.swap(true, SeqCst) {
        return;
    }
    log.raw("\n\n=== BRINDLE BUG REPORT START: Cut & paste starting from here ===");
    log.warning(&format!("Brindle {} (as Redis {}) {what}", version::BRINDLE, version::REDIS));
    log.raw("\n------ STACK TRACE ------");
    log.raw(&Backtrace::force_capture().to_string());
    log.raw("------ STACK TRACE DONE ------");
    log.raw("\n=== BRINDLE BUG REPORT END. Please send it to whoever maintains this server. ===\n");
}
