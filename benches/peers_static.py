#!/usr/bin/env python3
"""A fixed set through hnswlib (M 16, efConstruction 200), one thread unless told: rows per second of the build, and
queries per second of a batch call at the recalls that `cargo bench --bench static` measures Drift at.

    python benches/peers_static.py --base BASE.parquet --query QUERY.parquet --truth TRUTH.parquet [--record FILE.csv]

Needs numpy, pyarrow and hnswlib. QPS at a recall is read off between the settings of ef around it.
"""
import argparse
import datetime
import time

import hnswlib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

EF = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256]
RECALLS = [0.90, 0.95, 0.99]
K = 10
PASSES = 3


def vectors(path: str, limit: int | None = None) -> np.ndarray:
    """The file's column of vectors, as float32 rows."""
    table = pq.read_table(path)
    column = next(c for c in table.columns if pa.types.is_fixed_size_list(c.type) or pa.types.is_list(c.type))
    chunks = [np.asarray(chunk.flatten(), dtype=np.float32) for chunk in column.chunks]
    rows = np.concatenate(chunks).reshape(len(column), -1)
    return rows[:limit]


def neighbours(path: str, limit: int) -> np.ndarray:
    """Of each query the ids of its nearest rows, nearest first."""
    column = pq.read_table(path).column("ids")
    ids = np.concatenate([np.asarray(chunk.flatten()) for chunk in column.chunks]).reshape(len(column), -1)
    return ids[:limit, :K]


def fastest(index: hnswlib.Index, queries: np.ndarray) -> tuple[np.ndarray, float]:
    """What was found, and the seconds of the fastest of some passes."""
    seconds = []
    for _ in range(PASSES):
        start = time.perf_counter()
        found, _ = index.knn_query(queries, k=K, num_threads=1)
        seconds.append(time.perf_counter() - start)
    return found, min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("base", "query", "truth"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--name", default="")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1, help="for the build; searches have one")
    parser.add_argument("--record")
    parser.add_argument("--tag", default="")
    args = parser.parse_args()
    rows, queries = vectors(args.base), vectors(args.query, args.queries)
    truth = neighbours(args.truth, len(queries))

    index = hnswlib.Index(space="l2", dim=rows.shape[1])
    index.init_index(max_elements=len(rows), M=16, ef_construction=200, random_seed=1)
    start = time.perf_counter()
    index.add_items(rows, np.arange(len(rows)), num_threads=args.threads)
    figures = {"build_rows_per_s": len(rows) / (time.perf_counter() - start)}
    points = []
    for ef in EF:
        index.set_ef(ef)
        found, seconds = fastest(index, queries)
        hits = sum(len(np.intersect1d(f, t)) for f, t in zip(found, truth))
        points.append((hits / truth.size, len(queries) / seconds))
    recalls, qps = zip(*points)
    for recall in RECALLS:
        if recalls[0] <= recall <= recalls[-1]:
            figures[f"qps_at_{recall:.2f}"] = float(np.exp(np.interp(recall, recalls, np.log(qps))))
    print(f"hnswlib, {args.name}: " + ", ".join(f"{name} {value:,.0f}" for name, value in figures.items()))
    if args.record:
        record(args.record, f"{datetime.date.today()} {args.tag},{args.name}", figures)


def record(path: str, of: str, figures: dict[str, float]) -> None:
    """Appends figures to a CSV file; `of` says what they are of, column by column."""
    with open(path, "a", encoding="utf-8") as out:
        for name, value in figures.items():
            out.write(f"{of},hnswlib {name},{value:.4g}\n")


if __name__ == "__main__":
    main()
