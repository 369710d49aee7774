"""The plots of scripts/compare.sh: one file a figure, each readable by itself."""

import os

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
    colours = {server: COLOURS[index % len(COLOURS)] for index, server in enumerate(servers)}
    made = []

    def save(figure, name):
        path = os.path.join(folder, f"{name}.{suffix}")
        figure.savefig(path, bbox_inches="tight", dpi=110)
        plt.close(figure)
        made.append(path)

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
    if results.replicated:
        save(replicas(results.replicated, colours), "replicas")
    return made


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


def replicas(replicated, colours):
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8))
    servers = list(dict.fromkeys(found.server for found in replicated))
    counts = sorted({found.replicas for found in replicated})
    for axis, label, value in (
            (axes[0], "primary's CPU, microseconds a request", lambda found: found.cpu_us),
            (axes[1], "thousand requests a second", lambda found: found.requests_per_second / 1e3)):
        for server in servers:
            points = [(counts.index(found.replicas), value(found)) for found in replicated if found.server == server]
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
