//! RESTORE of payloads that were spoilt with care: bytes changed, cut out, doubled, and the checksum made right again, so
//! that each reaches the decoder of its form. It is refused or it makes a value; then everything that reads or changes
//! such a value is asked of it. The server must answer all the while, and must not grow.
//!
//! This is what `integration/corrupt-dump-fuzzer` of the upstream suite does, over every form that both servers write.
//! `BRINDLE_CORRUPT_PAYLOADS` says how many (default 4,000; 100,000 with `BRINDLE_DEPTH=full`), `BRINDLE_CORRUPT_SEED`
//! repeats a run.

use testkit::differential::{DEFAULT_LIMITS, SMALL_LIMITS};
use testkit::grammar::seeds_of_family;
use testkit::reply::{items, text};
use testkit::words::join;
use testkit::{Client, Program, Reply, Server, Words, found};

const REFERENCE: &str = "redis-8.0.2";
const OLDER: &str = "redis-7.0.15";
/// Version and checksum at the end of a payload.
const TRAILER: usize = 10;
/// What a spoilt value may make the server grow to.
const RESIDENT_MAX: u64 = 512 * 1024 * 1024;

/// Everything that looks at a value of unknown type, and some that change it; errors are answers too.
const PROBES: &str = "TYPE k\nOBJECT ENCODING k\nDUMP k\nMEMORY USAGE k SAMPLES 0\nDEBUG DIGEST-VALUE k\nGET k\nAPPEND k x\n\
    LRANGE k 0 -1\nLINDEX k -1\nLPOS k a\nLINSERT k BEFORE a b\nLREM k 0 a\nRPUSH k z\nLPOP k\nRPOP k\nSMEMBERS k\n\
    SRANDMEMBER k 3\nSADD k z 7\nSREM k a 1\nSPOP k\nSSCAN k 0 COUNT 100\nHGETALL k\nHTTL k FIELDS 2 a b\nHSET k a 1 z 2\n\
    HDEL k a\nHRANDFIELD k 2 WITHVALUES\nHSCAN k 0 COUNT 100\nZRANGE k 0 -1 WITHSCORES\nZRANGEBYSCORE k -inf +inf\n\
    ZRANGEBYLEX k - +\nZADD k 3 z\nZRANK k a\nZREM k a\nZPOPMIN k\nZSCAN k 0 COUNT 100\nXLEN k\nXRANGE k - +\n\
    XREVRANGE k + -\nXINFO STREAM k FULL COUNT 0\nXINFO GROUPS k\nXPENDING k g\nXADD k * f v\nXTRIM k MAXLEN 1\n\
    XAUTOCLAIM k g c 0 0\nBITCOUNT k\nPFCOUNT k\nSORT k ALPHA\nCOPY k k2 REPLACE\nDEL k k2";

fn payloads(program: &Program, arguments: &[&str]) -> Vec<Vec<u8>> {
    let server = Server::start(program, arguments).expect("the server starts");
    let mut client = server.connect().expect("a connection");
    // Commands that it does not know are simply refused.
    client.pipeline(&seeds_of_family("generic")).expect("replies");
    let keys = client.call(&["KEYS", "*"]).expect("a reply");
    let payload = |key| match client.call(&[b"DUMP".as_slice(), key]).expect("a reply") {
        Reply::Bulk(payload) => Some(payload),
        _ => None,
    };
    items(&keys).iter().filter_map(text).filter_map(payload).collect()
}

/// Redis's CRC-64: Jones's polynomial, reflected, begun with 0.
fn crc64(bytes: &[u8]) -> u64 {
    const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u64::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 })
    })
}

fn sealed(mut value: Vec<u8>, version: [u8; 2]) -> Vec<u8> {
    value.extend(version);
    let checksum = crc64(&value);
    value.extend(checksum.to_le_bytes());
    value
}

/// One to four changes somewhere.
fn spoil(payload: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let (value, trailer) = payload.split_at(payload.len() - TRAILER);
    let mut value = value.to_vec();
    for _ in 0..random.usize(1..=4) {
        let at = random.usize(..value.len());
        match random.u8(..8) {
            0 => value[at] = random.u8(..),
            1 => value[at] ^= 1 << random.u8(..8),
            2 => value[at] = *random.choice(&[0, 1, 0x3f, 0x7f, 0x80, 0x81, 0xc0, 0xf0, 0xfe, 0xff]).expect("some"),
            3 => value[at] = value[at].wrapping_add(1),
            4 => value[at] = value[at].wrapping_sub(1),
            5 if value.len() > 1 => drop(value.remove(at)),
            6 => value.insert(at, random.u8(..)),
            _ => {
                let end = (at + random.usize(1..9)).min(value.len());
                let piece = value[at..end].to_vec();
                let to = random.usize(..=value.len());
                value.splice(to..to, piece);
            }
        }
    }
    sealed(value, [trailer[0], trailer[1]])
}

fn count() -> usize {
    let full = std::env::var("BRINDLE_DEPTH").as_deref() == Ok("full");
    let chosen = std::env::var("BRINDLE_CORRUPT_PAYLOADS").ok();
    chosen.map_or(if full { 100_000 } else { 4_000 }, |count| {
        count.parse().expect("BRINDLE_CORRUPT_PAYLOADS is a number")
    })
}

fn resident_bytes(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[test]
fn the_checksum_is_redis_s() {
    // The check value that Redis's own source gives for this CRC.
    assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
}

#[test]
fn corrupt_payloads_do_no_harm() {
    let Some(subject) = found(Program::subject(), "brindle-server") else { return };
    let mut sources = Vec::new();
    for name in [REFERENCE, OLDER] {
        let Some(program) = found(Program::reference(name), name) else { return };
        sources.extend(payloads(&program, DEFAULT_LIMITS.arguments));
        // The older one does not know all of these limits.
        if name == REFERENCE {
            sources.extend(payloads(&program, SMALL_LIMITS.arguments));
        }
    }
    sources.sort();
    sources.dedup();
    let seed = std::env::var("BRINDLE_CORRUPT_SEED")
        .ok()
        .map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    let mut random = fastrand::Rng::with_seed(seed);
    let server = Server::start(&subject, DEFAULT_LIMITS.arguments).expect("the server starts");
    let mut client = server.connect().expect("a connection");
    let probes: Vec<Words> =
        PROBES.lines().map(|line| testkit::words::split(line.as_bytes()).expect("words")).collect();
    let mut taken = 0;
    for number in 0..count() {
        let payload = spoil(random.choice(&sources).expect("payloads"), &mut random);
        let restore: Words = vec![b"RESTORE".to_vec(), b"k".to_vec(), b"0".to_vec(), payload, b"REPLACE".to_vec()];
        let outcome = client.call(&restore).and_then(|reply| {
            let made = reply == Reply::Simple(b"OK".to_vec());
            if made { client.pipeline(&probes).map(|_| 1) } else { Ok(0) }
        });
        taken += outcome.unwrap_or_else(|error| {
            panic!("seed {seed}, payload {number}: {error} after\n{}\n{}", join(&restore), server.log())
        });
    }
    println!("{} payloads spoilt {} times (seed {seed}); {taken} made a value", sources.len(), count());
    assert!(taken > count() / 50, "only {taken} made a value: too little was tried");
    assert!(resident_bytes(&server) < RESIDENT_MAX, "{} bytes (seed {seed})", resident_bytes(&server));
    alive(&mut client);
}

fn alive(client: &mut Client) {
    assert_eq!(client.call(&["PING"]).expect("a reply"), Reply::Simple(b"PONG".to_vec()));
}
