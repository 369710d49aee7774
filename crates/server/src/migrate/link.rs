//! A connection to MIGRATE's target. It blocks: only threads of [`super`] use it.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use commands::error::Error;
use commands::migrate::Migration;
use resp_parser::{Reply, ReplyDecoder, encode_request};

const READ_BYTES: usize = 16 * 1024;

/// Where and why an exchange has ended early.
pub struct Broken {
    step: Step,
    /// The target did not answer in time.
    pub timed_out: bool,
}

#[derive(Clone, Copy)]
enum Step {
    Connecting,
    Writing,
    Reading,
}

impl Broken {
    fn at(step: Step, error: &io::Error) -> Self {
        Self { step, timed_out: matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) }
    }

    /// What the client is told, in Redis's words.
    pub fn error(self) -> Error {
        Error::new(match self.step {
            Step::Connecting => "IOERR error or timeout connecting to the client",
            Step::Writing => "IOERR error or timeout writing to target instance",
            Step::Reading => "IOERR error or timeout reading to target instance",
        })
    }
}

/// See the file's head.
pub struct Link {
    /// The target as it was named.
    pub host: Vec<u8>,
    /// Its port.
    pub port: u16,
    stream: TcpStream,
    decoder: ReplyDecoder,
    /// The database that is selected there, as far as that is known.
    db: Option<i64>,
}

impl Link {
    /// Connects to the target.
    pub fn open(job: &Migration) -> Result<Self, Broken> {
        let host = String::from_utf8_lossy(&job.host);
        let unknown = |error| Broken::at(Step::Connecting, &error);
        let addresses = (&*host, job.port).to_socket_addrs().map_err(unknown)?;
        let mut outcome = Err(io::Error::from(io::ErrorKind::TimedOut));
        for address in addresses {
            outcome = TcpStream::connect_timeout(&address, Duration::from_millis(job.timeout_ms));
            if outcome.is_ok() {
                break;
            }
        }
        let stream = outcome.map_err(|error| {
            // Redis notices a refused connection when it writes.
            let timed_out = error.kind() == io::ErrorKind::TimedOut;
            Broken::at(if timed_out { Step::Connecting } else { Step::Writing }, &error)
        })?;
        let _ = stream.set_nodelay(true);
        Ok(Self { host: job.host.clone(), port: job.port, stream, decoder: ReplyDecoder::new(), db: None })
    }

    /// Sends commands, with AUTH and SELECT before them where that is needed, and reads their answers: an answer a
    /// command, until the connection breaks. What is refused at the beginning is refused for all commands.
    pub fn exchange(
        &mut self,
        job: &Migration,
        commands: &[Vec<Vec<u8>>],
    ) -> (Vec<Result<(), String>>, Option<Broken>) {
        let mut before = Vec::new();
        if let Some(words) = &job.auth {
            before.push(std::iter::once(b"AUTH".to_vec()).chain(words.iter().cloned()).collect::<Vec<_>>());
        }
        if self.db != Some(job.target_db) {
            before.push(vec![b"SELECT".to_vec(), job.target_db.to_string().into_bytes()]);
        }
        // After an error it is not known which one is selected.
        self.db = None;
        if let Err(broken) = self.write(job, before.iter().chain(commands)) {
            return (Vec::new(), Some(broken));
        }
        let mut refused = None;
        for _ in &before {
            match self.read() {
                Ok(Err(error)) => drop(refused.get_or_insert(error)),
                Ok(Ok(())) => {}
                Err(broken) => return (Vec::new(), Some(broken)),
            }
        }
        let mut answers = Vec::with_capacity(commands.len());
        for _ in commands {
            match self.read() {
                Ok(answer) => answers.push(refused.clone().map_or(answer, Err)),
                Err(broken) => return (answers, Some(broken)),
            }
        }
        self.db = answers.iter().all(Result::is_ok).then_some(job.target_db);
        (answers, None)
    }

    fn write<'c>(&mut self, job: &Migration, commands: impl Iterator<Item = &'c Vec<Vec<u8>>>) -> Result<(), Broken> {
        let mut request = Vec::new();
        commands.for_each(|words| encode_request(words.iter().map(Vec::as_slice), &mut request));
        let timeout = Some(Duration::from_millis(job.timeout_ms));
        let set = self.stream.set_read_timeout(timeout).and_then(|()| self.stream.set_write_timeout(timeout));
        set.and_then(|()| self.stream.write_all(&request)).map_err(|error| Broken::at(Step::Writing, &error))
    }

    /// Reads one answer: whether it is an error.
    fn read(&mut self) -> Result<Result<(), String>, Broken> {
        let broken = |kind: io::ErrorKind| Broken::at(Step::Reading, &kind.into());
        let mut buffer = [0; READ_BYTES];
        loop {
            match self.decoder.next().map_err(|_| broken(io::ErrorKind::InvalidData))? {
                Some(Reply::Error(error)) => return Ok(Err(String::from_utf8_lossy(&error).into_owned())),
                Some(_) => return Ok(Ok(())),
                None => {}
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(broken(io::ErrorKind::UnexpectedEof)),
                Ok(count) => self.decoder.feed(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Broken::at(Step::Reading, &error)),
            }
        }
    }
}
