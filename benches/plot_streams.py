#!/usr/bin/env python3
"""Plots of drifting streams: one PNG per workload out of what `cargo bench --bench streams` recorded.

    python3 -m venv VENV && VENV/bin/pip install matplotlib
    VENV/bin/python plot_streams.py OUT_DIR RECORD.csv...

Of several runs of a workload in the records the last one counts.
"""
import csv
import math
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

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
    axes[0, 0].legend()
    figure.suptitle(workload)
    figure.tight_layout()
    figure.savefig(out, dpi=80)
    plt.close(figure)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for workload, variants in read(sys.argv[2:]).items():
        png = target / f"streams-{workload.replace(' ', '-')}.png"
        plot(workload, variants, png)
        print(png)
