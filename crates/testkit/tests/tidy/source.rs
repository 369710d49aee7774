//! What the rules read: the repository's files, and Rust text reduced to its code.
//!
//! Rules search for names. A name in a comment or in a string is no use of it, and what only tests see is not part
//! of a crate's promise. So before a rule looks, comments and literals are blanked, line by line, which keeps line
//! numbers true; a rule about the shipped code then drops what `#[cfg(test)]` guards. This is no Rust parser: it
//! knows just enough of the lexical grammar to not be fooled by quotes and braces in the wrong places.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the repository: its path from the root, with forward slashes, and its text.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether it only exists for tests: a `tests` folder, `tests.rs`, `*_tests.rs`.
    pub(crate) fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        self.path.contains("/tests/") || name == "tests.rs" || name.ends_with("_tests.rs")
    }

    /// The name of the crate it belongs to: the folder below `crates`, or `benches`.
    pub(crate) fn crate_name(&self) -> &str {
        let path = self.path.strip_prefix("crates/").unwrap_or(&self.path);
        path.split('/').next().unwrap_or_default()
    }

    /// Its code without comments and literals.
    pub(crate) fn code(&self) -> String {
        code_of(&self.text)
    }

    /// Its code without comments, literals and tests.
    pub(crate) fn shipped_code(&self) -> String {
        if self.is_test() { String::new() } else { without_tests(&self.code()) }
    }
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository's root is there")
}

/// All text files of the repository, sorted by path; `target` folders and git's own files left out.
pub(crate) fn repository() -> Vec<Source> {
    let root = root();
    let mut files = Vec::new();
    collect(&root, &root, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    // Rules that look at nothing complain of nothing.
    assert!(files.iter().any(Source::is_rust), "no sources below {}", root.display());
    files
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("folders of the repository can be read") {
        let path = entry.expect("entries can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == "target" || name == ".git" || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path.strip_prefix(root).expect("it lies below the root");
            files.push(Source { path: path.to_string_lossy().replace('\\', "/"), text });
        }
    }
}

/// The lines, numbered from 1, on which `code` names `name`: as a whole word, or, when it holds `::` or punctuation,
/// bounded by the ends of words.
pub(crate) fn lines_naming(code: &str, name: &str) -> Vec<usize> {
    code.lines().enumerate().filter(|(_, line)| has_word(line, name)).map(|(index, _)| index + 1).collect()
}

/// Whether `line` holds `word` with no letter, digit or underscore going on at either end.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        let open_start = !word.starts_with(is_word) || !before.is_some_and(is_word);
        let open_end = !word.ends_with(is_word) || !after.is_some_and(is_word);
        open_start && open_end
    })
}

/// The lines on which a module of the standard library is named, be it as `std::thread` or in a group,
/// `use std::{fmt, thread}`.
pub(crate) fn lines_naming_std(code: &str, module: &str) -> Vec<usize> {
    let mut found = Vec::new();
    for library in ["std", "core"] {
        found.extend(lines_naming(code, &format!("{library}::{module}")));
        let opening = format!("{library}::{{");
        for (start, _) in code.match_indices(&opening) {
            let group = &code[start..start + code[start..].find(';').unwrap_or(code.len() - start)];
            for (index, line) in group.lines().enumerate() {
                if has_word(line, module) {
                    found.push(code[..start].matches('\n').count() + 1 + index);
                }
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Blanks comments, and the inside of string and character literals. Line breaks stay.
fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment_length(rest)
        } else if let Some(length) = literal_length(rest, at > 0 && is_name_byte(bytes[at - 1])) {
            length
        } else {
            let next = rest.chars().next().expect("the rest is not empty");
            code.push(next);
            at += next.len_utf8();
            continue;
        };
        code.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        at += length;
    }
    code
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The length in bytes of the block comment that `text` begins with; they nest.
fn block_comment_length(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of the string or character literal that `text` begins with, if it does. `inside_name` says that the
/// byte before belongs to a name, so that `r` or `b` here is its last letter and no prefix.
fn literal_length(text: &str, inside_name: bool) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r"].into_iter().find(|prefix| text.starts_with(prefix));
    let prefix = prefix.filter(|_| !inside_name).unwrap_or_default();
    let body = &text[prefix.len()..];
    if prefix.ends_with('r') {
        let hashes = body.bytes().take_while(|&byte| byte == b'#').count();
        if body[hashes..].starts_with('"') {
            let closing = format!("\"{}", "#".repeat(hashes));
            let start = prefix.len() + hashes + 1;
            return Some(text[start..].find(&closing).map_or(text.len(), |end| start + end + closing.len()));
        }
        return None;
    }
    match body.chars().next()? {
        '"' => Some(prefix.len() + quoted_length(body, '"')),
        // A lifetime has no closing quote right behind its one character.
        '\'' => {
            let mut inside = body[1..].chars();
            let first = inside.next()?;
            let closes = first == '\\' || inside.next() == Some('\'');
            closes.then(|| prefix.len() + quoted_length(body, '\''))
        }
        _ => None,
    }
}

/// The length of a literal from its opening quote to its closing one; a backslash hides the character behind it.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        if c == '\\' {
            characters.next();
        } else if c == quote {
            return at + 1;
        }
    }
    text.len()
}

/// Blanks each item that a `#[cfg(test)]` or `#[cfg(all(test, ...))]` stands before.
fn without_tests(code: &str) -> String {
    let mut kept = code.to_owned();
    for opening in ["#[cfg(test)]", "#[cfg(all(test,"] {
        while let Some(start) = kept.find(opening) {
            let end = start + item_length(&kept[start..]);
            let blank: String = kept[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
            kept.replace_range(start..end, &blank);
        }
    }
    kept
}

/// The length of an item with its attributes: to its closing brace, or to its semicolon if that comes first.
fn item_length(code: &str) -> usize {
    let (mut depth, mut brackets) = (0_usize, 0_usize);
    for (at, c) in code.char_indices() {
        match c {
            '[' | '(' => brackets += 1,
            ']' | ')' => brackets = brackets.saturating_sub(1),
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && brackets == 0 {
                    return at + 1;
                }
            }
            ';' if depth == 0 && brackets == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        // Runs of blanks are of no interest here.
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(&code_of(text)), words(expected), "{text}");
        assert_eq!(code_of(text).lines().count(), text.lines().count(), "lines of {text}");
    }

    #[test]
    fn comments_and_literals_are_blanked() {
        check("a // b\nc", "a\nc");
        check("a /* b /* c */ d */ e", "a e");
        check("a \"b // c\" d", "a d");
        check(r#"a "b \" c" d"#, "a d");
        check("a r#\"b \" c\"# d", "a d");
        check("a br\"b\\\" d", "a d");
        check("var\"x\"", "var");
        check("a b'\\'' c '\"' d", "a c d");
        check("fn f<'a>(x: &'a str) -> 'é' {}", "fn f<'a>(x: &'a str) -> {}");
        check("a \"b\nc\" d", "a\n d");
    }

    #[test]
    fn tests_are_dropped_and_the_rest_stays() {
        let code = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { { } } }\nfn c() {}\n#[cfg(test)]\n#[path = x]\nmod d;\nfn e() {}";
        let kept = without_tests(code);
        for (name, stays) in [("a", true), ("b", false), ("c", true), ("d", false), ("e", true)] {
            assert_eq!(has_word(&kept, name), stays, "{name} in {kept}");
        }
        assert_eq!(kept.lines().count(), code.lines().count());
    }

    #[test]
    fn words_are_whole() {
        assert!(has_word("use mio::Poll", "mio"));
        assert!(!has_word("mios mio_x amio", "mio"));
        assert!(has_word("Instant::now()", "Instant::now"));
        assert!(!has_word("MyInstant::now()", "Instant::now"));
        assert!(has_word("x.elapsed()", ".elapsed()"));
    }

    #[test]
    fn the_standard_library_is_found_in_groups() {
        assert_eq!(lines_naming_std("use std::thread;", "thread"), [1]);
        assert_eq!(lines_naming_std("use std::{\n    fmt,\n    thread::{self},\n};", "thread"), [3]);
        assert!(lines_naming_std("use std::{fmt};\nmod thread;", "thread").is_empty());
        assert!(lines_naming_std("std::thread_local! {}", "thread").is_empty());
    }
}
