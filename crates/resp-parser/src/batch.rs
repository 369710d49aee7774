//! What one pass over a connection's buffer has found: positions, in flat vectors that are used again.

/// Where one argument stands, from the start of the bytes it is cut from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

/// Complete commands, in the order they came. Reused between passes; allocates nothing when warm.
///
/// Multibulk arguments are spans of the connection's buffer. Inline arguments may be quoted and escaped, so they are
/// copied into a side buffer of the batch, and spans of inline commands point there. [`CommandSpans::arg`] knows which.
#[derive(Debug, Default)]
pub struct Batch {
    args: Vec<Span>,
    commands: Vec<Command>,
    unescaped: Vec<u8>,
}

/// One complete command of a [`Batch`].
#[derive(Clone, Copy, Debug)]
pub struct CommandSpans<'a> {
    /// The arguments, the command's name first. Never empty.
    pub args: &'a [Span],
    /// Where the command's first byte stands in the connection's buffer.
    pub start: usize,
    /// Where the byte behind the command stands in the connection's buffer.
    pub end: usize,
    /// What the spans point into when it is not the connection's buffer.
    unescaped: Option<&'a [u8]>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all commands and keeps the room they took, up to a bound: a batch lives as long as its event loop, and
    /// one command of a million arguments shall not hold its memory for ever.
    pub fn clear(&mut self) {
        self.args.clear();
        self.args.shrink_to(KEPT_ARGS_MAX);
        self.commands.clear();
        self.commands.shrink_to(KEPT_ARGS_MAX);
        self.unescaped.clear();
        self.unescaped.shrink_to(KEPT_UNESCAPED_BYTES_MAX);
    }

    /// The number of commands.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether there is no command.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// The `i`th command.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len).
    #[inline]
    pub fn command(&self, i: usize) -> CommandSpans<'_> {
        let command = self.commands[i];
        let first = command.first_arg as usize;
        CommandSpans {
            args: &self.args[first..first + command.argc as usize],
            start: command.start as usize,
            end: command.end as usize,
            unescaped: command.inline.then_some(&self.unescaped),
        }
    }

    /// All commands in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = CommandSpans<'_>> + Clone {
        (0..self.len()).map(|i| self.command(i))
    }

    /// The spans of all arguments, where the parser appends those of the command it works on.
    #[inline]
    pub(crate) fn args_mut(&mut self) -> &mut Vec<Span> {
        &mut self.args
    }

    /// Side buffer and spans, for an inline command.
    pub(crate) fn unescaped_mut(&mut self) -> (&mut Vec<u8>, &mut Vec<Span>) {
        (&mut self.unescaped, &mut self.args)
    }

    /// Makes a command of all arguments from `first_arg` on. Positions are within `BUFFER_LEN_MAX`, so they fit.
    #[inline]
    pub(crate) fn push_command(&mut self, first_arg: usize, start: usize, end: usize, inline: bool) {
        self.commands.push(Command {
            first_arg: first_arg as u32,
            argc: (self.args.len() - first_arg) as u32,
            start: start as u32,
            end: end as u32,
            inline,
        });
    }
}

impl<'a> CommandSpans<'a> {
    /// The bytes of argument `i`. `buf` is the connection's buffer as it was given to the parser.
    ///
    /// # Panics
    /// If `i` is not below the number of arguments, or `buf` is shorter than it was.
    #[inline]
    pub fn arg(&self, buf: &'a [u8], i: usize) -> &'a [u8] {
        let Span { start, len } = self.args[i];
        &self.base(buf)[start as usize..start as usize + len as usize]
    }

    /// The bytes of all arguments.
    pub fn iter(&self, buf: &'a [u8]) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let command = *self;
        (0..command.args.len()).map(move |i| command.arg(buf, i))
    }

    /// What the spans of this command point into.
    #[inline]
    pub fn base(&self, buf: &'a [u8]) -> &'a [u8] {
        self.unescaped.unwrap_or(buf)
    }

    /// Bytes the command took on the wire.
    pub fn wire_len(&self) -> usize {
        self.end - self.start
    }

    /// Whether it came as an inline request.
    pub fn is_inline(&self) -> bool {
        self.unescaped.is_some()
    }
}

/// Spans, or commands, for which a cleared batch keeps room: 512 KiB and 1.25 MiB.
const KEPT_ARGS_MAX: usize = 1 << 16;
/// Bytes of inline arguments for which a cleared batch keeps room.
const KEPT_UNESCAPED_BYTES_MAX: usize = 1 << 16;

#[derive(Clone, Copy, Debug)]
struct Command {
    first_arg: u32,
    argc: u32,
    start: u32,
    end: u32,
    inline: bool,
}
