//! Signals. SIGTERM and SIGINT ask for the end, as `shutdown-on-sigterm` and `shutdown-on-sigint` say; SIGHUP and
//! SIGPIPE mean nothing; SIGALRM has the state of all threads logged; those that tell of a crash are reported before they do what they always do.
//!
//! The handlers for crashes run on the stack of the thread that crashed, which must have room for the report: so a
//! stack that has overflowed ends the process without one.

#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::ptr;
use std::sync::{Arc, OnceLock};
use std::thread;

use signal_hook::consts::{SIGABRT, SIGALRM, SIGBUS, SIGFPE, SIGHUP, SIGILL, SIGINT, SIGSEGV, SIGTERM};
use signal_hook::iterator::Signals;

use crate::crash;
use crate::server::Server;

/// Seconds that the report of a crash may take.
const REPORT_SECONDS_MAX: u32 = 10;

/// Hears signals from now on, in a thread of its own.
///
/// # Errors
/// What the system says.
pub fn listen(server: Arc<Server>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGALRM])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            match signal {
                SIGHUP => {}
                SIGALRM => crash::log_threads(&server.log),
                signal => server.ending.request(&server, signal),
            }
        }
    })?;
    Ok(())
}

/// Told of a fatal signal: its number, `si_code`, and the address it is about.
type Report = fn(i32, i32, usize);

static REPORT: OnceLock<Report> = OnceLock::new();

/// Has fatal signals reported before they take effect.
pub fn on_crash(report: Report) {
    if REPORT.set(report).is_err() {
        return;
    }
    for signal in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT] {
        // SAFETY: `sigaction` is plain data, for which zeroes are valid: no flags, an empty mask.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = crashed;
        action.sa_sigaction = handler as usize;
        // Reset: whatever goes wrong in the handler has the signal's own effect.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESETHAND;
        // SAFETY: the handler has the signature that SA_SIGINFO asks for, and `action` is complete.
        unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
    }
}

extern "C" fn crashed(signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the system passes a valid siginfo to a handler with SA_SIGINFO; for a signal that somebody has sent the
    // address is the sender's number, which is as good to know. `signal`, `alarm` and `raise` may be called in a handler.
    unsafe {
        // It is to end the process now, not to be heard by a thread that may be the one that crashed.
        libc::signal(SIGALRM, libc::SIG_DFL);
        libc::alarm(REPORT_SECONDS_MAX);
        if let Some(report) = REPORT.get() {
            report(signal, (*info).si_code, (*info).si_addr() as usize);
        }
        libc::raise(signal);
    }
}
