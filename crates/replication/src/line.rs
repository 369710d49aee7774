//! Lines of a primary's answers: they end at a line feed, and a carriage return before it does not belong to them.

use memchr::memchr;

/// Bytes that a line may have; of a longer one this much counts as the line, as whoever sends it speaks no protocol.
pub(crate) const LINE_LEN_MAX: usize = 1024;

/// Gathers a line that may come in pieces.
#[derive(Debug, Default)]
pub(crate) struct Line {
    begun: Vec<u8>,
}

impl Line {
    /// Takes bytes from the front of `input`, up to the end of the line; None if that has not come yet.
    pub(crate) fn take(&mut self, input: &mut &[u8]) -> Option<Vec<u8>> {
        let room = LINE_LEN_MAX - self.begun.len();
        let window = &input[..input.len().min(room)];
        let end = memchr(b'\n', window);
        let used = end.map_or(window.len(), |end| end + 1);
        self.begun.extend_from_slice(&window[..end.unwrap_or(used)]);
        *input = &input[used..];
        if end.is_none() && self.begun.len() < LINE_LEN_MAX {
            return None;
        }
        let mut line = std::mem::take(&mut self.begun);
        if end.is_some() && line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let text = b"+OK\r\n\n\r\nrest";
        for cut in 0..=text.len() {
            let mut line = Line::default();
            let mut lines = Vec::new();
            for mut piece in [&text[..cut], &text[cut..]] {
                while let Some(found) = line.take(&mut piece) {
                    lines.push(found);
                }
            }
            assert_eq!(lines, [&b"+OK"[..], b"", b""], "cut at {cut}");
            assert_eq!(line.begun, b"rest");
        }
    }

    #[test]
    fn what_never_ends_is_cut_off() {
        let text = vec![b'x'; LINE_LEN_MAX + 5];
        let mut input = &text[..];
        let mut line = Line::default();
        assert_eq!(line.take(&mut input).unwrap().len(), LINE_LEN_MAX);
        assert_eq!(input.len(), 5);
    }
}
