"""What replicas cost a primary and how fast they follow, for several servers in one run.

Started by `scripts/compare.sh --replication`, which says what it takes. Replicas that only cost are followers of our own
making, which take the copy and the stream and keep nothing (workers.py): so the primary is what is measured. Where the
replica matters, it is a server of the primary's kind. Rounds are interleaved; figures are medians over the rounds, except
where the slowest of all is asked for.
"""

import collections
import glob
import os
import re
import socket
import statistics
import sys
import time

import script
from machine import is_the_machine, overlap, timed_sleep
from script import publish, write_csv
from servers import Server, encode, say, wanted_servers
from workers import (KEYS, PacedLoad, Worker, benchmark, follow, overwrite, pace, percentile, random_groups, rate_of, send_alike,
                     take_all, visible)

REPLICAS = (0, 1, 2, 4, 8, 16)

# SETs in one run of the fan-out.
REQUESTS = 800_000
QUICK_REQUESTS = 200_000

# The data of the full copy: so many keys of a kilobyte.
VALUE_BYTES = 1000
COPY_KEYS = 1_000_000
QUICK_COPY_KEYS = 100_000

# Writes a second, of a kilobyte each, beside a copy and while a replica is away.
COPY_WRITES = 10_000
AWAY_WRITES = 20_000

AWAY_SECONDS = 10
QUICK_AWAY_SECONDS = 3
SAMPLES = 2000
QUICK_SAMPLES = 300
BASE_SECONDS = 3

# How long the link of a replica, and catching up, may take.
LINK_SECONDS_MAX = 60
COPY_SECONDS_MAX = 300

# How often memory is looked at.
MEMORY_SECONDS = 0.05

# From one single request to the next, beside a copy, and from where on paced_load tells of one by itself.
PROBE_US = 300
NOTED_MS = 1.0
SEEN_LATE_SECONDS = 0.0005

FanOut = collections.namedtuple("FanOut", "server replicas round requests_per_second cpu_us resident_bytes")
Copy = collections.namedtuple(
    "Copy", "server round seconds mb_per_second base_p99_ms base_p999_ms base_slowest_ms base_slowest_own_ms p99_ms p999_ms "
    "slowest_ms slowest_own_ms writes_per_second")
Peak = collections.namedtuple(
    "Peak", "server round before_bytes peak_bytes peak_without_stream_bytes overwrite_seconds copy_seconds")
Visible = collections.namedtuple("Visible", "server load round writes_per_second p50_ms p99_ms")
Away = collections.namedtuple("Away", "server round missed_bytes seconds how")

# What the primaries and replicas of all kinds are told: a copy begins at once, and no replica is dropped for being slow, for
# then there would be nothing to measure.
SETTINGS = ["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0",
            "--client-output-buffer-limit", "replica 0 0 0"]


class Results:
    """What was measured so far."""

    def __init__(self):
        self.versions, self.fan_out, self.copies, self.peaks, self.visible, self.away, self.notes = {}, [], [], [], [], [], []
        self.sending = {}


def main():
    options = arguments()
    results, began = Results(), time.monotonic()
    commands = wanted_servers(options.ours, options.reference, options.peer)
    parts = {"copy": measure_copies, "fan-out": measure_fan_out, "visible": measure_visible, "away": measure_away}

    def measure():
        if options.cores < 3:
            results.notes.append("With two cores, replicas, load and probes share one: look at ratios, not at latencies.")
        for name, part in parts.items():
            if options.only in name:
                part(commands, options, results)

    def finish(interrupted):
        if interrupted:
            results.notes.append("Interrupted: what follows holds what was measured until then.")
        report(results, options)
        say(f"took {time.monotonic() - began:.0f} s")

    script.run(measure, finish)


def arguments():
    options = script.arguments()
    quick = options.quick
    options.rounds = options.rounds or (1 if quick else 3)
    options.replicas = (0, 1, 4, 16) if quick else REPLICAS
    options.fan_out_requests = QUICK_REQUESTS if quick else REQUESTS
    options.copy_keys = QUICK_COPY_KEYS if quick else COPY_KEYS
    options.away_seconds = QUICK_AWAY_SECONDS if quick else AWAY_SECONDS
    options.samples = QUICK_SAMPLES if quick else SAMPLES
    return options


def started(name, command, options, core, where="", extra=()):
    workers = ["--io-threads", "1"] if name == "Brindle" and core != options.other_cores else []
    return Server(name, command, os.path.join(options.servers_folder, where), core, [*workers, *SETTINGS, *extra])


def field(server, section, name):
    with server.connect() as connection:
        found = re.search(rf"^{name}:(\S+)", connection.command("INFO", section).decode(), re.M)
    return found.group(1) if found else None


def until(what, condition, seconds_max=LINK_SECONDS_MAX):
    end = time.monotonic() + seconds_max
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"waited in vain: {what}")
        time.sleep(0.01)


# --- a primary with many replicas -----------------------------------------------------------------------------------


def measure_fan_out(commands, options, results, rounds=None):
    """SET at pipeline 16 on a primary, on one core, with so many followers on another."""
    say("-- primary with replicas")
    words = ["SET", "key:__rand_int__", "v" * 64]
    for round_number in range(1, (rounds or options.rounds) + 1):
        for name, command in commands.items():
            with started(name, command, options, options.server_core) as primary:
                results.versions.setdefault(name, primary.version())
                benchmark(primary, words, 16, options.fan_out_requests, options)
                for count in options.replicas:
                    followers = Worker(options.replica_core, follow, primary.port, count, None) if count else None
                    if followers:
                        followers.until_ready()
                    output, spent = benchmark(primary, words, 16, options.fan_out_requests, options)
                    found = FanOut(name, count, round_number, rate_of(output), spent / options.fan_out_requests * 1e6,
                                   primary.resident())
                    if followers:
                        followers.result()
                    results.fan_out.append(found)
                    say(f"   {name}, {count} replicas: {found.requests_per_second:,.0f}/s, {found.cpu_us:.2f} us of the "
                        "primary's CPU")
        for count in filter(None, options.replicas):
            spent = sending(count, len(encode("SET", "key:%012d" % 0, words[2])) * options.fan_out_requests, options)
            results.sending.setdefault(count, []).append(spent / options.fan_out_requests * 1e6)
            say(f"   the kernel alone, {count} replicas: {results.sending[count][-1]:.2f} us")


def sending(count, length, options):
    """The processor time of sending so many bytes to each of so many connections, in the pieces that cost least: no primary
    can do with less."""
    with socket.create_server(("127.0.0.1", 0), backlog=count) as listener:
        taking = Worker(options.load_core, take_all, listener.getsockname()[1], count)
        spent = Worker(options.server_core, send_alike, listener, count, length).result(stop=False)
        taking.result()
        return spent


def fan_out_table(fan_out, sending):
    if not fan_out:
        return []
    lines = ["", "## SET at pipeline 16 on a primary with replicas", "",
             "The replicas take the stream and keep nothing. CPU is that of all threads of the primary.", "",
             "| server | replicas | requests a second | primary's CPU a request, us | over none | primary's resident MiB |",
             "|---|---|---|---|---|---|"]
    for (server, replicas), rows in grouped(fan_out, "server", "replicas").items():
        alone = median([row.cpu_us for row in fan_out if row.server == server and row.replicas == 0])
        cpu = median([row.cpu_us for row in rows])
        lines.append(f"| {server} | {replicas} | {median([row.requests_per_second for row in rows]):,.0f} | {cpu:.2f} | "
                     f"{cpu / alone:.2f} | {median([row.resident_bytes for row in rows]) / (1 << 20):.0f} |")
    if sending:
        costs = "; ".join(f"{count}: {median(spent):.2f}" for count, spent in sorted(sending.items()))
        lines += ["", "What the kernel alone takes to send the same bytes to so many connections, microseconds a request (one "
                  f"loop that sends pieces of 64 KiB, on the primary's core): {costs}."]
    return lines


# --- full copies ----------------------------------------------------------------------------------------------------


def measure_copies(commands, options, results):
    """A follower takes everything while writers go on; how fast, and what single requests wait meanwhile. Then another,
    while every key is overwritten as fast as it goes; how much memory that takes. The primary may use every core but the one
    that writes, times single requests and takes the copy, which are one thread, so that none of them waits for another."""
    say(f"-- full copies of {options.copy_keys:,} keys of {VALUE_BYTES} bytes")
    primaries = []
    try:
        for name, command in commands.items():
            primaries.append(started(name, command, options, options.other_cores))
            results.versions.setdefault(name, primaries[-1].version())
            Worker(None, overwrite, primaries[-1].port, options.copy_keys, VALUE_BYTES).result(stop=False)
        for round_number in range(1, options.rounds + 1):
            for primary in primaries:
                found = copy(primary, round_number, options)
                results.copies.append(found)
                say(f"   {primary.name}: {found.mb_per_second:.0f} MB/s, p99 {found.p99_ms:.2f} ms, slowest "
                    f"{found.slowest_ms:.1f} ms, own {found.slowest_own_ms:.1f} (without a copy {found.base_p99_ms:.2f}, "
                    f"{found.base_slowest_ms:.1f}, own {found.base_slowest_own_ms:.1f})")
        for round_number in range(1, options.rounds + 1):
            for primary in primaries:
                found = peak(primary, round_number, options)
                results.peaks.append(found)
                say(f"   {primary.name}, every key overwritten: {found.before_bytes / 1e6:.0f} MB before, at most "
                    f"{found.peak_bytes / 1e6:.0f} ({found.peak_bytes / found.before_bytes:.2f}; without the stream "
                    f"{found.peak_without_stream_bytes / found.before_bytes:.2f})")
    finally:
        for primary in primaries:
            primary.stop()


def copy(primary, round_number, options):
    load = PacedLoad(options, primary.port, "SET", COPY_WRITES, "--pipeline", 10, "--value-bytes", VALUE_BYTES,
                     "--keys", options.copy_keys, "--probe-us", PROBE_US, "--copy-after-ms", BASE_SECONDS * 1000, spin=True)
    sleep = Worker(options.server_core, timed_sleep, primary.process.pid)
    base, during, (_, seconds) = load.result(stop=False)
    watched = sleep.result()
    figures = [figure for line in (base, during) for figure in (*(us / 1e3 for us in line[2:5]), slowest_own(line, watched))]
    return Copy(primary.name, round_number, seconds, options.copy_keys * VALUE_BYTES / 1e6 / seconds, *figures, during[0])


def slowest_own(line, watched):
    """The slowest request of a line of paced_load that was not the machine's, in milliseconds. No more is known of those that it
    does not tell by themselves than that they were quicker."""
    stalls, waits = watched
    since_1970 = time.time() - time.perf_counter()
    own = [min(line[4] / 1e3, NOTED_MS)]
    for sent, took, lost in zip(line[5::3], line[6::3], line[7::3]):
        start = sent - since_1970
        # The end of a wait is seen a moment late.
        waited = overlap(start, start + took + SEEN_LATE_SECONDS, waits)
        if not is_the_machine(start, start + took, max(waited, lost), stalls):
            own.append(took * 1e3)
    return max(own)


def peak(primary, round_number, options):
    primary.settled_resident()
    before = memory_of_all(primary.process.pid)
    writer = Worker(options.load_core, overwrite, primary.port, options.copy_keys, VALUE_BYTES)
    writer.until_ready()
    follower = Worker(options.load_core, follow, primary.port, 1, None)
    most = without_stream = before
    overwriting, end = None, time.monotonic() + COPY_SECONDS_MAX
    while time.monotonic() < end:
        # The stream is asked for last: it grows, so this makes the rest too small by little.
        now = memory_of_all(primary.process.pid)
        stream = int(field(primary, "memory", "mem_total_replication_buffers") or 0)
        most, without_stream = max(most, now), max(without_stream, now - stream)
        if overwriting is None and writer.is_over():
            overwriting = writer.result(stop=False)
        if overwriting is not None and follower.is_ready():
            break
        if follower.is_over():
            follower.result()
        time.sleep(MEMORY_SECONDS)
    (_, seconds), = follower.result()
    return Peak(primary.name, round_number, before, most, without_stream, overwriting, seconds)


def memory_of_all(pid):
    """Memory of a process and its children, in bytes; what they share counts once."""
    total = 0
    for each in [pid, *children(pid)]:
        try:
            with open(f"/proc/{each}/smaps_rollup") as table:
                total += sum(int(line.split()[1]) * 1024 for line in table if line.startswith("Pss:"))
        except OSError:
            # It has just ended.
            pass
    return total


def children(pid):
    found = []
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        try:
            with open(path) as file:
                found += file.read().split()
        except OSError:
            pass
    return found


# --- how fast a replica follows -------------------------------------------------------------------------------------


class Pair:
    """A primary and a replica of its own kind whose link is up."""

    def __init__(self, name, command, options, extra=()):
        self.primary = started(name, command, options, options.server_core, extra=extra)
        try:
            self.replica = started(name, command, options, options.replica_core, "replica")
        except BaseException:
            self.primary.stop()
            raise
        self.follow(self.primary.port)
        until(f"the replica of {name} is up", self.is_up)

    def follow(self, port):
        with self.replica.connect() as connection:
            connection.command("REPLICAOF", "127.0.0.1", port)

    def is_up(self):
        return field(self.replica, "replication", "master_link_status") == "up"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.replica.stop()
        self.primary.stop()


def measure_visible(commands, options, results):
    """From the sending of a write to the primary until a client that waits for it at the replica has it."""
    say("-- from a write to its being visible on the replica")
    words = ["SET", "key:__rand_int__", "v" * 64]
    for round_number in range(1, options.rounds + 1):
        for name, command in commands.items():
            with Pair(name, command, options) as pair:
                results.versions.setdefault(name, pair.primary.version())
                output, _ = benchmark(pair.primary, words, 16, options.fan_out_requests, options)
                for load, rate in (("idle", 0), ("half", rate_of(output) / 2)):
                    writer = PacedLoad(options, pair.primary.port, "SET", rate) if rate else None
                    times = Worker(options.load_core, visible, pair.primary.port, pair.replica.port, f"probe:{load}",
                                   options.samples, 0.001).result(stop=False)
                    reached = writer.result()[0][0] if writer else 0
                    found = Visible(name, load, round_number, reached, percentile(times, 0.5) * 1e3,
                                    percentile(times, 0.99) * 1e3)
                    results.visible.append(found)
                    say(f"   {name}, {load}: p50 {found.p50_ms:.3f} ms, p99 {found.p99_ms:.3f} ms ({reached:,.0f} writes a "
                        "second)")


def measure_away(commands, options, results):
    """A replica looks for its primary elsewhere for a while, and comes back."""
    say(f"-- catching up after {options.away_seconds} s")
    groups = random_groups(100_000, VALUE_BYTES, 2000, 20)
    for round_number in range(1, options.rounds + 1):
        for name, command in commands.items():
            # Taken and not listened on, so that nobody answers there.
            backlog = ["--repl-backlog-size", "1gb"]
            with Pair(name, command, options, backlog) as pair, socket.socket() as nowhere:
                nowhere.bind(("127.0.0.1", 0))
                results.versions.setdefault(name, pair.primary.version())
                full = int(field(pair.primary, "stats", "sync_full"))
                pair.follow(nowhere.getsockname()[1])
                writer = Worker(options.load_core, pace, pair.primary.port, AWAY_WRITES, groups)
                time.sleep(options.away_seconds)
                writer.result()
                end, begin = (int(field(each, "replication", "master_repl_offset")) for each in (pair.primary, pair.replica))
                back = time.perf_counter()
                pair.follow(pair.primary.port)
                until(f"the replica of {name} has caught up",
                      lambda: pair.is_up() and int(field(pair.replica, "replication", "slave_repl_offset")) >= end)
                seconds = time.perf_counter() - back
                how = "partial" if int(field(pair.primary, "stats", "sync_full")) == full else "full copy"
                results.away.append(Away(name, round_number, end - begin, seconds, how))
                say(f"   {name}: {(end - begin) / 1e6:.0f} MB in {seconds * 1e3:.0f} ms ({how})")


# --- the report -----------------------------------------------------------------------------------------------------


def median(values):
    return statistics.median(values)


def grouped(rows, *names):
    groups = collections.defaultdict(list)
    for row in rows:
        groups[tuple(getattr(row, name) for name in names)].append(row)
    return groups


def report(results, options):
    os.makedirs(options.out, exist_ok=True)
    for name, kind, rows in (("replication_fan_out", FanOut, results.fan_out), ("replication_copy", Copy, results.copies),
                             ("replication_peak", Peak, results.peaks), ("replication_visible", Visible, results.visible),
                             ("replication_away", Away, results.away)):
        write_csv(options.out, f"{name}.csv", kind._fields, rows)
    publish(markdown(results, options), os.path.join(options.out, "replication.md"),
            lambda plots: plots.draw_replication(results, options.out))


def markdown(results, options):
    lines = ["# Replication side by side", "",
             f"{', '.join(f'{name} ({version})' for name, version in results.versions.items())}. Medians of "
             f"{options.rounds} interleaved rounds; what is called slowest is that of all rounds."]
    lines += [""] + [f"- {note}" for note in results.notes] if results.notes else []
    if results.copies:
        lines += ["", f"## Full copy of {options.copy_keys:,} strings of {VALUE_BYTES} bytes", "",
                  f"To a follower that keeps nothing, beside {COPY_WRITES:,} writes of {VALUE_BYTES} bytes a second. "
                  "Single SETs were timed before and during the copy, milliseconds; \"own\" leaves out what was the machine's.", "",
                  "| server | seconds | MB/s | p99 before | p99 during | p99.9 before | p99.9 during | slowest before | slowest during | "
                  "own before | own during |",
                  "|---|---|---|---|---|---|---|---|---|---|---|"]
        for (server,), rows in grouped(results.copies, "server").items():
            m = lambda name: median([getattr(row, name) for row in rows])
            most = lambda name: max(getattr(row, name) for row in rows)
            lines.append(f"| {server} | {m('seconds'):.2f} | {m('mb_per_second'):.0f} | {m('base_p99_ms'):.2f} | "
                         f"{m('p99_ms'):.2f} | {m('base_p999_ms'):.2f} | {m('p999_ms'):.2f} | {most('base_slowest_ms'):.1f} | "
                         f"{most('slowest_ms'):.1f} | {most('base_slowest_own_ms'):.1f} | {most('slowest_own_ms'):.1f} |")
    if results.peaks:
        lines += ["", "## Memory during a full copy while every key is overwritten", "",
                  "Of the process and its children, what they share counted once (Pss); and the same without what is written "
                  "meanwhile and kept for the replica (`mem_total_replication_buffers`), which every primary has to keep.", "",
                  "| server | before, MB | peak, MB | peak over before | the same without the stream | overwriting took, s | the copy took, s |",
                  "|---|---|---|---|---|---|---|"]
        for (server,), rows in grouped(results.peaks, "server").items():
            worst = max(rows, key=lambda row: row.peak_bytes / row.before_bytes)
            lines.append(f"| {server} | {worst.before_bytes / 1e6:.0f} | {worst.peak_bytes / 1e6:.0f} | "
                         f"{worst.peak_bytes / worst.before_bytes:.2f} | {worst.peak_without_stream_bytes / worst.before_bytes:.2f} | "
                         f"{worst.overwrite_seconds:.1f} | {worst.copy_seconds:.1f} |")
    lines += fan_out_table(results.fan_out, results.sending)
    if results.visible:
        lines += ["", "## From a write to its being visible on the replica, milliseconds", "",
                  "A client blocked in XREAD at the replica, from the sending of the XADD to the primary. Half load is half of "
                  "what the primary takes at pipeline 16, as far as the load reaches that.", "",
                  "| server | load | writes a second | p50 | p99 |", "|---|---|---|---|---|"]
        for (server, load), rows in grouped(results.visible, "server", "load").items():
            lines.append(f"| {server} | {load} | {median([row.writes_per_second for row in rows]):,.0f} | "
                         f"{median([row.p50_ms for row in rows]):.3f} | {median([row.p99_ms for row in rows]):.3f} |")
    if results.away:
        lines += ["", f"## Catching up after {options.away_seconds} s apart", "",
                  f"{AWAY_WRITES:,} writes of {VALUE_BYTES} bytes a second meanwhile, none while it catches up.", "",
                  "| server | missed, MB | milliseconds | MB/s | how |", "|---|---|---|---|---|"]
        for (server,), rows in grouped(results.away, "server").items():
            missed, seconds = median([row.missed_bytes for row in rows]), median([row.seconds for row in rows])
            lines.append(f"| {server} | {missed / 1e6:.0f} | {seconds * 1e3:.0f} | {missed / 1e6 / seconds:.0f} | "
                         f"{', '.join(sorted({row.how for row in rows}))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
