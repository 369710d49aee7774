//! The sketches against what Redis 8.0.2 made of the same commands, and against bytes that no server made.

use std::sync::atomic::Ordering::Relaxed;

use fastrand::Rng;

use super::estimate::{VALUES, cardinality};
use super::hash::{REGISTERS, place};
use super::sketch::{self, Encoding, Registers};
use crate::testing::Server;

const BYTES_MAX: usize = 3000;

fn sketch_of(elements: u32) -> Vec<u8> {
    let mut bytes = sketch::empty();
    for element in 0..elements {
        sketch::raise(&mut bytes, place(format!("e{element}").as_bytes()), BYTES_MAX).unwrap();
    }
    sketch::forget_count(&mut bytes);
    bytes
}

/// FNV-1a, so that whole sketches fit into a line of a table.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[test]
fn bytes_and_counts_are_those_of_redis() {
    // Elements e0, e1 and so on; the count, the length and the digest of what GET returned after them.
    let check = |elements, count, len, expected| {
        let bytes = sketch_of(elements);
        assert_eq!(cardinality(&sketch::histogram(&bytes).unwrap()), count, "{elements}");
        assert_eq!((bytes.len(), digest(&bytes)), (len, expected), "{elements}");
    };
    check(1, 1, 21, 0xfffb_6fae_ff77_f7cd);
    check(10, 10, 48, 0x4afc_b65d_27f7_d346);
    check(100, 100, 285, 0xb8de_76da_b4a4_065e);
    check(1000, 1008, 1906, 0x5935_de02_3280_6824);
    check(1500, 1509, 2719, 0xd67e_e50b_81f2_a28c);
    check(10_000, 9973, 12_304, 0x7378_cbab_5ab5_c44b);
    check(100_000, 100_853, 12_304, 0xafbf_1713_dc5b_a3c8);
}

/// Registers close together, raised from low values to high ones, so that runs of values are made, split and joined. The
/// digest is that of all states on the way, as GET returned them.
#[test]
fn runs_are_joined_where_redis_joins_them() {
    let places = (0..60_000).map(|element| place(format!("e{element}").as_bytes()));
    let mut places: Vec<_> = places.filter(|place| place.index < 300).collect();
    places.sort_by_key(|place| place.value);
    let (mut bytes, mut states) = (sketch::empty(), Vec::new());
    for place in places {
        sketch::raise(&mut bytes, place, BYTES_MAX).unwrap();
        sketch::forget_count(&mut bytes);
        states.extend_from_slice(&bytes);
    }
    assert_eq!((states.len(), digest(&states)), (193_115, 0x1dca_bc1e_55d1_72ed));
}

/// Registers that only a client's own bytes can have.
#[test]
fn the_largest_values_count_as_in_redis() {
    let check = |of: &dyn Fn(usize) -> u8, expected: u64| {
        let mut histogram = [0; VALUES];
        (0..REGISTERS).for_each(|index| histogram[usize::from(of(index))] += 1);
        assert_eq!(cardinality(&histogram), expected);
    };
    check(&|index| if index < 10 { 51 } else { 1 }, 23_652);
    check(&|index| if index < 16_383 { 51 } else { 0 }, 193_623_433);
    check(&|index| (index % 52) as u8, 303_516);
    check(&|index| if index < 4096 { 51 } else { 48 }, 4_320_463_469_485_400_064);
    check(&|_| 0, 0);
    check(&|index| if index < 8192 { 51 } else { 50 }, 1 << 63);
    check(&|_| 51, 1 << 63);
}

#[test]
fn runs_are_shown_as_redis_shows_them() {
    let mut bytes = sketch::empty();
    for element in ["a", "b", "c"] {
        sketch::raise(&mut bytes, place(element.as_bytes()), BYTES_MAX).unwrap();
    }
    assert_eq!(sketch::decode(&bytes), "Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603");
}

/// Dense or sparse, the registers are the same; and each is the largest value that was to go there.
#[test]
fn both_forms_hold_the_same_registers() {
    let mut rng = Rng::with_seed(7);
    let (mut sparse, mut dense, mut model) = (sketch::empty(), sketch::empty(), vec![0; REGISTERS]);
    sketch::make_dense(&mut dense).unwrap();
    for _ in 0..20_000 {
        let mut place = place(&rng.u64(..).to_le_bytes());
        // Close together, so that runs of values are made, split and joined.
        place.index %= 300;
        let higher = place.value > model[place.index];
        model[place.index] = place.value.max(model[place.index]);
        assert_eq!(sketch::raise(&mut sparse, place, usize::MAX), Ok(higher));
        assert_eq!(sketch::raise_dense(&mut dense, place), higher);
    }
    assert_eq!(Encoding::of(&sparse), Some(Encoding::Sparse));
    for bytes in [&sparse, &dense] {
        let mut registers = Registers::new();
        registers.merge(bytes).unwrap();
        assert!(registers.values() == model);
        assert_eq!(sketch::histogram(bytes), Ok(registers.histogram()));
    }
    sketch::make_dense(&mut sparse).unwrap();
    // Whoever raises a dense register sees to the count.
    sketch::forget_count(&mut dense);
    assert!(sparse == dense);
}

#[test]
fn foreign_bytes_are_refused_or_served() {
    let mut rng = Rng::with_seed(11);
    for _ in 0..5_000 {
        let mut bytes = sketch_of(rng.u32(0..6));
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(5..bytes.len());
            bytes[at] = rng.u8(..);
        }
        bytes.truncate(rng.usize(16..=bytes.len()));
        let sound = sketch::histogram(&bytes).is_ok();
        let _ = sketch::decode(&bytes);
        assert_eq!(Registers::new().merge(&bytes).is_ok(), sound);
        assert_eq!(sketch::make_dense(&mut bytes.clone()).is_ok(), sound);
        for _ in 0..10 {
            let _ = sketch::raise(&mut bytes, place(&[rng.u8(..)]), rng.usize(0..100));
        }
    }
}

#[test]
fn counts_are_kept_and_told_to_replicas() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["PFADD h a b c"]);
    assert_eq!(server.log(), ["0 PFADD h a b c"]);
    assert_eq!(server.events(), ["0 new h", "0 pfadd h"]);
    client.check("PFCOUNT h", ":3\r\n");
    assert_eq!(server.log(), ["0 PFCOUNT h"]);
    client.check("PFCOUNT h", ":3\r\n");
    client.check("PFADD h a", ":0\r\n");
    client.check("PFCOUNT h none", ":3\r\n");
    assert!(server.log().is_empty());
    client.check("PFADD h d e", ":1\r\n");
    client.check("PFMERGE g h", "+OK\r\n");
    client.check("PFCOUNT g", ":5\r\n");
    client.check("PFDEBUG TODENSE g", ":1\r\n");
    client.check("PFDEBUG TODENSE g", ":0\r\n");
    client.check("PFCOUNT g", ":5\r\n");
    assert_eq!(server.log(), ["0 PFADD h d e", "0 PFMERGE g h", "0 PFCOUNT g", "0 PFDEBUG TODENSE g"]);
    client.check("OBJECT ENCODING h", "$3\r\nraw\r\n");
}

#[test]
fn the_sparse_form_has_its_limit() {
    let server = Server::new();
    let mut client = server.client();
    server.settings.hll_sparse_max_bytes.store(24, Relaxed);
    client.all(&["PFADD h a"]);
    client.check("PFDEBUG ENCODING h", "+sparse\r\n");
    client.all(&["PFADD h b c"]);
    client.check("PFDEBUG ENCODING h", "+dense\r\n");
    client.check("PFCOUNT h", ":3\r\n");
    server.settings.hll_sparse_max_bytes.store(3000, Relaxed);
    client.all(&["PFADD small x", "PFMERGE small h"]);
    client.check("PFDEBUG ENCODING small", "+dense\r\n");
    client.check("PFCOUNT small", ":4\r\n");
}

#[test]
fn the_choice_of_instructions_is_confirmed() {
    let mut client = Server::new().client();
    client.check("PFDEBUG simd on", "+enabled\r\n");
    client.check("PFDEBUG SIMD OFF", "+disabled\r\n");
    client.check("PFDEBUG SIMD maybe", "-ERR Argument must be ON or OFF\r\n");
}

/// Redis keeps the elements before the one that finds the sketch corrupt, but does not tell its replicas of them.
#[test]
fn a_corrupt_sketch_stays_as_it_is() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["PFADD h a b c", "SETRANGE h 16 \u{0}"]);
    let before = client.run("STRLEN h");
    server.forget();
    let elements: Vec<String> = (0..100).map(|element| format!("e{element}")).collect();
    client.check(&format!("PFADD h {}", elements.join(" ")), "-INVALIDOBJ Corrupted HLL object detected\r\n");
    client.check("STRLEN h", &before);
    client.check("PFCOUNT h", "-INVALIDOBJ Corrupted HLL object detected\r\n");
    client.check("PFMERGE g h", "-INVALIDOBJ Corrupted HLL object detected\r\n");
    client.check("EXISTS g", ":0\r\n");
    assert!(server.log().is_empty());
}

#[test]
fn what_is_no_sketch_is_refused() {
    let server = Server::new();
    let mut client = server.client();
    client.all(&["SET s HYLL", "SET n 12", "RPUSH l x"]);
    for key in ["s", "n"] {
        for line in ["PFADD KEY a", "PFCOUNT KEY", "PFCOUNT none KEY", "PFMERGE d KEY", "PFDEBUG ENCODING KEY"] {
            client.check(&line.replace("KEY", key), "-WRONGTYPE Key is not a valid HyperLogLog string value.\r\n");
        }
    }
    client.check("PFADD l a", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
}

#[test]
fn the_self_test_finds_nothing() {
    Server::new().client().check("PFSELFTEST", "+OK\r\n");
}
