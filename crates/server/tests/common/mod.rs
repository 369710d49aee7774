//! The binary as a child process, with all of its command line in the hands of the test: start errors have no server
//! to talk to. (Tests that only want a running server use `testkit::Server`.)

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use testkit::Client;

pub const BINARY: &str = env!("CARGO_BIN_EXE_brindle-server");

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder of the test's own.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("operating-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn write(&self, name: &str, content: &str) -> String {
        fs::write(self.path(name), content).unwrap();
        self.text(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read(self.path(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A leftover in the target folder harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a run that has ended left behind.
#[derive(Debug)]
pub struct Outcome {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the binary in `scratch` to its end, which must come by itself.
pub fn run(scratch: &Scratch, arguments: &[&str]) -> Outcome {
    let mut running = Running::spawn(scratch, arguments, Stdio::null(), &[]);
    let status = running.wait();
    Outcome { status, stdout: scratch.read("stdout"), stderr: scratch.read("stderr") }
}

/// A process that was started and is ended by its number when this is dropped.
pub struct Running(Child);

impl Running {
    pub fn spawn(scratch: &Scratch, arguments: &[&str], stdin: Stdio, environment: &[(&str, &str)]) -> Self {
        let file = |name: &str| File::create(scratch.path(name)).unwrap();
        let mut command = Command::new(BINARY);
        command.args(arguments).current_dir(&scratch.0).envs(environment.iter().copied());
        Self(command.stdin(stdin).stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap())
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    pub fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        until("the process ends", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that answers, in a folder of its own and on a port of its own.
pub struct Served {
    pub scratch: Scratch,
    pub running: Running,
    pub port: u16,
}

impl Served {
    /// `arguments` follow `--port` and so override it.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_in(Scratch::new(), arguments)
    }

    pub fn start_in(scratch: Scratch, arguments: &[&str]) -> Self {
        let port = free_port();
        let port_text = port.to_string();
        let file = arguments.first().filter(|first| !first.starts_with('-'));
        let mut all: Vec<&str> = file.into_iter().copied().collect();
        all.extend(["--port", &port_text, "--bind", "127.0.0.1"]);
        all.extend(arguments.iter().skip(usize::from(file.is_some())));
        let running = Running::spawn(&scratch, &all, Stdio::null(), &[]);
        let served = Self { scratch, running, port };
        until("the server answers", || served.try_client().is_some());
        served
    }

    fn try_client(&self) -> Option<Client> {
        connect(self.port)
    }

    pub fn client(&self) -> Client {
        self.try_client().expect("the server answers")
    }

    pub fn log(&self) -> String {
        self.scratch.read("stdout")
    }

    /// Ends it by SIGTERM.
    pub fn stop(&mut self) -> ExitStatus {
        self.running.signal(Signal::TERM);
        self.running.wait()
    }
}

/// A client of the server at a port of this machine, if one answers (or asks for a password).
pub fn connect(port: u16) -> Option<Client> {
    let mut client = Client::connect(SocketAddr::from(([127, 0, 0, 1], port))).ok()?;
    client.call(&["PING"]).ok().map(|_| client)
}

/// A reply as `redis-cli` would nearly show it, on one line.
pub fn ask(client: &mut Client, line: &str) -> String {
    ask_words(client, &line.split(' ').collect::<Vec<_>>())
}

pub fn ask_words(client: &mut Client, words: &[&str]) -> String {
    match client.call(words) {
        Ok(reply) => show(&reply),
        Err(error) => format!("<{:?}>", error.kind()),
    }
}

fn show(reply: &testkit::Reply) -> String {
    use testkit::reply::{error, integer, items, text};
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match (text(reply), error(reply), integer(reply)) {
        (Some(text), ..) | (_, Some(text), _) => lossy(text),
        (.., Some(number)) => number.to_string(),
        _ => items(reply).iter().map(show).collect::<Vec<_>>().join(" "),
    }
}

pub fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, signal).unwrap();
}

/// A port that was free a moment ago, and not the one that belongs to a user's own server.
pub fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        if port != 6379 {
            return port;
        }
    }
}

#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[track_caller]
pub fn assert_has(text: &str, part: &str) {
    assert!(text.contains(part), "no '{part}' in:\n{text}");
}
