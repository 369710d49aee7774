//! Load at a rate that is not the server's choice, and single requests timed beside it; a full copy for a replica too.
//!
//!     paced_load --port 7000 --command SET --rate 500000 --probe-us 1000 --spin < a pipe
//!     paced_load --port 7000 --command SET --rate 10000 --probe-us 500 --copy-after-ms 3000
//!
//! Groups of requests leave at even distances, over several connections; a group whose connection is still owed replies waits
//! for the next that is free, and what is late by more than [`LATE`] is let go. One connection more carries the timed
//! requests, and another takes the copy. All of it is one thread, so what measures never waits for what loads, and with
//! `--spin` it never sleeps: for a core that it has for itself.
//!
//! It ends with its standard input, or with the copy. Then it prints one line for the requests: how many were answered a
//! second and, in microseconds, how long half of the timed ones took, 99 %, 99.9 % and the slowest. Behind these five numbers
//! stand three more for each of those that took [`NOTED`], in seconds: when it was sent, since 1970, how long it took, and how
//! long this thread did not get on meanwhile though it never sleeps, which is nothing that the server did. With a copy there are
//! two such lines, for before and during, and a third with the bytes and the seconds of the copy.

mod link;

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use benches::request;
use clap::Parser;
use fastrand::Rng;
use link::{Follower, Link, READ_BYTES, Result};

/// How late a group may be before it is let go, so that a stall is not followed by more than the wanted rate.
const LATE: Duration = Duration::from_millis(100);
/// How long one sleep is without `--spin`.
const REST: Duration = Duration::from_micros(20);
/// Different requests, at least: groups are made before the first is sent, and sent over and over.
const REQUESTS: usize = 80_000;
/// The first keys of so many, which are timed over and over.
const PROBES: usize = 1_000;

/// From where on a timed request is told by itself.
const NOTED: Duration = Duration::from_millis(1);
/// A turn of this thread does not take so long.
const TURN_MAX: Duration = Duration::from_micros(250);

#[derive(Parser)]
struct Options {
    /// Of the server, on this machine.
    #[arg(long)]
    port: u16,
    /// GET or SET.
    #[arg(long)]
    command: String,
    /// Requests a second.
    #[arg(long)]
    rate: f64,
    #[arg(long, default_value_t = 16)]
    pipeline: usize,
    #[arg(long, default_value_t = 10)]
    connections: usize,
    /// Keys are drawn from so many: `key:` and twelve digits.
    #[arg(long, default_value_t = 1_000_000)]
    keys: usize,
    #[arg(long, default_value_t = 64)]
    value_bytes: usize,
    /// Microseconds between the timed requests; without it there are none.
    #[arg(long)]
    probe_us: Option<u64>,
    /// When to ask for a full copy, as a replica does.
    #[arg(long)]
    copy_after_ms: Option<u64>,
    /// Never sleep.
    #[arg(long)]
    spin: bool,
}

impl Options {
    fn request(&self, number: usize) -> Result<Vec<u8>> {
        let key = format!("key:{number:012}");
        match self.command.as_str() {
            "GET" => Ok(request(&["GET", &key])),
            "SET" => Ok(request(&["SET", &key, &noise(number, self.value_bytes)])),
            other => Err(format!("--command takes GET or SET, not '{other}'").into()),
        }
    }
}

/// Letters that do not compress.
fn noise(seed: usize, bytes: usize) -> String {
    let mut rng = Rng::with_seed(seed as u64);
    (0..bytes).map(|_| rng.alphanumeric()).collect()
}

/// The load: groups at even distances.
struct Load {
    links: Vec<Link>,
    groups: Vec<Vec<u8>>,
    pipeline: usize,
    distance: Duration,
    due: Instant,
    sent: usize,
    answered: usize,
}

impl Load {
    fn new(options: &Options) -> Result<Self> {
        let mut rng = Rng::with_seed(1);
        let mut any = || options.request(rng.usize(0..options.keys));
        let mut group = || (0..options.pipeline).map(|_| any()).collect::<Result<Vec<_>>>();
        let groups = (0..REQUESTS.div_ceil(options.pipeline)).map(|_| Ok(group()?.concat()));
        Ok(Self {
            links: (0..options.connections).map(|_| Link::open(options.port)).collect::<io::Result<_>>()?,
            groups: groups.collect::<Result<_>>()?,
            pipeline: options.pipeline,
            distance: Duration::from_secs_f64(options.pipeline as f64 / options.rate),
            due: Instant::now(),
            sent: 0,
            answered: 0,
        })
    }

    fn turn(&mut self, buffer: &mut [u8]) -> Result<()> {
        for link in &mut self.links {
            self.answered += link.take(buffer)?;
            if link.owed == 0 && self.due <= Instant::now() {
                link.send(&self.groups[self.sent % self.groups.len()], self.pipeline)?;
                self.sent += 1;
                self.due += self.distance;
            }
        }
        self.due = self.due.max(Instant::now() - LATE);
        Ok(())
    }
}

/// Requests that are timed, one after the other.
struct Probe {
    link: Link,
    requests: Vec<Vec<u8>>,
    pause: Duration,
    asked: usize,
    sent: Instant,
    times: Vec<Duration>,
    /// How long this thread has not got on since the request was sent.
    lost: Duration,
    noted: Vec<Noted>,
}

/// A request that took long.
struct Noted {
    sent: SystemTime,
    took: Duration,
    lost: Duration,
}

impl Probe {
    fn new(options: &Options, pause_us: u64) -> Result<Self> {
        Ok(Self {
            link: Link::open(options.port)?,
            requests: (0..PROBES).map(|number| options.request(number)).collect::<Result<_>>()?,
            pause: Duration::from_micros(pause_us),
            asked: 0,
            sent: Instant::now(),
            times: Vec::new(),
            lost: Duration::ZERO,
            noted: Vec::new(),
        })
    }

    fn turn(&mut self, buffer: &mut [u8]) -> Result<()> {
        if self.link.take(buffer)? > 0 {
            let took = self.sent.elapsed();
            self.times.push(took);
            if took >= NOTED {
                self.noted.push(Noted { sent: SystemTime::now() - took, took, lost: self.lost });
            }
        } else if self.link.owed == 0 && self.sent.elapsed() >= self.pause {
            self.sent = Instant::now();
            self.lost = Duration::ZERO;
            self.link.send(&self.requests[self.asked % PROBES], 1)?;
            self.asked += 1;
        }
        Ok(())
    }
}

/// Prints what was answered since `began`, and begins anew.
fn tell(began: Instant, load: &mut Load, probe: Option<&mut Probe>) {
    let (mut times, noted) =
        probe.map_or_else(Default::default, |probe| (mem::take(&mut probe.times), mem::take(&mut probe.noted)));
    times.sort_unstable();
    let share = |share: f64| {
        let at = (times.len() as f64 * share) as usize;
        times.get(at.min(times.len().saturating_sub(1))).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    let rate = mem::take(&mut load.answered) as f64 / began.elapsed().as_secs_f64();
    print!("{rate:.0} {:.1} {:.1} {:.1} {:.1}", share(0.5), share(0.99), share(0.999), share(1.0));
    for Noted { sent, took, lost } in noted {
        let sent = sent.duration_since(UNIX_EPOCH).unwrap_or_default();
        print!(" {:.6} {:.6} {:.6}", sent.as_secs_f64(), took.as_secs_f64(), lost.as_secs_f64());
    }
    println!();
}

fn main() -> Result<()> {
    let options = Options::parse();
    let mut load = Load::new(&options)?;
    let mut probe = options.probe_us.map(|pause| Probe::new(&options, pause)).transpose()?;
    let mut follower = None;
    let over = over_with_input();

    let mut buffer = vec![0; READ_BYTES];
    let mut began = Instant::now();
    let mut copy_at = options.copy_after_ms.map(|after| began + Duration::from_millis(after));
    let mut last = began;
    while !over.load(Relaxed) {
        let turn = mem::replace(&mut last, Instant::now());
        if let Some(probe) = probe.as_mut().filter(|_| options.spin && last - turn >= TURN_MAX) {
            probe.lost += last - turn;
        }
        load.turn(&mut buffer)?;
        if let Some(probe) = &mut probe {
            probe.turn(&mut buffer)?;
        }
        if copy_at.is_some_and(|at| at <= Instant::now()) {
            copy_at = None;
            tell(began, &mut load, probe.as_mut());
            began = Instant::now();
            follower = Some(Follower::begin(options.port)?);
        }
        if let Some(follower) = &mut follower
            && let Some(took) = follower.take(&mut buffer)?
        {
            tell(began, &mut load, probe.as_mut());
            println!("{} {:.6}", follower.copied, took.as_secs_f64());
            return Ok(());
        }
        if !options.spin {
            thread::sleep(REST);
        }
    }
    tell(began, &mut load, probe.as_mut());
    Ok(())
}

/// Becomes true when the standard input ends.
fn over_with_input() -> Arc<AtomicBool> {
    let over = Arc::new(AtomicBool::new(false));
    let told = over.clone();
    thread::spawn(move || {
        // An error is an end, too.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        told.store(true, Relaxed);
    });
    over
}
