//! Tests of the configuration as a whole. `reference` asks a real Redis; what it answered stands in the other files
//! as plain expectations.

mod conf;
mod load;
mod reference;
mod rewrite;
mod set;
mod table;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use super::{Asker, Config, Loaded, StartError, Surroundings, Text};

/// A process that stands still: changing the directory is only noted, so that tests may run side by side.
struct Still {
    directory: Mutex<PathBuf>,
}

impl Surroundings for Still {
    fn enter(&self, directory: &Path) -> io::Result<()> {
        let mut standing = self.directory.lock();
        *standing = fs::canonicalize(standing.join(directory))?;
        Ok(())
    }

    fn directory(&self) -> io::Result<PathBuf> {
        Ok(self.directory.lock().clone())
    }

    fn try_log_file(&self, path: &Path) -> io::Result<()> {
        super::Process.try_log_file(&self.directory.lock().join(path))
    }
}

/// An empty directory that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Only the number matters, so no order is needed.
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("brindle-config-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(fs::canonicalize(path).unwrap())
    }

    /// Writes a file and returns its path.
    fn file(&self, name: &str, content: &str) -> String {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().into()
    }

    fn load(&self, arguments: &[&str]) -> Result<Loaded, StartError> {
        self.load_with(arguments, "")
    }

    fn load_with(&self, arguments: &[&str], stdin: &str) -> Result<Loaded, StartError> {
        let arguments: Vec<Text> = arguments.iter().map(|argument| argument.as_bytes().to_vec()).collect();
        let still = Still { directory: Mutex::new(self.0.clone()) };
        Config::load_in(Box::new(still), &arguments, &mut stdin.as_bytes())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A leftover in the temporary folder harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A configuration from arguments that must be accepted.
fn config(arguments: &[&str]) -> Config {
    Scratch::new().load(arguments).unwrap_or_else(|error| panic!("{arguments:?}: {error}")).config
}

/// CONFIG GET of one directive.
fn value(config: &Config, name: &str) -> String {
    let found = config.matching([name.as_bytes()]);
    let [(_, value)] = found.as_slice() else { panic!("'{name}' gives {found:?}") };
    String::from_utf8(value.clone()).unwrap()
}

/// CONFIG SET by a client that may do anything, with hooks that agree to all: the reply as it would be sent.
fn set(config: &Config, pairs: &[&str]) -> String {
    set_by(config, pairs, Asker { local: true, loading: false })
}

fn set_by(config: &Config, pairs: &[&str], asker: Asker) -> String {
    match config.set(&paired(pairs), asker, &mut |_, _| Ok(())) {
        Ok(_) => "OK".into(),
        Err(error) => format!("ERR {error}"),
    }
}

fn paired<'a>(words: &[&'a str]) -> Vec<(&'a [u8], &'a [u8])> {
    words.chunks(2).map(|pair| (pair[0].as_bytes(), pair[1].as_bytes())).collect()
}
