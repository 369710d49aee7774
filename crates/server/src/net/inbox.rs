//! How other threads reach a worker: a [`Mailbox`], and the waker of its poll as the bell.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use commands::reply::Reply;
use mio::Waker;
use mio::net::{TcpStream, UnixStream};

use super::listener::Listener;
use super::mailbox::Mailbox;
use crate::config::{Config, keys};

/// What a worker can be told.
pub enum Message {
    /// Serve this new connection.
    Adopt(Socket),
    /// Close the connection in this slot, if this client still has it.
    Close {
        /// [`commands::client::Client::slot`].
        slot: usize,
        /// The client's id.
        id: u64,
    },
    /// What a blocked client waited for.
    Answer {
        /// [`commands::client::Client::slot`].
        slot: usize,
        /// The client's id.
        id: u64,
        /// The answer.
        reply: Box<Reply>,
    },
    /// A blocked client is answered and closed, since what it waits for cannot come here any more.
    Dismiss {
        /// [`commands::client::Client::slot`].
        slot: usize,
        /// The client's id.
        id: u64,
        /// The answer.
        reply: Box<Reply>,
    },
    /// Whatever made commands wait is over, or has changed: try the postponed connections again.
    Retry,
    /// Accept at these listeners, and no longer at those.
    Listen {
        /// New ones.
        open: Vec<Listener>,
        /// Numbers of old ones.
        close: Vec<u64>,
    },
    /// End the loop.
    Stop,
}

/// An accepted socket of either kind.
pub enum Socket {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

/// See the file's head.
pub struct Inbox {
    mailbox: Mailbox<Message>,
    waker: Waker,
}

impl Inbox {
    /// An empty inbox that rings this waker.
    pub fn new(waker: Waker) -> Self {
        Self { mailbox: Mailbox::new(), waker }
    }

    /// Leaves a message and wakes the worker unless somebody has done so already.
    pub fn post(&self, message: Message) {
        self.mailbox.post(message, || self.wake());
    }

    /// Wakes the worker unless somebody has done so already: for what it looks at in every tick.
    pub fn ring(&self) {
        self.mailbox.ring(|| self.wake());
    }

    fn wake(&self) {
        // Waking fails only when the kernel is out of memory for a counter that exists already.
        let _ = self.waker.wake();
    }

    /// Takes all messages.
    pub fn drain(&self) -> Vec<Message> {
        self.mailbox.drain()
    }
}

impl Socket {
    /// Whether the other end is on this machine. A connection that is gone already counts as one that is not.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback()),
            Self::Unix(_) => true,
        }
    }

    /// Lets the kernel collect small writes into larger packets (`repl-disable-tcp-nodelay`).
    pub fn delay_small_writes(&self) {
        if let Self::Tcp(stream) = self {
            // Only a matter of efficiency.
            let _ = stream.set_nodelay(false);
        }
    }

    /// The addresses of both ends as CLIENT LIST prints them, the descriptor, and whether it is a Unix socket.
    pub fn names(&self, config: &Config) -> (String, String, i32, bool) {
        match self {
            Self::Tcp(stream) => {
                let name = |address: io::Result<SocketAddr>| address.map_or_else(|_| "?:0".into(), |a| print(&a));
                (name(stream.peer_addr()), name(stream.local_addr()), stream.as_raw_fd(), false)
            }
            Self::Unix(stream) => {
                let path = config.get(keys::UNIXSOCKET).unwrap_or_default();
                let name = format!("{}:0", path.display());
                (name.clone(), name, stream.as_raw_fd(), true)
            }
        }
    }
}

/// Address and port; IPv6 addresses in brackets, and IPv4 in its own form wherever it came from.
fn print(address: &SocketAddr) -> String {
    SocketAddr::new(address.ip().to_canonical(), address.port()).to_string()
}
