//! The configuration: one declarative table, the files that set it, and the commands that read and change it.
//!
//! [`table`] says what there is: each directive's name, kind, default, and what becomes of it here. Everything else
//! follows from the rows:
//!
//! - [`Config::load`] reads a file in the format of `redis.conf` (`include`, quoting), standard input, and
//!   `--directive value` arguments, in this order; the last word wins. A bad line stops the start.
//! - [`Config::get`] reads one value by a typed key from [`keys`].
//! - [`Config::matching`], [`Config::set`] and [`Config::rewrite`] are CONFIG GET, SET and REWRITE.
//!
//! Values stand behind one lock, which is right for a start and for commands, and wrong for a hot path: whoever needs
//! a value for every request keeps it in an atomic of its own, and the hook passed to [`Config::set`] brings the
//! changes there.
//!
//! **What is not there yet is never swallowed.** A row whose effect is still to come says how a setting of it is
//! met: refused, or accepted with a warning that the caller logs. See [`row::Effect`].

mod arguments;
pub mod error;
pub mod keys;
mod load;
mod number;
mod rewrite;
pub mod row;
mod surroundings;
pub mod table;
pub mod value;
mod words;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use parking_lot::{Mutex, RwLock};

pub use self::error::{RewriteError, SetError, StartError};
pub use self::keys::{Held, Key};
pub use self::load::Rename;
pub use self::row::{Answer, Row};
pub use self::surroundings::{Process, Surroundings};
pub use self::table::{ROWS, index_of};
pub use self::value::{Kind, SavePoint, Text, Value};

/// The configuration of a running server, shared by all its threads.
pub struct Config {
    /// One for each row of the table.
    values: RwLock<Vec<Value>>,
    /// Held through the whole of a CONFIG SET or REWRITE, its hooks included, so that these come one at a time;
    /// `values` is never locked while a hook runs.
    changing: Mutex<()>,
    /// The file it was started with, absolute.
    file: Option<PathBuf>,
    surroundings: Box<dyn Surroundings>,
}

/// What a start has read.
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Settings that are accepted without effect, a log line each.
    pub warnings: Vec<String>,
    /// The `rename-command` lines, for whoever owns the commands.
    pub renames: Vec<Rename>,
}

/// Who asks for a CONFIG SET, and when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asker {
    /// The client is connected from this machine (loopback or a unix socket).
    pub local: bool,
    /// A file is being loaded.
    pub loading: bool,
}

/// What a CONFIG SET brings about: the row, and the value it now has.
///
/// It runs while other CONFIG SETs wait, some of them inside a section of the gate; so it must not wait for the gate.
pub type Hook<'a> = dyn FnMut(&'static Row, &Value) -> Result<(), String> + 'a;

impl Config {
    /// Reads the configuration of this process: `arguments` without the program's name, and `stdin` if they ask
    /// for it. A `dir` line moves the process, as the lines after it count on.
    ///
    /// # Errors
    /// The first line that cannot be used, or a setting that cannot be honoured.
    pub fn load(arguments: &[Vec<u8>], stdin: &mut dyn Read) -> Result<Loaded, StartError> {
        Self::load_in(Box::new(Process), arguments, stdin)
    }

    /// As [`Config::load`], in other surroundings.
    ///
    /// # Errors
    /// As there.
    pub fn load_in(
        surroundings: Box<dyn Surroundings>,
        arguments: &[Vec<u8>],
        stdin: &mut dyn Read,
    ) -> Result<Loaded, StartError> {
        let load::Settings { values, file, warnings, renames } = load::load(arguments, stdin, &*surroundings)?;
        let config = Self { values: RwLock::new(values), changing: Mutex::new(()), file, surroundings };
        Ok(Loaded { config, warnings, renames })
    }

    /// The file the server was started with.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The value of one directive.
    ///
    /// # Panics
    /// If the key's type does not fit its row, which a test over all keys excludes.
    pub fn get<T: Held>(&self, key: Key<T>) -> T {
        let values = self.values.read();
        let value = &values[key.index()];
        T::read(value).unwrap_or_else(|| panic!("'{}' is not held as {value:?}", ROWS[key.index()].name))
    }

    /// CONFIG GET: names and values of all directives that match one of `patterns`, aliases too, none twice.
    ///
    /// A pattern without wildcards is a name, in any case, and is given back as it was written; only so are hidden
    /// directives found.
    pub fn matching<'p>(&self, patterns: impl IntoIterator<Item = &'p [u8]>) -> Vec<(Text, Text)> {
        let values = self.values.read();
        let mut found: Vec<(Text, Text)> = Vec::new();
        let mut add = |name: &[u8], at: usize| {
            if !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                found.push((name.to_vec(), ROWS[at].kind.print(&values[at])));
            }
        };
        for pattern in patterns {
            if !pattern.iter().any(|byte| b"[*?".contains(byte)) {
                if let Some((at, _)) = index_of(pattern) {
                    add(pattern, at);
                }
                continue;
            }
            for (at, row) in ROWS.iter().enumerate().filter(|(_, row)| !row.hidden) {
                let names = [Some(row.name), row.alias].into_iter().flatten();
                names
                    .filter(|name| commands::glob::matches(pattern, name.as_bytes(), true))
                    .for_each(|name| add(name.as_bytes(), at));
            }
        }
        found
    }

    /// CONFIG SET: all of `pairs`, or none. Each directive that changes is brought into effect by `apply`, which may
    /// read the new values with [`Config::get`] but not set any. When it fails, the old values are put back and
    /// `apply` is called again with those it has tried.
    ///
    /// Returns a log line for each setting that is accepted without effect.
    ///
    /// # Errors
    /// The first pair that cannot be set.
    pub fn set(&self, pairs: &[(&[u8], &[u8])], asker: Asker, apply: &mut Hook<'_>) -> Result<Vec<String>, SetError> {
        let _one_at_a_time = self.changing.lock();
        let mut changes: Vec<Change> = Vec::with_capacity(pairs.len());
        let mut warnings = Vec::new();
        for ((at, name), (_, text)) in self.admit(pairs, asker)?.into_iter().zip(pairs) {
            // An alias beside its name is one change.
            let seen = changes.iter().position(|change| change.at == at);
            let before = seen.map_or_else(|| self.values.read()[at].clone(), |seen| changes[seen].new.clone());
            match (self.read_one(at, text, &before, &mut warnings), seen) {
                (Ok(new), Some(seen)) => changes[seen].new = new,
                (Ok(new), None) => changes.push(Change { at, name, old: before, new }),
                (Err(reason), _) => {
                    self.go_back(&changes);
                    return Err(failed(name, reason));
                }
            }
        }
        changes.retain(|change| change.new != change.old);
        self.store(&changes, |change| &change.new);
        for (tried, change) in changes.iter().enumerate() {
            if let Err(reason) = apply(&ROWS[change.at], &change.new) {
                self.store(&changes, |change| &change.old);
                self.go_back(&changes);
                for change in &changes[..=tried] {
                    // What was in effect a moment ago can be again; if not, the first reason is the one to tell.
                    let _ = apply(&ROWS[change.at], &change.old);
                }
                return Err(failed(change.name, reason));
            }
        }
        Ok(warnings)
    }

    /// Notes whose replica the process is, by REPLICAOF, so that CONFIG REWRITE keeps it.
    pub fn note_replica_of(&self, primary: Option<(&[u8], u16)>) {
        let primary = primary.map(|(host, port)| (host.to_vec(), port));
        self.values.write()[keys::REPLICAOF.index()] = Value::ReplicaOf(primary);
    }

    /// CONFIG REWRITE. With `everything` also the directives that hold their defaults are written, as
    /// `DEBUG CONFIG-REWRITE-FORCE-ALL` asks.
    ///
    /// # Errors
    /// There is no file, or it cannot be replaced.
    pub fn rewrite(&self, everything: bool) -> Result<(), RewriteError> {
        let _one_at_a_time = self.changing.lock();
        let path = self.file.as_deref().ok_or(RewriteError::NoFile)?;
        let old = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Text::new(),
            old => old?,
        };
        let values = self.values.read().clone();
        Ok(rewrite::replace_file(path, &rewrite::rewritten(&old, &values, everything))?)
    }

    /// The rows that `pairs` name, each with the name that was meant, once all of them may be set.
    fn admit(&self, pairs: &[(&[u8], &[u8])], asker: Asker) -> Result<Vec<(usize, &'static str)>, SetError> {
        let unlocked = match self.get(keys::ENABLE_PROTECTED_CONFIGS) {
            "yes" => true,
            "local" => asker.local,
            _ => false,
        };
        let mut targets = Vec::with_capacity(pairs.len());
        for &(name, _) in pairs {
            let written = || String::from_utf8_lossy(name).into_owned();
            let (at, name) = index_of(name).ok_or_else(|| SetError::Unknown(written()))?;
            let row = &ROWS[at];
            let fail = |reason: &str| Err(failed(&written(), reason.into()));
            if row.immutable {
                return fail("can't set immutable config");
            }
            if row.protected && !unlocked {
                return fail("can't set protected config");
            }
            if row.denied_while_loading && asker.loading {
                return Err(SetError::Loading);
            }
            if targets.contains(&(at, name)) {
                return fail("duplicate parameter");
            }
            targets.push((at, name));
        }
        Ok(targets)
    }

    /// Reads `text` as the value of row `at`, which holds another until now.
    fn read_one(&self, at: usize, text: &[u8], before: &Value, warnings: &mut Vec<String>) -> Result<Value, String> {
        let row = &ROWS[at];
        let value = row.parse(&words_of(row, text), before)?;
        let value = if matches!(row.kind, Kind::Dir) { load::enter(&*self.surroundings, &value)? } else { value };
        // To repeat what holds already is no new promise: what CONFIG GET gives can be set again.
        if value != *before {
            match load::unmet(row, &value) {
                Some((missing, _, Answer::Refuse)) => return Err(load::refusal(row, missing)),
                Some((missing, _, Answer::Warn)) => warnings.push(load::warning(row, missing)),
                None => {}
            }
        }
        Ok(value)
    }

    /// Puts one side of each change in place. The others stay as they are: REPLICAOF may have noted a primary meanwhile.
    fn store(&self, changes: &[Change], side: impl Fn(&Change) -> &Value) {
        let mut values = self.values.write();
        for change in changes {
            values[change.at].clone_from(side(change));
        }
    }

    /// Goes back to the old directory if it is among what has changed.
    fn go_back(&self, changes: &[Change]) {
        if let Some(dir) = changes.iter().find(|change| change.at == keys::DIR.index() && change.new != change.old) {
            // Nothing better is left to do if the old directory has vanished meanwhile.
            let _ = load::enter(&*self.surroundings, &dir.old);
        }
    }
}

/// What a CONFIG SET does to one row.
struct Change {
    at: usize,
    /// As it was asked for.
    name: &'static str,
    old: Value,
    new: Value,
}

/// The words of a CONFIG SET value: parted by single spaces where the directive takes several.
fn words_of(row: &Row, text: &[u8]) -> Vec<Text> {
    if !row.kind.is_many_words() {
        return vec![text.to_vec()];
    }
    if text.is_empty() {
        return Vec::new();
    }
    text.split(|&byte| byte == b' ').map(<[u8]>::to_vec).collect()
}

fn failed(name: &str, reason: String) -> SetError {
    SetError::Failed { name: name.into(), reason }
}

#[cfg(test)]
mod tests;
