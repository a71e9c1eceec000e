#!/usr/bin/env python3
"""One PNG with five panels out of what `cargo bench --bench scaling --record` wrote, and its figures as
tables in Markdown.

    VENV/bin/python plot_scaling.py OUT.png RECORD.csv...

Needs matplotlib. Of several figures for the same point the last one counts.
"""
import csv
import sys
from collections import defaultdict

from plotting import number, plt, table

# Axis, title, label. All axes are logarithmic.
PANELS = [
    ("rows", "rows (128 dimensions)", "rows"),
    ("dim", "dimension (50,000 rows)", "dimension"),
    ("k", "k (200,000 x 128)", "k"),
    ("match", "share of rows that match a filter", "share"),
    ("clients", "clients at once (2 cores)", "clients"),
]
LINES = [("p50_us", "-", "p50, us"), ("p99_us", ":", "p99, us"), ("rows_scanned", "--", "rows scanned")]


def read(paths):
    """axis -> recall asked -> figure -> {value of the axis: value}"""
    points = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for path in paths:
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                points[row["axis"]][row["recall asked"]][row["figure"]][float(row["at"])] = float(row["value"])
    return points


def plot(points, out):
    figure, axes = plt.subplots(1, len(PANELS), figsize=(22, 5))
    for panel, (axis, title, label) in zip(axes, PANELS):
        recalls = panel.twinx()
        for i, (asked, figures) in enumerate(sorted(points[axis].items())):
            for name, style, what in LINES:
                # Few matching rows are compared exactly, and none is scanned.
                if values := sorted((at, value) for at, value in figures[name].items() if value > 0):
                    panel.plot(*zip(*values), style, marker=".", color=f"C{i}", label=f"{what}, {asked} asked")
            if values := sorted(figures["recall"].items()):
                recalls.plot(*zip(*values), "-.", marker="x", color=f"C{i}", alpha=0.4)
            recalls.axhline(float(asked), color=f"C{i}", linewidth=0.5, alpha=0.5)
        recalls.set_ylim(0.85, 1.002)
        panel.set(title=title, xlabel=label, xscale="log", yscale="log")
        panel.set_ylim(bottom=1)
        panel.grid(alpha=0.3)
    recalls.set_ylabel("recall (crosses)")
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(out, dpi=80)
    plt.close(figure)


def place(at):
    return f"{at:,.0f}" if at >= 2 else f"{at:g}"


def tables(points):
    figures = ["recall", "p50_us", "p99_us", "qps", "rows_scanned", "load_rows_per_s"]
    for axis, _, head in PANELS:
        print(f"\n{head}")
        rows = {}
        for asked, found in sorted(points[axis].items()):
            for at in sorted(found["recall"]):
                rows[f"{place(at)}, {asked} asked"] = [number(found[figure].get(at)) for figure in figures]
        table(figures, rows)
    for asked, found in sorted(points["rows"].items()):
        ratios = {name: values for name, values in found.items() if name.endswith("hnswlib")}
        table([place(at) for at in sorted(found["recall"])], {
            f"{name}, {asked}": [number(values.get(at)) for at in sorted(found["recall"])]
            for name, values in ratios.items()
        })


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    read_points = read(sys.argv[2:])
    plot(read_points, sys.argv[1])
    tables(read_points)
