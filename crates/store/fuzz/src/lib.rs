//! What the fuzz targets here and in `rdb` share: values are changed beside models, and targets write their own seeds.

pub mod seeds;
pub mod values;
