//! The CRC-64 at the end of files and DUMP payloads: Jones's polynomial, reflected, from 0.

use crc_fast::CrcAlgorithm::Crc64Redis;

/// The checksum of bytes that come in pieces.
#[derive(Clone, Copy, Debug)]
pub struct Crc64(crc_fast::Digest);

impl Crc64 {
    /// That of no bytes.
    pub fn new() -> Self {
        Self(crc_fast::Digest::new(Crc64Redis))
    }

    /// Goes on with more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of all bytes so far.
    pub fn value(&self) -> u64 {
        self.0.finalize()
    }
}

impl Default for Crc64 {
    fn default() -> Self {
        Self::new()
    }
}

/// The checksum of `bytes`.
pub fn crc64(bytes: &[u8]) -> u64 {
    crc_fast::checksum(Crc64Redis, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bit by bit, as the polynomial says.
    fn naive(bytes: &[u8]) -> u64 {
        const POLYNOMIAL_REFLECTED: u64 = 0xad93_d235_94c9_35a9_u64.reverse_bits();
        bytes.iter().fold(0, |crc, byte| {
            (0..8)
                .fold(crc ^ u64::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL_REFLECTED } else { 0 })
        })
    }

    #[test]
    fn is_the_one_of_redis() {
        // The check value that Redis's own source names.
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        let mut rng = fastrand::Rng::with_seed(1);
        for len in (0..300).chain([1000, 4096, 10_001]) {
            let bytes: Vec<u8> = (0..len).map(|_| rng.u8(..)).collect();
            assert_eq!(crc64(&bytes), naive(&bytes), "{len} bytes");
            let (head, tail) = bytes.split_at(rng.usize(..=len));
            let mut pieces = Crc64::new();
            pieces.update(head);
            pieces.update(tail);
            assert_eq!(pieces.value(), naive(&bytes), "{len} bytes in two pieces");
        }
    }
}
