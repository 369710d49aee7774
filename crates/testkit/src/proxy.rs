//! A faulty link: a proxy between two servers that delays, splits, throttles, stalls and cuts what passes.
//!
//! Each connection has a thread for either direction. All of them obey the switches at once, whenever they are thrown; a
//! piece that is on its way already may still pass.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Bytes that are moved at once unless [`Proxy::split`] says otherwise.
const PIECE_BYTES: usize = 64 * 1024;
/// How often a thread that has nothing to do looks at the switches.
const LOOK: Duration = Duration::from_millis(20);
/// How much lateness a throttled link makes good.
const LATE_MAX: Duration = Duration::from_millis(500);
/// How long connecting to the target may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// See the file's head. It ends with its handle.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    switches: Arc<Switches>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Switches {
    target: Mutex<SocketAddr>,
    ended: AtomicBool,
    refuses: AtomicBool,
    stalled: AtomicBool,
    delay_ms: AtomicU64,
    /// Bytes a second towards the one who has connected; 0 is no limit.
    rate: AtomicU64,
    piece: AtomicUsize,
    /// Connections made before this number was reached are cut.
    cut: AtomicU64,
    made: AtomicU64,
    /// Bytes that have passed towards the one who has connected.
    passed: AtomicU64,
}

impl Proxy {
    /// A link to a server that passes everything on.
    ///
    /// # Errors
    /// Those of listening.
    pub fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let switches = Arc::new(Switches {
            target: Mutex::new(target),
            ended: AtomicBool::new(false),
            refuses: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            delay_ms: AtomicU64::new(0),
            rate: AtomicU64::new(0),
            piece: AtomicUsize::new(PIECE_BYTES),
            cut: AtomicU64::new(0),
            made: AtomicU64::new(0),
            passed: AtomicU64::new(0),
        });
        let theirs = switches.clone();
        let accepting = Some(thread::spawn(move || accept(&listener, &theirs)));
        Ok(Self { address, switches, accepting })
    }

    /// Where to connect instead of to the target.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts all connections there are.
    pub fn cut(&self) {
        self.switches.cut.store(self.switches.made.load(SeqCst), SeqCst);
    }

    /// Whether new connections are closed at once.
    pub fn refuse(&self, refuses: bool) {
        self.switches.refuses.store(refuses, SeqCst);
    }

    /// Whether nothing passes, though the connections stay.
    pub fn stall(&self, stalled: bool) {
        self.switches.stalled.store(stalled, SeqCst);
    }

    /// How long each piece waits before it passes.
    pub fn delay(&self, delay: Duration) {
        self.switches.delay_ms.store(delay.as_millis() as u64, SeqCst);
    }

    /// How many bytes a second pass towards the one who has connected; 0 is no limit.
    pub fn throttle(&self, bytes_a_second: u64) {
        self.switches.rate.store(bytes_a_second, SeqCst);
    }

    /// Lets everything pass in pieces of so many bytes at most.
    pub fn split(&self, bytes: usize) {
        self.switches.piece.store(bytes.clamp(1, PIECE_BYTES), SeqCst);
    }

    /// Leads new connections somewhere else.
    ///
    /// # Panics
    /// Never: nobody panics while the address is held.
    pub fn lead_to(&self, target: SocketAddr) {
        *self.switches.target.lock().expect("never poisoned") = target;
    }

    /// Connections that were made so far.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.switches.made.load(SeqCst)
    }

    /// Bytes that have passed towards those who have connected.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.switches.passed.load(SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.switches.ended.store(true, SeqCst);
        self.cut();
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, switches: &Arc<Switches>) {
    for client in listener.incoming() {
        if switches.ended.load(SeqCst) {
            return;
        }
        let Ok(client) = client else { continue };
        if switches.refuses.load(SeqCst) {
            continue;
        }
        let number = switches.made.fetch_add(1, SeqCst);
        let target = *switches.target.lock().expect("never poisoned");
        let switches = switches.clone();
        thread::spawn(move || {
            // Whoever has connected sees the end of its connection if there is no target.
            let _ = connect(client, target, &switches, number);
        });
    }
}

fn connect(client: TcpStream, target: SocketAddr, switches: &Arc<Switches>, number: u64) -> io::Result<()> {
    let server = TcpStream::connect_timeout(&target, CONNECT_MAX)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(Some(LOOK))?;
    }
    let (from, to) = (client.try_clone()?, server.try_clone()?);
    let theirs = switches.clone();
    let up = thread::spawn(move || pass(from, to, &theirs, number, false));
    pass(server, client, switches, number, true);
    let _ = up.join();
    Ok(())
}

/// Passes bytes on until either end is closed, or the connection is cut.
fn pass(mut from: TcpStream, mut to: TcpStream, switches: &Switches, number: u64, down: bool) {
    let mut buffer = vec![0; PIECE_BYTES];
    let mut due = None::<Instant>;
    let is_cut = || number < switches.cut.load(SeqCst);
    while !is_cut() {
        if switches.stalled.load(SeqCst) {
            thread::sleep(LOOK);
            continue;
        }
        let piece = switches.piece.load(SeqCst);
        let len = match from.read(&mut buffer[..piece]) {
            Ok(0) => break,
            Ok(len) => len,
            Err(error) if is_patience(&error) => continue,
            Err(_) => break,
        };
        // It may have come while the read was waiting, after the stall began.
        while switches.stalled.load(SeqCst) && !is_cut() {
            thread::sleep(LOOK);
        }
        let begin = Instant::now();
        thread::sleep(Duration::from_millis(switches.delay_ms.load(SeqCst)));
        if down {
            // Before it passes, so that whoever has it finds it counted.
            switches.passed.fetch_add(len as u64, SeqCst);
        }
        if write(&mut to, &buffer[..len], is_cut).is_err() {
            break;
        }
        let rate = switches.rate.load(SeqCst);
        if down {
            // By the clock, not by the piece: a busy machine wakes threads late, and each would make the link slower.
            due = (rate > 0).then(|| {
                let earliest = begin.checked_sub(LATE_MAX).unwrap_or(begin);
                due.unwrap_or(begin).max(earliest) + Duration::from_secs_f64(len as f64 / rate as f64)
            });
            thread::sleep(due.map_or(Duration::ZERO, |due| due.saturating_duration_since(Instant::now())));
        }
    }
    for stream in [&from, &to] {
        // It may be closed already.
        let _ = stream.shutdown(Shutdown::Both);
    }
}

fn write(to: &mut TcpStream, mut bytes: &[u8], give_up: impl Fn() -> bool) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => bytes = &bytes[len..],
            Err(error) if is_patience(&error) && !give_up() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_patience(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends back what it gets.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                thread::spawn(move || {
                    let mut reader = client.try_clone().unwrap();
                    let _ = io::copy(&mut reader, &mut client);
                });
            }
        });
        address
    }

    fn ask(client: &mut TcpStream, len: usize) -> io::Result<Duration> {
        let begin = Instant::now();
        let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
        client.write_all(&bytes)?;
        let mut back = vec![0; len];
        client.read_exact(&mut back)?;
        assert_eq!(back, bytes);
        Ok(begin.elapsed())
    }

    #[test]
    fn links_can_be_slow_cut_and_closed() {
        let proxy = Proxy::start(echo()).unwrap();
        let mut client = TcpStream::connect(proxy.address()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        ask(&mut client, 100_000).unwrap();
        proxy.split(1);
        ask(&mut client, 100).unwrap();
        proxy.split(usize::MAX);
        proxy.delay(Duration::from_millis(30));
        assert!(ask(&mut client, 10).unwrap() >= Duration::from_millis(60));
        proxy.delay(Duration::ZERO);
        proxy.throttle(10_000);
        proxy.split(500);
        // A read that waits already would take what comes whole.
        let mut client = TcpStream::connect(proxy.address()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert!(ask(&mut client, 5000).unwrap() >= Duration::from_millis(400));
        assert_eq!(proxy.passed(), 100_000 + 100 + 10 + 5000);
        proxy.throttle(0);
        proxy.cut();
        assert!(ask(&mut client, 10).is_err());
        proxy.refuse(true);
        let refused = TcpStream::connect(proxy.address()).and_then(|mut client| ask(&mut client, 10));
        assert!(refused.is_err());
        proxy.refuse(false);
        ask(&mut TcpStream::connect(proxy.address()).unwrap(), 10).unwrap();
        assert_eq!(proxy.made(), 3);
    }

    #[test]
    fn a_stalled_link_goes_on_later() {
        let proxy = Proxy::start(echo()).unwrap();
        let mut client = TcpStream::connect(proxy.address()).unwrap();
        ask(&mut client, 10).unwrap();
        proxy.stall(true);
        thread::sleep(2 * LOOK);
        client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert!(ask(&mut client, 10).is_err());
        proxy.stall(false);
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut late = [0; 10];
        client.read_exact(&mut late).unwrap();
    }
}
