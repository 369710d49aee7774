//! The surface.
