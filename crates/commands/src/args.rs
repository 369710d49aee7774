//! The arguments of one command, borrowed from wherever they lie: a connection's buffer or a queued copy.

use resp_parser::Span;

/// A command's arguments; the first is its name.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    /// Arguments that are parts of `bytes`.
    pub fn new(bytes: &'a [u8], spans: &'a [Span]) -> Self {
        Self { bytes, spans }
    }

    /// How many there are, the name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is not even a name.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// One argument.
    ///
    /// # Panics
    /// When there is none of this index; arity has been checked before a handler runs.
    #[inline]
    pub fn get(&self, index: usize) -> &'a [u8] {
        let span = self.spans[index];
        &self.bytes[span.start as usize..][..span.len as usize]
    }

    /// One argument, if it is there.
    #[inline]
    pub fn opt(&self, index: usize) -> Option<&'a [u8]> {
        (index < self.len()).then(|| self.get(index))
    }

    /// The arguments from an index on.
    pub fn from(
        &self,
        index: usize,
    ) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + Clone + use<'a> {
        let Self { bytes, spans } = *self;
        spans[index.min(spans.len())..].iter().map(move |span| &bytes[span.start as usize..][..span.len as usize])
    }

    /// The arguments from an index on, two and two; what is left at the end is left out.
    #[inline]
    pub fn pairs(&self, index: usize) -> impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone + use<'a> {
        let Self { bytes, spans } = *self;
        let at = move |span: Span| &bytes[span.start as usize..][..span.len as usize];
        let (pairs, _) = spans[index.min(spans.len())..].as_chunks();
        pairs.iter().map(move |&[left, right]| (at(left), at(right)))
    }

    /// The arguments from an index on, as a command of their own.
    pub fn tail(&self, index: usize) -> Self {
        Self { bytes: self.bytes, spans: &self.spans[index.min(self.spans.len())..] }
    }

    /// Whether an argument is this word, in any case.
    pub fn is(&self, index: usize, word: &str) -> bool {
        self.get(index).eq_ignore_ascii_case(word.as_bytes())
    }

    /// Bytes of all arguments together.
    pub fn byte_len(&self) -> usize {
        self.spans.iter().map(|span| span.len as usize).sum()
    }
}

/// A command that outlives the buffer it came in: queued by MULTI, or made by a rewrite.
#[derive(Clone, Debug, Default)]
pub struct OwnedArgs {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl OwnedArgs {
    /// Copies a command.
    pub fn copy(args: Args<'_>) -> Self {
        args.from(0).collect()
    }

    /// Adds one argument.
    pub fn push(&mut self, arg: &[u8]) {
        let start = u32::try_from(self.bytes.len()).expect("a command is below 4 GiB");
        self.bytes.extend_from_slice(arg);
        self.spans.push(Span { start, len: arg.len() as u32 });
    }

    /// The arguments, to be executed.
    pub fn args(&self) -> Args<'_> {
        Args::new(&self.bytes, &self.spans)
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.spans.capacity() * size_of::<Span>()
    }
}

impl<A: AsRef<[u8]>> FromIterator<A> for OwnedArgs {
    fn from_iter<I: IntoIterator<Item = A>>(args: I) -> Self {
        let mut owned = Self::default();
        args.into_iter().for_each(|arg| owned.push(arg.as_ref()));
        owned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_leave_out_what_is_left() {
        let args: OwnedArgs = ["HSET", "key", "1", "2", "3", "4", "5"].into_iter().collect();
        let pairs = |index| args.args().pairs(index).map(|(a, b)| [a, b].concat()).collect::<Vec<_>>();
        assert_eq!(pairs(1), [&b"key1"[..], b"23", b"45"]);
        assert_eq!(pairs(2), [b"12", b"34"]);
        assert!(pairs(6).is_empty() && pairs(7).is_empty() && pairs(100).is_empty());
    }
}
