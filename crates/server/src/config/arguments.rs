//! The command line as Redis 8 reads it: a file, `-` for standard input, and `--directive value ...` lines.

use super::words;

/// What the arguments ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    /// The first argument, unless it starts with a dash.
    pub(super) file: Option<Vec<u8>>,
    /// Whether `-` stands first or last.
    pub(super) from_stdin: bool,
    /// The `--directive value ...` arguments as lines of a file, parted by newlines.
    pub(super) lines: Vec<u8>,
}

impl Arguments {
    /// Reads `arguments`, the program's own name left out.
    ///
    /// An argument starts a line when it starts with `--` and the directive before it has a value: so a value may
    /// start with dashes (`--logfile --x`), but only as the first one of its directive. `--save` and `--sentinel`
    /// may go without a value even in the middle, as old start scripts have it.
    pub(super) fn parse(arguments: &[Vec<u8>]) -> Self {
        let mut parsed = Self::default();
        let named = arguments.first().filter(|first| !first.starts_with(b"-"));
        parsed.file = named.cloned();
        let mut has_value = true;
        for (at, argument) in arguments.iter().enumerate().skip(usize::from(named.is_some())) {
            let (first, last) = (at == 0, at + 1 == arguments.len());
            if argument == b"-" && (first || last) {
                parsed.from_stdin = true;
            } else if has_value && argument.starts_with(b"--") {
                has_value = parsed.directive(argument, arguments.get(at + 1));
            } else {
                parsed.lines.extend_from_slice(words::quote(argument).as_bytes());
                parsed.lines.push(b' ');
                has_value = true;
            }
        }
        parsed
    }

    /// Starts the line of `argument`, which may hold the values too (`"--port 6380"`). Returns whether its
    /// directive needs no further value.
    fn directive(&mut self, argument: &[u8], next: Option<&Vec<u8>>) -> bool {
        if !self.lines.is_empty() {
            self.lines.push(b'\n');
        }
        self.lines.extend_from_slice(&argument[2..]);
        self.lines.push(b' ');
        if words::split(argument).is_none_or(|words| words.len() != 1) {
            return true;
        }
        let bare = next.is_none_or(|next| next.starts_with(b"--"));
        if bare && argument.eq_ignore_ascii_case(b"--save") {
            self.lines.extend_from_slice(b"\"\"");
            return true;
        }
        bare && argument.eq_ignore_ascii_case(b"--sentinel")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&str], expected: &str) {
        let arguments: Vec<_> = arguments.iter().map(|argument| argument.as_bytes().to_vec()).collect();
        let lines = Arguments::parse(&arguments).lines;
        assert_eq!(String::from_utf8_lossy(&lines), expected, "{arguments:?}");
    }

    #[test]
    fn arguments_become_lines() {
        check(&[], "");
        check(&["--port", "6380"], "port \"6380\" ");
        check(&["--port", "1", "--hz", "2"], "port \"1\" \nhz \"2\" ");
        check(&["--port 6380", "--maxmemory '7mb'"], "port 6380 \nmaxmemory '7mb' ");
        check(&["--bind", "a", "b"], "bind \"a\" \"b\" ");
        check(&["--port", "--hz", "2"], "port \"--hz\" \"2\" ");
        check(&["--port", "--bla", "--hz", "2"], "port \"--bla\" \nhz \"2\" ");
        check(&["--save", "--hz", "2"], "save \"\"\nhz \"2\" ");
        check(&["--hz", "2", "--save"], "hz \"2\" \nsave \"\"");
        check(&["--save", "", "--hz", "2"], "save \"\" \nhz \"2\" ");
        check(&["--sentinel", "--hz", "2"], "sentinel \nhz \"2\" ");
        check(&["x.conf", "loglevel", "verbose"], "\"loglevel\" \"verbose\" ");
        check(&["-x"], "\"-x\" ");
    }

    #[test]
    fn a_file_comes_first_and_standard_input_first_or_last() {
        let parse = |arguments: &[&str]| {
            let arguments: Vec<_> = arguments.iter().map(|argument| argument.as_bytes().to_vec()).collect();
            let parsed = Arguments::parse(&arguments);
            (parsed.file.map(|file| String::from_utf8(file).unwrap()), parsed.from_stdin)
        };
        assert_eq!(parse(&["a.conf", "-"]), (Some("a.conf".into()), true));
        assert_eq!(parse(&["-", "--port", "1"]), (None, true));
        assert_eq!(parse(&["--port", "1", "-"]), (None, true));
        assert_eq!(parse(&["--port", "-", "--hz", "1"]), (None, false));
    }
}
