"""Side by side: throughput, latency, processor time, system calls, memory and replicas of several servers.

Started by scripts/compare.sh, which says what it takes. One core serves, another makes the load (redis-benchmark of
Redis 8.0.2 for all). Rounds are interleaved: in each, every server runs the same cell before the next cell begins, so
that a machine that is slow for a while is slow for all. Look at the ratios; they are of medians over the rounds.
"""

import argparse
import collections
import csv
import os
import re
import signal
import statistics
import subprocess
import sys
import time

from servers import Server, batched, encode, say, wanted_servers

KEYS = 1_000_000
CLIENTS = 50
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

TRACED_REQUESTS = 20_000
REPLICAS = (0, 1, 2, 4, 8, 16)
REPLICA_REQUESTS = 400_000
LINK_SECONDS_MAX = 20
RUN_SECONDS_MAX = 120

Sample = collections.namedtuple(
    "Sample", "server workload pipeline round requests_per_second p50_ms p99_ms p999_ms cpu_us")
Traced = collections.namedtuple("Traced", "server workload pipeline calls_per_request detail")
Replicated = collections.namedtuple("Replicated", "server replicas requests_per_second cpu_us resident_bytes")


class Results:
    """What was measured so far."""

    def __init__(self):
        self.versions, self.resident, self.samples, self.traced, self.replicated, self.notes = {}, {}, [], [], [], []
        self.rounds_done = 0


def main():
    options = arguments()
    # An end from outside is an interrupt too, so that the servers are ended and the report is written.
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    results, status = Results(), 0
    commands = wanted_servers(options.ours, options.reference, options.peer)
    commands["Brindle"] += ["--io-threads", "1"]
    try:
        measure(commands, options, results)
    except KeyboardInterrupt:
        results.notes.append("Interrupted: what follows holds what was measured until then.")
        say("interrupted; writing what there is")
        status = 130
    # The report is short work; a second interrupt must not spoil it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    report(results, options)
    sys.exit(status)


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", required=True)
    parser.add_argument("--benchmark", required=True)
    parser.add_argument("--reference", action="append", default=[])
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("--out", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.requests = QUICK_REQUESTS if options.quick else REQUESTS
    options.replicas = tuple(n for n in REPLICAS if n <= 4) if options.quick else REPLICAS
    cores = sorted(os.sched_getaffinity(0))
    options.server_core, options.load_core = cores[0], cores[-1]
    options.servers_folder = os.path.join(options.out, "servers")
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
        measure_calls(servers, options, results)
    finally:
        for server in servers:
            server.stop()
    measure_replicas(commands, options, results)


# --- what is in the keyspace ----------------------------------------------------------------------------------------


def fill(server):
    """A million keys, the ones that the workloads pick from."""
    with server.connect() as connection:
        for batch in batched(encode("SET", b"key:%012d" % number, VALUE) for number in range(KEYS)):
            connection.batch(batch)


def flush(server):
    with server.connect() as connection:
        connection.command("FLUSHALL")


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
        # The keyspace holds the strings when a round begins; the others start from nothing.
        is_filled = True
        for (name, words, divisor, holds), pipeline in cells:
            if holds == "empty" and (is_filled or pipeline == PIPELINES[0]):
                for server in servers:
                    flush(server)
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
        if not is_filled and round_number < options.rounds:
            for server in servers:
                flush(server)
                fill(server)


def benchmark(server, words, pipeline, count, options):
    """The output of one run of redis-benchmark, and the processor time that the server took for it."""
    command = ["taskset", "-c", str(options.load_core), options.benchmark, "-p", str(server.port), "-c", str(CLIENTS),
               "-n", str(count), "-P", str(pipeline), "-r", str(KEYS), "--precision", "3", *words]
    before = server.cpu_seconds()
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS_MAX)
    spent = server.cpu_seconds() - before
    if done.returncode != 0 or "requests per second" not in done.stdout:
        sys.exit(f"{' '.join(command)} failed: {done.stdout[-500:]}{done.stderr[-500:]}")
    return done.stdout.replace("\r", "\n"), spent


def run(server, name, words, pipeline, count, round_number, options):
    output, spent = benchmark(server, words, pipeline, count, options)
    rate = float(re.search(r"throughput summary: ([\d.]+) requests", output).group(1))
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


# --- replicas -------------------------------------------------------------------------------------------------------


def measure_replicas(commands, options, results):
    """SET at pipeline 16 on a primary with so many replicas of its own kind. They share the load's core."""
    say("-- replicas")
    words = next(w[1] for w in WORKLOADS if w[0] == "SET")
    for name, command in commands.items():
        replicas = []
        with Server(name, command, options.servers_folder, options.server_core) as primary:
            try:
                for wanted in options.replicas:
                    while len(replicas) < wanted:
                        replica = add_replica(name, command, primary, len(replicas), options)
                        if replica is None:
                            results.notes.append(f"The cost of replicas is not measured for {name}: not available there.")
                            say(f"   {name}: replication is not available")
                            break
                        replicas.append(replica)
                    if len(replicas) < wanted:
                        break
                    output, spent = benchmark(primary, words, 16, REPLICA_REQUESTS, options)
                    rate = float(re.search(r"throughput summary: ([\d.]+) requests", output).group(1))
                    found = Replicated(name, wanted, rate, spent / REPLICA_REQUESTS * 1e6, primary.resident())
                    results.replicated.append(found)
                    say(f"   {name}, {wanted} replicas: {rate:,.0f}/s, {found.cpu_us:.2f} us of the primary's CPU")
            finally:
                for replica in replicas:
                    replica.stop()


def add_replica(name, command, primary, number, options):
    """A replica whose link is up, or None where there is no such thing."""
    folder = os.path.join(options.servers_folder, f"replica-{number}")
    replica = Server(name, command, folder, options.load_core)
    with replica.connect() as connection:
        if connection.command("REPLICAOF", "127.0.0.1", primary.port) == b"+OK\r\n":
            end = time.monotonic() + LINK_SECONDS_MAX
            while time.monotonic() < end:
                if b"master_link_status:up" in connection.command("INFO", "replication"):
                    return replica
                time.sleep(0.1)
    replica.stop()
    return None


# --- the report -----------------------------------------------------------------------------------------------------


def report(results, options):
    os.makedirs(options.out, exist_ok=True)
    write_csv(options.out, "rounds.csv", Sample._fields, results.samples)
    write_csv(options.out, "calls.csv", Traced._fields, results.traced)
    write_csv(options.out, "replicas.csv", Replicated._fields, results.replicated)
    summary = summarise(results)
    write_csv(options.out, "summary.csv", Sample._fields[:3] + Sample._fields[4:], summary)
    text = markdown(results, summary, options)
    with open(os.path.join(options.out, "compare.md"), "w") as file:
        file.write(text)
    print(text)
    try:
        import plots
    except ImportError:
        say("no plots: matplotlib is not here")
        return
    for path in plots.draw(results, summary, options.out):
        say(f"plot: {path}")


def summarise(results):
    """The median over the rounds, for each server, workload and pipeline."""
    groups = collections.defaultdict(list)
    for sample in results.samples:
        groups[sample.server, sample.workload, sample.pipeline].append(sample[4:])
    return [(*cell, *(statistics.median(column) for column in zip(*rows))) for cell, rows in groups.items()]


def write_csv(folder, name, header, rows):
    with open(os.path.join(folder, name), "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([[f"{cell:.4g}" if isinstance(cell, float) else cell for cell in row] for row in rows])


def markdown(results, summary, options):
    servers = list(results.versions)
    cells = {row[:3]: row[3:] for row in summary}
    lines = ["# Side by side", "", f"{', '.join(f'{name} ({version})' for name, version in results.versions.items())}. "
             f"One core serves (one event loop), one makes the load: redis-benchmark of Redis 8.0.2, {CLIENTS} clients, "
             f"{KEYS:,} random keys, values of {len(VALUE)} bytes. Medians of {results.rounds_done} interleaved rounds."]
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
    if results.replicated:
        lines += ["", "## SET at pipeline 16 with replicas", "", "The replicas share the core of the load.", "",
                  "| server | replicas | requests a second | primary's CPU a request, us | primary's resident MiB |",
                  "|---|---|---|---|---|"]
        lines += [f"| {r.server} | {r.replicas} | {r.requests_per_second:,.0f} | {r.cpu_us:.2f} | {r.resident_bytes / (1 << 20):.0f} |"
                  for r in results.replicated]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
