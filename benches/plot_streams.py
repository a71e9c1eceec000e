#!/usr/bin/env python3
"""Plots of drifting streams: one PNG per workload out of what `cargo bench --bench streams` and
peers_streams.py recorded, and two tables in Markdown: the figures of whole runs, and who ends where.

    python3 -m venv VENV && VENV/bin/pip install matplotlib
    VENV/bin/python plot_streams.py OUT_DIR RECORD.csv...

Of several runs of a workload in the records the last one counts.
"""
import csv
import math
import sys
from collections import defaultdict
from pathlib import Path

from plotting import number, plt, table

# Title, [(figure, line style)], logarithmic.
PANELS = [
    ("recall@10: mean, worst 5 % (dotted); 0.95 asked", [("recall", "-"), ("recall_p5", ":")], False),
    ("rows scanned per query", [("rows_scanned", "-")], True),
    ("latency, us: p50, p99 (dotted), one client", [("p50_us", "-"), ("p99_us", ":")], True),
    ("p99 while rows come, us", [("busy_p99_us", "-")], True),
    ("write amplification since the beginning", [("write_amplification", "-")], False),
    ("disk / raw vectors", [("disk_over_raw", "-")], False),
]
FIRST = ["drift", "off", "fresh"]
NOT_BY_STEP = {"drift+L0", "rested", "whole"}


def read(paths):
    """workload -> variant -> figure -> {step: value}"""
    runs = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for path in paths:
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                runs[row["workload"]][row["variant"]][row["figure"]][int(row["step"])] = float(row["value"])
    return runs


def plot(workload, variants, out):
    names = [v for v in FIRST if v in variants] + sorted(set(variants) - set(FIRST) - NOT_BY_STEP)
    colour = {name: f"C{i}" for i, name in enumerate(names)}
    figure, axes = plt.subplots(2, 3, figsize=(16, 8))
    for axis, (title, lines, logarithmic) in zip(axes.flat, PANELS):
        for name in names:
            for what, style in lines:
                points = sorted((s, v) for s, v in variants[name].get(what, {}).items() if math.isfinite(v))
                if points:
                    label = name if style == "-" else None
                    axis.plot(*zip(*points), style, color=colour[name], marker=".", label=label)
        axis.set(title=title, xlabel="step")
        axis.xaxis.set_major_locator(plt.MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        if logarithmic and axis.lines:
            axis.set_yscale("log")
    axes[0, 0].axhline(0.95, color="grey", linewidth=1)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(labels))
    figure.suptitle(workload)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(out, dpi=80)
    plt.close(figure)


def tables(runs):
    whole = list(dict.fromkeys(figure for variants in runs.values() for figure in variants["whole"]))
    table(runs, {f: [number(v["whole"].get(f, {}).get(0)) for v in runs.values()] for f in whole})
    ends = ["recall", "rows_scanned", "p50_us", "p99_us", "insert_rows_per_s"]
    rows = {}
    for workload, variants in runs.items():
        for variant in sorted(set(variants) - NOT_BY_STEP):
            steps = [variants[variant].get(figure, {}) for figure in ends]
            cells = [f"{number(s[min(s)])} → {number(s[max(s)])}" if s else "" for s in steps]
            rows[f"{workload}: {variant}"] = cells
    table([f"{figure}, first → last step" for figure in ends], rows)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    runs = read(sys.argv[2:])
    for workload, variants in runs.items():
        png = target / f"streams-{workload.replace(' ', '-')}.png"
        plot(workload, variants, png)
        print(png)
    tables(runs)
