//! Going to the background, and the system's log: what the operating system offers to C only.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::OpenOptions;
use std::io;
use std::process;

use crate::log::Level;

/// Leaves the terminal: the calling process ends with success, and a child without terminal, standard input and
/// output goes on from here. To be called while the process has one thread.
///
/// # Errors
/// What the system says; nothing has changed then, or only the terminal is left.
pub fn go_to_background() -> io::Result<()> {
    // SAFETY: the process has one thread, so the child's copy of memory holds no lock of a thread that is gone.
    match unsafe { libc::fork() } {
        0 => {}
        -1 => return Err(io::Error::last_os_error()),
        _ => process::exit(0),
    }
    rustix::process::setsid()?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

/// The system's log, opened under a name.
pub struct Syslog(());

impl Syslog {
    /// Opens it. `facility` is a name of `syslog-facility`.
    pub fn open(ident: &[u8], facility: &str) -> Self {
        // The system keeps the pointer, so the name stays for as long as the process. Bytes after a NUL are lost.
        let ident = ident.split(|&byte| byte == 0).next().unwrap_or_default();
        let ident = CString::new(ident).unwrap_or_default().into_raw();
        let flags = libc::LOG_PID | libc::LOG_NDELAY | libc::LOG_NOWAIT;
        // SAFETY: `ident` ends with a NUL and is never freed.
        unsafe { libc::openlog(ident, flags, number_of(facility)) };
        Self(())
    }

    /// Writes a line.
    pub fn write(&self, level: Level, message: &str) {
        let priority = match level {
            Level::Debug => libc::LOG_DEBUG,
            Level::Verbose => libc::LOG_INFO,
            Level::Notice => libc::LOG_NOTICE,
            Level::Warning | Level::Nothing => libc::LOG_WARNING,
        };
        let message = CString::new(message.replace('\0', " ")).unwrap_or_default();
        // SAFETY: both strings end with a NUL, and the format takes exactly one string.
        unsafe { libc::syslog(priority, c"%s".as_ptr(), message.as_ptr()) };
    }
}

fn number_of(facility: &str) -> i32 {
    let local = facility.strip_prefix("local").and_then(|number| number.parse::<i32>().ok());
    local.map_or(libc::LOG_USER, |number| libc::LOG_LOCAL0 + (number << 3))
}

#[cfg(test)]
mod tests {
    use super::number_of;

    #[test]
    fn facilities_have_their_numbers() {
        assert_eq!(["user", "local0", "local7"].map(number_of), [libc::LOG_USER, libc::LOG_LOCAL0, libc::LOG_LOCAL7]);
    }
}
