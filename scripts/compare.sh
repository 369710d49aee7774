#!/usr/bin/env bash
# Compares the server with Redis 8.0.2 and Valkey 8.1 on this machine, side by side.
#
#     scripts/compare.sh [--replication | --stalls] [--quick] [--rounds N] [--only TEXT] [--filled]
#                        [--peer NAME=COMMAND]...
#
#     --replication         replication instead of commands, see below
#     --stalls              the slowest request, see below; about ten minutes
#     --quick               one round of short runs, under three minutes on a quiet machine
#     --rounds N            interleaved rounds; default 5, which takes about half an hour; of
#                           replication 3, about ten minutes
#     --only TEXT           only the workloads with TEXT in their name (GET, SET, HSET ...); of
#                           replication the parts copy, fan-out, visible, away
#     --filled              INCR, LPUSH, SADD, HSET, ZADD and XADD over keys that are there; else they
#                           begin with an empty keyspace, and most of them create their key
#     --peer NAME=COMMAND   a further server; `{port}` in COMMAND stands for its port, and
#                           without it `--port PORT` is added
#
# One core serves and another makes the load, with redis-benchmark. Measured are requests a
# second, latency (p50, p99, p99.9) at full load, that of single requests at half load, the
# server's CPU time a request, system calls a request (where strace is), resident memory, and
# what 0 to 16 replicas cost their primary.
#
# With --replication: a full copy of a gigabyte under writes (MB/s, the slowest request
# meanwhile; the peak of memory while every key is overwritten), throughput and CPU of a primary
# with 0 to 16 replicas, the time from a write to its being visible on a replica, idle and at
# half load, and the time to catch up after ten seconds apart.
#
# With --stalls: the slowest single request while ten million keys are loaded, a million expire
# within a second, values of millions of members grow and are freed, and all is flushed; what
# the machine itself stalled in that moment is told apart.
#
# Prints a report and writes it to target/compare: compare.md, summary.csv (medians),
# rounds.csv (every run), half_load.csv, calls.csv, replicas.csv and plots as SVG; with
# --replication replication.md, replication_*.csv and replication_*.svg; with --stalls stalls.md,
# stalls.csv and stalls.svg. An interrupt (Ctrl-C) ends the servers and reports what there is. The
# plots need matplotlib, which is brought from PyPI into target/compare/venv; without the network
# there are none.
#
# BRINDLE_SERVER names our binary; default: the release profile, which is built. Needs python3
# and taskset.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

out=$target_dir/compare

main() {
    local options=() program=compare
    while [[ $# -gt 0 ]]; do
        case $1 in
            --replication) program=replication && shift ;;
            --stalls) program=stalls && shift ;;
            --quick | --filled) options+=("$1") && shift ;;
            --rounds | --only | --peer) options+=("$1" "${2:?$1 needs a value}") && shift 2 ;;
            -h | --help) usage && exit 0 ;;
            *) die "unknown argument '$1' (see --help)" ;;
        esac
    done
    need python3 python3
    need taskset util-linux
    mkdir -p "$out"
    local redis valkey
    redis=$("$repo_root/scripts/references.sh" --path redis-8.0.2)
    valkey=$("$repo_root/scripts/references.sh" --path valkey-8.1)
    release_server
    local paced_load=$target_dir/release/examples/paced_load
    build_release --package benches --example paced_load
    local python=$out/venv/bin/python
    bring_plots || python=python3
    exec "$python" -B "$repo_root/scripts/measure/$program.py" --ours "$server" --out "$out" \
        --benchmark "$redis/redis-benchmark" --paced-load "$paced_load" \
        --reference "Redis 8.0.2=$redis/redis-server" --reference "Valkey 8.1=$valkey/valkey-server" "${options[@]}"
}

# bring_plots: a Python with matplotlib, of which the report can do without.
bring_plots() {
    local wanted=$repo_root/scripts/measure/requirements.txt
    cmp -s "$wanted" "$out/venv/requirements.txt" && return
    say "bringing matplotlib for the plots"
    rm -rf "$out/venv"
    if python3 -m venv "$out/venv" && "$out/venv/bin/pip" install --quiet --no-input --requirement "$wanted"; then
        cp "$wanted" "$out/venv/requirements.txt"
    else
        say "matplotlib cannot be had here, so there will be no plots"
        return 1
    fi
}

main "$@"
