//! The sockets that clients connect to: opened by anybody, served by one worker.
//!
//! Whoever opens a TCP listener keeps a [`Handle`] on it beside the [`Listener`] that goes to the worker. Through it the
//! socket can be made to stop listening at once, without waiting for the worker, so that its port is free for another
//! one; and if that one cannot be opened either, the old one goes on.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Type};

use super::inbox::Socket;

/// A listening socket, for the worker that serves it.
pub struct Listener {
    /// By which its [`Handle`] names it.
    pub id: u64,
    socket: Listening,
}

enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Another hold of a TCP listener.
pub struct Handle {
    /// That of its [`Listener`].
    pub id: u64,
    socket: socket2::Socket,
    backlog: i32,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl Listener {
    fn new(socket: Listening) -> Self {
        Self { id: NEXT_ID.fetch_add(1, Relaxed), socket }
    }

    /// Takes the next waiting connection.
    pub fn accept(&self) -> io::Result<Socket> {
        match &self.socket {
            Listening::Tcp(listener) => listener.accept().map(|(stream, _)| Socket::Tcp(stream)),
            Listening::Unix(listener) => listener.accept().map(|(stream, _)| Socket::Unix(stream)),
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self.source(), token, Interest::READABLE)
    }

    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(self.source())
    }

    fn source(&mut self) -> &mut dyn Source {
        match &mut self.socket {
            Listening::Tcp(listener) => listener,
            Listening::Unix(listener) => listener,
        }
    }
}

impl Handle {
    /// Stops listening: connections that wait are reset, and another socket may take the address.
    pub fn halt(&self) {
        // A listening socket can always be shut down; were it broken already, there were nothing to halt.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }

    /// Listens again after [`Self::halt`].
    ///
    /// # Errors
    /// Somebody else has taken the address meanwhile.
    pub fn resume(&self) -> io::Result<()> {
        self.socket.listen(self.backlog)
    }
}

/// Opens a TCP listener. An address that starts with `-` may be missing on this machine: then there is `None`. `*` and
/// `::*` are all addresses of IPv4 and IPv6.
///
/// # Errors
/// What the system says, or what is wrong with the name.
pub fn tcp(bind: &str, port: u16, backlog: i32) -> io::Result<Option<(Listener, Handle)>> {
    let (address, optional) = match bind.strip_prefix('-') {
        Some(address) => (address, true),
        None => (bind, false),
    };
    match open(address, port, backlog) {
        Err(error) if optional && is_missing(&error) => Ok(None),
        Err(error) => Err(error),
        Ok(socket) => {
            let handle = socket.try_clone()?;
            let listener = Listener::new(Listening::Tcp(TcpListener::from_std(socket.into())));
            let handle = Handle { id: listener.id, socket: handle, backlog };
            Ok(Some((listener, handle)))
        }
    }
}

/// Whether an error says that this machine has no such address.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT))
}

fn open(address: &str, port: u16, backlog: i32) -> io::Result<socket2::Socket> {
    let address = resolve(address, port)?;
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket)
}

fn resolve(address: &str, port: u16) -> io::Result<SocketAddr> {
    match address {
        "*" => Ok(SocketAddr::new(IpAddr::from([0; 4]), port)),
        "::*" => Ok(SocketAddr::new(IpAddr::from([0; 16]), port)),
        _ => (address, port)
            .to_socket_addrs()?
            .next()
            .ok_or_else(|| io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address")),
    }
}

/// Opens a Unix socket in the place of a stale one, with these permissions (0 leaves what the umask gives).
///
/// # Errors
/// What the system says.
pub fn unix(path: &Path, permissions: u32) -> io::Result<Listener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    if permissions != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(permissions))?;
    }
    Ok(Listener::new(Listening::Unix(listener)))
}

/// Sets what every accepted TCP connection gets: no delay, and keep-alive probes every so many seconds (0: none).
///
/// # Errors
/// The connection is gone already.
pub fn prepare(stream: &mio::net::TcpStream, keepalive_secs: u64) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    if keepalive_secs > 0 {
        let secs = std::time::Duration::from_secs(keepalive_secs);
        let probes = socket2::TcpKeepalive::new()
            .with_time(secs)
            .with_interval((secs / 3).max(std::time::Duration::from_secs(1)));
        socket.set_tcp_keepalive(&probes.with_retries(3))?;
    }
    Ok(())
}
