//! A small blocking client: no pool, no retries, nothing clever, so that what it sends and sees is exactly the wire.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use resp_parser::{Reply, ReplyDecoder, encode_request};

/// How long a reply may take unless [`Client::set_timeout`] says otherwise. Generous: machines under load are slow.
const REPLY_MAX: Duration = Duration::from_secs(20);
/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Which RESP a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// RESP2, what a connection begins with.
    Resp2,
    /// RESP3, after `HELLO 3`.
    Resp3,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            #[cfg(unix)]
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes),
            #[cfg(unix)]
            Self::Unix(stream) => stream.write_all(bytes),
        }
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(nonblocking),
            #[cfg(unix)]
            Self::Unix(stream) => stream.set_nonblocking(nonblocking),
        }
    }

    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))
            }
            #[cfg(unix)]
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))
            }
        }
    }
}

/// A connection to a server.
#[derive(Debug)]
pub struct Client {
    stream: Stream,
    decoder: ReplyDecoder,
    /// What was fed to the decoder and belongs to replies not handed out yet, to compare with their encoding.
    pending: Vec<u8>,
}

impl Client {
    /// Connects by TCP.
    ///
    /// # Errors
    /// Those of connecting.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_MAX)?;
        stream.set_nodelay(true)?;
        Self::over(Stream::Tcp(stream))
    }

    /// Connects to a Unix socket.
    ///
    /// # Errors
    /// Those of connecting.
    #[cfg(unix)]
    pub fn connect_unix(path: &Path) -> io::Result<Self> {
        Self::over(Stream::Unix(UnixStream::connect(path)?))
    }

    fn over(stream: Stream) -> io::Result<Self> {
        stream.set_timeout(REPLY_MAX)?;
        Ok(Self { stream, decoder: ReplyDecoder::new(), pending: Vec::new() })
    }

    /// How long a read or a write may wait.
    ///
    /// # Errors
    /// When the timeout is zero.
    pub fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.stream.set_timeout(timeout)
    }

    /// Changes to `protocol` by HELLO when it is RESP3; a fresh connection speaks RESP2.
    ///
    /// # Errors
    /// When the server refuses, and those of the connection.
    pub fn speak(&mut self, protocol: Protocol) -> io::Result<()> {
        match protocol {
            Protocol::Resp2 => Ok(()),
            Protocol::Resp3 => match self.call(&["HELLO", "3"])? {
                Reply::Map(_) => Ok(()),
                other => Err(io::Error::other(format!("HELLO 3 answered {}", crate::reply::show(&other)))),
            },
        }
    }

    /// Sends a request without waiting for its reply.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<()> {
        let mut request = Vec::new();
        encode_request(args.iter().map(AsRef::as_ref), &mut request);
        self.send_raw(&request)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Waits for the next reply (or push).
    ///
    /// # Errors
    /// Those of the connection: `UnexpectedEof` when the server closed it; `InvalidData` when the bytes are no reply,
    /// or one not spelled as Redis spells it (`:+1`): so two equal replies were equal bytes.
    pub fn receive(&mut self) -> io::Result<Reply> {
        let mut buffer = [0; 16 * 1024];
        loop {
            let next =
                self.decoder.next().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            if let Some(reply) = next {
                self.check_spelling(&reply)?;
                return Ok(reply);
            }
            let count = match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.decoder.feed(&buffer[..count]);
            self.pending.extend_from_slice(&buffer[..count]);
        }
    }

    fn check_spelling(&mut self, reply: &Reply) -> io::Result<()> {
        let raw_len = self.pending.len() - self.decoder.rest().len();
        let mut canonical = Vec::with_capacity(raw_len);
        reply.encode(&mut canonical);
        let same = canonical == self.pending[..raw_len];
        let text = if same { String::new() } else { String::from_utf8_lossy(&self.pending[..raw_len]).into_owned() };
        self.pending.drain(..raw_len);
        if same {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("unusual spelling: {text:?}")))
        }
    }

    /// Whether a reply, or a part of one, has come that was not received yet.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn has_more(&mut self) -> io::Result<bool> {
        self.stream.set_nonblocking(true)?;
        let mut buffer = [0; 16 * 1024];
        let came = self.stream.read(&mut buffer);
        self.stream.set_nonblocking(false)?;
        match came {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")),
            Ok(count) => {
                self.decoder.feed(&buffer[..count]);
                self.pending.extend_from_slice(&buffer[..count]);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        Ok(!self.pending.is_empty())
    }

    /// One request and its reply.
    ///
    /// # Errors
    /// As [`receive`](Self::receive). An error *reply* is a reply.
    pub fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> io::Result<Reply> {
        self.send(args)?;
        self.receive()
    }

    /// Many requests in one write, then all their replies.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn pipeline<A: AsRef<[u8]>>(&mut self, requests: &[Vec<A>]) -> io::Result<Vec<Reply>> {
        let mut bytes = Vec::new();
        for request in requests {
            encode_request(request.iter().map(AsRef::as_ref), &mut bytes);
        }
        self.send_raw(&bytes)?;
        requests.iter().map(|_| self.receive()).collect()
    }

    /// Everything the server sends until it closes the connection or `timeout` passes, as bytes.
    ///
    /// # Errors
    /// Those of the connection, the timeout not among them.
    pub fn read_raw(&mut self, timeout: Duration) -> io::Result<Vec<u8>> {
        self.set_timeout(timeout)?;
        let mut bytes = std::mem::take(&mut self.pending);
        let mut buffer = [0; 16 * 1024];
        let outcome = loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break Ok(()),
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    break Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.set_timeout(REPLY_MAX)?;
        outcome.map(|()| bytes)
    }
}
