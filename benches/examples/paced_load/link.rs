//! Connections that never block: one that is owed replies, and one that follows as a replica does.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use std::{error, result};

use benches::request;
use resp_parser::{Reply, ReplyDecoder};

/// Room for what is read at once.
pub const READ_BYTES: usize = 256 * 1024;

/// Bytes of the mark that ends a copy whose size was not known when it began.
const MARK_BYTES: usize = 40;

pub type Result<T> = result::Result<T, Box<dyn error::Error>>;

fn open(port: u16) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_nodelay(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// What has come, or nothing.
fn read<'b>(socket: &mut TcpStream, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
    match socket.read(buffer) {
        Ok(0) => Err("the server has closed a connection".into()),
        Ok(n) => Ok(&buffer[..n]),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(&[]),
        Err(error) => Err(error.into()),
    }
}

/// A connection that is owed replies.
pub struct Link {
    socket: TcpStream,
    replies: ReplyDecoder,
    pub owed: usize,
}

impl Link {
    pub fn open(port: u16) -> io::Result<Self> {
        Ok(Self { socket: open(port)?, replies: ReplyDecoder::new(), owed: 0 })
    }

    /// Sends a group. All of it fits into the socket's buffer if nothing is owed, since the server has then read what was
    /// sent before.
    pub fn send(&mut self, requests: &[u8], count: usize) -> io::Result<()> {
        self.owed += count;
        self.socket.write_all(requests)
    }

    /// Takes what has come; says how many replies that completed.
    ///
    /// # Errors
    /// Those of the socket, bytes that are no reply, and replies that are errors.
    pub fn take(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.owed == 0 {
            return Ok(0);
        }
        self.replies.feed(read(&mut self.socket, buffer)?);
        let mut answered = 0;
        while let Some(reply) = self.replies.next()? {
            if let Reply::Error(text) = reply {
                return Err(format!("the server refuses: {}", String::from_utf8_lossy(&text)).into());
            }
            answered += 1;
        }
        self.owed -= answered;
        Ok(answered)
    }
}

/// A replica that takes a full copy and keeps nothing of it.
pub struct Follower {
    socket: TcpStream,
    began: Instant,
    /// What stands ahead of the copy, until that is known.
    head: Vec<u8>,
    framing: Option<Framing>,
    pub copied: usize,
}

/// How the end of the copy is told.
enum Framing {
    /// So many bytes.
    Length(usize),
    /// By the mark. `tail` holds the last bytes that came.
    Mark { mark: Vec<u8>, tail: Vec<u8> },
}

impl Follower {
    /// Asks for a full copy.
    pub fn begin(port: u16) -> Result<Self> {
        let mut asking = Link::open(port)?;
        let mut buffer = vec![0; READ_BYTES];
        // The port is nobody's: a primary only shows it.
        for words in
            [&["PING"][..], &["REPLCONF", "listening-port", "1"], &["REPLCONF", "capa", "eof", "capa", "psync2"]]
        {
            asking.send(&request(words), 1)?;
            while asking.owed > 0 {
                asking.take(&mut buffer)?;
            }
        }
        asking.socket.write_all(&request(&["PSYNC", "?", "-1"]))?;
        Ok(Self { socket: asking.socket, began: Instant::now(), head: Vec::new(), framing: None, copied: 0 })
    }

    /// Takes what has come; once the copy is whole, says how long it took.
    pub fn take(&mut self, buffer: &mut [u8]) -> Result<Option<Duration>> {
        let come = read(&mut self.socket, buffer)?;
        let is_over = match &mut self.framing {
            Some(framing) => {
                self.copied += come.len();
                framing.is_over(self.copied, come)
            }
            None => {
                self.head.extend_from_slice(come);
                let Some((framing, rest)) = framing_of(&self.head)? else { return Ok(None) };
                self.copied = rest.len();
                self.framing.insert(framing).is_over(rest.len(), rest)
            }
        };
        Ok(is_over.then(|| self.began.elapsed()))
    }
}

impl Framing {
    fn is_over(&mut self, copied: usize, come: &[u8]) -> bool {
        match self {
            Self::Length(length) => copied >= *length,
            Self::Mark { mark, tail } => {
                tail.extend_from_slice(&come[come.len().saturating_sub(MARK_BYTES)..]);
                tail.drain(..tail.len().saturating_sub(MARK_BYTES));
                tail == mark
            }
        }
    }
}

/// The framing and what follows it, once the answer to PSYNC and the line ahead of the copy are there. Newlines keep the link
/// alive while the copy is prepared.
fn framing_of(head: &[u8]) -> Result<Option<(Framing, &[u8])>> {
    let Some((answer, rest)) = line(head) else { return Ok(None) };
    if !answer.starts_with(b"+FULLRESYNC") {
        return Err(format!("no full copy: {}", String::from_utf8_lossy(answer)).into());
    }
    let Some((size, rest)) = line(rest) else { return Ok(None) };
    let framing = match size.strip_prefix(b"$EOF:") {
        Some(mark) => Framing::Mark { mark: mark.to_vec(), tail: Vec::new() },
        None => Framing::Length(std::str::from_utf8(&size[1..])?.parse()?),
    };
    Ok(Some((framing, rest)))
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let bytes = &bytes[bytes.iter().position(|&byte| byte != b'\n')?..];
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    Some((&bytes[..end], &bytes[end + 2..]))
}
