"""What a server keeps in memory, beside the vectors it serves and how fast it answers.

    VENV/bin/python benches/memory.py --binary target/release/drift --rows BASE.parquet --query QUERY.parquet
        --truth TRUTH.parquet --name NAME [--record FILE.csv]

Each row of the table is a `drift serve` of its own: filled over the wire, asked all queries, then started again and
asked once more, with a cache of a given share of the vectors' bytes (f32). Memory is the resident set (VmRSS) above that
of a server with one row that was started again and asked likewise; what of it is anonymous (RssAnon) leaves out pages
of the program itself, of which a server that does more has more. One client, queries over an open stream.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from served import COLLECTION, K, append, arrow, fill, load, served, set_arguments

RECALL = 0.95
SETTLE_S = 12.0  # the server tidies up when no writes came for 5 s, and its allocator gives back what is free

# Share of the vectors' bytes that the cache may hold; None: as much as it wants.
CACHES = {"all in memory": None, "codes in memory": 0.36, "collection 10 x the cache": 0.1, "cold": 0.02}


class Figures(NamedTuple):
    cache: str
    state: str
    rss_mb: float  # above an empty server's
    anonymous_mb: float  # of it without pages of files, likewise
    peak_mb: float  # the most so far, likewise
    ratio: float  # of rss to the vectors' bytes
    anonymous_ratio: float
    recall: float
    p50_ms: float
    p99_ms: float
    qps: float


def main():
    args = arguments()
    data = load(args)
    with tempfile.TemporaryDirectory(dir=args.directory) as directory:
        empty = empty_rss(args, Path(directory), data)
        print(f"{args.name}: {len(data.vectors)} x {data.vectors.shape[1]}, {data.raw_bytes / 1e6:.1f} MB of vectors")
        print(f"an empty server has {empty['VmRSS'] / 1e6:.1f} MB, {empty['RssAnon'] / 1e6:.1f} of them anonymous")
        for cache, share in CACHES.items():
            if args.caches and not any(name in cache for name in args.caches):
                continue
            for figures in of_cache(args, Path(directory), data, empty, cache, share):
                print(shown(figures), flush=True)
                if args.record:
                    record(args, data, empty, figures)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    set_arguments(parser)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long the queries are asked")
    parser.add_argument("--caches", nargs="*", help="only those whose names hold one of these words")
    parser.add_argument("--directory", type=Path, help="where databases are made")
    return parser.parse_args()


def empty_rss(args, directory, data):
    """What any server has that has served: code, threads and buffers."""
    with served(args.binary, directory / "empty") as server:
        fill(server, data.table.slice(0, 1))
        server.terminate()
        server.start()
        asked(server, data, 1.0, places=1)
        return rss(server)


def of_cache(args, directory, data, empty, cache, share):
    settings = {} if share is None else {"cache_bytes": int(share * data.raw_bytes)}
    with served(args.binary, directory / cache.replace(" ", "-"), **settings) as server:
        fill(server, data.table)
        yield figures(server, data, empty, cache, "filled")
        time.sleep(SETTLE_S)
        yield figures(server, data, empty, cache, "filled, tidied")
        yield figures(server, data, empty, cache, "filled, asked", asked(server, data, args.seconds))
        server.terminate()
        server.start()
        yield figures(server, data, empty, cache, "started")
        if share is None:
            read_all(server, data)
        yield figures(server, data, empty, cache, "started, asked", asked(server, data, args.seconds))
        time.sleep(SETTLE_S)
        yield figures(server, data, empty, cache, "started, asked, idle")


def rss(server):
    """VmRSS, RssAnon, and the peak of the first, VmHWM, in bytes."""
    lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "RssAnon", "VmHWM")}


def figures(server, data, empty, cache, state, answers=(float("nan"),) * 4):
    now = rss(server)
    above, peak = now["VmRSS"] - empty["VmRSS"], now["VmHWM"] - empty["VmRSS"]
    anonymous = now["RssAnon"] - empty["RssAnon"]
    ratios = above / data.raw_bytes, anonymous / data.raw_bytes
    return Figures(cache, state, above / 1e6, anonymous / 1e6, peak / 1e6, *ratios, *answers)


def asked(server, data, seconds, places=K):
    """Recall of all queries asked once, then how fast they are answered for a while."""
    import pyarrow.flight as fl
    from neighbours import Neighbours

    vectors = [arrow(query[None]) for query in data.queries]
    with fl.connect(server.address) as client, Neighbours(client, COLLECTION, k=K, recall=RECALL) as neighbours:
        tables = [neighbours.of(vector) for vector in vectors]
        assert all(len(table) == places for table in tables)
        recall = np.mean([data.recall(i, table["id"].to_numpy()) for i, table in enumerate(tables)])
        latencies, end = [], time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            neighbours.of(vectors[len(latencies) % len(vectors)])
            latencies.append(time.perf_counter() - began)
    p50, p99 = np.percentile(latencies, [50, 99]) * 1000
    return float(recall), p50, p99, len(latencies) / sum(latencies)


def read_all(server, data):
    """Compares a query with every row, so that every vector has been read."""
    import pyarrow.flight as fl
    from neighbours import Neighbours

    with fl.connect(server.address) as client, Neighbours(client, COLLECTION, k=K, exact=True) as neighbours:
        neighbours.of(arrow(data.queries[:1]))


def shown(found):
    memory = f"{found.rss_mb:8.1f} MB {found.ratio:6.3f} x raw, anonymous {found.anonymous_ratio:6.3f}"
    memory += f" (peak {found.peak_mb:7.1f} MB)"
    answers = f"   recall {found.recall:.4f}   p50 {found.p50_ms:7.3f} ms   {found.qps:6.0f} QPS"
    return f"{found.cache:26} {found.state:22} {memory}" + ("" if np.isnan(found.qps) else answers)


def record(args, data, empty, figures):
    header = ["name", "rows", "dim", "raw_mb", "empty_mb", *Figures._fields]
    of_set = [args.name, *data.vectors.shape, f"{data.raw_bytes / 1e6:.1f}", f"{empty['VmRSS'] / 1e6:.1f}"]
    append(args.record, header, [[*of_set, *map(number, figures)]])


def number(value):
    return value if isinstance(value, str) else "" if np.isnan(value) else f"{value:.4f}"


if __name__ == "__main__":
    main()
