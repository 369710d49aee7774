//! The sockets that clients connect to, opened as `bind`, `port` and `unixsocket` say.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mio::net::{TcpListener, UnixListener};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Opens a TCP listener. An address that starts with `-` may be missing on this machine: then there is `None`. `*` and
/// `::*` are all addresses of IPv4 and IPv6.
pub fn tcp(bind: &str, port: u16, backlog: i32) -> io::Result<Option<TcpListener>> {
    let (address, optional) = match bind.strip_prefix('-') {
        Some(address) => (address, true),
        None => (bind, false),
    };
    match open(address, port, backlog) {
        Err(error) if optional && is_missing(&error) => Ok(None),
        opened => opened.map(Some),
    }
}

/// Whether an error says that this machine has no such address.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT))
}

fn open(address: &str, port: u16, backlog: i32) -> io::Result<TcpListener> {
    let address = resolve(address, port)?;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(TcpListener::from_std(socket.into()))
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
pub fn unix(path: &Path, permissions: u32) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    if permissions != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(permissions))?;
    }
    Ok(listener)
}

/// Sets what every accepted TCP connection gets: no delay, and keep-alive probes every so many seconds (0: none).
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
