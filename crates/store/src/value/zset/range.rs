//! Ranges over a sorted set, by score and by bytes.

/// Scores from `min` to `max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreRange {
    /// The least score.
    pub min: f64,
    /// The greatest score.
    pub max: f64,
    /// Whether `min` itself is left out.
    pub min_exclusive: bool,
    /// Whether `max` itself is left out.
    pub max_exclusive: bool,
}

impl ScoreRange {
    /// Every score.
    pub const ALL: Self =
        Self { min: f64::NEG_INFINITY, max: f64::INFINITY, min_exclusive: false, max_exclusive: false };

    /// Whether `score` is too low.
    pub(super) fn is_above(&self, score: f64) -> bool {
        score < self.min || (self.min_exclusive && score == self.min)
    }

    /// Whether `score` is not too high.
    pub(super) fn reaches(&self, score: f64) -> bool {
        score < self.max || (!self.max_exclusive && score == self.max)
    }

    /// Whether the range contains `score`.
    pub fn contains(&self, score: f64) -> bool {
        !self.is_above(score) && self.reaches(score)
    }
}

/// One end of a range by bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// `-`: below every member.
    Lowest,
    /// `+`: above every member.
    Highest,
    /// `[member`.
    Inclusive(&'a [u8]),
    /// `(member`.
    Exclusive(&'a [u8]),
}

/// Members from `min` to `max` in the order of their bytes; it has a meaning where all scores are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LexRange<'a> {
    /// The lower end.
    pub min: LexBound<'a>,
    /// The upper end.
    pub max: LexBound<'a>,
}

impl LexRange<'_> {
    /// Whether `member` is too low.
    pub(super) fn is_above(&self, member: &[u8]) -> bool {
        match self.min {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Inclusive(min) => member < min,
            LexBound::Exclusive(min) => member <= min,
        }
    }

    /// Whether `member` is not too high.
    pub(super) fn reaches(&self, member: &[u8]) -> bool {
        match self.max {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Inclusive(max) => member <= max,
            LexBound::Exclusive(max) => member < max,
        }
    }

    /// Whether the range contains `member`.
    pub fn contains(&self, member: &[u8]) -> bool {
        !self.is_above(member) && self.reaches(member)
    }
}
