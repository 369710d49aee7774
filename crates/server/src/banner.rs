//! The first lines of the log: who starts, in what mode, and what the machine will not allow.

use std::fs;
use std::io::IsTerminal;

use crate::config::{Config, keys};
use crate::log::Log;
use crate::version;

/// The lines that come before anything is opened.
pub fn begin(log: &Log, program: &str, arguments: usize) {
    log.notice("oO0OoO0OoO0Oo Brindle is starting oO0OoO0OoO0Oo");
    log.notice(&format!(
        "Brindle version={}, Redis version={}, bits={}, pid={}, just started",
        version::BRINDLE,
        version::REDIS,
        usize::BITS,
        std::process::id()
    ));
    if arguments == 0 {
        log.warning(&format!(
            "Warning: no config file specified, using the default config. In order to specify a config file use \
             {program} /path/to/brindle.conf"
        ));
    } else {
        log.notice("Configuration loaded");
    }
}

/// The logo where somebody sees it, or one line. Redis's test suite learns the process's number from it.
pub fn mode(log: &Log, config: &Config) {
    let port = config.get(keys::PORT);
    let seen = log.is_stdout_only() && std::io::stdout().is_terminal();
    if seen || config.get(keys::ALWAYS_SHOW_LOGO) {
        log.raw(&logo(port));
    } else {
        log.notice(&format!("Running mode=standalone, port={port}."));
    }
}

fn logo(port: u16) -> String {
    let (brindle, redis, bits) = (version::BRINDLE, version::REDIS, usize::BITS);
    let (threads, pid) = ("one keyspace, a loop for every core", std::process::id());
    format!(
        r"
   ///  ///  ///
  ///  ///  ///     Brindle {brindle}, {bits} bit
 ///  ///  ///      as Redis {redis}: {threads}
///  ///  ///
 ///  ///  ///      Running in standalone mode
  ///  ///  ///     Port: {port}
   ///  ///  ///    PID: {pid}
"
    )
}

/// Warns when the system keeps the queue of new connections shorter than `tcp-backlog` asks for.
pub fn check_backlog(log: &Log, config: &Config) {
    const FILE: &str = "/proc/sys/net/core/somaxconn";
    let wanted = config.get(keys::TCP_BACKLOG);
    let allowed = fs::read_to_string(FILE).ok().and_then(|text| text.trim().parse::<u64>().ok());
    if let Some(allowed) = allowed.filter(|&allowed| allowed < wanted) {
        log.warning(&format!(
            "WARNING: The TCP backlog setting of {wanted} cannot be enforced because {FILE} is set to the lower value \
             of {allowed}."
        ));
    }
}
