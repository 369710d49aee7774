//! The connection to a primary: blocking, with bytes that have come and were not used yet.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;

/// See the file's head.
pub(super) struct Wire {
    stream: TcpStream,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

/// What a look at the connection has given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// So many bytes have come.
    Bytes(usize),
    /// None, in all the time.
    Nothing,
    /// The other side has closed it.
    Closed,
}

impl Wire {
    /// Connects, from an address of our own if one is asked for. Every address of the name is tried.
    ///
    /// # Errors
    /// Those of the last address.
    pub(super) fn connect(host: &str, port: u16, from: Option<IpAddr>, patience: Duration) -> io::Result<Self> {
        let mut failed = io::Error::new(ErrorKind::NotFound, format!("the name '{host}' has no address"));
        for address in (host, port).to_socket_addrs()? {
            match connect(address, from, patience) {
                Ok(stream) => {
                    return Ok(Self { stream, buffer: vec![0; READ_BYTES].into(), start: 0, end: 0 });
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// A second handle, by which others can break the connection.
    pub(super) fn handle(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    /// The bytes that have come and were not used.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Says that all but the last `rest` of these bytes are used.
    pub(super) fn keep(&mut self, rest: usize) {
        self.start = self.end - rest;
    }

    /// Waits for more bytes; the buffer must be used up.
    ///
    /// # Errors
    /// The connection is broken.
    pub(super) fn fill(&mut self, patience: Duration) -> io::Result<Filled> {
        debug_assert_eq!(self.start, self.end);
        (self.start, self.end) = (0, 0);
        // No time at all would mean all the time there is.
        self.stream.set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
        match self.stream.read(&mut self.buffer) {
            Ok(0) => Ok(Filled::Closed),
            Ok(len) => {
                self.end = len;
                Ok(Filled::Bytes(len))
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) =>
            {
                Ok(Filled::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    /// Sends.
    ///
    /// # Errors
    /// The connection is broken, or the other side takes nothing for too long.
    pub(super) fn send(&mut self, bytes: &[u8], patience: Duration) -> io::Result<()> {
        self.stream.set_write_timeout(Some(patience.max(Duration::from_millis(1))))?;
        self.stream.write_all(bytes)
    }

    /// Ends the connection for all who have a handle.
    pub(super) fn close(self) {
        // It may be closed already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// The names of both ends, as CLIENT LIST has them.
    pub(super) fn names(&self) -> (String, String) {
        let name = |address: io::Result<SocketAddr>| address.map_or_else(|_| "?:0".into(), |it| it.to_string());
        (name(self.stream.peer_addr()), name(self.stream.local_addr()))
    }
}

fn connect(address: SocketAddr, from: Option<IpAddr>, patience: Duration) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(from) = from.filter(|from| from.is_ipv4() == address.is_ipv4()) {
        socket.bind(&SockAddr::from(SocketAddr::new(from, 0)))?;
    }
    socket.connect_timeout(&SockAddr::from(address), patience)?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn bytes_come_when_they_come() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let from = Some(IpAddr::from([127, 0, 0, 2]));
        let mut wire = Wire::connect("127.0.0.1", port, from, Duration::from_secs(5)).unwrap();
        let (mut peer, address) = listener.accept().unwrap();
        assert_eq!(address.ip(), IpAddr::from([127, 0, 0, 2]));
        assert_eq!(wire.names().0, format!("127.0.0.1:{port}"));
        assert_eq!(wire.fill(Duration::from_millis(1)).unwrap(), Filled::Nothing);
        peer.write_all(b"abc").unwrap();
        assert_eq!(wire.fill(Duration::from_secs(5)).unwrap(), Filled::Bytes(3));
        assert_eq!(wire.bytes(), b"abc");
        wire.keep(1);
        assert_eq!(wire.bytes(), b"c");
        wire.keep(0);
        wire.send(b"x", Duration::from_secs(5)).unwrap();
        let mut got = [0];
        peer.read_exact(&mut got).unwrap();
        drop(peer);
        assert_eq!(wire.fill(Duration::from_secs(5)).unwrap(), Filled::Closed);
    }

    #[test]
    fn nobody_there_is_an_error_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert!(Wire::connect("127.0.0.1", port, None, Duration::from_secs(5)).is_err());
        assert!(Wire::connect("no such name", port, None, Duration::from_secs(5)).is_err());
    }
}
