//! The start: file, standard input and arguments become one text, and its lines become values.
//!
//! Later lines override earlier ones, so arguments win over standard input, and that over the file. Only when all
//! is read are the settings looked at whose effect is still to come: what a later line takes back is no reason to
//! stop.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::arguments::Arguments;
use super::error::{Origin, StartError, system_text};
use super::row::{Answer, Effect, Row};
use super::surroundings::Surroundings;
use super::table::{RETIRED, ROWS, index_of};
use super::value::{Kind, Text, Value};
use super::words;

/// Files may include files this deep; a cycle ends here.
const INCLUDE_DEPTH_MAX: usize = 16;

/// The longest configuration that is read from one file or from standard input.
const TEXT_BYTES_MAX: u64 = 64 << 20;

/// A `rename-command` line. An empty `to` takes the command away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// The command's name.
    pub from: Text,
    /// Its new one.
    pub to: Text,
    /// The line, for the refusal of a name that does not exist.
    pub origin: Origin,
}

/// What was read.
pub(super) struct Settings {
    pub(super) values: Vec<Value>,
    pub(super) file: Option<PathBuf>,
    pub(super) warnings: Vec<String>,
    pub(super) renames: Vec<Rename>,
}

/// Reads the whole configuration.
pub(super) fn load(
    arguments: &[Vec<u8>],
    stdin: &mut dyn Read,
    surroundings: &dyn Surroundings,
) -> Result<Settings, StartError> {
    let arguments = Arguments::parse(arguments);
    let mut text = Text::new();
    let file = arguments.file.as_deref().map(|name| absolute(path_of(name), surroundings));
    if let Some(path) = &file {
        text = read_file(path).map_err(|error| unreadable(path, &error))?;
    }
    if arguments.from_stdin {
        if text.last().is_some_and(|&byte| byte != b'\n') {
            text.push(b'\n');
        }
        let input = read_bounded(stdin).map_err(|error| unreadable(Path::new("-"), &error))?;
        text.extend_from_slice(&input);
    }
    text.push(b'\n');
    text.extend_from_slice(&arguments.lines);

    let mut loader = Loader::new(surroundings);
    loader.text(&text, None)?;
    let warnings = loader.finish()?;
    Ok(Settings { values: loader.values, file, warnings, renames: loader.renames })
}

/// The values of a server to which nothing was said.
pub(super) fn default_values(surroundings: &dyn Surroundings) -> Vec<Value> {
    ROWS.iter()
        .map(|row| match row.kind {
            Kind::Dir => standing(surroundings),
            _ => row.default_value(),
        })
        .collect()
}

/// Where the process stands, as the value of `dir`.
pub(super) fn standing(surroundings: &dyn Surroundings) -> Value {
    let path = surroundings.directory().unwrap_or_default();
    Value::Text(path.as_os_str().as_bytes().to_vec())
}

/// Why a row's `value` is more than this server can honour, if it is.
pub(super) fn unmet(row: &Row, value: &Value) -> Option<(&'static str, Answer, Answer)> {
    match row.effect {
        Effect::ToCome { missing, at_start, at_run_time } if *value != row.default_value() => {
            Some((missing, at_start, at_run_time))
        }
        _ => None,
    }
}

/// The log line for a setting that is accepted without effect. It does not repeat the value, which may be secret.
pub(super) fn warning(row: &Row, missing: &str) -> String {
    format!("WARNING: the setting of '{}' has no effect: {missing}", row.name)
}

/// The reason for refusing a setting.
pub(super) fn refusal(row: &Row, missing: &str) -> String {
    format!("'{}' cannot be set to this: {missing}", row.name)
}

pub(super) fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

struct Loader<'a> {
    surroundings: &'a dyn Surroundings,
    values: Vec<Value>,
    /// The last line that set each row.
    origins: Vec<Option<Origin>>,
    renames: Vec<Rename>,
    /// How many files the current line is nested in.
    depth: usize,
}

impl<'a> Loader<'a> {
    fn new(surroundings: &'a dyn Surroundings) -> Self {
        let values = default_values(surroundings);
        Self { surroundings, values, origins: vec![None; ROWS.len()], renames: Vec::new(), depth: 0 }
    }

    fn text(&mut self, text: &[u8], included: Option<&Path>) -> Result<(), StartError> {
        for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let line = trim(line);
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            self.line(
                line,
                &Origin {
                    line: number + 1,
                    text: String::from_utf8_lossy(line).into_owned(),
                    included: included.map(Path::to_path_buf),
                },
            )?;
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], origin: &Origin) -> Result<(), StartError> {
        let refuse = |reason: &str| Err(StartError::line(origin, reason));
        let Some(words) = words::split(line) else {
            return refuse("Unbalanced quotes in configuration line");
        };
        let Some((name, arguments)) = words.split_first() else { return Ok(()) };
        if let Some((at, _)) = index_of(name) {
            return self.directive(at, arguments, origin).map_err(|reason| StartError::line(origin, reason));
        }
        let name = name.to_ascii_lowercase();
        match (name.as_slice(), arguments) {
            (name, [_]) if RETIRED.iter().any(|retired| retired.as_bytes() == name) => Ok(()),
            (b"include", [pattern]) => self.include(pattern, origin),
            (b"rename-command", [from, to]) => {
                self.renames.push(Rename { from: from.clone(), to: to.clone(), origin: origin.clone() });
                Ok(())
            }
            (b"user", [_, ..]) => refuse("'user' cannot be honoured: access control lists are still to come"),
            (b"loadmodule", [_, ..]) => refuse("'loadmodule' cannot be honoured: modules are not supported"),
            (b"sentinel", []) => refuse("'sentinel' cannot be honoured: Sentinel mode is still to come"),
            (b"sentinel", [_, ..]) => refuse("sentinel directive while not in sentinel mode"),
            _ => refuse("Bad directive or wrong number of arguments"),
        }
    }

    fn directive(&mut self, at: usize, arguments: &[Text], origin: &Origin) -> Result<(), String> {
        let row = &ROWS[at];
        if !row.kind.is_many_words() && arguments.len() != 1 {
            return Err("wrong number of arguments".into());
        }
        // `--bind "a b"` means two addresses; an empty word stays what it is, for `save ""` means something.
        let split_again = match arguments {
            [only] if row.kind.is_many_words() && !only.is_empty() => Some(words::split(only).unwrap_or_default()),
            _ => None,
        };
        let arguments = split_again.as_deref().unwrap_or(arguments);
        let value = row.parse(arguments, &self.values[at])?;
        self.values[at] = match row.kind {
            Kind::Save => self.gathered_save_points(at, arguments, value),
            Kind::Dir => enter(self.surroundings, &value)?,
            _ => value,
        };
        self.origins[at] = Some(origin.clone());
        Ok(())
    }

    /// Each `save` line adds its points to those of the lines before it, until `save ""` drops them all.
    fn gathered_save_points(&self, at: usize, arguments: &[Text], value: Value) -> Value {
        let starts_anew = self.origins[at].is_none() || matches!(arguments, [only] if only.is_empty());
        match (&self.values[at], value) {
            (Value::SavePoints(known), Value::SavePoints(more)) if !starts_anew => {
                Value::SavePoints([known.as_slice(), more.as_slice()].concat())
            }
            (_, value) => value,
        }
    }

    fn include(&mut self, pattern: &[u8], origin: &Origin) -> Result<(), StartError> {
        let refuse = |reason: String| StartError::line(origin, reason);
        if self.depth == INCLUDE_DEPTH_MAX {
            return Err(refuse(format!("files include each other more than {INCLUDE_DEPTH_MAX} deep")));
        }
        self.depth += 1;
        for path in self.included_files(pattern).map_err(refuse)? {
            let text = read_file(&path).map_err(|error| refuse(unreadable(&path, &error).to_string()))?;
            self.text(&text, Some(&path))?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// The files `pattern` names, in the order of their names. A pattern with wildcards may name none.
    fn included_files(&self, pattern: &[u8]) -> Result<Vec<PathBuf>, String> {
        let pattern = absolute(path_of(pattern), self.surroundings);
        if !pattern.as_os_str().as_bytes().iter().any(|byte| b"*?[".contains(byte)) {
            return Ok(vec![pattern]);
        }
        let pattern = pattern.to_str().ok_or("a pattern of files must be UTF-8")?;
        let like_a_shell = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let paths = glob::glob_with(pattern, like_a_shell).map_err(|error| error.to_string())?;
        paths.map(|path| path.map_err(|error| error.to_string())).collect()
    }

    /// Looks at the whole: can the log be written, and is anything asked for that is still to come? Returns the
    /// warnings.
    fn finish(&self) -> Result<Vec<String>, StartError> {
        let mut warnings = Vec::new();
        for ((row, value), origin) in ROWS.iter().zip(&self.values).zip(&self.origins) {
            let Some(origin) = origin else { continue };
            match unmet(row, value) {
                Some((missing, Answer::Refuse, _)) => return Err(StartError::line(origin, refusal(row, missing))),
                Some((missing, Answer::Warn, _)) => warnings.push(warning(row, missing)),
                None => {}
            }
            self.check_log_file(row, value).map_err(|reason| StartError::line(origin, reason))?;
        }
        Ok(warnings)
    }

    fn check_log_file(&self, row: &Row, value: &Value) -> Result<(), String> {
        match value {
            Value::Text(path) if row.name == "logfile" && !path.is_empty() => self
                .surroundings
                .try_log_file(path_of(path))
                .map_err(|error| format!("Can't open the log file: {}", system_text(&error))),
            _ => Ok(()),
        }
    }
}

/// Goes to the directory that `value` names, and returns where that is.
pub(super) fn enter(surroundings: &dyn Surroundings, value: &Value) -> Result<Value, String> {
    let Value::Text(path) = value else { panic!("{value:?} is no directory") };
    surroundings.enter(path_of(path)).map_err(|error| system_text(&error))?;
    Ok(standing(surroundings))
}

fn absolute(path: &Path, surroundings: &dyn Surroundings) -> PathBuf {
    surroundings.directory().unwrap_or_default().join(path)
}

fn unreadable(path: &Path, error: &io::Error) -> StartError {
    StartError::Unreadable { path: path.to_path_buf(), reason: system_text(error) }
}

fn read_file(path: &Path) -> io::Result<Text> {
    read_bounded(&mut File::open(path)?)
}

fn read_bounded(source: &mut dyn Read) -> io::Result<Text> {
    let mut text = Text::new();
    let read = source.take(TEXT_BYTES_MAX + 1).read_to_end(&mut text)?;
    if read as u64 > TEXT_BYTES_MAX {
        return Err(io::Error::other(format!("longer than {TEXT_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// `line` without the blanks that Redis takes off around it.
pub(super) fn trim(line: &[u8]) -> &[u8] {
    let blank = |byte: &u8| b" \t\r\n".contains(byte);
    let start = line.iter().position(|byte| !blank(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    &line[start..end]
}
