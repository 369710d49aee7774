//! Places as numbers: a geohash of 52 bits, which a double holds exactly and which therefore serves as a score.
//!
//! Each coordinate is cut into halves 26 times, and the choices stand interleaved, those of the longitude above those of
//! the latitude (G. M. Morton's order, as Gustavo Niemeyer's geohash has it). Places of one cell, at whatever number of
//! cuts, are then neighbours among the scores, and a cell is a range of scores.
//!
//! The formulas are evaluated step by step as Redis evaluates them, because their last bits can be seen from outside.

/// A place, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Position {
    pub(super) longitude: f64,
    pub(super) latitude: f64,
}

/// How often each coordinate is cut in a score.
pub(super) const STEP_MAX: u32 = 26;

/// What a coordinate may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) min: f64,
    pub(super) max: f64,
}

pub(super) const LONGITUDES: Span = Span { min: -180.0, max: 180.0 };
/// As far as the Web Mercator projection is a square (EPSG:900913).
pub(super) const LATITUDES: Span = Span { min: -85.051_128_78, max: 85.051_128_78 };
/// Those of the geohashes that people exchange.
const STANDARD_LATITUDES: Span = Span { min: -90.0, max: 90.0 };

impl Span {
    pub(super) fn contains(self, degrees: f64) -> bool {
        (self.min..=self.max).contains(&degrees)
    }

    /// The number of the part in which a coordinate lies, of 2^`step` equal ones. The upper end itself lies behind the last.
    fn part(self, degrees: f64, step: u32) -> u32 {
        ((degrees - self.min) / (self.max - self.min) * parts(step)) as u32
    }

    /// One of 2^`step` equal parts.
    fn nth(self, part: u32, step: u32) -> Self {
        let scale = self.max - self.min;
        let bound = |part: f64| self.min + (part / parts(step)) * scale;
        Self { min: bound(f64::from(part)), max: bound(f64::from(part) + 1.0) }
    }

    fn middle(self) -> f64 {
        (self.min + self.max) / 2.0
    }
}

fn parts(step: u32) -> f64 {
    (1u64 << step) as f64
}

/// One cell of the grid of 2^`step` by 2^`step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    east: u32,
    north: u32,
    step: u32,
}

impl Cell {
    /// The cell that a place lies in.
    pub(super) fn of(place: Position, step: u32) -> Self {
        Self { east: LONGITUDES.part(place.longitude, step), north: LATITUDES.part(place.latitude, step), step }
    }

    /// The cell of a score. A score that no place has still names a cell, perhaps one outside of the grid, as in Redis.
    fn of_score(score: f64) -> Self {
        let bits = unsigned(score);
        Self { east: gather(bits >> 1), north: gather(bits), step: STEP_MAX }
    }

    /// The cell so many columns to the east and rows to the north, around the edge of the grid if need be.
    pub(super) fn moved(self, east: i32, north: i32) -> Self {
        let mask = (1u32 << self.step) - 1;
        // A coordinate that does not move keeps even a place behind the last part.
        let add = |part: u32, by: i32| if by == 0 { part } else { part.wrapping_add_signed(by) & mask };
        Self { east: add(self.east, east), north: add(self.north, north), ..self }
    }

    /// The degrees that the cell spans.
    pub(super) fn area(self) -> (Span, Span) {
        (LONGITUDES.nth(self.east, self.step), LATITUDES.nth(self.north, self.step))
    }

    /// The scores of the cell's places: from the first to the second exclusive.
    pub(super) fn scores(self) -> (u64, u64) {
        let bits = self.bits();
        let shift = 2 * (STEP_MAX - self.step);
        (bits << shift, (bits + 1) << shift)
    }

    fn bits(self) -> u64 {
        scatter(self.east) << 1 | scatter(self.north)
    }
}

/// The score of a place.
pub(super) fn encode(place: Position) -> u64 {
    Cell::of(place, STEP_MAX).bits()
}

/// The middle of the cell that a score names.
pub(super) fn decode(score: f64) -> Position {
    let (longitudes, latitudes) = Cell::of_score(score).area();
    Position {
        longitude: longitudes.middle().clamp(LONGITUDES.min, LONGITUDES.max),
        latitude: latitudes.middle().clamp(LATITUDES.min, LATITUDES.max),
    }
}

/// The eleven letters by which people exchange a place. The last would need three bits more than there are.
pub(super) fn letters(place: Position) -> [u8; 11] {
    const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
    let east = LONGITUDES.part(place.longitude, STEP_MAX);
    let bits = scatter(east) << 1 | scatter(STANDARD_LATITUDES.part(place.latitude, STEP_MAX));
    std::array::from_fn(
        |place| if place == 10 { ALPHABET[0] } else { ALPHABET[(bits >> (47 - 5 * place)) as usize & 31] },
    )
}

/// Puts a zero in front of each bit.
fn scatter(bits: u32) -> u64 {
    let mut bits = u64::from(bits);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

/// Every other bit, from the lowest on.
fn gather(bits: u64) -> u32 {
    let mut bits = bits & 0x5555_5555_5555_5555;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        bits = (bits | bits >> shift) & mask;
    }
    bits as u32
}

/// A double as the unsigned integer that a processor of x86-64 makes of it, for scores that no place has.
fn unsigned(score: f64) -> u64 {
    const HALF: f64 = (1u64 << 63) as f64;
    let signed = |value: f64| if value < HALF { value as i64 } else { i64::MIN };
    if score < HALF { signed(score) as u64 } else { signed(score - HALF) as u64 ^ 1 << 63 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_interleave() {
        for bits in [0, 1, 2, 0xdead_beef, u32::MAX] {
            assert_eq!(gather(scatter(bits)), bits);
        }
        assert_eq!((scatter(0b111), gather(0b1101)), (0b10101, 0b11));
    }

    #[test]
    fn known_places() {
        let palermo = Position { longitude: 13.361389, latitude: 38.115556 };
        assert_eq!(encode(palermo), 3_479_099_956_230_698);
        let decoded = decode(3_479_099_956_230_698.0);
        assert_eq!((decoded.longitude, decoded.latitude), (13.361389338970184, 38.1155563954963));
        assert_eq!(&letters(decoded), b"sqc8b49rny0");
    }

    #[test]
    fn cells_surround_each_other_around_the_globe() {
        let corner = Cell { east: 0, north: 0, step: 3 };
        assert_eq!(corner.moved(-1, 0), Cell { east: 7, north: 0, step: 3 });
        assert_eq!(corner.moved(-1, -1).moved(1, 1), corner);
        assert_eq!(corner.moved(1, 1).scores(), (3 << 46, 4 << 46));
    }

    #[test]
    fn any_score_names_some_cell() {
        let check = |score: f64, bits: u64| assert_eq!(unsigned(score), bits, "{score}");
        check(1.5, 1);
        check(-1.0, u64::MAX);
        check(-1e30, 1 << 63);
        check(1e30, 0);
        check(9_223_372_036_854_775_808.0, 1 << 63);
        check(f64::INFINITY, 0);
        check(f64::NEG_INFINITY, 1 << 63);
    }
}
