"""The slowest request while a keyspace grows, expires and is freed, for several servers in one run.

Started by `scripts/compare.sh --stalls`, which says what it takes. A probe times single GETs, one after the other, while
each phase goes on. Every machine stalls by itself: two loops that only sleep watch for that, one on the server's core and one
on the probe's (machine.py). What is left is the server's own, or that of a machine too busy for this to be told.
"""

import collections
import os
import time

import script
from machine import Waits, is_the_machine, timed_sleep
from script import publish, write_csv
from servers import Connection, Server, batched, encode, say, wanted_servers
from workers import Worker, percentile

LOAD_KEYS = 10_000_000
QUICK_LOAD_KEYS = 1_000_000

# Keys that expire in the same second.
EXPIRING_KEYS = 1_000_000

# Members of each large value.
MEMBERS = 2_000_000
QUICK_MEMBERS = 300_000

# What no request should wait longer than, and from where on a single one is written down.
AIM_MS = 2.0
NOTED_MS = 0.5

PROBE_PAUSE = 0.0002

Found = collections.namedtuple(
    "Found", "server phase requests p50_ms p99_ms p999_ms slowest_ms over_aim slowest_own_ms over_aim_own machine_slowest_ms seconds")


def main():
    options = script.arguments()
    options.keys = QUICK_LOAD_KEYS if options.quick else LOAD_KEYS
    options.members = QUICK_MEMBERS if options.quick else MEMBERS
    commands = wanted_servers(options.ours, options.reference, options.peer)
    commands["Brindle"] += ["--io-threads", "1"]
    found, versions, began = [], {}, time.monotonic()

    def measure():
        for name, command in commands.items():
            with Server(name, command, options.servers_folder, options.server_core) as server:
                versions[name] = server.version()
                for phase, work in PHASES.items():
                    if options.only in phase:
                        found.append(watch(server, phase, work, options))
                        say("   {0.server}, {0.phase}: p99.9 {0.p999_ms:.2f} ms, slowest {0.slowest_ms:.2f} ms, without the "
                            "machine's {0.slowest_own_ms:.2f} ms ({0.seconds:.0f} s)".format(found[-1]))

    def finish(interrupted):
        report(found, versions, interrupted, options)
        say(f"took {time.monotonic() - began:.0f} s")

    script.run(measure, finish)


# --- what is done while the probe goes on ---------------------------------------------------------------------------


def grow(server, options):
    with server.connect() as connection:
        for first in range(0, options.keys, 100):
            connection.batch(b"".join(b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$16\r\n%016d\r\n" % (number, number)
                                      for number in range(first, first + 100)))


def expire(server, options):
    """Keys that all expire within one second, and a second more for what comes late."""
    with server.connect() as connection:
        at_ms = int(time.time() * 1000) + 15_000
        commands = (encode("SET", b"brief:%012d" % number, "v" * 16, "PXAT", at_ms + number % 1000)
                    for number in range(EXPIRING_KEYS))
        for batch in batched(commands, 100):
            connection.batch(batch)
        time.sleep(max(at_ms / 1000 - time.time(), 0) + 2)


def large(server, options):
    """Large values, which grow, are replaced, expire and are deleted."""
    with server.connect() as connection:
        members = [b"m%015d" % number for number in range(options.members)]
        for command, words in (("SADD", lambda m: [m]), ("HSET", lambda m: [m, m]), ("ZADD", lambda m: [m[-7:], m]),
                               ("RPUSH", lambda m: [m])):
            for goes in ("DEL", "UNLINK", "SET", "PEXPIRE"):
                if goes != "DEL" and command not in ("ZADD", "HSET"):
                    continue
                for first in range(0, options.members, 1000):
                    parts = [part for member in members[first:first + 1000] for part in words(member)]
                    connection.command(command, "large", *parts)
                if goes == "PEXPIRE":
                    connection.command(goes, "large", 1)
                    time.sleep(0.5)
                    connection.command("DEL", "large")
                else:
                    connection.command(goes, "large", *(["v"] if goes == "SET" else []))
                    connection.command("DEL", "large")


def flush(server, options):
    with server.connect() as connection:
        connection.command("FLUSHALL", "ASYNC")
    time.sleep(3)


PHASES = {"growth": grow, "expiry": expire, "large values": large, "flush": flush}


# --- watching -------------------------------------------------------------------------------------------------------


def timed_probe(stopped, ready, port, pid):
    """Every request's seconds, sorted, and of those that are worth to be noted begin, end, and the seconds that the event
    loop and this process waited for a core meanwhile."""
    times, noted = [], []
    request = encode("GET", "key:000000000000")
    waits = Waits(pid, with_self=True)
    with Connection(port) as connection:
        ready.set()
        before = waits.seconds()
        while not stopped.is_set():
            begin = time.perf_counter()
            connection.socket.sendall(request)
            connection.read_line_or_bulk()
            end = time.perf_counter()
            after = waits.seconds()
            times.append(end - begin)
            if (end - begin) * 1e3 > NOTED_MS:
                noted.append((begin, end, after - before))
            time.sleep(PROBE_PAUSE)
            before = waits.seconds()
    return sorted(times), noted


def watch(server, phase, work, options):
    sleeps = [Worker(core, timed_sleep, None) for core in (options.server_core, options.load_core)]
    probing = Worker(options.load_core, timed_probe, server.port, server.process.pid)
    probing.until_ready()
    doing = Worker(options.load_core, lambda stopped, ready: work(server, options))
    begin = time.monotonic()
    doing.result(stop=False)
    seconds = time.monotonic() - begin
    times, slow = probing.result()
    stalls = [stall for sleep in sleeps for stall in sleep.result()[0]]
    own = [end - start for start, end, waited in slow if not is_the_machine(start, end, waited, stalls)]
    over = lambda values: sum(value * 1e3 > AIM_MS for value in values)
    # None is slower than what is not even written down.
    fastest_noted = min(times[-1], NOTED_MS / 1e3)
    return Found(server.name, phase, len(times), *(percentile(times, share) * 1e3 for share in (0.5, 0.99, 0.999)),
                 times[-1] * 1e3, over(times), max(own, default=fastest_noted) * 1e3, over(own),
                 max((end - due for due, end in stalls), default=0) * 1e3, seconds)


# --- the report -----------------------------------------------------------------------------------------------------


def report(found, versions, interrupted, options):
    os.makedirs(options.out, exist_ok=True)
    write_csv(options.out, "stalls.csv", Found._fields, found)
    lines = ["# The slowest request", "",
             f"{', '.join(f'{name} ({version})' for name, version in versions.items())}, one event loop on one core. Single "
             f"GETs while {options.keys:,} keys are loaded, while {EXPIRING_KEYS:,} keys are loaded and expire in one second, "
             f"while values of {options.members:,} members grow, are deleted, replaced and expire, and while everything is "
             f"flushed. \"Own\" leaves out those for half of which the event loop or the probe waited for a core, or a loop that only "
             f"sleeps overslept. The aim is "
             f"{AIM_MS:g} ms.", "",
             "| phase | server | requests | p50, ms | p99 | p99.9 | slowest | over the aim | slowest, own | over the aim, own | "
             "the machine's slowest | seconds |", "|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for phase in PHASES:
        lines += [f"| {f.phase} | {f.server} | {f.requests:,} | {f.p50_ms:.3f} | {f.p99_ms:.2f} | {f.p999_ms:.2f} | "
                  f"{f.slowest_ms:.1f} | {f.over_aim} | {f.slowest_own_ms:.1f} | {f.over_aim_own} | {f.machine_slowest_ms:.1f} | "
                  f"{f.seconds:.0f} |" for f in found if f.phase == phase]
    if interrupted:
        lines += ["", "Interrupted: this holds what was measured until then."]
    publish("\n".join(lines) + "\n", os.path.join(options.out, "stalls.md"),
            lambda plots: plots.draw_stalls(found, AIM_MS, options.out))


if __name__ == "__main__":
    main()
