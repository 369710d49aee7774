//! A trace of accesses that comes out the same for everybody, and who plays it against a cache.
//!
//! Ranks follow Zipf's law. For policies that look at when keys were used, what is popular moves on slowly, and the trace
//! is played at a fixed pace: their clock counts whole seconds, so a trace that is over in one tells them nothing.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use testkit::reply::{integer, is_error, name, text};
use testkit::{Client, Program, Reply, Server};

/// Keys that are asked for.
pub const KEYS: usize = 20_000;
/// Keys that the cache has room for.
pub const ROOM: usize = 4_000;
const EXPONENT: f64 = 0.9;
const VALUE_BYTES: usize = 100;
/// Connections that play.
const PLAYERS: usize = 4;
/// Accesses in one pipeline.
const TOGETHER: usize = 25;
/// Parts of a third of the trace. After each the limit is set anew, so that the keys remain as many.
const STEPS: usize = 10;
/// Keys without an expiry, which a volatile policy leaves alone.
const LASTING: usize = 200;

/// How a policy is judged.
#[derive(Clone, Copy)]
pub struct Scene {
    pub policy: &'static str,
    /// Accesses that count; half as many go before, to fill the cache.
    pub accesses: usize,
    /// Accesses a second; 0 is as fast as they come.
    pub pace: usize,
    pub seed: u64,
    /// Further arguments for the server.
    pub arguments: &'static [&'static str],
}

/// What came out.
#[derive(Debug)]
pub struct Outcome {
    /// Hits of a hundred.
    pub hits_percent: f64,
    /// Keys that the cache held on average.
    pub keys: usize,
    pub evicted: i64,
}

struct Trace {
    keys: Vec<u32>,
}

impl Trace {
    fn new(scene: &Scene, len: usize) -> Self {
        let mut weight = 0.0;
        let weights = (1..=KEYS).map(|rank| {
            weight += (rank as f64).powf(-EXPONENT);
            weight
        });
        let sums: Vec<f64> = weights.collect();
        let mut rng = fastrand::Rng::with_seed(scene.seed);
        let keys = (0..len).map(|at| {
            let drawn = rng.f64() * weight;
            let rank = sums.partition_point(|sum| *sum < drawn);
            // A fifth of all keys go by at the top from the beginning to the end.
            let moved = if scene.pace > 0 { at * KEYS / 5 / len } else { 0 };
            ((rank + moved) % KEYS) as u32
        });
        Self { keys: keys.collect() }
    }
}

/// Plays a scene on a server of its own.
pub fn play(program: &Program, scene: &Scene, threads: usize) -> Outcome {
    let threads = threads.to_string();
    let mut arguments = vec!["--maxmemory-policy", scene.policy, "--latency-tracking", "no"];
    if threads != "0" {
        // As many keys a stripe as a cache of a million has.
        arguments.extend(["--io-threads", &threads, "--keyspace-stripes", "64"]);
    }
    arguments.extend(scene.arguments);
    let server = Server::start(program, &arguments).expect("the server starts");
    let mut control = server.connect().unwrap();
    if scene.policy.starts_with("volatile") {
        let lasting = (0..LASTING).map(|n| words(&["SET", &format!("lasting:{n}"), "1"]));
        control.pipeline(&lasting.collect::<Vec<_>>()).unwrap();
    }
    // Room for so many keys, whatever a key takes: what is judged is the choice.
    let before = used(&mut control);
    let keys: Vec<_> = (0..ROOM).map(|key| set(scene, key as u32)).collect();
    control.pipeline(&keys).unwrap();
    let bytes_a_key = (used(&mut control) - before) / ROOM as i64;
    let mut limit = used(&mut control);
    set_limit(&mut control, limit);

    let warm = scene.accesses / 2;
    let trace = Trace::new(scene, warm + scene.accesses);
    let player = Player { server: &server, scene, trace: &trace, began: Instant::now() };
    let (mut hits, mut keys) = (0, 0);
    for step in 0..3 * STEPS {
        let found = player.play(step * warm / STEPS, (step + 1) * warm / STEPS);
        let held = held(&mut control, scene);
        limit += (ROOM as i64 - held as i64) * bytes_a_key;
        set_limit(&mut control, limit);
        if step >= STEPS {
            (hits, keys) = (hits + found, keys + held);
        }
    }
    if scene.policy.starts_with("volatile") {
        let lasting = (0..LASTING).map(|n| words(&["EXISTS", &format!("lasting:{n}")])).collect::<Vec<_>>();
        let there = control.pipeline(&lasting).unwrap();
        assert!(there.iter().all(|reply| integer(reply) == Some(1)), "a key without an expiry is gone");
    }
    Outcome {
        hits_percent: hits as f64 * 100.0 / scene.accesses as f64,
        keys: keys / (2 * STEPS),
        evicted: info(&mut control, "evicted_keys"),
    }
}

struct Player<'a> {
    server: &'a Server,
    scene: &'a Scene,
    trace: &'a Trace,
    began: Instant,
}

impl Player<'_> {
    /// Plays a part of the trace over several connections, each of which takes what comes next; returns the hits.
    fn play(&self, from: usize, to: usize) -> usize {
        let (next, hits) = (AtomicUsize::new(from), Mutex::new(0));
        thread::scope(|scope| {
            for _ in 0..PLAYERS {
                scope.spawn(|| {
                    let mut client = self.server.connect().unwrap();
                    loop {
                        let at = next.fetch_add(TOGETHER, Relaxed);
                        if at >= to {
                            return;
                        }
                        self.wait_for(at);
                        let found = self.access(&mut client, &self.trace.keys[at..to.min(at + TOGETHER)]);
                        *hits.lock().unwrap() += found;
                    }
                });
            }
        });
        hits.into_inner().unwrap()
    }

    fn wait_for(&self, at: usize) {
        if self.scene.pace > 0 {
            let due = Duration::from_secs_f64(at as f64 / self.scene.pace as f64);
            thread::sleep(due.saturating_sub(self.began.elapsed()));
        }
    }

    /// Looks for keys, and brings those that are missing; returns how many were there.
    fn access(&self, client: &mut Client, keys: &[u32]) -> usize {
        let gets: Vec<_> = keys.iter().map(|key| words(&["GET", &format!("key:{key}")])).collect();
        let replies = client.pipeline(&gets).unwrap();
        let missing = keys.iter().zip(&replies).filter(|(_, reply)| text(reply).is_none());
        let sets: Vec<_> = missing.map(|(key, _)| set(self.scene, *key)).collect();
        let stored = client.pipeline(&sets).unwrap();
        assert!(!stored.iter().any(is_error), "{:?}", stored.iter().find(|reply| is_error(reply)));
        keys.len() - sets.len()
    }
}

/// How a key comes into the cache. What expires last is what is asked for most.
fn set(scene: &Scene, key: u32) -> Vec<String> {
    let (name, value) = (format!("key:{key}"), "v".repeat(VALUE_BYTES));
    if scene.policy.starts_with("volatile") {
        words(&["SET", &name, &value, "EX", &(100_000 - key).to_string()])
    } else {
        words(&["SET", &name, &value])
    }
}

fn held(control: &mut Client, scene: &Scene) -> usize {
    let lasting = if scene.policy.starts_with("volatile") { LASTING } else { 0 };
    integer(&control.call(&["DBSIZE"]).unwrap()).unwrap() as usize - lasting
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn set_limit(control: &mut Client, bytes: i64) {
    assert_eq!(control.call(&["CONFIG", "SET", "maxmemory", &bytes.to_string()]).unwrap(), Reply::Simple("OK".into()));
}

fn used(control: &mut Client) -> i64 {
    info(control, "used_memory")
}

/// A number of INFO.
pub fn info(control: &mut Client, field: &str) -> i64 {
    let all = name(&control.call(&["INFO", "everything"]).unwrap());
    let line = all.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':').map(str::to_string));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("INFO has no number {field}"))
}
