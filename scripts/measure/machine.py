"""What is the machine's, of the time that a request took, and not the server's.

Every machine stalls by itself, a virtual one most of all. A loop that only sleeps, on the server's core, watches for that: it is
ahead of everybody there if it may be (SCHED_FIFO), so what it oversleeps nobody on that core has done. And the scheduler is asked how
long the server's event loop has waited for a core, but for what the server itself used of cores meanwhile: its other threads, and
children. A slow request is the machine's if these account for at least half of it.
"""

import glob
import os
import time

SLEEP_SECONDS = 0.0002

# What is overslept or waited less is not written down.
NOTED_SECONDS = 0.00025


class Waits:
    """How long a server's event loop (and this process, `with_self`) have waited for a core, but for what the rest of the
    server used of cores meanwhile: in seconds, since some time."""

    def __init__(self, pid, with_self=False):
        threads = [path.split("/")[-2] for path in glob.glob(f"/proc/{pid}/task/*/comm")]
        # The thread that answers: ours is called so, those of others are their first.
        loop = next((thread for thread in threads if self._name(pid, thread).startswith("worker-")), str(pid))
        self._pid, self._loop = pid, self._open(f"/proc/{pid}/task/{loop}/schedstat")
        self._waiting = [self._loop] + ([self._open("/proc/self/schedstat")] if with_self else [])
        self._children, self._used = self._open(f"/proc/{pid}/task/{pid}/children"), {}

    @staticmethod
    def _name(pid, thread):
        with open(f"/proc/{pid}/task/{thread}/comm") as file:
            return file.read()

    @staticmethod
    def _open(path):
        return os.open(path, os.O_RDONLY)

    def seconds(self):
        # Nanoseconds on a core, and nanoseconds of waiting for one.
        waited = sum(int(os.pread(file, 64, 0).split()[1]) for file in self._waiting)
        for pid in [self._pid, *map(int, os.pread(self._children, 1024, 0).split())]:
            try:
                # A process's own clock, see clock_getcpuclockid(3).
                self._used[pid] = time.clock_gettime_ns((~pid << 3) | 2)
            except OSError:
                # It has just ended; what it used stays.
                pass
        return (waited - sum(self._used.values()) + int(os.pread(self._loop, 64, 0).split()[0])) / 1e9


def timed_sleep(stopped, ready, pid):
    """When a short sleep was too long, its due end and its real one; and of a server, if one is given, when its event loop waited
    for a core: pairs of begin and end, by time.perf_counter()."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        # Not everybody may. Then what it oversleeps may be the server's, too.
        pass
    stalls, waiting = [], []
    waits = Waits(pid) if pid else None
    ready.set()
    before = waits.seconds() if waits else 0
    while not stopped.is_set():
        due = time.perf_counter() + SLEEP_SECONDS
        time.sleep(SLEEP_SECONDS)
        end = time.perf_counter()
        if end - due > NOTED_SECONDS / 2:
            stalls.append((due, end))
        if waits:
            after = waits.seconds()
            if after - before > NOTED_SECONDS:
                waiting.append((end - (after - before), end))
            before = after
    return stalls, waiting


def overlap(start, end, spans):
    """Seconds of a time that lie in some spans."""
    return sum(max(0, min(end, until) - max(start, since)) for since, until in spans)


def is_the_machine(start, end, waited, stalls):
    """Whether the machine stalled for at least half of that time."""
    return max(overlap(start, end, stalls), waited) >= (end - start) / 2
