//! Compressed strings: unpacking ends with as many bytes as were claimed or not at all, and packing unpacks to the same.
//!
//! The first four bytes are the claimed length; the rest is what is unpacked, and packed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rdb::lzf::{Compressor, decompress};
use store_fuzz::seeds;

fuzz_target!(
    init: seeds::write(start()),
    |input: &[u8]| {
        let Some((len, bytes)) = input.split_first_chunk::<4>() else { return };
        let len = u32::from_le_bytes(*len) as usize;
        if let Some(unpacked) = decompress(bytes, len) {
            assert_eq!(unpacked.len(), len);
            same_again(&unpacked);
        }
        same_again(bytes);
    }
);

fn same_again(bytes: &[u8]) {
    let (mut compressor, mut packed) = (Compressor::default(), Vec::new());
    assert!(compressor.compress(bytes, usize::MAX / 2, &mut packed));
    assert_eq!(decompress(&packed, bytes.len()).as_deref(), Some(bytes));
}

fn start() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 4] = [b"", b"abcabcabcabcabcabcabcabcabc", &[0; 700], &[b'x'; 9_000]];
    let seed = |text: &[u8]| {
        let mut seed = (text.len() as u32).to_le_bytes().to_vec();
        Compressor::default().compress(text, usize::MAX / 2, &mut seed);
        seed
    };
    texts.into_iter().map(seed).collect()
}
