"""What the scripts that measure side by side have in common: their options, an interrupt that still leaves a report, and
the report itself."""

import argparse
import csv
import os
import signal
import sys

from servers import say

INTERRUPTED = 130


def arguments():
    """The options that compare.sh hands on, the folder for the servers' files, and the cores."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", required=True)
    parser.add_argument("--benchmark", required=True)
    parser.add_argument("--paced-load", required=True)
    parser.add_argument("--reference", action="append", default=[])
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("--out", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", default="")
    parser.add_argument("--filled", action="store_true")
    options = parser.parse_args()
    options.servers_folder = os.path.join(options.out, "servers")
    # One core serves, the last makes the load, and replicas get one of their own if there is a third.
    cores = sorted(os.sched_getaffinity(0))
    options.cores = len(cores)
    options.server_core, options.load_core, options.replica_core = cores[0], cores[-1], cores[len(cores) // 2]
    # For a server that may use all but that of the load.
    options.other_cores = ",".join(map(str, cores[:-1] or cores))
    return options


def run(measure, report):
    """Measures, reports, and ends the process. An interrupt ends only the measuring: `measure` has to end its servers then,
    and `report` is told whether there was one."""
    # An end from outside is an interrupt too.
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    status = 0
    try:
        measure()
    except KeyboardInterrupt:
        say("interrupted; writing what there is")
        status = INTERRUPTED
    # The report is short work; a second interrupt must not spoil it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    report(status == INTERRUPTED)
    sys.exit(status)


def write_csv(folder, name, header, rows):
    with open(os.path.join(folder, name), "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([[f"{cell:.5g}" if isinstance(cell, float) else cell for cell in row] for row in rows])


def publish(text, path, draw):
    """Writes the report and prints it. `draw` makes the plots with the module for that, if matplotlib is here, and returns
    their paths."""
    with open(path, "w") as file:
        file.write(text)
    print(text)
    try:
        import plots
    except ImportError:
        say("no plots: matplotlib is not here")
        return
    for plot in draw(plots):
        say(f"plot: {plot}")
