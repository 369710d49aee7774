"""Side by side: throughput, latency, processor time, system calls, memory and replicas of several servers.

Started by scripts/compare.sh, which says what it takes. One core serves, another makes the load (redis-benchmark of
Redis 8.0.2 for all). Rounds are interleaved: in each, every server runs the same cell before the next cell begins, so
that a machine that is slow for a while is slow for all. Look at the ratios; they are of medians over the rounds.
"""

import collections
import os
import re
import signal
import statistics
import subprocess
import sys
import time

import replication
import script
from script import publish, write_csv
from servers import Server, batched, encode, say, wanted_servers
from workers import CLIENTS, KEYS, PacedLoad, benchmark, rate_of

VALUE = b"v" * 64
PIPELINES = (1, 16, 128)

# Random members and keys come from the benchmark tool, over KEYS numbers.
R = "__rand_int__"
TEXT = VALUE.decode()

# name, command, requests in one run are divided by this, what the keyspace holds before
WORKLOADS = [
    ("GET", ["GET", f"key:{R}"], 1, "strings"),
    ("SET", ["SET", f"key:{R}", TEXT], 1, "strings"),
    ("MGET of 10", ["MGET"] + [f"key:{R}"] * 10, 6, "strings"),
    ("MSET of 10", ["MSET"] + [f"key:{R}", TEXT] * 10, 6, "strings"),
    ("INCR", ["INCR", f"count:{R}"], 1, "empty"),
    ("LPUSH", ["LPUSH", f"list:{R}", "element"], 1, "empty"),
    ("SADD", ["SADD", f"set:{R}", f"member:{R}"], 1, "empty"),
    ("HSET, 2 fields", ["HSET", f"hash:{R}", "one", f"value:{R}", "two", f"value:{R}"], 1, "empty"),
    ("ZADD", ["ZADD", f"zset:{R}", R, f"member:{R}"], 1, "empty"),
    ("XADD", ["XADD", f"stream:{R}", "*", "field", f"value:{R}"], 2, "empty"),
]

# What issue 5 of this project aims at: CPU a request over that of Redis, one worker, by workload and pipeline.
AIMS = {
    "GET": (0.84, 0.42, 0.22), "SET": (0.84, 0.42, 0.22), "INCR": (0.88, 0.40, 0.30),
    "LPUSH": (0.90, 0.60, 0.40), "SADD": (0.90, 0.50, 0.40), "HSET, 2 fields": (0.90, 0.50, 0.40),
    "ZADD": (0.90, 0.50, 0.40), "XADD": (0.90, 0.50, 0.40),
    "MGET of 10": (None, 0.35, 0.33), "MSET of 10": (None, 0.35, 0.33),
}

# Requests in one run, by pipeline: about a second each, so that processor time is well above its resolution.
REQUESTS = {1: 100_000, 16: 800_000, 128: 1_500_000}
QUICK_REQUESTS = {1: 30_000, 16: 200_000, 128: 400_000}

# With --filled: requests of a workload ahead of its first run, after which 993 of 1000 keys are there.
FILLING = 5 * KEYS
FILLING_PIPELINE = 128

TRACED_REQUESTS = 20_000
HALF_LOAD_PROBE_US = 300

Sample = collections.namedtuple(
    "Sample", "server workload pipeline round requests_per_second p50_ms p99_ms p999_ms cpu_us")
Traced = collections.namedtuple("Traced", "server workload pipeline calls_per_request detail")
HalfLoad = collections.namedtuple("HalfLoad", "server workload requests_per_second p50_ms p99_ms p999_ms")


class Results:
    """What was measured so far."""

    def __init__(self):
        self.versions, self.resident, self.samples, self.traced, self.notes = {}, {}, [], [], []
        self.half_load, self.fan_out, self.sending, self.rounds_done = [], [], {}, 0


def main():
    options = arguments()
    results = Results()
    commands = wanted_servers(options.ours, options.reference, options.peer)
    commands["Brindle"] += ["--io-threads", "1"]

    def finish(interrupted):
        if interrupted:
            results.notes.append("Interrupted: what follows holds what was measured until then.")
        report(results, options)

    script.run(lambda: measure(commands, options, results), finish)


def arguments():
    options = script.arguments()
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.requests = QUICK_REQUESTS if options.quick else REQUESTS
    options.half_load_seconds = 2 if options.quick else 10
    options.replicas = (0, 1, 4, 16) if options.quick else replication.REPLICAS
    options.fan_out_requests = replication.QUICK_REQUESTS if options.quick else replication.REQUESTS
    options.workloads = [w for w in WORKLOADS if options.only.lower() in w[0].lower()]
    if not options.workloads:
        sys.exit(f"no workload has '{options.only}' in its name: {', '.join(w[0] for w in WORKLOADS)}")
    return options


def measure(commands, options, results):
    if options.server_core == options.load_core:
        results.notes.append("This machine has one core, which serves and makes the load: figures say little.")
    servers = []
    try:
        for name, command in commands.items():
            servers.append(Server(name, command, options.servers_folder, options.server_core))
            results.versions[name] = servers[-1].version()
            say(f"{name} {results.versions[name]}: port {servers[-1].port}, core {options.server_core}")
        measure_resident(servers, results)
        measure_rounds(servers, options, results)
        measure_half_load(servers, options, results)
        measure_calls(servers, options, results)
    finally:
        for server in servers:
            server.stop()
    if not options.only:
        replication.measure_fan_out(commands, options, results, rounds=1)


# --- what is in the keyspace ----------------------------------------------------------------------------------------


def fill(server):
    """A million keys, the ones that the workloads pick from."""
    with server.connect() as connection:
        for batch in batched(encode("SET", b"key:%012d" % number, VALUE) for number in range(KEYS)):
            connection.batch(batch)


def flush(server):
    """Leaves nothing, and nothing to be freed behind the next measurement either: some free at once, some behind the reply."""
    with server.connect() as connection:
        connection.command("FLUSHALL")
        while re.search(rb"lazyfree_pending_objects:[1-9]", connection.command("INFO", "memory")):
            time.sleep(0.05)


def measure_resident(servers, results):
    say(f"-- {KEYS:,} keys of 16 bytes with values of {len(VALUE)}")
    for server in servers:
        empty = server.settled_resident()
        fill(server)
        results.resident[server.name] = server.settled_resident() - empty
        say(f"   {server.name:<14} {results.resident[server.name] / (1 << 20):.1f} MiB above the empty server")


# --- throughput, latency, processor time ----------------------------------------------------------------------------


def measure_rounds(servers, options, results):
    cells = [(workload, pipeline) for workload in options.workloads for pipeline in PIPELINES]
    total, done, started = len(cells) * options.rounds, 0, time.monotonic()
    for round_number in range(1, options.rounds + 1):
        # The keyspace holds the strings when a round begins; the others start from nothing, or from their own keys.
        is_filled = True
        for (name, words, divisor, holds), pipeline in cells:
            if holds == "empty" and (is_filled or pipeline == PIPELINES[0]):
                for server in servers:
                    flush(server)
                    if options.filled:
                        benchmark(server, words, FILLING_PIPELINE, FILLING // divisor, options)
                is_filled = False
            # Who goes first changes, so that nobody always follows the same neighbour.
            first = done % len(servers)
            line = []
            for server in servers[first:] + servers[:first]:
                count = max(options.requests[pipeline] // divisor, 1000)
                sample = run(server, name, words, pipeline, count, round_number, options)
                results.samples.append(sample)
                line.append(f"{server.name} {sample.requests_per_second:,.0f}/s {sample.cpu_us:.2f} us")
            done += 1
            left = (time.monotonic() - started) / done * (total - done)
            say(f"   round {round_number}/{options.rounds} {name}, pipeline {pipeline}: {'; '.join(sorted(line))}"
                f"   ({left / 60:.0f} min left)")
        results.rounds_done = round_number
        needs_strings = any(holds == "strings" for *_, holds in options.workloads)
        if not is_filled and needs_strings and round_number < options.rounds:
            for server in servers:
                flush(server)
                fill(server)


def run(server, name, words, pipeline, count, round_number, options):
    output, spent = benchmark(server, words, pipeline, count, options)
    rate = rate_of(output)
    shares = [(float(a), float(b)) for a, b in re.findall(r"^([\d.]+)% <= ([\d.]+) milliseconds", output, re.M)]
    # Two tables stand in the output; the first, by percentile, is the finer one.
    p50, p99, p999 = (next(ms for share, ms in shares if share >= wanted) for wanted in (50, 99, 99.9))
    return Sample(server.name, name, pipeline, round_number, rate, p50, p99, p999, spent / count * 1e6)


# --- system calls ---------------------------------------------------------------------------------------------------


def measure_calls(servers, options, results):
    say("-- system calls a request")
    if subprocess.run(["which", "strace"], capture_output=True).returncode != 0:
        results.notes.append("System calls were not counted: strace is not here.")
        return
    for server in servers:
        flush(server)
    for name, words, _, _ in [w for w in options.workloads if w[0] in ("GET", "SET")]:
        for pipeline in (1, 16):
            for server in servers:
                traced = trace(server, name, words, pipeline, options)
                if traced is None:
                    results.notes.append("System calls were not counted: strace may not attach here.")
                    return
                results.traced.append(traced)
                say(f"   {name}, pipeline {pipeline}, {server.name}: {traced.calls_per_request:.2f} ({traced.detail})")


def trace(server, name, words, pipeline, options):
    path = os.path.join(options.servers_folder, "strace.txt")
    tracer = subprocess.Popen(["strace", "-c", "-f", "-q", "-o", path, "-p", str(server.process.pid)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        time.sleep(0.5)
        if tracer.poll() is not None:
            return None
        benchmark(server, words, pipeline, TRACED_REQUESTS, options)
    finally:
        if tracer.poll() is None:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(10)
    counts = {}
    with open(path) as table:
        for line in table:
            # % time, seconds, usecs/call, calls, [errors], syscall
            fields = line.split()
            if len(fields) >= 5 and re.fullmatch(r"[\d.]+", fields[0]) and fields[-1] != "total":
                counts[fields[-1]] = int(fields[3])
    most = sorted(counts.items(), key=lambda item: -item[1])[:3]
    detail = ", ".join(f"{call} {count / TRACED_REQUESTS:.2f}" for call, count in most)
    return Traced(server.name, name, pipeline, sum(counts.values()) / TRACED_REQUESTS, detail)


# --- at half load ---------------------------------------------------------------------------------------------------


def measure_half_load(servers, options, results):
    """Latency of single requests while the server does half of what it can at pipeline 16. At full load a request waits
    for the others of its pipeline, so its latency says little about the server."""
    say("-- latency at half load")
    for name in [w[0] for w in options.workloads if w[0] in ("GET", "SET")]:
        for server in servers:
            rates = [s.requests_per_second for s in results.samples if s[:3] == (server.name, name, 16)]
            if not rates:
                continue
            load = PacedLoad(options, server.port, name, statistics.median(rates) / 2, "--probe-us", HALF_LOAD_PROBE_US, spin=True)
            time.sleep(options.half_load_seconds)
            (reached, *times), = (line[:5] for line in load.result())
            found = HalfLoad(server.name, name, reached, *(us / 1e3 for us in times[:3]))
            results.half_load.append(found)
            say(f"   {name}, {server.name}: {reached:,.0f}/s, p50 {found.p50_ms:.3f} ms, p99 {found.p99_ms:.3f} ms")


# --- the report -----------------------------------------------------------------------------------------------------


def report(results, options):
    os.makedirs(options.out, exist_ok=True)
    write_csv(options.out, "rounds.csv", Sample._fields, results.samples)
    write_csv(options.out, "calls.csv", Traced._fields, results.traced)
    write_csv(options.out, "half_load.csv", HalfLoad._fields, results.half_load)
    write_csv(options.out, "replicas.csv", replication.FanOut._fields, results.fan_out)
    summary = summarise(results)
    write_csv(options.out, "summary.csv", Sample._fields[:3] + Sample._fields[4:], summary)
    publish(markdown(results, summary, options), os.path.join(options.out, "compare.md"),
            lambda plots: plots.draw(results, summary, options.out))


def summarise(results):
    """The median over the rounds, for each server, workload and pipeline."""
    groups = collections.defaultdict(list)
    for sample in results.samples:
        groups[sample.server, sample.workload, sample.pipeline].append(sample[4:])
    return [(*cell, *(statistics.median(column) for column in zip(*rows))) for cell, rows in groups.items()]


def markdown(results, summary, options):
    servers = list(results.versions)
    cells = {row[:3]: row[3:] for row in summary}
    lines = ["# Side by side", "", f"{', '.join(f'{name} ({version})' for name, version in results.versions.items())}. "
             f"One core serves (one event loop), one makes the load: redis-benchmark of Redis 8.0.2, {CLIENTS} clients, "
             f"{KEYS:,} random keys, values of {len(VALUE)} bytes. Medians of {results.rounds_done} interleaved rounds."
             f"{' Nearly all keys are there before they are measured.' if options.filled else ''}"]
    lines += [""] + [f"- {note}" for note in results.notes] if results.notes else []
    for title, index, show in (
            ("Server CPU a request, microseconds", 4, lambda value: f"{value:.2f}"),
            ("Requests a second", 0, lambda value: f"{value:,.0f}"),
            ("Latency p50 / p99 / p99.9, milliseconds", None, None)):
        if not cells:
            break
        ratios = index == 4 and len(servers) > 1
        head = ["", "pipeline", *servers] + ([f"{servers[0]} / {servers[1]}", "aim"] if ratios else [])
        lines += ["", f"## {title}", "", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        for workload in [w[0] for w in options.workloads]:
            for column, pipeline in enumerate(PIPELINES):
                found = [cells.get((server, workload, pipeline)) for server in servers]
                if all(cell is None for cell in found):
                    continue
                row = [workload, str(pipeline)]
                for cell in found:
                    row.append("" if cell is None else
                               " / ".join(f"{value:.2f}" for value in cell[1:4]) if index is None else show(cell[index]))
                if ratios:
                    aim = AIMS[workload][column]
                    known = found[0] is not None and found[1] is not None
                    row += [f"{found[0][4] / found[1][4]:.2f}" if known else "", "" if aim is None else f"{aim:.2f}"]
                lines.append("| " + " | ".join(row) + " |")
    if results.traced:
        lines += ["", "## System calls a request", "", "| | pipeline | server | calls | the most frequent |", "|---|---|---|---|---|"]
        lines += [f"| {t.workload} | {t.pipeline} | {t.server} | {t.calls_per_request:.2f} | {t.detail} |" for t in results.traced]
    if results.resident:
        lines += ["", f"## Resident memory of {KEYS:,} keys, MiB above the empty server", "",
                  "| " + " | ".join(results.resident) + " |", "|---" * len(results.resident) + "|",
                  "| " + " | ".join(f"{value / (1 << 20):.1f}" for value in results.resident.values()) + " |"]
    if results.half_load:
        lines += ["", "## Latency of single requests at half load, milliseconds", "",
                  "While the server does half of what it could at pipeline 16, as far as the load reaches that.", "",
                  "| | server | requests a second | p50 | p99 | p99.9 |", "|---|---|---|---|---|---|"]
        lines += [f"| {h.workload} | {h.server} | {h.requests_per_second:,.0f} | {h.p50_ms:.3f} | {h.p99_ms:.3f} | {h.p999_ms:.3f} |"
                  for h in results.half_load]
    lines += replication.fan_out_table(results.fan_out, results.sending)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
