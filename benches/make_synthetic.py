#!/usr/bin/env python3
"""A generated set of low intrinsic dimension, with exact neighbours: NAME_{base,query,gt100}.parquet.

    python benches/make_synthetic.py OUT_DIR --rows 350000 --dim 128

Each row is a point of one of rows / 500 normal clusters in 16 dimensions, put into `dim` dimensions by one
random linear map, with a hundredth of noise. Queries are further such rows. Seeds are fixed. Needs numpy and
pyarrow.
"""
import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

LATENT = 16
QUERIES = 1000
NEIGHBOURS = 100
BLOCK = 100_000


def points(rng: np.random.Generator, rows: int, centres: np.ndarray, into: np.ndarray) -> np.ndarray:
    latent = centres[rng.integers(len(centres), size=rows)] + 0.3 * rng.standard_normal((rows, LATENT))
    noise = 0.01 * rng.standard_normal((rows, into.shape[1]))
    return (latent @ into + noise).astype(np.float32)


def neighbours(base: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The ids of the nearest rows of each query, nearest first."""
    best = np.empty((len(queries), 0)), np.empty((len(queries), 0), np.int64)
    for first in range(0, len(base), BLOCK):
        rows = base[first : first + BLOCK].astype(np.float64)
        distances = (rows**2).sum(1) - 2 * queries.astype(np.float64) @ rows.T
        ids = np.broadcast_to(np.arange(first, first + len(rows)), distances.shape)
        distances, ids = np.hstack([best[0], distances]), np.hstack([best[1], ids])
        nearest = np.argpartition(distances, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        best = np.take_along_axis(distances, nearest, 1), np.take_along_axis(ids, nearest, 1)
    return np.take_along_axis(best[1], np.argsort(best[0], axis=1), 1)


def table(vectors: np.ndarray) -> pa.Table:
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    return pa.table({"id": np.arange(len(vectors), dtype=np.int64), "vector": column})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=int, default=350_000)
    parser.add_argument("--dim", type=int, default=128)
    args = parser.parse_args()
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((max(1, args.rows // 500), LATENT))
    into = rng.standard_normal((LATENT, args.dim)) / LATENT**0.5
    base, queries = points(rng, args.rows, centres, into), points(rng, QUERIES, centres, into)
    name = args.out / f"synthetic_{args.rows}_{args.dim}"
    pq.write_table(table(base), f"{name}_base.parquet")
    pq.write_table(table(queries), f"{name}_query.parquet")
    truth = pa.FixedSizeListArray.from_arrays(pa.array(neighbours(base, queries).astype(np.int32).ravel()), NEIGHBOURS)
    pq.write_table(pa.table({"ids": truth}), f"{name}_gt100.parquet")


if __name__ == "__main__":
    main()
