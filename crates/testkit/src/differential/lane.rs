//! One of the two servers during a sequence: its connections, and what it answered.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use resp_parser::Reply;

use crate::client::{Client, Protocol};
use crate::process::Server;
use crate::reply::{items, show, text};
use crate::words::Words;

/// How long a reply may take before it counts as none: a busy machine may leave either server alone for seconds.
pub(super) const REPLY_MAX: Duration = Duration::from_secs(30);
/// How long a server may take to see that connections were closed, or that one waits.
const SETTLE_MAX: Duration = Duration::from_secs(20);
/// From one look to the next.
const LOOK: Duration = Duration::from_millis(1);
/// How many replies and pushes one command may cause.
const CAUSED_MAX: usize = 1000;

/// What came back for a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A reply.
    Reply(Reply),
    /// Everything that came until a PING behind the command was answered.
    Several(Vec<Reply>),
    /// The server closed the connection.
    Closed,
    /// Nothing within the time.
    Silence,
    /// Bytes that are no reply.
    Garbage(String),
}

impl fmt::Display for Answer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply(reply) => out.write_str(&show(reply)),
            Self::Several(replies) => out.write_str(&replies.iter().map(show).collect::<Vec<_>>().join(" ; ")),
            Self::Closed => out.write_str("(the connection was closed)"),
            Self::Silence => out.write_str("(no reply)"),
            Self::Garbage(text) => write!(out, "(no valid reply: {text})"),
        }
    }
}

impl From<io::Result<Reply>> for Answer {
    fn from(outcome: io::Result<Reply>) -> Self {
        match outcome {
            Ok(reply) => Self::Reply(reply),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Silence,
                io::ErrorKind::InvalidData | io::ErrorKind::Other => Self::Garbage(error.to_string()),
                _ => Self::Closed,
            },
        }
    }
}

/// Changes replies on their way, to prove that a comparison notices.
pub type Fault = fn(&Words, &mut Reply);

/// A server and the connections to it. The connections of a sequence go with [`begin`](Self::begin).
#[derive(Debug)]
pub struct Lane<'s> {
    server: &'s Server,
    admin: Client,
    clients: BTreeMap<char, Client>,
    protocol: Protocol,
    patience: Duration,
    fault: Option<Fault>,
    nonce: u64,
}

impl<'s> Lane<'s> {
    /// Connects to `server`.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn new(server: &'s Server) -> io::Result<Self> {
        let admin = server.connect()?;
        let (clients, protocol) = (BTreeMap::new(), Protocol::Resp2);
        Ok(Self { server, admin, clients, protocol, patience: REPLY_MAX, fault: None, nonce: 0 })
    }

    /// Lets `fault` change every reply.
    pub fn set_fault(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    /// How long replies may take on the connections that sequences make from now on.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Closes all connections of the last sequence and empties the server.
    ///
    /// # Errors
    /// Those of the connection: the server is gone; or it keeps a connection that was closed.
    pub fn begin(&mut self, protocol: Protocol) -> io::Result<()> {
        self.clients.clear();
        self.protocol = protocol;
        // One that is still there for the server would get messages and elements that are for the next sequence's.
        if !self.until("connected_clients", 1)? {
            return Err(io::Error::other(format!("closed connections are still counted after {SETTLE_MAX:?}")));
        }
        self.admin(&["FLUSHALL"]).map(drop)
    }

    /// A command on the connection that no sequence uses.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn admin(&mut self, command: &[&str]) -> io::Result<Reply> {
        let words: Words = command.iter().map(|word| word.as_bytes().to_vec()).collect();
        Ok(self.admin_batch(&[words])?.remove(0))
    }

    /// Several commands on that connection.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn admin_batch(&mut self, commands: &[Words]) -> io::Result<Vec<Reply>> {
        let mut replies = self.admin.pipeline(commands)?;
        for (command, reply) in commands.iter().zip(&mut replies) {
            self.spoil(command, reply);
        }
        Ok(replies)
    }

    /// Sends commands without reading.
    pub fn send(&mut self, connection: char, commands: &[&Words]) -> Result<(), Answer> {
        let mut bytes = Vec::new();
        for command in commands {
            resp_parser::encode_request(command.iter(), &mut bytes);
        }
        self.client(connection).and_then(|client| client.send_raw(&bytes)).map_err(|error| Answer::from(Err(error)))
    }

    /// Reads the reply to `command`. After silence or garbage the connection is given up.
    pub fn receive(&mut self, connection: char, command: &Words) -> Answer {
        let mut answer = Answer::from(self.client(connection).and_then(Client::receive));
        match &mut answer {
            Answer::Reply(reply) => self.spoil(command, reply),
            Answer::Silence | Answer::Garbage(_) => drop(self.clients.remove(&connection)),
            Answer::Several(_) | Answer::Closed => {}
        }
        answer
    }

    /// A command and its reply.
    pub fn call(&mut self, connection: char, command: &Words) -> Answer {
        match self.send(connection, &[command]) {
            Ok(()) => self.receive(connection, command),
            Err(answer) => answer,
        }
    }

    /// A command, and everything that comes until a PING behind it is answered.
    pub fn call_alone(&mut self, connection: char, command: &Words) -> Answer {
        self.nonce += 1;
        let nonce = format!("nonce-{}", self.nonce).into_bytes();
        let ping = vec![b"PING".to_vec(), nonce.clone()];
        if let Err(answer) = self.send(connection, &[command, &ping]) {
            return answer;
        }
        let mut replies = Vec::new();
        while replies.len() < CAUSED_MAX {
            match self.receive(connection, command) {
                Answer::Reply(reply) => {
                    // `+QUEUED`, or `pong` with the nonce when subscribed in RESP2.
                    let ours = |reply: &Reply| text(reply) == Some(nonce.as_slice());
                    if ours(&reply) || items(&reply).last().is_some_and(ours) {
                        return Answer::Several(replies);
                    }
                    replies.push(reply);
                }
                other => return other,
            }
        }
        Answer::Garbage(format!("more than {CAUSED_MAX} replies to one command"))
    }

    /// Waits until each of these connections is served or seen to wait, so that what follows elsewhere follows it.
    pub fn settle(&mut self, connections: &[char]) {
        let begin = Instant::now();
        while begin.elapsed() < SETTLE_MAX {
            // Before the server is asked: one that is served in between is missed there, and looked at again.
            let is_served = |name| self.clients.get_mut(name).is_none_or(|client| client.has_more().unwrap_or(true));
            let unserved = connections.iter().map(is_served).filter(|served| !served).count();
            let Ok(blocked) = self.clients_that_are("blocked_clients") else { return };
            if blocked >= unserved {
                return;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until a number of INFO's section `clients` is this one, which it says.
    fn until(&mut self, name: &str, wanted: usize) -> io::Result<bool> {
        let begin = Instant::now();
        while self.clients_that_are(name)? != wanted {
            if begin.elapsed() > SETTLE_MAX {
                return Ok(false);
            }
            std::thread::sleep(LOOK);
        }
        Ok(true)
    }

    fn clients_that_are(&mut self, name: &str) -> io::Result<usize> {
        let info = self.admin(&["INFO", "clients"])?;
        let info = text(&info).map(String::from_utf8_lossy).unwrap_or_default();
        let number = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok());
        number.ok_or_else(|| io::Error::other(format!("INFO does not tell {name}")))
    }

    fn client(&mut self, connection: char) -> io::Result<&mut Client> {
        if !self.clients.contains_key(&connection) {
            let mut client = self.server.connect()?;
            client.set_timeout(self.patience)?;
            client.speak(self.protocol)?;
            self.clients.insert(connection, client);
        }
        self.clients.get_mut(&connection).ok_or_else(|| io::Error::other("no such connection"))
    }

    fn spoil(&self, command: &Words, reply: &mut Reply) {
        if let Some(fault) = self.fault {
            fault(command, reply);
        }
    }
}
