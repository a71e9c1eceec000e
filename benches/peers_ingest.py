#!/usr/bin/env python3
"""Rows in small batches through hnswlib (M 16, efConstruction 200), one thread, as `cargo bench --bench
ingest` gives them to Drift: all rows; then the same vectors under new labels, and after each batch as many
of the oldest are marked deleted, whose places are used again.

    python benches/peers_ingest.py --base BASE.parquet [--batch 1000] [--record FILE.csv]

Needs numpy, pyarrow and hnswlib. Rows per second count the calls of hnswlib alone; nothing is durable.
"""
import argparse
import datetime
import time

import hnswlib
import numpy as np

from peers_static import record, vectors


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--base", required=True)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--record")
    args = parser.parse_args()
    rows = vectors(args.base)
    rows = rows[: len(rows) // args.batch * args.batch]
    index = hnswlib.Index(space="l2", dim=rows.shape[1])
    index.init_index(
        max_elements=len(rows) + args.batch, M=16, ef_construction=200, random_seed=1, allow_replace_deleted=True
    )
    figures = {}
    for phase in ("insert", "replace"):
        seconds = 0.0
        for first in range(0, len(rows), args.batch):
            old = np.arange(first, first + args.batch)
            new = old + len(rows) if phase == "replace" else old
            start = time.perf_counter()
            index.add_items(rows[first : first + args.batch], new, num_threads=1, replace_deleted=phase == "replace")
            if phase == "replace":
                for label in old.tolist():
                    index.mark_deleted(label)
            seconds += time.perf_counter() - start
        figures[f"{phase}_rows_per_s"] = len(rows) / seconds
    print("hnswlib: " + ", ".join(f"{name} {value:,.0f}" for name, value in figures.items()))
    if args.record:
        record(args.record, str(datetime.date.today()), figures)


if __name__ == "__main__":
    main()
