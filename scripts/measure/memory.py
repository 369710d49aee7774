"""The memory table: resident memory above the empty server, pages of files left out, for several servers in one run.

Started by scripts/memory.sh, which says what it takes. Each row is one data set. Every server gets it afresh, by the
same commands in the same order, and is measured once its memory has stopped to move.
"""

import argparse
import csv
import os
import random
import resource
import signal
import sys
import time

from servers import Server, batched, encode, say, wanted_servers

MIB = 1 << 20
MILLION = 1_000_000

# Idle clients for the last row. Their cost is in bytes, not in MiB.
CLIENTS = 4000


def key(number):
    return b"key:%012d" % number


def word(number):
    """16 bytes that do not compress and are no number."""
    return b"m%015x" % (number * 0x9E3779B97F4A7C15 % (1 << 60))


def strings(length):
    value = b"v" * length
    return lambda count: (encode("SET", key(number), value) for number in range(count))


def expiring(count):
    value = b"v" * 16
    return (encode("SET", key(number), value, "EX", 100_000) for number in range(count))


def integers(count):
    return (encode("SET", key(number), number) for number in range(count))


def small(command, members, each):
    """Many small values: `count` members in all, `members` in each."""
    def commands(count):
        for number in range(count // members):
            words = [part for member in range(number * members, (number + 1) * members) for part in each(member)]
            yield encode(command, key(number), *words)
    return commands


def one(command, each, at_once=100):
    """One value of `count` members."""
    def commands(count):
        for first in range(0, count, at_once):
            words = [part for member in range(first, min(first + at_once, count)) for part in each(member)]
            yield encode(command, "one", *words)
    return commands


def stream(count):
    return (encode("XADD", "one", "*", "field", word(number)) for number in range(count))


def scored(member):
    return (random.Random(member).random(), word(member))


def scored_small(member):
    return (member % 1000, word(member))


# What each data set is, how it is made, and what issue 5 of this project aims at, in MiB for a million elements.
ROWS = [
    ("strings, 16-byte key, 16-byte value", strings(16), 62),
    ("strings, 16-byte key, 64-byte value", strings(64), 108),
    ("strings, 16/16, with expiry", expiring, 80),
    ("integers under a 16-byte key", integers, 52),
    ("100,000 hashes of 10", small("HSET", 10, lambda m: (b"field:%d" % (m % 10), word(m))), 30),
    # The data for which Redis 8.0 takes the 35 and 20 MiB beside which the aims were set.
    ("100,000 hashes of 10, fields of 2 bytes", small("HSET", 10, lambda m: (b"f%d" % (m % 10), word(m))), 30),
    ("50,000 sets of 20, members of 12 bytes", small("SADD", 20, lambda m: (word(m)[4:],)), 18),
    ("50,000 lists of 20", small("RPUSH", 20, lambda m: (word(m),)), 21),
    ("50,000 sets of 20", small("SADD", 20, lambda m: (word(m),)), 18),
    ("50,000 sorted sets of 20", small("ZADD", 20, scored_small), 24),
    ("one hash, 16-byte fields and values", one("HSET", lambda m: (key(m), word(m))), 66),
    ("one list of 16-byte elements", one("RPUSH", lambda m: (word(m),)), None),
    ("one set of 16-byte members", one("SADD", lambda m: (word(m),)), 42),
    ("one sorted set, random scores", one("ZADD", scored), 80),
    ("one stream, a 16-byte field each", stream, None),
]
CLIENTS_ROW = "an idle client, bytes"
CLIENTS_AIM = 4096


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", required=True)
    parser.add_argument("--reference", action="append", default=[])
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("--out", required=True)
    parser.add_argument("--rows", default="")
    parser.add_argument("--elements", type=int, default=MILLION)
    options = parser.parse_args()
    options.servers_folder = os.path.join(options.out, "servers")
    # An end from outside is an interrupt too, so that the servers are ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    commands = wanted_servers(options.ours, options.reference, options.peer)
    table, names = Table(options.out, commands, options.elements), [row[0] for row in ROWS] + [CLIENTS_ROW]
    wanted = [name for name in names if options.rows.lower() in name.lower()]
    if not wanted:
        sys.exit(f"no row has '{options.rows}' in its name; rows: {'; '.join(names)}")
    try:
        for name in wanted:
            table.add(name, measure_row(name, commands, options))
    except KeyboardInterrupt:
        say("interrupted; the rows so far are kept")
        table.write()
        sys.exit(130)
    table.write()
    print(table.markdown())


def measure_row(name, commands, options):
    """For each server: (bytes above empty, peak above empty)."""
    say(f"-- {name}")
    if name == CLIENTS_ROW:
        return {server: measure_clients(server, command, options) for server, command in commands.items()}
    make = next(row[1] for row in ROWS if row[0] == name)
    # Made once, so that every server gets the same bytes and the generator's time is not paid four times.
    batches = list(batched(make(options.elements)))
    found = {}
    for server, command in commands.items():
        started = time.monotonic()
        with Server(server, command, options.servers_folder) as running, running.connect() as connection:
            # What the first connection costs is no part of the data.
            connection.batch(encode("PING") * 1000)
            empty, empty_resident = running.settled_data(), running.resident()
            for batch in batches:
                connection.batch(batch)
            found[server] = (running.settled_data() - empty, running.resident_peak() - empty_resident)
        say(f"   {server:<14} {found[server][0] / MIB:8.1f} MiB, peak {found[server][1] / MIB:8.1f}"
            f"   ({time.monotonic() - started:.0f} s)")
    return found


def measure_clients(server, command, options):
    """Clients that have sent one command and keep still."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(CLIENTS, hard - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 200), hard))
    with Server(server, command, options.servers_folder) as running:
        clients = [running.connect() for _ in range(10)]
        empty, empty_resident = running.settled_data(), running.resident()
        for _ in range(count):
            clients.append(running.connect())
            clients[-1].command("PING")
        each = (running.settled_data() - empty) / count
        peak = (running.resident_peak() - empty_resident) / count
        for client in clients:
            client.close()
    say(f"   {server:<14} {each:8.0f} bytes a client, peak {peak:8.0f}")
    return each, peak


class Table:
    """The rows so far, as Markdown and CSV."""

    def __init__(self, folder, commands, elements):
        self.folder, self.servers, self.elements, self.rows = folder, list(commands), elements, []
        self.versions = {}
        for name, command in commands.items():
            with Server(name, command, os.path.join(folder, "servers")) as running:
                self.versions[name] = running.version()
            say(f"{name}: {self.versions[name]}")

    def add(self, name, found):
        self.rows.append((name, found))
        self.write()

    def write(self):
        os.makedirs(self.folder, exist_ok=True)
        with open(os.path.join(self.folder, "memory.md"), "w") as file:
            file.write(self.markdown() + "\n")
        with open(os.path.join(self.folder, "memory.csv"), "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["row", "elements", "server", "version", "bytes_above_empty", "peak_bytes_above_empty"])
            for name, found in self.rows:
                count = 1 if name == CLIENTS_ROW else self.elements
                for server, (settled, peak) in found.items():
                    writer.writerow([name, count, server, self.versions[server], round(settled), round(peak)])

    def markdown(self):
        """The Markdown table. In bold what is above Redis or above the aim."""
        ours = self.servers[0]
        rivals = [server for server in self.servers if server.startswith("Redis 8")]
        lines = [
            "| " + " | ".join(["", *self.servers, f"{ours}, peak", "aim"]) + " |",
            "|---" * (len(self.servers) + 3) + "|",
        ]
        for name, found in self.rows:
            is_clients = name == CLIENTS_ROW
            unit = 1 if is_clients else MIB
            aim = CLIENTS_AIM if is_clients else next(row[2] for row in ROWS if row[0] == name)
            aim = aim if aim is None or is_clients else aim * self.elements / MILLION
            show = (lambda value: f"{value / unit:,.0f}") if is_clients else (lambda value: f"{value / unit:.1f}")
            cells = []
            for server in self.servers:
                value = found[server][0]
                over = server == ours and (
                    aim is not None and value > aim * unit or any(value > found[rival][0] for rival in rivals))
                cells.append(f"**{show(value)}**" if over else show(value))
            cells.append(show(found[ours][1]))
            cells.append("" if aim is None else f"{aim:,.0f}")
            lines.append("| " + " | ".join([name, *cells]) + " |")
        return "\n".join(lines)


main()
