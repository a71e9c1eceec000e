"""What the benches of a running server share: sets of vectors, a server of their own, recall, records.

A set is three Parquet files: `BASE` has rows with a list of floats and perhaps `id`, `QUERY` vectors of the same
width, and `TRUTH` for each query the `ids` of its exact neighbours, nearest first. Without files it is made up.
"""

import csv
import datetime
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests/python"), str(HERE.parent / "clients/python")]

K = 10
SEED = 7
COLLECTION = "docs"
MESSAGE_BYTES = 2 << 20  # well below what clients send at most


class Set(NamedTuple):
    name: str
    table: pa.Table  # its vectors are in `embedding`, its key is `id`: the row's number, where truth is given
    vectors: np.ndarray  # of the rows, float32
    queries: np.ndarray
    nearest: np.ndarray  # of each query the squared distance of its K-th neighbour

    @property
    def raw_bytes(self):
        return self.vectors.nbytes

    def recall(self, query, ids):
        """The share of K places that hold a row no farther than the K-th neighbour: ties count."""
        distances = squared(self.vectors[np.asarray(ids, np.int64)], self.queries[query])
        return float((distances <= self.nearest[query] * (1 + 1e-4) + 1e-6).sum()) / K


def set_arguments(parser):
    parser.add_argument("--binary", type=Path, default=HERE.parent / "target/release/drift", help="the server to start")
    parser.add_argument("--rows", type=Path, help="Parquet file of the rows; else 50,000 x 128 made up")
    parser.add_argument("--query", type=Path, help="Parquet file of queries; else rows, a little moved")
    parser.add_argument("--truth", type=Path, help="Parquet file of exact neighbours; else they are looked for")
    parser.add_argument("--queries", type=int, default=1000, help="at most so many")
    parser.add_argument("--record", type=Path, help="CSV file to append the figures to")
    parser.add_argument("--name", default="", help="what the record calls this set")


def load(args):
    table = pq.read_table(args.rows) if args.rows else made_up(50_000, 128)
    column = vector_column(table)
    vectors = matrix(table[column])
    if "id" not in table.schema.names:
        table = table.append_column("id", pa.array(range(table.num_rows), pa.int64()))
    at = table.schema.get_field_index(column)
    table = table.set_column(at, "embedding", arrow(vectors))
    if args.query:
        found = pq.read_table(args.query).slice(0, args.queries)
        queries = matrix(found[vector_column(found)])
    else:
        queries = moved(vectors, args.queries)
    if args.truth:
        ids = matrix(pq.read_table(args.truth, columns=["ids"]).slice(0, len(queries))["ids"], np.int64)
        nearest = squared(vectors[ids[:, K - 1]], queries)
    else:
        nearest = kth_distances(vectors, queries)
    return Set(args.name, table, vectors, queries, nearest)


def made_up(rows, dim):
    """Rows around a thousand centres, as embeddings lie."""
    random = np.random.default_rng(SEED)
    centres = random.normal(size=(1000, dim))
    vectors = centres[random.integers(0, len(centres), rows)] + 0.5 * random.normal(size=(rows, dim))
    return pa.table({"id": pa.array(range(rows), pa.int64()), "embedding": arrow(vectors)})


def moved(vectors, count):
    """Vectors of the rows, a little moved."""
    random = np.random.default_rng(SEED + 1)
    chosen = vectors[random.integers(0, len(vectors), count)]
    return chosen + (0.1 * chosen.std() * random.normal(size=chosen.shape)).astype(np.float32)


def vector_column(table):
    is_list = lambda kind: pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)
    return next(field.name for field in table.schema if is_list(field.type))


def matrix(column, kind=np.float32):
    values = [np.asarray(chunk.flatten(), kind) for chunk in column.chunks]
    return np.ascontiguousarray(np.concatenate(values).reshape(len(column), -1))


def arrow(vectors):
    """Rows of numbers as Arrow's lists of a fixed size."""
    vectors = np.ascontiguousarray(vectors, np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])


def squared(rows, others):
    return np.square(rows.astype(np.float64) - others).sum(axis=1)


def kth_distances(vectors, queries):
    """For each query the squared distance of its K-th nearest row: candidates by the fast formula, then anew."""
    norms = np.square(vectors).sum(axis=1)
    distances = np.empty(len(queries))
    for i, query in enumerate(queries):
        near = np.argpartition(norms - 2 * (vectors @ query), 2 * K)[: 2 * K]
        distances[i] = np.sort(squared(vectors[near], query))[K - 1]
    return distances


def served(binary, directory, **settings):
    import drift_server

    drift_server.BINARY = binary
    return drift_server.DriftServer(directory, **settings)


def fill(server, table):
    """Rows in by ADBC and flushed: all of it is in segments."""
    import adbc_driver_flightsql.dbapi as adbc
    import pyarrow.flight as fl

    with adbc.connect(server.address, autocommit=True) as connection, connection.cursor() as cursor:
        rows = table.to_reader(max_chunksize=max(1, table.num_rows * MESSAGE_BYTES // table.nbytes))
        cursor.adbc_ingest(COLLECTION, rows, mode="create")
    with fl.connect(server.address) as client:
        list(client.do_action(fl.Action("flush", COLLECTION.encode())))


def append(path, header, rows):
    """Adds rows to a CSV file, the date before each."""
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        out = csv.writer(file)
        if is_new:
            out.writerow(["date", *header])
        out.writerows([datetime.date.today().isoformat(), *row] for row in rows)
