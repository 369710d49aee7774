"""Servers under measurement: starting and ending them, talking to them, and reading what they cost.

The figures come from /proc, so this is for Linux. Standard library only.
"""

import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time

# How long a server may take until it answers, and until it ends.
START_SECONDS_MAX = 20
STOP_SECONDS_MAX = 10

# How long a reply may take.
REPLY_SECONDS_MAX = 120

PORTS = range(20_000, 32_000)
PORTS_TRIED_MAX = 20

# Resident memory has settled when it moved by less than this share within this time.
SETTLED_SHARE = 0.002
SETTLED_SECONDS = 0.5
SETTLE_SECONDS_MAX = 15


def say(text):
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def wanted_servers(ours, references, peers):
    """The table of servers: name to command. `references` are lines NAME=PROGRAM, `peers` NAME=COMMAND."""
    commands = {"Brindle": [ours, "--save", ""]}
    for name, program in (line.split("=", 1) for line in references):
        commands[name] = [program, "--save", "", "--appendonly", "no"]
    for line in peers:
        name, separator, command = line.partition("=")
        if not (name and separator and command):
            sys.exit(f"--peer takes NAME=COMMAND, not '{line}'")
        if name in commands:
            sys.exit(f"--peer: there is a server called '{name}' already")
        commands[name] = shlex.split(command)
    return commands


class Server:
    """A running server. `{port}` in its command stands for the port; without it, `--port PORT` is added."""

    def __init__(self, name, command, folder, core=None, extra=()):
        self.name = name
        # A folder for each, and nothing in it that a server would load.
        folder = os.path.join(folder, re.sub(r"\W+", "-", name))
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        self.log_path = os.path.join(folder, "server.log")
        pinned = [] if core is None else ["taskset", "-c", str(core)]
        for _ in range(PORTS_TRIED_MAX):
            self.port = random.choice(PORTS)
            if _is_taken(self.port):
                continue
            line = [word.replace("{port}", str(self.port)) for word in command]
            if line == list(command):
                line += ["--port", str(self.port)]
            log = open(self.log_path, "wb")
            # A session of its own, so that an interrupt at the keyboard does not end it before we do.
            self.process = subprocess.Popen(
                pinned + line + list(extra), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
                start_new_session=True)
            log.close()
            try:
                if self._answers():
                    return
            except BaseException:
                self.stop()
                raise
            self.stop()
        with open(self.log_path, errors="replace") as log:
            sys.exit(f"{name} does not start: {' '.join(command)}\n{log.read()[-2000:]}")

    def _answers(self):
        end = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with self.connect() as connection:
                    if connection.command("PING") == b"+PONG\r\n":
                        return True
            except OSError:
                pass
            time.sleep(0.02)
        return False

    def connect(self):
        return Connection(self.port)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # --- what it costs ---

    def _status(self, field):
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) * 1024
        raise ValueError(f"/proc has no {field}")

    def resident(self):
        """Resident memory in bytes."""
        return self._status("VmRSS")

    def resident_peak(self):
        """The most it ever was, in bytes."""
        return self._status("VmHWM")

    def resident_data(self):
        """Resident memory without the pages of files: those of the program's text come whenever they are first touched,
        and are no data."""
        return self._status("RssAnon") + self._status("RssShmem")

    def settled_resident(self):
        """Resident memory once it has stopped to move."""
        return self._settled(self.resident)

    def settled_data(self):
        """The same without the pages of files."""
        return self._settled(self.resident_data)

    @staticmethod
    def _settled(measure):
        end = time.monotonic() + SETTLE_SECONDS_MAX
        before = measure()
        while time.monotonic() < end:
            time.sleep(SETTLED_SECONDS)
            now = measure()
            if abs(now - before) <= SETTLED_SHARE * before:
                return now
            before = now
        return before

    def cpu_seconds(self):
        """Processor time of all its threads, those that have ended included: the process's own clock (see
        clock_getcpuclockid(3)), which is exact where /proc counts in ticks."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def version(self):
        with self.connect() as connection:
            info = connection.command("INFO", "server").decode(errors="replace")
        for field in ("brindle_version", "valkey_version", "redis_version"):
            found = re.search(rf"^{field}:(\S+)", info, re.M)
            if found:
                return found.group(1)
        return "unknown"


class Connection:
    """A blocking connection for commands one by one, and for batches."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=REPLY_SECONDS_MAX)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.batches = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def command(self, *words):
        """The raw reply of one command whose reply is a line or a bulk string."""
        self.socket.sendall(encode(*words))
        return self.read_line_or_bulk()

    def read_line_or_bulk(self):
        """The raw reply to what was sent."""
        reply = self._read(b"")
        if reply[:1] in (b"$", b"=") and not reply.startswith(b"$-1"):
            head, _, body = reply.partition(b"\r\n")
            wanted = len(head) + 2 + int(head[1:]) + 2
            while len(reply) < wanted:
                reply = self._read(reply)
        else:
            while not reply.endswith(b"\r\n"):
                reply = self._read(reply)
        return reply

    def read_until(self, end):
        """Raw replies up to one that ends so."""
        reply = b""
        while not reply.endswith(end):
            reply = self._read(reply)
        return reply

    def batch(self, commands):
        """Sends encoded commands and waits until all are answered; an error among the replies ends the run."""
        self.batches += 1
        marker = b"batch %d is done" % self.batches
        self.socket.sendall(commands + encode("ECHO", marker))
        replies = b""
        while not replies.endswith(marker + b"\r\n"):
            replies = self._read(replies)
        error = re.search(rb"^-[^\r]*", replies, re.M)
        if error:
            sys.exit(f"a command was refused: {error.group().decode(errors='replace')}")

    def _read(self, before):
        more = self.socket.recv(1 << 20)
        if not more:
            raise ConnectionError("the server closed the connection")
        return before + more


def encode(*words):
    """A command as an array of bulk strings."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(word), word))
    return b"".join(parts)


def batched(commands, size=1000):
    """Joins an iterator of encoded commands into batches."""
    batch = []
    for command in commands:
        batch.append(command)
        if len(batch) == size:
            yield b"".join(batch)
            batch = []
    if batch:
        yield b"".join(batch)


def _is_taken(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
