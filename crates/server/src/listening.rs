//! Where the server listens: as `bind`, `port` and `unixsocket` say at the start, and as CONFIG SET changes it.
//!
//! Any thread may change the addresses: it opens the new sockets itself, so that it can answer whether that went well,
//! and hands them to the worker that accepts. Sockets whose address stays are left alone. When a new one cannot be had
//! beside an old one that is to go (`*` and `127.0.0.1` exclude each other), the old ones stop listening first, and go
//! on if that does not help: on failure everything is as it was.

use std::fs;
use std::io;
use std::path::PathBuf;

use parking_lot::Mutex;

use crate::config::error::system_text;
use crate::config::{Config, keys};
use crate::log::Log;
use crate::net::inbox::{Inbox, Message};
use crate::net::listener::{self, Handle, Listener};

/// See the file's head.
pub struct Listening {
    tcp: Mutex<Vec<Open>>,
    unix: Option<PathBuf>,
}

/// A TCP listener and what it was opened for.
struct Open {
    place: Place,
    handle: Handle,
}

/// An address as `bind` names it, and a port.
#[derive(Clone, PartialEq, Eq)]
struct Place {
    bind: String,
    port: u16,
}

impl Listening {
    /// Opens what the configuration asks for, and returns the listeners for the worker that accepts.
    ///
    /// # Errors
    /// The first address that cannot be had, with the directive that names it; the log says it in Redis's words.
    pub fn start(config: &Config, log: &Log) -> Result<(Self, Vec<Listener>), String> {
        let port = config.get(keys::PORT);
        let path = config.get(keys::UNIXSOCKET).map(|path| std::path::absolute(&path).unwrap_or(path));
        if port == 0 && path.is_none() {
            log.warning("Configured to not listen anywhere, exiting.");
            return Err("Configured to not listen anywhere (directives: port, unixsocket)".into());
        }
        let (tcp, mut listeners) = open_all(&places(config), backlog(config)).map_err(|failed| {
            let error = failed.tell(log);
            log.warning(&format!("Failed listening on port {port} (tcp), aborting."));
            format!("Failed listening on port {port}: {} (directives: port, bind)", system_text(&error))
        })?;
        if let Some(path) = &path {
            listeners.push(listener::unix(path, config.get(keys::UNIXSOCKETPERM)).map_err(|error| {
                let message = format!("Failed opening Unix socket {}: {}", path.display(), system_text(&error));
                log.warning(&message);
                format!("{message} (directives: unixsocket, unixsocketperm)")
            })?);
        }
        Ok((Self { tcp: Mutex::new(tcp), unix: path }, listeners))
    }

    /// Listens where the configuration now says.
    ///
    /// # Errors
    /// An address that cannot be had; nothing has changed then.
    pub fn change(&self, config: &Config, log: &Log, acceptor: &Inbox) -> io::Result<()> {
        let mut tcp = self.tcp.lock();
        let places = places(config);
        let missing: Vec<Place> =
            places.iter().filter(|place| !tcp.iter().any(|open| open.place == **place)).cloned().collect();
        let going: Vec<&Open> = tcp.iter().filter(|open| !places.contains(&open.place)).collect();
        let backlog = backlog(config);
        let in_the_way = going.iter().any(|open| missing.iter().any(|place| place.port == open.place.port));
        let opened = match open_all(&missing, backlog) {
            Err(failed) if failed.error.kind() == io::ErrorKind::AddrInUse && in_the_way => {
                going.iter().for_each(|open| open.handle.halt());
                open_all(&missing, backlog).inspect_err(|_| resume(&going, log))
            }
            opened => opened,
        };
        let (opened, listeners) = opened.map_err(|failed| failed.tell(log))?;
        let close: Vec<u64> = going.iter().map(|open| open.handle.id).collect();
        going.iter().for_each(|open| open.handle.halt());
        tcp.retain(|open| !close.contains(&open.handle.id));
        tcp.extend(opened);
        acceptor.post(Message::Listen { open: listeners, close });
        Ok(())
    }

    /// The kinds of sockets there are, as the log names them.
    pub fn kinds(&self) -> Vec<&'static str> {
        let tcp = (!self.tcp.lock().is_empty()).then_some("tcp");
        tcp.into_iter().chain(self.unix.as_ref().map(|_| "unix")).collect()
    }

    /// Removes what a Unix socket leaves behind.
    pub fn end(&self, log: &Log) {
        let Some(path) = &self.unix else { return };
        log.notice("Removing the unix socket file.");
        if let Err(error) = fs::remove_file(path) {
            log.warning(&format!("Error removing the unix socket file: {}", system_text(&error)));
        }
    }
}

fn places(config: &Config) -> Vec<Place> {
    let port = config.get(keys::PORT);
    let binds = config.get(keys::BIND).into_iter().filter(|_| port != 0);
    binds.map(|bind| Place { bind: String::from_utf8_lossy(&bind).into_owned(), port }).collect()
}

fn backlog(config: &Config) -> i32 {
    i32::try_from(config.get(keys::TCP_BACKLOG)).unwrap_or(i32::MAX)
}

/// A place that cannot be had.
struct Failed {
    place: Place,
    error: io::Error,
}

impl Failed {
    fn tell(self, log: &Log) -> io::Error {
        let Place { bind, port } = &self.place;
        let reason = system_text(&self.error);
        log.warning(&format!("Warning: Could not create server TCP listening socket {bind}:{port}: {reason}"));
        self.error
    }
}

fn open_all(places: &[Place], backlog: i32) -> Result<(Vec<Open>, Vec<Listener>), Failed> {
    let (mut open, mut listeners) = (Vec::new(), Vec::new());
    for place in places {
        let opened = listener::tcp(&place.bind, place.port, backlog);
        if let Some((listener, handle)) = opened.map_err(|error| Failed { place: place.clone(), error })? {
            open.push(Open { place: place.clone(), handle });
            listeners.push(listener);
        }
    }
    Ok((open, listeners))
}

fn resume(halted: &[&Open], log: &Log) {
    for open in halted {
        if let Err(error) = open.handle.resume() {
            let Place { bind, port } = &open.place;
            log.warning(&format!("Listening on {bind}:{port} again: {}", system_text(&error)));
        }
    }
}
