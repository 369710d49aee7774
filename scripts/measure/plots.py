"""The plots of scripts/compare.sh: one file a figure, each readable by itself."""

import os
import statistics

import matplotlib

matplotlib.use("agg")
# Text stays text, so that it can be found and read aloud, and a second run draws the same bytes.
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "brindle", "font.size": 10})

import matplotlib.pyplot as plt  # noqa: E402

# Told apart by those who do not see red from green.
COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999"]


def draw(results, summary, folder, suffix="svg"):
    """Draws what there are figures for; returns the files."""
    cells = {row[:3]: row[3:] for row in summary}
    servers = list(results.versions)
    colours = colours_of(servers)
    made = []

    def save(figure, name):
        made.append(written(figure, folder, name, suffix))

    if cells:
        figures = [
            ("cpu", "Server CPU a request", "microseconds a request (less is better)", lambda cell: cell[4], "{:.2f}"),
            ("throughput", "Throughput", "thousand requests a second (more is better)", lambda cell: cell[0] / 1e3, "{:,.0f}"),
        ]
        for name, title, unit, value, show in figures:
            save(bars(cells, servers, colours, title, unit, value, show), name)
        save(latency(cells, servers, colours), "latency")
    if results.resident:
        save(memory(results.resident, colours), "memory")
    if results.half_load:
        save(half_load(results.half_load, colours), "half_load")
    if results.fan_out:
        save(fan_out(results.fan_out, colours), "replicas")
    return made


def draw_replication(results, folder, suffix="svg"):
    """Draws what there are figures for; returns the files."""
    servers = list(results.versions)
    colours = colours_of(servers)
    made = []

    def save(figure, name):
        made.append(written(figure, folder, f"replication_{name}", suffix))

    def of(rows, server, value, fold=statistics.median):
        values = [value(row) for row in rows if row.server == server]
        return fold(values) if values else None

    if results.copies:
        panels = [
            ("MB a second (more is better)", lambda s: of(results.copies, s, lambda row: row.mb_per_second), "{:.0f}"),
            ("slowest request, ms (less is better)", lambda s: of(results.copies, s, lambda row: row.slowest_ms, max), "{:.1f}"),
        ]
        if results.peaks:
            panels.append(("peak memory over that before,\nevery key overwritten (less is better)",
                           lambda s: of(results.peaks, s, lambda row: row.peak_bytes / row.before_bytes, max), "{:.2f}"))
        save(columns(servers, colours, "Full copy to a replica, under writes", panels), "copy")
    if results.fan_out:
        save(fan_out(results.fan_out, colours), "fan_out")
    if results.visible:
        panels = []
        for load in dict.fromkeys(row.load for row in results.visible):
            rows = [row for row in results.visible if row.load == load]
            panels.append((f"{'idle' if load == 'idle' else 'half load'}, p50, ms",
                           lambda s, rows=rows: of(rows, s, lambda row: row.p50_ms), "{:.2f}"))
            panels.append((f"{'idle' if load == 'idle' else 'half load'}, p99, ms",
                           lambda s, rows=rows: of(rows, s, lambda row: row.p99_ms), "{:.2f}"))
        save(columns(servers, colours, "From a write to its being visible on the replica (less is better)", panels), "visible")
    if results.away:
        panels = [("milliseconds (less is better)", lambda s: of(results.away, s, lambda row: row.seconds * 1e3), "{:.0f}")]
        save(columns(servers, colours, "Catching up with what was missed", panels), "away")
    return made


def draw_stalls(found, aim_ms, folder, suffix="svg"):
    """The slowest request of each phase; returns the files."""
    if not found:
        return []
    servers = list(dict.fromkeys(row.server for row in found))
    phases = list(dict.fromkeys(row.phase for row in found))
    colours = colours_of(servers)
    figure, axis = plt.subplots(figsize=(8, 0.3 * len(servers) * len(phases) + 1.5))
    step = 0.8 / len(servers)
    for row in found:
        at = phases.index(row.phase) + (servers.index(row.server) - (len(servers) - 1) / 2) * step
        axis.barh(at, row.slowest_own_ms, step * 0.92, color=colours[row.server])
        axis.plot(row.slowest_ms, at, "|", color="black", markersize=9)
        # Inside the bar, for the tick may stand right behind it.
        axis.annotate(f"{row.slowest_own_ms:.1f}", (row.slowest_own_ms, at), xytext=(-3, 0), textcoords="offset points",
                      ha="right", va="center", fontsize=7.5)
    axis.axvline(aim_ms, color="black", linewidth=0.8, linestyle=":")
    axis.set_xscale("log")
    axis.set_xlim(left=0.1)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlabel("milliseconds (less is better); bar: without the machine's own stalls, tick: with them, dots: the aim")
    axis.set_yticks(range(len(phases)), phases)
    axis.set_ylim(len(phases) - 0.5, -0.5)
    axis.grid(axis="x", alpha=0.3)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    legend(figure, servers, colours, "The slowest single request")
    return [written(figure, folder, "stalls", suffix)]


def colours_of(servers):
    return {server: COLOURS[index % len(COLOURS)] for index, server in enumerate(servers)}


def written(figure, folder, name, suffix):
    """Writes a figure that is complete; returns its file."""
    path = os.path.join(folder, f"{name}.{suffix}")
    figure.savefig(path, bbox_inches="tight", dpi=110)
    plt.close(figure)
    return path


def columns(servers, colours, title, panels):
    """A panel a figure, in it a bar a server; each names its unit."""
    figure, axes = plt.subplots(1, len(panels), figsize=(3.6 * len(panels), 0.42 * len(servers) + 1.3), squeeze=False)
    for axis, (label, value, show) in zip(axes[0], panels):
        found = [(row, server, value(server)) for row, server in enumerate(servers)]
        found = [(row, server, length) for row, server, length in found if length is not None]
        for row, server, length in found:
            axis.barh(row, length, 0.7, color=colours[server])
            axis.annotate(show.format(length), (length, row), xytext=(4, 0), textcoords="offset points", va="center",
                          fontsize=8.5)
        axis.set_yticks([])
        axis.set_ylim(len(servers) - 0.5, -0.5)
        axis.set_xlim(0, max((length for _, _, length in found), default=1) * 1.25 or 1)
        axis.set_xlabel(label)
        axis.grid(axis="x", alpha=0.3)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    legend(figure, servers, colours, title)
    return figure


def half_load(found, colours):
    """From p50 (dot) over p99 (tick) to p99.9 (end of the line), for each workload."""
    workloads = list(dict.fromkeys(row.workload for row in found))
    servers = list(dict.fromkeys(row.server for row in found))
    figure, axis = plt.subplots(figsize=(7, 0.3 * len(servers) * len(workloads) + 1.3))
    step = 0.8 / len(servers)
    for row in found:
        at = workloads.index(row.workload) + (servers.index(row.server) - (len(servers) - 1) / 2) * step
        axis.plot([row.p50_ms, row.p999_ms], [at, at], color=colours[row.server], linewidth=1.5)
        axis.plot(row.p50_ms, at, "o", color=colours[row.server], markersize=4)
        axis.plot(row.p99_ms, at, "|", color=colours[row.server], markersize=8, markeredgewidth=2)
        axis.plot(row.p999_ms, at, ">", color=colours[row.server], markersize=4)
    axis.set_xlabel("milliseconds (less is better)")
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_yticks(range(len(workloads)), workloads)
    axis.set_ylim(len(workloads) - 0.5, -0.5)
    axis.grid(axis="x", alpha=0.3, which="both")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    legend(figure, servers, colours, "Single requests at half load: p50 (dot), p99 (bar), p99.9 (arrow)")
    return figure


def bars(cells, servers, colours, title, unit, value, show):
    """A panel for each pipeline; in it a group for each workload and a bar for each server."""
    workloads = list(dict.fromkeys(workload for _, workload, _ in cells))
    pipelines = sorted({pipeline for _, _, pipeline in cells})
    height = max(3.0, 0.24 * len(servers) * len(workloads) + 1.2)
    figure, axes = plt.subplots(1, len(pipelines), figsize=(4.6 * len(pipelines), height), sharey=True, squeeze=False)
    thickness = 0.8 / len(servers)
    for axis, pipeline in zip(axes[0], pipelines):
        longest = 0
        for index, server in enumerate(servers):
            for row, workload in enumerate(workloads):
                cell = cells.get((server, workload, pipeline))
                if cell is None:
                    continue
                at = row + (index - (len(servers) - 1) / 2) * thickness
                length = value(cell)
                longest = max(longest, length)
                axis.barh(at, length, thickness * 0.92, color=colours[server])
                axis.annotate(show.format(length), (length, at), xytext=(3, 0), textcoords="offset points",
                              va="center", fontsize=7.5)
        axis.set_title(f"pipeline {pipeline}")
        axis.set_xlabel(unit)
        axis.set_xlim(0, longest * 1.18 or 1)
        axis.set_yticks(range(len(workloads)), workloads)
        axis.grid(axis="x", alpha=0.3)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylim(len(workloads) - 0.5, -0.5)
    legend(figure, servers, colours, title)
    return figure


def latency(cells, servers, colours):
    """From p50 (dot) over p99 (tick) to p99.9 (end of the line), for each workload and pipeline."""
    workloads = list(dict.fromkeys(workload for _, workload, _ in cells))
    pipelines = sorted({pipeline for _, _, pipeline in cells})
    height = max(3.0, 0.24 * len(servers) * len(workloads) + 1.2)
    figure, axes = plt.subplots(1, len(pipelines), figsize=(4.6 * len(pipelines), height), sharey=True, squeeze=False)
    step = 0.8 / len(servers)
    for axis, pipeline in zip(axes[0], pipelines):
        for index, server in enumerate(servers):
            for row, workload in enumerate(workloads):
                cell = cells.get((server, workload, pipeline))
                if cell is None:
                    continue
                at = row + (index - (len(servers) - 1) / 2) * step
                p50, p99, p999 = cell[1:4]
                axis.plot([p50, p999], [at, at], color=colours[server], linewidth=1.5)
                axis.plot(p50, at, "o", color=colours[server], markersize=4)
                axis.plot(p99, at, "|", color=colours[server], markersize=8, markeredgewidth=2)
                axis.plot(p999, at, ">", color=colours[server], markersize=4)
        axis.set_title(f"pipeline {pipeline}")
        axis.set_xlabel("milliseconds, at full load (less is better)")
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_yticks(range(len(workloads)), workloads)
        axis.grid(axis="x", alpha=0.3, which="both")
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylim(len(workloads) - 0.5, -0.5)
    legend(figure, servers, colours, "Latency: p50 (dot), p99 (bar), p99.9 (arrow)")
    return figure


def memory(resident, colours):
    figure, axis = plt.subplots(figsize=(6, 0.5 * len(resident) + 1.2))
    for row, (server, value) in enumerate(resident.items()):
        axis.barh(row, value / (1 << 20), 0.6, color=colours[server])
        axis.annotate(f"{value / (1 << 20):.0f}", (value / (1 << 20), row), xytext=(4, 0), textcoords="offset points", va="center")
    axis.set_yticks(range(len(resident)), list(resident))
    axis.invert_yaxis()
    axis.set_xlim(0, max(resident.values()) / (1 << 20) * 1.15)
    axis.set_xlabel("MiB above the empty server (less is better)")
    axis.set_title("Resident memory: a million keys of 16 bytes, values of 64")
    axis.grid(axis="x", alpha=0.3)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def fan_out(found, colours):
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8))
    servers = list(dict.fromkeys(row.server for row in found))
    counts = sorted({row.replicas for row in found})
    for axis, label, value in (
            (axes[0], "primary's CPU, microseconds a request\n(less is better)", lambda row: row.cpu_us),
            (axes[1], "thousand requests a second\n(more is better)", lambda row: row.requests_per_second / 1e3)):
        for server in servers:
            points = []
            for at, count in enumerate(counts):
                values = [value(row) for row in found if (row.server, row.replicas) == (server, count)]
                if values:
                    points.append((at, statistics.median(values)))
            axis.plot(*zip(*points), "o-", color=colours[server])
        axis.set_xticks(range(len(counts)), counts)
        axis.set_xlabel("replicas")
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    legend(figure, servers, colours, "SET at pipeline 16, replicas connected")
    return figure


def legend(figure, servers, colours, title):
    """Above the panels: the title, and below it which colour is whose."""
    figure.tight_layout()
    handles = [plt.Rectangle((0, 0), 1, 1, color=colours[server]) for server in servers]
    top = 1 + 0.62 / figure.get_figheight()
    figure.suptitle(title, y=top, fontsize=13, va="top")
    figure.legend(handles, servers, loc="upper center", bbox_to_anchor=(0.5, 1 + 0.34 / figure.get_figheight()),
                  ncols=len(servers), frameon=False)
