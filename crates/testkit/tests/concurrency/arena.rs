//! A server, its clients, and the faults that clients can play in its place to prove that a check notices.

use std::sync::atomic::{AtomicBool, Ordering};

use testkit::reply::{integer, is_error, items, text};
use testkit::{Client, Program, Reply, Server};

/// A way in which a server could fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// INCR as a GET and a SET.
    SplitIncr,
    /// Every seventh call, if it is an RPUSH, is answered and lost.
    LostPush,
    /// MSET as one SET after the other.
    SplitMset,
    /// RENAME as a GETDEL and a SET.
    SplitRename,
    /// What should be queued runs at once.
    NoMulti,
    /// WATCH watches nothing.
    NoWatch,
    /// A pop now and then leaves its element.
    DoublePop,
    /// A GET now and then answers what this client's last one answered.
    StaleRead,
}

/// A fault is played on every so many calls, where it is not played on all.
const EVERY: usize = 7;

/// A server and how it fails.
pub(crate) struct Arena {
    server: Server,
    fault: Fault,
}

impl Arena {
    pub(crate) fn new(program: &Program, fault: Fault) -> Self {
        Self { server: Server::start(program, &[]).expect("the server starts"), fault }
    }

    pub(crate) fn player(&self) -> Player {
        let client = self.server.connect().expect("a connection");
        Player { client, fault: self.fault, calls: 0, last_read: None, results: Vec::new() }
    }

    /// Whether the server has this command.
    pub(crate) fn knows(&self, command: &str) -> bool {
        let info = self.player().plain(&["COMMAND", "INFO", command]);
        matches!(items(&info), [Reply::Array(_)])
    }

    /// One thread a client, each with a number and a connection.
    pub(crate) fn play(&self, count: usize, act: impl Fn(usize, &mut Player) + Sync) {
        std::thread::scope(|scope| {
            for number in 0..count {
                let act = &act;
                scope.spawn(move || act(number, &mut self.player()));
            }
        });
    }
}

/// A client that may play a fault.
pub(crate) struct Player {
    client: Client,
    fault: Fault,
    calls: usize,
    last_read: Option<Reply>,
    /// What ran at once under [`Fault::NoMulti`].
    results: Vec<Reply>,
}

impl Player {
    /// The reply, which must not be an error.
    pub(crate) fn call(&mut self, command: &str) -> Reply {
        let reply = self.ask(command);
        assert!(!is_error(&reply), "{command}: {reply:?}");
        reply
    }

    /// The same command several times in one write.
    pub(crate) fn pipeline(&mut self, command: &str, times: usize) -> Vec<Reply> {
        let requests: Vec<Vec<&str>> = (0..times).map(|_| command.split(' ').collect()).collect();
        self.client.pipeline(&requests).expect("the connection lives")
    }

    /// The reply, which may be an error.
    pub(crate) fn ask(&mut self, command: &str) -> Reply {
        self.calls += 1;
        let words: Vec<&str> = command.split(' ').collect();
        let now = self.calls.is_multiple_of(EVERY);
        match (self.fault, words[0]) {
            (Fault::SplitIncr, "INCR") => {
                let value = number(&self.plain(&["GET", words[1]])) + 1;
                self.plain(&["SET", words[1], &value.to_string()]);
                Reply::Integer(value)
            }
            (Fault::LostPush, "RPUSH") if now => Reply::Integer(1),
            (Fault::SplitMset, "MSET") => {
                words[1..].chunks(2).for_each(|pair| drop(self.plain(&["SET", pair[0], pair[1]])));
                ok()
            }
            (Fault::SplitRename, "RENAME") => match self.plain(&["GETDEL", words[1]]) {
                Reply::Bulk(_) => self.plain(&["SET", words[2], "value"]),
                _ => Reply::Error(b"ERR no such key".to_vec()),
            },
            (Fault::NoMulti, "MULTI") | (Fault::NoWatch, "WATCH") => ok(),
            (Fault::NoMulti, "EXEC") => Reply::Array(std::mem::take(&mut self.results)),
            (Fault::NoMulti, "INCR" | "GET") => {
                let reply = self.plain(&words);
                self.results.push(reply);
                Reply::Simple(b"QUEUED".to_vec())
            }
            (Fault::DoublePop, "BLPOP") => {
                let popped = self.plain(&words);
                let element = String::from_utf8_lossy(text(&items(&popped)[1]).unwrap_or_default()).into_owned();
                if now && element != "stop" {
                    self.plain(&["RPUSH", words[1], &element]);
                }
                popped
            }
            (Fault::StaleRead, "GET") => {
                let stale = self.last_read.take().filter(|_| now);
                let reply = stale.unwrap_or_else(|| self.plain(&words));
                self.last_read = Some(reply.clone());
                reply
            }
            _ => self.plain(&words),
        }
    }

    fn plain(&mut self, words: &[&str]) -> Reply {
        self.client.call(words).expect("the connection lives")
    }
}

/// A flag that is raised at the end of its guard's scope, also by a panic: readers that wait for it always end.
#[derive(Default)]
pub(crate) struct Done(AtomicBool);

impl Done {
    pub(crate) fn guard(&self) -> Guard<'_> {
        Guard(&self.0)
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

pub(crate) struct Guard<'d>(&'d AtomicBool);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The number of an integer or of a text; 0 for a null.
pub(crate) fn number(reply: &Reply) -> i64 {
    match (integer(reply), text(reply)) {
        (Some(number), _) => number,
        (None, Some(text)) => std::str::from_utf8(text).expect("ascii").parse().expect("a number"),
        (None, None) => 0,
    }
}

fn ok() -> Reply {
    Reply::Simple(b"OK".to_vec())
}
