//! Whose history a stream is, and whether a replica that comes back can go on with it.
//!
//! A stream has an id of 40 hexadecimal digits, drawn at random. When a replica is promoted, what it has is both a new
//! stream and the end of the old one: it keeps its primary's id as the second one, valid up to the offset of the promotion.
//! Replicas of the old primary then continue with the new one without a full copy.
//!
//! Offsets are Redis's: the number of bytes so far. A request names the *next* byte that it wants, so the offset plus one.

use crate::id::ReplicationId;

/// The ids of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// `master_replid`.
    pub id: ReplicationId,
    /// `master_replid2`: the stream that this one is the continuation of, [`ReplicationId::NONE`] if none.
    pub second_id: ReplicationId,
    /// `second_repl_offset`: the first byte, counted as PSYNC does, that the second id is not valid for; -1 if there is none.
    pub second_offset: i64,
}

/// What a PSYNC is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// `+CONTINUE`: the stream from this offset (the number of bytes before it).
    Continue(u64),
    /// `+FULLRESYNC`, and why.
    Full(Reason),
}

/// Why a partial resynchronisation is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// `PSYNC ?`: the replica has nothing.
    Asked,
    /// Its id is neither of ours.
    OtherHistory,
    /// Its id is our second one, but it has gone on further with that stream than we have.
    BeyondSecond,
    /// There is no backlog.
    NoBacklog,
    /// The backlog does not reach back so far, or the replica is ahead of us.
    OutOfBacklog,
}

impl Reason {
    /// Whether the replica hoped for a continuation: `sync_partial_err` counts these.
    pub fn is_refusal(self) -> bool {
        self != Self::Asked
    }
}

/// What PSYNC asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The id as given; `?` asks for a full copy.
    pub id: &'a [u8],
    /// The next byte wanted, from 1; -1 with `?`.
    pub offset: i64,
}

impl History {
    /// A fresh one.
    pub fn new(id: ReplicationId) -> Self {
        Self { id, second_id: ReplicationId::NONE, second_offset: -1 }
    }

    /// Takes a new id and keeps the old one as the second: promotion, or the loss of the primary's stream. `offset` is where
    /// the stream is.
    pub fn shift(&mut self, id: ReplicationId, offset: u64) {
        self.second_id = self.id;
        // One more: that byte has not been seen, but whoever has all before it may ask for it.
        self.second_offset = offset as i64 + 1;
        self.id = id;
    }

    /// Forgets the second id.
    pub fn clear_second(&mut self) {
        self.second_id = ReplicationId::NONE;
        self.second_offset = -1;
    }

    /// How to answer a PSYNC. `backlog` is the part of the stream that is there: the first offset and the end.
    pub fn decide(&self, request: Request<'_>, backlog: Option<(u64, u64)>) -> Decision {
        let is = |id: ReplicationId| request.id.eq_ignore_ascii_case(id.as_str().as_bytes());
        if request.id.first() == Some(&b'?') {
            return Decision::Full(Reason::Asked);
        }
        if !is(self.id) {
            if !is(self.second_id) {
                return Decision::Full(Reason::OtherHistory);
            }
            if request.offset > self.second_offset {
                return Decision::Full(Reason::BeyondSecond);
            }
        }
        let Some((first, end)) = backlog else { return Decision::Full(Reason::NoBacklog) };
        match u64::try_from(request.offset) {
            Ok(wanted) if first < wanted && wanted <= end + 1 => Decision::Continue(wanted - 1),
            _ => Decision::Full(Reason::OutOfBacklog),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: u8) -> ReplicationId {
        ReplicationId::parse(&[digit; 40]).unwrap()
    }

    #[test]
    fn requests_are_decided_as_redis_does() {
        use Decision::*;
        // Promoted at offset 100; bytes 51 to 200 are there.
        let mut history = History::new(id(b'a'));
        history.shift(id(b'b'), 100);
        let backlog = Some((50, 200));
        let check = |who: &[u8], offset, backlog, expected| {
            assert_eq!(history.decide(Request { id: who, offset }, backlog), expected, "{offset}");
        };
        let (new, old, other) = ([b'b'; 40], [b'a'; 40], [b'c'; 40]);
        check(b"?", -1, backlog, Full(Reason::Asked));
        check(&other, 120, backlog, Full(Reason::OtherHistory));
        check(b"b", 120, backlog, Full(Reason::OtherHistory));
        check(&[b'0'; 40], 120, None, Full(Reason::OtherHistory));
        check(&new, 120, None, Full(Reason::NoBacklog));
        for (offset, expected) in [
            (-1, Full(Reason::OutOfBacklog)),
            (0, Full(Reason::OutOfBacklog)),
            (50, Full(Reason::OutOfBacklog)),
            (51, Continue(50)),
            (200, Continue(199)),
            (201, Continue(200)),
            (202, Full(Reason::OutOfBacklog)),
            (i64::MAX, Full(Reason::OutOfBacklog)),
        ] {
            check(&new, offset, backlog, expected);
        }
        check(&old, 101, backlog, Continue(100));
        check(&old, 102, backlog, Full(Reason::BeyondSecond));
        check(&[b'A'; 40], 60, backlog, Continue(59));
    }

    #[test]
    fn a_fresh_history_has_no_second() {
        let mut history = History::new(id(b'a'));
        let none = [b'0'; 40];
        let request = Request { id: &none, offset: 1 };
        assert_eq!(history.decide(request, Some((0, 0))), Decision::Full(Reason::BeyondSecond));
        history.shift(id(b'b'), 7);
        assert_eq!((history.second_id, history.second_offset), (id(b'a'), 8));
        history.clear_second();
        assert_eq!(history, History::new(id(b'b')));
        assert!(Reason::OutOfBacklog.is_refusal() && !Reason::Asked.is_refusal());
    }
}
