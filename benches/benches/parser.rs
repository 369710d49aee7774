//! What it costs to find the commands in a full read buffer, in time a command.
//!
//! `cargo bench -p benches --bench parser`. The buffer is as a worker has it: 16 KiB of pipelined requests, parsed in
//! one pass into a batch that is warm. The `split` rows hand over the same bytes in reads of 1,448, a usual TCP
//! segment, so that nearly every read ends inside a command. The `touch` rows fetch each argument's bytes as well,
//! as `admit` will.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use resp_parser::{Batch, Limits, PROTO_MAX_BULK_LEN, RequestParser, encode_request};

const BUFFER_LEN: usize = 16 << 10;
const SEGMENT_LEN: usize = 1448;
const LIMITS: Limits = Limits::new(PROTO_MAX_BULK_LEN, true);

/// A buffer's name, its bytes, and the number of commands in it.
type Pipeline = (&'static str, Vec<u8>, usize);

fn pipelines() -> Vec<Pipeline> {
    let key = "key:000000000042";
    let value = "v".repeat(64);
    let mut mset = vec!["MSET"];
    for _ in 0..10 {
        mset.extend([key, value.as_str()]);
    }
    let long = "v".repeat(1000);
    vec![
        pipeline("get", &["GET", key]),
        pipeline("set_64", &["SET", key, &value]),
        pipeline("set_1000", &["SET", key, &long]),
        pipeline("mset_10", &mset),
        inline_pipeline(),
    ]
}

/// As many requests of these arguments as fit into the buffer.
fn pipeline(name: &'static str, args: &[&str]) -> Pipeline {
    let mut request = Vec::new();
    encode_request(args, &mut request);
    let commands = BUFFER_LEN / request.len();
    (name, request.repeat(commands), commands)
}

fn inline_pipeline() -> Pipeline {
    let commands = BUFFER_LEN / 6;
    ("ping_inline", b"PING\r\n".repeat(commands), commands)
}

fn whole(c: &mut Criterion) {
    let mut group = c.benchmark_group("parser");
    for (name, bytes, commands) in pipelines() {
        group.throughput(Throughput::Elements(commands as u64));
        let mut batch = Batch::new();
        group.bench_function(BenchmarkId::new("whole", name), |b| {
            b.iter(|| {
                batch.clear();
                let mut parser = RequestParser::default();
                parser.parse(black_box(&bytes), &LIMITS, usize::MAX, &mut batch).expect("requests are valid");
                assert_eq!(batch.len(), commands);
            });
        });
        group.bench_function(BenchmarkId::new("touch", name), |b| {
            b.iter(|| {
                batch.clear();
                let mut parser = RequestParser::default();
                parser.parse(black_box(&bytes), &LIMITS, usize::MAX, &mut batch).expect("requests are valid");
                for command in batch.iter() {
                    for arg in command.iter(&bytes) {
                        black_box(arg);
                    }
                }
            });
        });
        group.bench_function(BenchmarkId::new("split", name), |b| {
            b.iter(|| {
                let mut parser = RequestParser::default();
                let mut found = 0;
                for read in 1..=bytes.len().div_ceil(SEGMENT_LEN) {
                    batch.clear();
                    let end = bytes.len().min(read * SEGMENT_LEN);
                    let arrived = black_box(&bytes[..end]);
                    parser.parse(arrived, &LIMITS, usize::MAX, &mut batch).expect("requests are valid");
                    found += batch.len();
                }
                assert_eq!(found, commands);
            });
        });
    }
    group.finish();
}

criterion_group!(parser, whole);
criterion_main!(parser);
