//! How a thread of this process is scheduled (sched(7)). The system call has no safe wrapper.

#![allow(unsafe_code)]

use std::io;

use rustix::thread::Pid;

/// One of those that need no privilege to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// By its nice value: SCHED_OTHER.
    Usual,
    /// When nobody else wants the core: SCHED_IDLE. Its nice value is kept for later.
    Idle,
}

impl Policy {
    /// The kernel's number for it.
    pub(super) fn number(self) -> libc::c_int {
        match self {
            Self::Usual => libc::SCHED_OTHER,
            Self::Idle => libc::SCHED_IDLE,
        }
    }

    /// Gives it to a thread.
    ///
    /// # Errors
    /// It is a step up that this process may not make, or there is no such thread.
    pub(super) fn give_to(self, thread: Pid) -> io::Result<()> {
        let priority: libc::c_int = 0;
        let (thread, policy) = (thread.as_raw_nonzero().get(), self.number());
        // SAFETY: the kernel reads one int, which is all of its struct sched_param. (Not every libc makes this call.)
        match unsafe { libc::syscall(libc::SYS_sched_setscheduler, thread, policy, &raw const priority) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
