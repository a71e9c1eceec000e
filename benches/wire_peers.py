"""The engines that wire.py asks beside Drift, in the client's own process.

    VENV/bin/python benches/wire_peers.py DIR --rows BASE.parquet --query QUERY.parquet [--peers lancedb,qdrant]

builds them in DIR, which takes minutes, and writes for each share of the rows that a search may be restricted to
what answers fastest at a recall of .95. LanceDB has one table for each kind of index it offers, so each share gets
the kind that suits it best; Qdrant is its edge engine with HNSW (m 16, ef_construct 200). Both index the attribute.
Needs lancedb and qdrant-edge-py.
"""

import argparse
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from served import K, SEED, arrow, kth_distances, load, set_arguments

ATTRIBUTE_VALUES = 1000
SHARES = {None: "", 10: " 1 %", 100: " 10 %", 500: " 50 %"}  # `attr` is below the number
RECALL_WANTED = 0.955  # of the queries the choice is made by: a little more, so that others reach .95
QUERIES_OF_CHOICE = 100


def attribute(rows):
    """An integer for each row, all values alike often."""
    return np.random.default_rng(SEED + 2).integers(0, ATTRIBUTE_VALUES, rows).astype(np.int32)


def restricted(data, below):
    """The set with the neighbours among the rows whose attribute is below a number, and which rows these are."""
    if below is None:
        return data, np.ones(len(data.vectors), bool)
    matches = attribute(len(data.vectors)) < below
    return data._replace(nearest=kth_distances(data.vectors[matches], data.queries)), matches


class LanceDb:
    """Parameters: kind of index, partitions to probe, and how many times K rows to compare exactly."""

    KINDS = {
        "IvfPq": [(2, 4), (4, 4), (8, 4), (8, 10), (16, 10), (32, 10), (64, 20), (128, 40)],
        "IvfFlat": [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (32, 0), (64, 0), (128, 0), (256, 0)],
        "IvfRq": [(4, 4), (8, 4), (8, 10), (16, 10), (32, 10), (64, 20), (128, 40)],
        "HnswSq": [(1, 2), (1, 5), (2, 5), (4, 5), (4, 10), (8, 10), (20, 20), (20, 40)],
    }
    SWEEPS = [[(kind, *rest) for rest in sweep] for kind, sweep in KINDS.items()] + [[("none", 0, 0)]]

    def __init__(self, directory):
        import lancedb

        self.database = lancedb.connect(directory)
        self.tables = {kind: self.database.open_table(kind) for kind in self.database.table_names()}

    @staticmethod
    def build(directory, data):
        import lancedb
        import lancedb.index

        rows = pa.table({"id": data.table["id"], "attr": attribute(len(data.vectors)), "vector": arrow(data.vectors)})
        partitions = max(64, 2 ** round(np.log2(4 * np.sqrt(len(data.vectors)))))
        for kind in LanceDb.KINDS:
            table = lancedb.connect(directory).create_table(kind, rows)
            options = {} if kind == "HnswSq" else {"num_partitions": partitions}
            table.create_index("vector", config=getattr(lancedb.index, kind)(distance_type="l2", **options))
            table.create_index("attr", config=lancedb.index.BTree())

    def search(self, query, parameter, below):
        kind, probes, refine = parameter
        table = self.tables.get(kind) or self.tables["IvfFlat"]
        asked = table.search(query, vector_column_name="vector").distance_type("l2").limit(K)
        asked = asked.select(["id", "_distance"])
        asked = asked.nprobes(probes) if probes else asked.bypass_vector_index()
        if kind == "HnswSq":
            asked = asked.ef(refine * K)
        if refine:
            asked = asked.refine_factor(refine)
        if below is not None:
            asked = asked.where(f"attr < {below}", prefilter=True)
        return asked.to_arrow()["id"]


class Qdrant:
    """The parameter is `hnsw_ef`."""

    SWEEPS = [[10, 16, 24, 32, 48, 64, 96, 128, 256, 512]]

    def __init__(self, directory):
        import qdrant_edge

        self.qdrant, self.shard = qdrant_edge, qdrant_edge.EdgeShard.load(directory)

    @staticmethod
    def build(directory, data):
        import qdrant_edge as q

        Path(directory).mkdir(parents=True)
        hnsw = q.HnswIndexConfig(m=16, ef_construct=200, full_scan_threshold=1000, max_indexing_threads=2)
        vectors = q.EdgeVectorParams(data.vectors.shape[1], q.Distance.Euclid)
        optimizers = q.EdgeOptimizersConfig(indexing_threshold=1000, default_segment_number=1)
        shard = q.EdgeShard.create(directory, q.EdgeConfig(vectors=vectors, hnsw_config=hnsw, optimizers=optimizers))
        shard.update(q.UpdateOperation.create_field_index("attr", q.PayloadSchemaType.Integer))
        values, ids = attribute(len(data.vectors)).tolist(), data.table["id"].to_pylist()
        for i in range(0, len(ids), 1000):
            rows = zip(ids[i : i + 1000], data.vectors[i : i + 1000].tolist(), values[i : i + 1000], strict=True)
            points = [q.Point(id, vector, {"attr": value}) for id, vector, value in rows]
            shard.update(q.UpdateOperation.upsert_points(points))
        shard.optimize()
        shard.flush()
        shard.close()

    def search(self, query, parameter, below):
        q = self.qdrant
        only = None if below is None else q.Filter(must=[q.FieldCondition("attr", range=q.RangeFloat(lt=float(below)))])
        asked = q.SearchRequest(
            q.Query.Nearest(query.tolist()), K, filter=only, params=q.SearchParams(hnsw_ef=parameter)
        )
        return [point.id for point in self.shard.search(asked)]


PEERS = {"lancedb": LanceDb, "qdrant": Qdrant}


def chosen(peer, data, below):
    """The parameter that answers fastest of those that find enough: of each sweep the first one that does."""
    data, _ = restricted(data, below)
    best = None
    for sweep in type(peer).SWEEPS:
        for parameter in sweep:
            recall, qps = tried(peer, data, parameter, below)
            print(f"  {SHARES[below] or 'all'}: {parameter} recall {recall:.3f}, {qps:.0f} QPS", flush=True)
            if recall >= RECALL_WANTED:
                best = max(best or (0, None), (qps, parameter), key=lambda found: found[0])
                break
    return best[1]


def tried(peer, data, parameter, below):
    count = min(QUERIES_OF_CHOICE, len(data.queries))
    for query in data.queries[-10:]:
        peer.search(query, parameter, below)
    began = time.perf_counter()
    found = [peer.search(query, parameter, below) for query in data.queries[:count]]
    seconds = time.perf_counter() - began
    return np.mean([data.recall(i, ids) for i, ids in enumerate(found)]), count / seconds


def settings(directory):
    """For each peer that was built: the parameter for each share."""
    found = {}
    for path in Path(directory).glob("*.json"):
        chosen = json.loads(path.read_text())
        found[path.stem] = {below: tuple(value) if isinstance(value, list) else value for below, value in chosen}
    return found


def road(peer, directory, below, parameter):
    """A road of wire.py that goes nowhere."""

    def calls(address, queries):
        from wire_roads import each

        engine = PEERS[peer](str(Path(directory) / peer))
        yield from each(lambda i: engine.search(queries[i], parameter, below))

    return calls


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--anew", action="store_true", help="build also what is there; else only choose")
    set_arguments(parser)
    args = parser.parse_args()
    data = load(args)
    for name in args.peers.split(","):
        place = args.directory / name
        if args.anew or not place.exists():
            shutil.rmtree(place, ignore_errors=True)
            args.directory.mkdir(parents=True, exist_ok=True)
            began = time.perf_counter()
            PEERS[name].build(str(place), data)
            print(f"{name}: built in {time.perf_counter() - began:.0f} s", flush=True)
        peer = PEERS[name](str(place))
        best = [(below, chosen(peer, data, below)) for below in SHARES]
        (args.directory / f"{name}.json").write_text(json.dumps(best))
        print(f"{name}: {best}")


if __name__ == "__main__":
    main()
