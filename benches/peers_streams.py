#!/usr/bin/env python3
"""The streams of `cargo bench --bench streams`, run through hnswlib, faiss IVF and LanceDB.

    cargo bench --workspace --bench streams -- churn --export DIR --record FILE.csv
    python3 -m venv VENV && VENV/bin/pip install numpy pyarrow faiss-cpu hnswlib lancedb
    VENV/bin/python peers_streams.py DIR --record FILE.csv [--peers hnswlib,faiss,lancedb] [--tag TAG]

An engine is built from the first step's rows; then it gets the same batches of inserts and deletes. Its one
search parameter is chosen after the first step, the smallest that reaches a recall of 0.95, and stays, as
users set it once. After each step the step's queries are asked one by one, k = 10, one thread; rows at the
distance of the true k-th count as found. None of them makes a batch durable before it answers, but LanceDB.
"""
import argparse
import datetime
import json
import os
import shutil
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

K = 10
ASKED = 0.95


class Hnswlib:
    """M = 16, efConstruction = 200; deleted places are used again."""

    name = "hnswlib"
    sweep = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512]

    def __init__(self, dim, capacity, _):
        import hnswlib

        self.index = hnswlib.Index("l2", dim)
        self.index.init_index(capacity, M=16, ef_construction=200, allow_replace_deleted=True)

    def insert(self, ids, vectors):
        self.index.add_items(vectors, ids, replace_deleted=True)

    build = insert

    def delete(self, ids):
        for id in ids:
            self.index.mark_deleted(int(id))

    def search(self, query, ef):
        self.index.set_ef(ef)
        try:
            return self.index.knn_query(query, K, num_threads=1)[0][0], None
        except RuntimeError:  # fewer than k found
            return np.empty(0, np.int64), None

    def maintain(self):
        pass


class FaissIvf:
    """IVF-Flat with 4 sqrt(rows) lists, trained on the first step."""

    name = "faiss IVF"
    sweep = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128]

    def __init__(self, dim, capacity, _):
        import faiss

        faiss.omp_set_num_threads(1)
        self.faiss, self.dim = faiss, dim

    def build(self, ids, vectors):
        lists = int(4 * np.sqrt(len(ids)))
        self.index = self.faiss.index_factory(self.dim, f"IVF{lists},Flat")
        self.index.train(vectors)
        self.insert(ids, vectors)

    def insert(self, ids, vectors):
        self.index.add_with_ids(vectors, ids)

    def delete(self, ids):
        self.index.remove_ids(self.faiss.IDSelectorBatch(ids))

    def search(self, query, nprobe):
        stats = self.faiss.cvar.indexIVF_stats
        stats.reset()
        found = self.index.search(query[None], K, params=self.faiss.SearchParametersIVF(nprobe=nprobe))[1][0]
        return found, stats.ndis

    def maintain(self):
        pass


class LanceDb:
    """IVF-PQ with 4 sqrt(rows) partitions; optimized after every step."""

    name = "LanceDB"
    # (nprobes, refine factor)
    sweep = [(2, 4), (4, 4), (8, 4), (8, 10), (16, 10), (32, 10), (64, 20), (128, 40)]

    def __init__(self, dim, capacity, directory):
        os.environ.setdefault("LANCE_LOG", "error")
        warnings.simplefilter("ignore")  # that old versions are removed
        import lancedb

        self.dim, self.database = dim, lancedb.connect(directory)

    def rows(self, ids, vectors):
        import pyarrow as pa

        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), self.dim)
        return pa.table({"id": pa.array(ids), "vector": column})

    def build(self, ids, vectors):
        from lancedb.index import BTree, IvfPq

        self.table = self.database.create_table("stream", self.rows(ids, vectors))
        partitions = int(4 * np.sqrt(len(ids)))
        self.table.create_index("vector", config=IvfPq(distance_type="l2", num_partitions=partitions))
        self.table.create_index("id", config=BTree())

    def insert(self, ids, vectors):
        self.table.add(self.rows(ids, vectors))

    def delete(self, ids):
        self.table.delete(f"id IN ({','.join(map(str, ids.tolist()))})")

    def search(self, query, parameter):
        nprobes, refine = parameter
        asked = self.table.search(query, vector_column_name="vector").distance_type("l2")
        asked = asked.nprobes(nprobes).refine_factor(refine).limit(K).select(["id", "_distance"])
        return asked.to_arrow().column("id").to_numpy(), None

    def maintain(self):
        self.table.optimize(cleanup_older_than=datetime.timedelta(0))


PEERS = {"hnswlib": Hnswlib, "faiss": FaissIvf, "lancedb": LanceDb}


class Stream:
    def __init__(self, directory):
        self.rows = np.load(directory / "rows.npy", mmap_mode="r")
        self.queries = np.load(directory / "queries.npy", mmap_mode="r")
        description = json.loads((directory / "stream.json").read_text())
        self.workload, self.steps = description["workload"], description["steps"]
        self.live = np.zeros(len(self.rows), bool)

    def vectors(self, ids):
        return np.ascontiguousarray(self.rows[ids], dtype=np.float32)

    def ask(self, peer, step, parameter):
        """Recalls, latencies in us and rows scanned, one per query."""
        recalls, latencies, scanned = [], [], []
        for query, kth in zip(self.queries[step["queries"]], step["kth"]):
            query = np.array(query)
            start = time.perf_counter()
            found, rows = peer.search(query, parameter)
            latencies.append((time.perf_counter() - start) * 1e6)
            found = np.unique(found[(found >= 0) & (found < len(self.rows))])
            found = found[self.live[found]]
            distances = ((self.rows[found] - query) ** 2).sum(1)
            recalls.append((distances <= kth * (1 + 1e-5) + 1e-9).sum() / K)
            scanned.append(rows)
        return recalls, latencies, scanned


def run(peer, stream):
    """Per step: figures by name."""
    parameter = None
    for number, step in enumerate(stream.steps):
        inserting, deleting, inserted, deleted = 0.0, 0.0, 0, 0
        batches = step["batches"]
        if number == 0:
            batches = [[batches[0][0], batches[-1][1], [id for batch in batches for id in batch[2]]]]
        for first, end, gone in batches:
            if end > first:
                ids = np.arange(first, end, dtype=np.int64)
                vectors = stream.vectors(ids)
                start = time.perf_counter()
                (peer.build if number == 0 else peer.insert)(ids, vectors)
                inserting, inserted = inserting + time.perf_counter() - start, inserted + len(ids)
                stream.live[ids] = True
            if gone:
                gone = np.array(gone, dtype=np.int64)
                start = time.perf_counter()
                peer.delete(gone)
                deleting, deleted = deleting + time.perf_counter() - start, deleted + len(gone)
                stream.live[gone] = False
        start = time.perf_counter()
        peer.maintain()
        maintained = time.perf_counter() - start
        if parameter is None:
            reaching = (p for p in peer.sweep if np.mean(stream.ask(peer, step, p)[0]) >= ASKED)
            parameter = next(reaching, peer.sweep[-1])
        recalls, latencies, scanned = stream.ask(peer, step, parameter)
        figures = {
            "recall": np.mean(recalls),
            "recall_p5": np.percentile(recalls, 5),
            "p50_us": np.percentile(latencies, 50),
            "p99_us": np.percentile(latencies, 99),
            "maintain_s": maintained,
        }
        if inserted:
            figures["insert_rows_per_s"] = inserted / (inserting + maintained)
        if deleted:
            figures["delete_rows_per_s"] = deleted / deleting
        if scanned[0] is not None:
            figures["rows_scanned"] = np.mean(scanned)
        told = ", ".join(f"{name} {value:.3f}" if value < 10 else f"{name} {value:.0f}" for name, value in figures.items())
        print(f"{peer.name} at {parameter}, {step['name']}: {told}", flush=True)
        yield figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stream", type=Path, nargs="+", help="directories that --export wrote")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--record", type=Path, help="CSV file to append to")
    parser.add_argument("--tag", default="", help="machine and commit, for the record")
    args = parser.parse_args()
    for directory in args.stream:
        for name in args.peers.split(","):
            stream = Stream(directory)
            home = tempfile.mkdtemp()
            try:
                peer = PEERS[name](stream.rows.shape[1], len(stream.rows), home)
                record(args, stream, peer, run(peer, stream))
            finally:
                shutil.rmtree(home, ignore_errors=True)


def record(args, stream, peer, steps):
    lines = [
        f"{datetime.date.today()},{args.tag},{stream.workload},{number},{peer.name},{figure},{value:.4f}"
        for number, figures in enumerate(steps, 1)
        for figure, value in figures.items()
    ]
    if args.record:
        is_new = not args.record.exists()
        with args.record.open("a") as file:
            file.write("date,tag,workload,step,variant,figure,value\n" if is_new else "")
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
