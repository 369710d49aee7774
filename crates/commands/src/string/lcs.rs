//! LCS: the longest common subsequence of two strings, by the textbook table of lengths.

use crate::call::Call;
use crate::effect::Effect;
use crate::error::{Error, NOT_INTEGER, Result, SYNTAX};
use crate::number;

/// Cells of the table; beyond, the answer is an error and not an allocation of many gigabytes.
const CELLS_MAX: usize = 1 << 30;

struct Options {
    len: bool,
    idx: bool,
    min_match_len: i64,
    with_match_len: bool,
}

/// A run of equal bytes: inclusive ranges in both strings.
struct Match {
    a: (usize, usize),
    b: (usize, usize),
}

pub(super) fn lcs(call: &mut Call<'_>) -> Result<Effect> {
    let not_strings = || Error::new("ERR The specified keys must contain string values");
    let mut text = |index: usize| match call.keys.read(call.args.get(index)) {
        None => Ok(Vec::new()),
        Some(entry) => entry.as_str().map(|value| value.to_vec()).ok_or_else(not_strings),
    };
    let (a, b) = (text(1)?, text(2)?);
    let options = parse(call)?;
    let table = Table::new(&a, &b)?;
    if options.len {
        call.out.len(table.at(a.len(), b.len()) as usize);
        return Ok(Effect::None);
    }
    let (common, matches) = table.trace(&a, &b);
    if !options.idx {
        call.out.bulk(&common);
        return Ok(Effect::None);
    }
    let wanted: Vec<&Match> =
        matches.iter().filter(|found| (found.a.1 - found.a.0) as i64 + 1 >= options.min_match_len).collect();
    call.out.map(2);
    call.out.bulk(b"matches");
    call.out.array(wanted.len());
    for found in wanted {
        call.out.array(if options.with_match_len { 3 } else { 2 });
        for (first, last) in [found.a, found.b] {
            call.out.array(2);
            call.out.len(first);
            call.out.len(last);
        }
        if options.with_match_len {
            call.out.len(found.a.1 - found.a.0 + 1);
        }
    }
    call.out.bulk(b"len");
    call.out.len(common.len());
    Ok(Effect::None)
}

fn parse(call: &Call<'_>) -> Result<Options> {
    let mut options = Options { len: false, idx: false, min_match_len: 0, with_match_len: false };
    let mut index = 3;
    while index < call.args.len() {
        if call.args.is(index, "IDX") {
            options.idx = true;
        } else if call.args.is(index, "LEN") {
            options.len = true;
        } else if call.args.is(index, "WITHMATCHLEN") {
            options.with_match_len = true;
        } else if call.args.is(index, "MINMATCHLEN")
            && let Some(len) = call.args.opt(index + 1)
        {
            options.min_match_len = number::parse_i64(len).ok_or(NOT_INTEGER)?.max(0);
            index += 1;
        } else {
            return Err(SYNTAX);
        }
        index += 1;
    }
    if options.idx && options.len {
        return Err(Error::new("ERR If you want both the length and indexes, please just use IDX."));
    }
    Ok(options)
}

/// `cells[i][j]` is the length of the longest common subsequence of the first `i` and the first `j` bytes.
struct Table {
    cells: Vec<u32>,
    width: usize,
}

impl Table {
    fn new(a: &[u8], b: &[u8]) -> Result<Self> {
        let width = b.len() + 1;
        let size = (a.len() + 1).checked_mul(width).filter(|&size| size <= CELLS_MAX).ok_or_else(|| {
            Error::new("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
        })?;
        let mut table = Self { cells: vec![0; size], width };
        for i in 1..=a.len() {
            for j in 1..=b.len() {
                table.cells[i * width + j] = if a[i - 1] == b[j - 1] {
                    table.at(i - 1, j - 1) + 1
                } else {
                    table.at(i - 1, j).max(table.at(i, j - 1))
                };
            }
        }
        Ok(table)
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.cells[i * self.width + j]
    }

    /// The subsequence and its runs, the last run first: the table is walked back from its end.
    fn trace(&self, a: &[u8], b: &[u8]) -> (Vec<u8>, Vec<Match>) {
        let (mut i, mut j) = (a.len(), b.len());
        let (mut common, mut matches) = (Vec::new(), Vec::<Match>::new());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j) = (i - 1, j - 1);
                common.push(a[i]);
                match matches.last_mut() {
                    Some(run) if run.a.0 == i + 1 && run.b.0 == j + 1 => (run.a.0, run.b.0) = (i, j),
                    _ => matches.push(Match { a: (i, i), b: (j, j) }),
                }
            } else if self.at(i - 1, j) > self.at(i, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        common.reverse();
        (common, matches)
    }
}
