//! Servers as child processes: the one under test, and the references beside it.
//!
//! Every server gets a free port (never 6379), a temporary folder of its own as `dir`, and a log file there.
//! It is ended by its pid when the handle is dropped: SIGTERM first, SIGKILL when that is not heeded in time. A test
//! that is itself killed drops nothing, so a small shell waits at the end of a pipe and ends the server when that breaks.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tempfile::TempDir;

use crate::client::Client;

/// How long a server may take until it answers PING.
const START_MAX: Duration = Duration::from_secs(20);
/// How long a server may take to end after SIGTERM, before SIGKILL follows.
const STOP_MAX: Duration = Duration::from_secs(10);
/// How often a start is tried again when the server ends at once: another process may have taken the free port.
const START_TRIES: u32 = 3;
/// What an error shows of a server's log, in bytes from its end.
const LOG_TAIL_MAX: usize = 4096;

/// A program that serves: its path, and the name that reports use for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// `brindle`, `redis-8.0.2`, ...
    pub name: String,
    /// The executable.
    pub path: PathBuf,
}

impl Program {
    /// The server under test: the path in `BRINDLE_SERVER`, else the newest `brindle-server` of this workspace's
    /// profiles `release`, `test-fast` and `debug`. None if neither is there.
    #[must_use]
    pub fn subject() -> Option<Self> {
        let path = match std::env::var_os("BRINDLE_SERVER") {
            Some(path) => Some(PathBuf::from(path)),
            None => newest(["release", "test-fast", "debug"].map(|profile| target_folder().join(profile))),
        };
        path.map(|path| Self { name: "brindle".into(), path })
    }

    /// A reference server by its folder's name below the cache: `redis-8.0.2`, `redis-7.0.15`, `valkey-8.1`.
    /// None if `scripts/references.sh` has not brought it.
    #[must_use]
    pub fn reference(name: &str) -> Option<Self> {
        let program = if name.starts_with("valkey") { "valkey-server" } else { "redis-server" };
        let path = references_folder().join(name).join(program);
        path.is_file().then(|| Self { name: name.into(), path })
    }
}

impl Program {
    /// The same program, which takes a file that may not grow ([`Server::limit_files`]) for an error and not for its end.
    /// What starts it lies in `folder`.
    ///
    /// # Errors
    /// Those of writing a file.
    pub fn ignoring_file_limits(&self, folder: &Path) -> io::Result<Self> {
        self.started_by("trap '' XFSZ", &folder.join(&self.name))
    }

    /// The same program on a disk that stands still: whatever is to be brought there is waited for until the file
    /// `folder/still` is gone, which this makes. A small library that is put before the system's own sees to that; None
    /// if there is no C compiler to make it with.
    ///
    /// # Errors
    /// Those of writing a file.
    pub fn on_a_still_disk(&self, folder: &Path) -> io::Result<Option<Self>> {
        const LIBRARY: &str = "
            #include <sys/syscall.h>
            #include <unistd.h>
            static void wait_for_disk(void) { while (!access(STILL, F_OK)) usleep(2000); }
            int fsync(int fd) { wait_for_disk(); return syscall(SYS_fsync, fd); }
            int fdatasync(int fd) { wait_for_disk(); return syscall(SYS_fdatasync, fd); }
        ";
        let [still, source, library] = ["still", "disk.c", "disk.so"].map(|name| folder.join(name));
        std::fs::write(&still, "")?;
        std::fs::write(&source, LIBRARY)?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", &format!("-DSTILL=\"{}\"", still.display()), "-o"]);
        match compiler.arg(&library).arg(&source).output() {
            Ok(made) if made.status.success() => {}
            _ => return Ok(None),
        }
        let before = format!("export LD_PRELOAD='{}'", library.display());
        self.started_by(&before, &folder.join(&self.name)).map(Some)
    }

    /// The same program behind a line for the shell, which lies at `path`.
    fn started_by(&self, line: &str, path: &Path) -> io::Result<Self> {
        let text = format!("#!/bin/sh\n{line}\nexec '{}' \"$@\"\n", self.path.display());
        std::fs::write(path, text)?;
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Ok(Self { name: self.name.clone(), path: path.to_owned() })
    }
}

/// Where `scripts/references.sh` keeps the reference servers.
#[must_use]
pub fn references_folder() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| OsString::from("/"))).join(".cache"),
        PathBuf::from,
    );
    cache.join("brindle").join("references")
}

/// Where cargo builds: reports are written there.
#[must_use]
pub fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from)
}

fn newest(folders: [PathBuf; 3]) -> Option<PathBuf> {
    let modified =
        |path: &PathBuf| path.metadata().and_then(|facts| facts.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    folders.into_iter().map(|folder| folder.join("brindle-server")).filter(|path| path.is_file()).max_by_key(modified)
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Ends the server when this process is gone. The death signal that Linux offers is no use: it is bound to the
    /// thread that started the server, and tests come and go on threads.
    watcher: Child,
    port: u16,
    folder: TempDir,
    name: String,
}

impl Server {
    /// Starts `program` on a free port and waits until it answers PING. `arguments` follow the ones given here
    /// (port, bind, dir, no saving) and so override them.
    ///
    /// # Errors
    /// When the server ends early or does not answer within 20 s; the error holds the end of its log.
    pub fn start(program: &Program, arguments: &[&str]) -> io::Result<Self> {
        let mut tries = 0;
        loop {
            tries += 1;
            match Self::start_once(program, arguments) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe && tries < START_TRIES => {}
                outcome => return outcome,
            }
        }
    }

    fn start_once(program: &Program, arguments: &[&str]) -> io::Result<Self> {
        let (folder, port) = (folder()?, free_port()?);
        let mut command = Command::new(&program.path);
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]);
        command.arg(folder.path()).args(arguments);
        Self::run(program, command, folder, port)
    }

    /// Starts `program` with a configuration file alone, which must name this port. Its log goes to a folder of the handle's
    /// own, and what the file names stays when the handle is dropped.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_from_file(program: &Program, file: &Path, port: u16) -> io::Result<Self> {
        let mut command = Command::new(&program.path);
        command.arg(file);
        Self::run(program, command, folder()?, port)
    }

    fn run(program: &Program, mut command: Command, folder: TempDir, port: u16) -> io::Result<Self> {
        let log = File::create(folder.path().join("server.log"))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", program.path.display())))?;
        let watcher = watcher(child.id(), folder.path())?;
        let mut server = Self { child, watcher, port, folder, name: program.name.clone() };
        server.wait_until_up()?;
        Ok(server)
    }

    fn wait_until_up(&mut self) -> io::Result<()> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                let text = format!("{} ended at its start ({status}):\n{}", self.name, self.log_tail());
                return Err(io::Error::new(io::ErrorKind::BrokenPipe, text));
            }
            if Client::connect(self.address()).and_then(|mut client| client.call(&["PING"])).is_ok() {
                return Ok(());
            }
            if begin.elapsed() > START_MAX {
                let text = format!("{} does not answer PING:\n{}", self.name, self.log_tail());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The program's name, for reports.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The folder it was started in (`dir`), which goes when the handle is dropped.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A fresh connection.
    ///
    /// # Errors
    /// Those of connecting.
    pub fn connect(&self) -> io::Result<Client> {
        Client::connect(self.address())
    }

    /// Everything it has written to standard output and standard error so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(self.folder.path().join("server.log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// How it ended, if it has ended.
    ///
    /// # Errors
    /// Those of waiting for a child.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Asks it to end by SIGTERM, and by SIGKILL if it does not within ten seconds. Returns how it ended.
    ///
    /// # Errors
    /// Those of waiting for a child.
    pub fn stop(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        self.signal(Signal::TERM);
        let begin = Instant::now();
        while begin.elapsed() < STOP_MAX {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.child.kill()?;
        self.child.wait()
    }

    /// Ends it by SIGKILL, as a crash would. Returns how it ended.
    ///
    /// # Errors
    /// Those of waiting for a child.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// How long a file may become that it writes, in bytes; None lifts the limit. A write beyond fails with `EFBIG`, as one
    /// to a full disk does with `ENOSPC`; but first there is a signal that ends the process, unless it was told at its start
    /// to ignore that ([`Program::ignoring_file_limits`]).
    ///
    /// # Errors
    /// The system's.
    pub fn limit_files(&self, bytes_max: Option<u64>) -> io::Result<()> {
        let limit = Rlimit { current: bytes_max, maximum: None };
        prlimit(self.known_pid(), Resource::Fsize, limit).map(drop).map_err(io::Error::from)
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.known_pid() {
            let _ = kill_process(pid, signal);
        }
    }

    /// The child is not reaped yet, so the pid cannot belong to another process.
    fn known_pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let mut from = log.len().saturating_sub(LOG_TAIL_MAX);
        while !log.is_char_boundary(from) {
            from += 1;
        }
        log[from..].to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The watcher first: while the server is not reaped, the pid that it knows is no other's.
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
        let _ = self.stop();
    }
}

/// A temporary folder for a server.
fn folder() -> io::Result<TempDir> {
    tempfile::Builder::new().prefix("brindle-testkit-").tempdir()
}

/// Waits for the end of its standard input, which is ours to hold open, then ends the server and removes its folder.
fn watcher(server: u32, folder: &Path) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", "read -r _; kill -9 \"$1\" 2>/dev/null; rm -rf -- \"$2\"", "sh", &server.to_string()])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

/// A port that was free a moment ago. Never 6379, which belongs to a user's own server.
///
/// # Errors
/// There is none.
pub fn free_port() -> io::Result<u16> {
    loop {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        if port != 6379 {
            return Ok(port);
        }
    }
}
