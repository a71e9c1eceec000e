#!/usr/bin/env python3
"""How the cost of a search grows: one PNG out of what `cargo bench --bench scaling` recorded, one row of
panels per axis, and a table in Markdown per axis.

    python3 -m venv VENV && VENV/bin/pip install matplotlib
    VENV/bin/python plot_scaling.py OUT.png RECORD.csv...

Of several measurements of the same point in the records the last one counts.
"""
import csv
import sys
from collections import defaultdict

from plotting import number, plt, table

AXES = {
    "rows": "rows, 128 dimensions",
    "dim": "dimensions",
    "k": "k",
    "match": "share of the rows that match",
    "clients": "clients",
}
# Title, [(figure, line style)], logarithmic.
PANELS = [
    ("latency, us: p50, p99 (dotted)", [("p50_us", "-"), ("p99_us", ":")], True),
    ("queries per second", [("qps", "-"), ("qps at equal recall of hnswlib", "--")], True),
    ("recall; asked (dotted)", [("recall", "-")], False),
    ("rows scanned, compared exactly (dotted)", [("rows_scanned", "-"), ("rows_reranked", ":")], True),
]
COLUMNS = [
    "recall",
    "p50_us",
    "p99_us",
    "qps",
    "rows_scanned",
    "buckets_probed",
    "load_rows_per_s",
    "disk_over_raw",
    "load_rows_per_s over hnswlib",
    "qps at equal recall over hnswlib",
]


def read(paths):
    """axis -> recall asked -> figure -> {at: value}"""
    points = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for path in paths:
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                curve = points[row["axis"]][float(row["recall asked"])]
                curve[row["figure"]][float(row["at"])] = float(row["value"])
    return points


def panel(axes, title, lines, logarithmic, curves):
    for i, (asked, figures) in enumerate(sorted(curves.items())):
        for what, style in lines:
            if figures.get(what):
                name = f"{asked:g} asked" + (", hnswlib" if "hnswlib" in what else "")
                label = name if style in ("-", "--") else None
                axes.plot(*zip(*sorted(figures[what].items())), style, color=f"C{i}", marker=".", label=label)
        if title.startswith("recall"):
            axes.axhline(asked, color=f"C{i}", linestyle=":", linewidth=1)
    axes.set(title=title, xscale="log")
    axes.grid(alpha=0.3)
    if logarithmic and axes.lines:
        axes.set_yscale("log")


def plot(points, out):
    drawn = [axis for axis in AXES if axis in points]
    figure, grid = plt.subplots(len(drawn), len(PANELS), figsize=(18, 3.6 * len(drawn)), squeeze=False)
    for axis, row in zip(drawn, grid):
        for axes, (title, lines, logarithmic) in zip(row, PANELS):
            panel(axes, title, lines, logarithmic, points[axis])
            axes.set_xlabel(AXES[axis])
        row[1].legend()
    figure.tight_layout()
    figure.savefig(out, dpi=70)
    print(out)


def tables(points):
    for axis in (axis for axis in AXES if axis in points):
        rows = {}
        for asked, figures in sorted(points[axis].items()):
            for at in sorted({at for values in figures.values() for at in values}):
                cells = [number(figures.get(column, {}).get(at)) for column in COLUMNS]
                rows[f"{AXES[axis]}: {at:g}, {asked:g} asked"] = cells
        table(COLUMNS, rows)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    measured = read(sys.argv[2:])
    plot(measured, sys.argv[1])
    tables(measured)
