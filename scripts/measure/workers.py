"""Processes that load, probe and follow a server while it is measured: each on a core of its own choosing, so that what
measures does not wait for what loads.

A worker is a function that gets `stopped` (an event it looks at) and returns its result; `Worker` runs it in a process.
"""

import multiprocessing
import os
import random
import re
import selectors
import socket
import subprocess
import sys
import time

from servers import Connection, batched, encode

_FORK = multiprocessing.get_context("fork")

# How long a worker may take to end once it is told to.
STOP_SECONDS_MAX = 60

# What redis-benchmark does: so many clients, keys out of so many, for so long at most.
CLIENTS = 50
KEYS = 1_000_000
RUN_SECONDS_MAX = 120

# Values are cut out of so many random bytes and their own length.
NOISE_BYTES = 4096

# How much is read at once.
READ_BYTES = 1 << 20


class Worker:
    """A function in a process of its own, pinned to a core if one is given."""

    def __init__(self, core, function, *arguments):
        self._stopped = _FORK.Event()
        self._ready = _FORK.Event()
        self._result, theirs = _FORK.Pipe(duplex=False)

        def run():
            if core is not None:
                os.sched_setaffinity(0, {core})
            theirs.send(function(self._stopped, self._ready, *arguments))

        self._process = _FORK.Process(target=run, daemon=True)
        self._process.start()
        theirs.close()

    def until_ready(self):
        """Until the function says that it has begun."""
        while not self._ready.wait(0.2):
            if not self._process.is_alive():
                raise RuntimeError("a worker has ended before it began")

    def is_ready(self):
        return self._ready.is_set()

    def is_over(self):
        return not self._process.is_alive() or self._result.poll()

    def result(self, stop=True):
        """What the function returns, which is told to stop first unless it ends by itself."""
        if stop:
            self._stopped.set()
        try:
            if stop and not self._result.poll(STOP_SECONDS_MAX):
                raise RuntimeError("a worker does not stop")
            return self._result.recv()
        except EOFError:
            raise RuntimeError("a worker has failed, see above") from None
        finally:
            self.end()

    def end(self):
        if self._process.is_alive():
            self._process.join(0.5)
        if self._process.is_alive():
            self._process.kill()
        self._process.join()


def percentile(sorted_values, share):
    return sorted_values[min(int(len(sorted_values) * share), len(sorted_values) - 1)]


# --- load ---


class PacedLoad:
    """Load at a rate of our choosing with requests timed beside it, on a core of its own: benches/examples/paced_load."""

    def __init__(self, options, port, command, rate, *words, spin=False):
        line = ["taskset", "-c", str(options.load_core), options.paced_load, "--port", str(port), "--command", command,
                "--rate", str(rate), *map(str, words), *(["--spin"] if spin else [])]
        self._process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                         start_new_session=True)

    def result(self, stop=True):
        """The lines of numbers that it prints, after it is told to end unless it ends by itself."""
        try:
            output, _ = self._process.communicate(timeout=STOP_SECONDS_MAX) if stop else self._wait()
        finally:
            self._process.kill()
            self._process.wait()
        if self._process.returncode != 0:
            sys.exit("the paced load has failed, see above")
        return [[float(number) for number in line.split()] for line in output.splitlines()]

    def _wait(self):
        # Its input stays open until it has ended.
        return self._process.stdout.read(), self._process.wait(RUN_SECONDS_MAX)


def pace(stopped, ready, port, rate, commands):
    """Sends the encoded groups of `commands`, one after the other and over again, at `rate` commands a second as far as the
    server lets it. `commands` is a list of (count, bytes). Returns the commands a second that were answered."""
    with Connection(port) as connection:
        ready.set()
        first = begin = time.perf_counter()
        sent = at = total = 0
        while not stopped.is_set():
            ahead = sent / rate - (time.perf_counter() - begin)
            if ahead > 0.0005:
                time.sleep(min(ahead, 0.05))
                continue
            if ahead < -0.1:
                # What could not be sent in time is not made good for.
                begin, sent = time.perf_counter(), 0
            count, group = commands[at]
            at = (at + 1) % len(commands)
            connection.batch(group)
            sent += count
            total += count
        return total / (time.perf_counter() - first)


def overwrite(stopped, ready, port, keys, value_bytes):
    """Writes each of so many keys once, as fast as it goes, and ends by itself; returns the seconds it took."""
    with Connection(port) as connection:
        ready.set()
        begin = time.perf_counter()
        for batch in batched(sets(range(keys), value_bytes), 100):
            connection.batch(batch)
        return time.perf_counter() - begin


def sets(numbers, value_bytes):
    """SETs of these keys, with values that do not compress."""
    noise = os.urandom(value_bytes + NOISE_BYTES)
    for number in numbers:
        at = number * 61 % NOISE_BYTES
        yield encode("SET", b"key:%012d" % number, noise[at:at + value_bytes])


def random_groups(keys, value_bytes, count, group):
    """`count` groups of SETs of random keys, for `pace`."""
    numbers = random.Random(count).choices(range(keys), k=count * group)
    return [(group, batch) for batch in batched(sets(numbers, value_bytes), group)]


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


def rate_of(output):
    """Requests a second, out of what redis-benchmark prints."""
    return float(re.search(r"throughput summary: ([\d.]+) requests", output).group(1))


# --- probes ---


def visible(stopped, ready, primary_port, replica_port, key, samples, pause):
    """From the sending of a write to the primary until a client of the replica that waits for it has it; sorted seconds."""
    times = []
    with Connection(primary_port) as primary, Connection(replica_port) as replica:
        last = "0-0"
        ready.set()
        for number in range(1, samples + 1):
            if stopped.is_set():
                break
            replica.socket.sendall(encode("XREAD", "BLOCK", 0, "STREAMS", key, last))
            time.sleep(pause)
            last = f"{number}-1"
            request = encode("XADD", key, "MAXLEN", 10, last, "f", "v")
            begin = time.perf_counter()
            primary.socket.sendall(request)
            replica.read_until(b"$1\r\nv\r\n")
            times.append(time.perf_counter() - begin)
            primary.read_line_or_bulk()
    return sorted(times)


# --- what sending costs without a server ---

# So much of the same bytes stays in a core's cache while it goes to one connection after the other.
PIECE_BYTES = 64 * 1024


def send_alike(stopped, ready, listener, count, length):
    """Sends so many bytes to each of so many connections; returns the seconds of processor time that it took."""
    connections = [listener.accept()[0] for _ in range(count)]
    noise = memoryview(os.urandom(16 * PIECE_BYTES))
    before = time.process_time()
    for sent in range(0, length, PIECE_BYTES):
        at = sent % len(noise)
        for connection in connections:
            connection.sendall(noise[at:at + PIECE_BYTES])
    spent = time.process_time() - before
    for connection in connections:
        connection.close()
    return spent


def take_all(stopped, ready, port, count):
    """Reads from so many connections until they end."""
    selector = selectors.DefaultSelector()
    for _ in range(count):
        selector.register(socket.create_connection(("127.0.0.1", port)), selectors.EVENT_READ)
    buffer = bytearray(READ_BYTES)
    while selector.get_map():
        for key, _ in selector.select():
            if key.fileobj.recv_into(buffer) == 0:
                selector.unregister(key.fileobj)
                key.fileobj.close()


# --- replicas that take everything and keep nothing ---


class _Follower:
    """A replica's side of the conversation: handshake, copy, stream."""

    def __init__(self, port):
        self.connection = Connection(port)
        # The port is nobody's: a primary only shows it.
        for words in (("PING",), ("REPLCONF", "listening-port", 1), ("REPLCONF", "capa", "eof", "capa", "psync2")):
            self.connection.command(*words)
        self.socket = self.connection.socket
        self.socket.sendall(encode("PSYNC", "?", -1))
        self.began = time.perf_counter()
        self.head, self.left, self.mark, self.tail, self.copied, self.seconds = b"", None, None, b"", 0, None

    def take(self, data):
        """Bytes of the primary; says whether the copy has ended with them."""
        if self.seconds is not None:
            return False
        if self.left is None and self.mark is None:
            self.head += bytes(data)
            # Newlines keep the link alive while the copy is prepared.
            answer, _, rest = self.head.lstrip(b"\n").partition(b"\r\n")
            rest = rest.lstrip(b"\n")
            if not answer.startswith(b"+FULLRESYNC") or b"\r\n" not in rest:
                return False
            size, _, data = rest.partition(b"\r\n")
            if size.startswith(b"$EOF:"):
                self.mark = bytes(size[5:])
            else:
                self.left = int(size[1:])
        self.copied += len(data)
        if self.mark is not None:
            self.tail = (self.tail + bytes(data[-len(self.mark):]))[-len(self.mark):]
            is_over = self.tail == self.mark
        else:
            is_over = self.copied >= self.left
        if is_over:
            self.seconds = time.perf_counter() - self.began
            self.acknowledge()
        return is_over

    def acknowledge(self):
        if self.seconds is not None:
            self.socket.sendall(encode("REPLCONF", "ACK", 0))


def follow(stopped, ready, port, count, rate):
    """So many replicas, which read the copy (at most at `rate` bytes a second each, if one is given) and then the stream.
    `ready` is set when all have their copy. Returns bytes and seconds of each copy."""
    followers = [_Follower(port) for _ in range(count)]
    selector = selectors.DefaultSelector()
    for follower in followers:
        selector.register(follower.socket, selectors.EVENT_READ, follower)
    buffer = memoryview(bytearray(READ_BYTES))
    copying, next_ack = count, time.monotonic() + 1
    while not stopped.is_set():
        for key, _ in selector.select(0.1):
            follower = key.data
            length = follower.socket.recv_into(buffer)
            if length == 0:
                raise ConnectionError("the primary has let a replica go")
            copying -= follower.take(buffer[:length])
            if copying == 0:
                ready.set()
            elif rate and follower.seconds is None:
                time.sleep(length / rate)
        if time.monotonic() >= next_ack:
            next_ack += 1
            for follower in followers:
                follower.acknowledge()
    return [(follower.copied, follower.seconds) for follower in followers]
