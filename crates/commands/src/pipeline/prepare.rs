//! Looking ahead in a pipelined batch: what the commands are and where their keys lie, before the first of them runs.
//!
//! A lookup in a large keyspace waits for memory three times: for the stripe, its bucket, and the entry. So while one
//! command runs, the entry of another some way behind it is on its way, the bucket of one behind that, and the stripe of one
//! still further behind. The address of a stripe follows from the hash, that of a bucket from what the stripe's head repeats
//! of its table; for the entry the bucket is looked at under a shared try-lock, dropped before the next. So no hint waits
//! and none reads memory that somebody changes.

use store::database::Database;
use store::guard::Key;
use store::table::Sighting;

use super::GateHold;
use crate::args::Args;
use crate::env::Env;
use crate::table::{self, Command};

/// Commands between one hint and the next for the same command, at most: enough to hide a wait for memory even while the
/// first commands of a batch are only prepared and do not run yet.
const LAG_MAX: usize = 6;
/// What a command goes through one after the other, each a lag behind the one before: it is prepared and its stripe hinted,
/// its bucket is hinted, its entry is hinted, the entry again if the bucket has overflowed or else a container's content, it
/// runs.
const STAGES: usize = 5;
/// Commands between the first stage and the last, both included, rounded up so that a position is a mask away.
const RING: usize = ((STAGES - 1) * LAG_MAX + 1).next_power_of_two();

/// The commands of a batch in their order, each looked at some way ahead of the one that runs.
pub struct Lookahead<'a, I> {
    commands: I,
    count: usize,
    /// Commands between two stages; 0 for a single command, for which nothing can be done ahead.
    lag: usize,
    /// How many times each stage has taken a step: one command's, unless it is not yet at the first or beyond the last.
    steps: usize,
    /// How many commands were handed out.
    given: usize,
    /// The first command, if it was prepared before.
    head: Option<Prepared<'a>>,
    /// Command `i` stands at `i % RING`, until another takes its place.
    ring: [Option<Prepared<'a>>; RING],
}

impl<'a, I: ExactSizeIterator<Item = Args<'a>>> Lookahead<'a, I> {
    /// Looks at nothing yet. The first command may have been looked at by another.
    pub fn new(commands: I, head: Option<Prepared<'a>>) -> Self {
        let count = commands.len();
        // In a short batch the stages are close together: to run through them empty takes time, too.
        let lag = (count / 2).min(LAG_MAX);
        Self { commands, count, lag, steps: 0, given: 0, head, ring: [const { None }; RING] }
    }

    /// The next command. Hints are given in the selected database.
    #[inline]
    pub fn next(
        &mut self,
        env: &mut Env,
        gate: &mut GateHold<'_>,
        now_ms: &dyn Fn() -> i64,
        db: u32,
    ) -> Option<&Prepared<'a>> {
        let at = self.given;
        if at == self.count {
            return None;
        }
        if self.lag == 0 {
            self.prepare(at, None);
        } else {
            let section = gate.shared(|| env.begin_section(now_ms()));
            let database = env.keyspace.database(section, db);
            while self.steps <= at + (STAGES - 1) * self.lag {
                self.step(database);
            }
        }
        self.given += 1;
        self.ring[at % RING].as_ref()
    }

    /// The position of the command that was handed out last.
    pub fn position(&self) -> usize {
        self.given - 1
    }

    #[inline]
    fn step(&mut self, database: Option<&Database>) {
        let at = self.steps;
        self.steps += 1;
        if at < self.count {
            self.prepare(at, database);
        }
        let Some(database) = database else { return };
        // Before the first command positions wrap around, and are beyond the last.
        let [bucket, entry, rest] = [1, 2, 3].map(|stage| at.wrapping_sub(stage * self.lag));
        if let Some((hash, _)) = self.hash(bucket) {
            database.prefetch_bucket(hash);
        }
        if let Some((hash, prepared)) = self.hash(entry) {
            prepared.sighting = database.prefetch_entry(hash, 0);
        }
        if let Some((hash, prepared)) = self.hash(rest) {
            match prepared.sighting {
                Sighting::Further => _ = database.prefetch_entry(hash, 1),
                Sighting::Item if prepared.is_of_containers() => database.prefetch_value(hash),
                Sighting::Item | Sighting::Nothing => {}
            }
        }
    }

    /// Prepares the next command, whose stripe is hinted.
    #[inline]
    fn prepare(&mut self, at: usize, database: Option<&Database>) {
        let Some(args) = self.commands.next() else { return };
        let ahead = self.lag > 0;
        let prepared = self.head.take().unwrap_or_else(|| Prepared::new(args, ahead));
        let prepared = self.ring[at % RING].insert(prepared);
        if let (Some(key), Some(database)) = (prepared.first, database) {
            database.prefetch_stripe(key.hash);
        }
    }

    /// A command and the hash of its first key, if there are both.
    #[inline]
    fn hash(&mut self, at: usize) -> Option<(u64, &mut Prepared<'a>)> {
        if at >= self.count {
            return None;
        }
        let prepared = self.ring[at % RING].as_mut()?;
        Some((prepared.first?.hash, prepared))
    }
}

/// A command that has been looked up.
#[derive(Clone, Copy)]
pub struct Prepared<'a> {
    /// Its arguments.
    pub args: Args<'a>,
    /// The command that the first argument names.
    pub(super) named: Option<Command>,
    /// Its first key, hashed.
    pub(super) first: Option<Key<'a>>,
    /// What was seen of its entry: if the bucket of its key has overflowed, the entry is to be looked for again once the next
    /// bucket is near.
    sighting: Sighting,
}

impl<'a> Prepared<'a> {
    /// Looks a command up, and hashes its first key if `ahead` of a prefetch. Always inlined: what it returns goes to its place
    /// at once then, where a copy would wait for what has just been written in smaller pieces.
    #[inline(always)]
    pub fn new(args: Args<'a>, ahead: bool) -> Self {
        let named = table::lookup(args.get(0));
        let place = named.map_or(0, |command| usize::from(command.first_key));
        let key = if ahead && place != 0 { args.opt(place) } else { None };
        Self { args, named, first: key.map(Key::new), sighting: Sighting::Nothing }
    }

    #[inline]
    fn is_of_containers(&self) -> bool {
        self.named.is_some_and(|command| command.spec.group.is_of_containers())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::OwnedArgs;
    use crate::testing::Server;

    /// Every length of batch goes through the stages in another way; keys are few and many, so that buckets overflow.
    #[test]
    fn commands_come_in_order_whatever_is_looked_at_ahead() {
        for keys in [3, 3000] {
            let server = Server::new();
            let mut client = server.client();
            (0..keys).for_each(|key| _ = client.run(&format!("SET {key} value")));
            (0..keys).step_by(3).for_each(|key| _ = client.run(&format!("LPUSH list{key} element")));
            for count in (0..80).chain([500]) {
                let lines = (0..count).map(|at| match at % 5 {
                    0 => vec!["GET".to_string(), at.to_string()],
                    1 => vec!["LLEN".to_string(), format!("list{at}")],
                    2 => vec!["no such command".to_string(), at.to_string()],
                    3 => vec!["PING".to_string(), at.to_string()],
                    _ => vec!["GET".to_string(), format!("missing{at}")],
                });
                let commands: Vec<OwnedArgs> = lines.map(|line| line.iter().collect()).collect();
                let mut gate = GateHold::new(client.env.keyspace);
                let mut lookahead = Lookahead::new(commands.iter().map(OwnedArgs::args), None);
                for (at, command) in commands.iter().enumerate() {
                    let prepared = lookahead.next(&mut client.env, &mut gate, &|| 0, 0).expect("one is left");
                    assert!(prepared.args.from(0).eq(command.args().from(0)), "{at} of {count}");
                    let key = prepared.first.map(|key| key.bytes);
                    let expected = (count > 1 && !matches!(at % 5, 2 | 3)).then(|| command.args().get(1));
                    assert_eq!(key, expected, "{at} of {count}");
                    assert_eq!(lookahead.position(), at);
                }
                assert!(lookahead.next(&mut client.env, &mut gate, &|| 0, 0).is_none());
            }
        }
    }
}
