//! What a search covers: a circle or a box on the globe, and the cells of the grid that it may touch.

use std::f64::consts::PI;

use super::hash::{Cell, Position, STEP_MAX};

/// Metres; a sphere is assumed.
const EARTH_RADIUS: f64 = 6_372_797.560_856;
/// Metres from the equator to an end of the Web Mercator projection.
const MERCATOR_MAX: f64 = 20_037_726.37;
const RADIANS: f64 = PI / 180.0;

/// The area that a search covers; lengths are in `unit`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) center: Position,
    pub(super) outline: Outline,
    /// Metres.
    pub(super) unit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outline {
    Circle { radius: f64 },
    Box { width: f64, height: f64 },
}

impl Shape {
    /// The distance of a place from the centre in metres, if the shape covers the place.
    pub(super) fn distance_within(&self, place: Position) -> Option<f64> {
        match self.outline {
            Outline::Circle { radius } => {
                let apart = distance(self.center, place);
                // Not a number, which rounding makes of opposite places now and then, is not outside.
                let outside = apart > radius * self.unit;
                (!outside).then_some(apart)
            }
            Outline::Box { width, height } => {
                let across = Position { longitude: self.center.longitude, latitude: place.latitude };
                let outside = latitude_distance(place, self.center) > height * self.unit / 2.0
                    || distance(place, across) > width * self.unit / 2.0;
                (!outside).then(|| distance(self.center, place))
            }
        }
    }

    /// Cells that cover the shape: that of the centre and those of its eight neighbours that the shape reaches, in the order
    /// in which Redis visits them, which unsorted answers show.
    pub(super) fn cells(&self) -> Vec<Cell> {
        /// To the east and to the north.
        const NEIGHBOURS: [(i32, i32); 8] = [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let bounds = self.bounds();
        let mut step = self.step();
        let mut center = Cell::of(self.center, step);
        if step > 1 && !bounds.reached_by_neighbours(center) {
            step -= 1;
            center = Cell::of(self.center, step);
        }
        let (longitudes, latitudes) = center.area();
        let useless = |(east, north): (i32, i32)| {
            (north < 0 && latitudes.min < bounds.south)
                || (north > 0 && latitudes.max > bounds.north)
                || (east < 0 && longitudes.min < bounds.west)
                || (east > 0 && longitudes.max > bounds.east)
        };
        let mut cells = vec![center];
        for (east, north) in NEIGHBOURS {
            // With the coarsest grid nothing is left out.
            if step >= 2 && useless((east, north)) {
                continue;
            }
            let cell = center.moved(east, north);
            // Around the globe neighbours can be the same; Redis looks for that among all but the first.
            if cells.len() == 1 || cells.last() != Some(&cell) {
                cells.push(cell);
            }
        }
        cells
    }

    /// The degrees that the shape reaches.
    fn bounds(&self) -> Bounds {
        let (width, height) = match self.outline {
            Outline::Circle { radius } => (radius, radius),
            Outline::Box { width, height } => (width / 2.0, height / 2.0),
        };
        let (width, height) = (self.unit * width, self.unit * height);
        let Position { longitude, latitude } = self.center;
        let latitude_delta = height / EARTH_RADIUS / RADIANS;
        // A parallel is shortest at the shape's side towards the pole.
        let polar = if latitude < 0.0 { latitude - latitude_delta } else { latitude + latitude_delta };
        let longitude_delta = width / EARTH_RADIUS / (polar * RADIANS).cos() / RADIANS;
        Bounds {
            west: longitude - longitude_delta,
            east: longitude + longitude_delta,
            south: latitude - latitude_delta,
            north: latitude + latitude_delta,
        }
    }

    /// How finely to cut the grid so that nine cells cover the shape in most cases.
    fn step(&self) -> u32 {
        let mut reach = self.unit
            * match self.outline {
                Outline::Circle { radius } => radius,
                Outline::Box { width, height } => (width / 2.0 * (width / 2.0) + height / 2.0 * (height / 2.0)).sqrt(),
            };
        if reach == 0.0 {
            return STEP_MAX;
        }
        let mut step: i32 = 1;
        // At most some two thousand times, since the smallest double is not smaller.
        while reach < MERCATOR_MAX {
            reach *= 2.0;
            step += 1;
        }
        step -= 2;
        // Towards the poles a degree of longitude is short.
        let latitude = self.center.latitude.abs();
        step -= i32::from(latitude > 66.0) + i32::from(latitude > 80.0);
        step.clamp(1, STEP_MAX as i32) as u32
    }
}

/// Degrees.
struct Bounds {
    west: f64,
    east: f64,
    south: f64,
    north: f64,
}

impl Bounds {
    /// Whether the neighbours of a cell reach as far in every direction.
    fn reached_by_neighbours(&self, center: Cell) -> bool {
        let (north, south) = (center.moved(0, 1).area().1, center.moved(0, -1).area().1);
        let (east, west) = (center.moved(1, 0).area().0, center.moved(-1, 0).area().0);
        let short = north.max < self.north || south.min > self.south || east.max < self.east || west.min > self.west;
        !short
    }
}

/// Metres between two places by the haversine formula.
pub(super) fn distance(from: Position, to: Position) -> f64 {
    let v = ((to.longitude * RADIANS - from.longitude * RADIANS) / 2.0).sin();
    if v == 0.0 {
        return latitude_distance(from, to);
    }
    let (from, to) = (from.latitude * RADIANS, to.latitude * RADIANS);
    let u = ((to - from) / 2.0).sin();
    let a = u * u + from.cos() * to.cos() * v * v;
    2.0 * EARTH_RADIUS * a.sqrt().asin()
}

/// Metres between the parallels of two places.
fn latitude_distance(from: Position, to: Position) -> f64 {
    EARTH_RADIUS * (to.latitude * RADIANS - from.latitude * RADIANS).abs()
}
