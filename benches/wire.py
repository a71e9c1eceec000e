"""What the wire costs: searches by each road, beside a call of the same road that does nothing.

    VENV/bin/python benches/wire.py --binary target/release/drift [--rows FILE.parquet] [--record FILE.csv]

Starts `drift serve` on a temporary directory, loads the rows and measures, with one client and with two:
DoExchange on an open stream, gRPC's Search, and Flight SQL by ADBC and by pyarrow. Clients are processes
of their own, so that Python's lock is not what is measured. Machines differ and share their cores:
compare ratios of one run.
"""

import argparse
import csv
import datetime
import multiprocessing
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests/python"), str(HERE.parent / "clients/python")]

K, RECALL = 10, 0.95
QUERIES = 256
WARM_UP = 50
MESSAGE_BYTES = 2 << 20  # well below what clients send at most
SEED = 7


def main():
    args = arguments()
    table = load(args)
    with tempfile.TemporaryDirectory() as directory, served(args.binary, Path(directory) / "db") as server:
        fill(server, table)
        queries = sample(table)
        figures = {}
        for clients in (1, 2):
            for road in filter(args.roads.search, ROADS):
                figures[road, clients] = measured(road, server, queries, clients, args.seconds)
                print(row(road, clients, figures[road, clients]), flush=True)
    ratios(figures)
    if args.record:
        record(args, table.num_rows, queries.shape[1], figures)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=HERE.parent / "target/release/drift", help="the server to start")
    parser.add_argument("--rows", type=Path, help="Parquet file with `id` and a list of floats; else 50,000 x 128 made up")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each road is measured")
    parser.add_argument("--roads", type=re.compile, default="", help="only those whose names match this expression")
    parser.add_argument("--record", type=Path, help="CSV file to append the figures to")
    parser.add_argument("--name", default="", help="what the record calls this run")
    return parser.parse_args()


# Rows


def load(args):
    """The table to load: its vectors are in `embedding`, its key is `id`."""
    table = pq.read_table(args.rows) if args.rows else made_up(50_000, 128)
    lists = [f.name for f in table.schema if pa.types.is_list(f.type) or pa.types.is_fixed_size_list(f.type)]
    if "id" not in table.schema.names:
        table = table.append_column("id", pa.array(range(table.num_rows), pa.int64()))
    return table.rename_columns(["embedding" if name == lists[0] else name for name in table.schema.names])


def made_up(rows, dim):
    """Rows around a thousand centres, as embeddings lie."""
    random = np.random.default_rng(SEED)
    centres = random.normal(size=(1000, dim))
    vectors = centres[random.integers(0, len(centres), rows)] + 0.5 * random.normal(size=(rows, dim))
    values = pa.array(vectors.astype(np.float32).reshape(-1))
    vectors = pa.FixedSizeListArray.from_arrays(values, dim)
    return pa.table({"id": pa.array(range(rows), pa.int64()), "embedding": vectors})


def sample(table):
    """Vectors of the table, a little moved."""
    random = np.random.default_rng(SEED + 1)
    chosen = table.take(random.integers(0, table.num_rows, QUERIES))["embedding"].to_pylist()
    vectors = np.array(chosen, np.float32)
    return vectors + (0.1 * vectors.std() * random.normal(size=vectors.shape)).astype(np.float32)


def served(binary, directory):
    import drift_server

    drift_server.BINARY = binary
    return drift_server.DriftServer(directory)


def fill(server, table):
    import adbc_driver_flightsql.dbapi as adbc
    import pyarrow.flight as fl

    with adbc.connect(server.address, autocommit=True) as connection, connection.cursor() as cursor:
        rows = table.to_reader(max_chunksize=max(1, table.num_rows * MESSAGE_BYTES // table.nbytes))
        cursor.adbc_ingest("docs", rows, mode="create")
    with fl.connect(server.address) as client:
        list(client.do_action(fl.Action("flush", b"docs")))


# Roads: each a generator that yields once it is ready, then does one call for each query it is sent.


def exchange_nothing(address, queries):
    """An empty batch there, an empty batch back."""
    import pyarrow.flight as fl
    from neighbours import Neighbours

    none = pa.array([], pa.list_(pa.float32(), queries.shape[1]))
    with fl.connect(address) as client, Neighbours(client, "docs", k=K) as neighbours:
        yield from each(lambda _: neighbours.with_figures(none))


def exchange_search(address, queries):
    import pyarrow.flight as fl
    from neighbours import Neighbours

    vectors = [arrow([query]) for query in queries]
    with fl.connect(address) as client, Neighbours(client, "docs", k=K, recall=RECALL) as neighbours:
        yield from each(lambda i: filled(neighbours.of(vectors[i]), K))


def exchange_search_64(address, queries):
    """64 queries in a batch."""
    import pyarrow.flight as fl
    from neighbours import Neighbours

    vectors = [arrow(np.roll(queries, i, axis=0)[:64]) for i in range(len(queries))]
    with fl.connect(address) as client, Neighbours(client, "docs", k=K, recall=RECALL) as neighbours:
        yield from each(lambda i: filled(neighbours.of(vectors[i]), 64 * K))


def grpc_nothing(address, queries):
    """A health check."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(address.removeprefix("grpc://")) as channel:
        health, request = health_pb2_grpc.HealthStub(channel), health_pb2.HealthCheckRequest()
        yield from each(lambda _: health.Check(request))


def grpc_search(address, queries):
    import grpc
    from test_grpc import Drift

    with grpc.insecure_channel(address.removeprefix("grpc://")) as channel:
        drift, vectors = Drift(channel), [query.tolist() for query in queries]
        search = lambda i: drift.search(collection="docs", query=vectors[i], k=K, recall=RECALL)
        yield from each(lambda i: filled(search(i).hits, K))


def adbc_roads(sql, parameters, rows):
    def road(address, queries):
        import adbc_driver_flightsql.dbapi as adbc

        bound = [parameters(query) for query in queries]
        with adbc.connect(address, autocommit=True) as connection, connection.cursor() as cursor:

            def call(i):
                cursor.execute(sql, bound[i])
                filled(cursor.fetch_arrow_table(), rows)

            yield from each(call)

    return road


def vector_parameter(query):
    return pa.record_batch([arrow([query])], names=["1"])


def plain_nothing(address, queries):
    """GetFlightInfo and DoGet of SELECT 1."""
    yield from by_pyarrow(address, ["SELECT 1"] * len(queries), 1)


def plain_search(address, queries):
    """GetFlightInfo and DoGet of a text that holds the vector."""
    knn = "SELECT id, _distance FROM knn('docs', {}, {})"
    yield from by_pyarrow(address, [knn.format(query.tolist(), K) for query in queries], K)


def by_pyarrow(address, texts, rows):
    import pyarrow.flight as fl

    with fl.connect(address) as client:

        def call(i):
            info = client.get_flight_info(fl.FlightDescriptor.for_command(texts[i]))
            filled(client.do_get(info.endpoints[0].ticket).read_all(), rows)

        yield from each(call)


KNN = f"SELECT id, _distance FROM knn('docs', ?, {K}, recall => {RECALL})"
ORDER_BY = f"SELECT id FROM docs ORDER BY l2_distance(embedding, ?) LIMIT {K}"
ROADS = {
    "exchange nothing": exchange_nothing,
    "exchange search": exchange_search,
    "exchange search x64": exchange_search_64,
    "grpc nothing": grpc_nothing,
    "grpc search": grpc_search,
    "sql prepared nothing": adbc_roads("SELECT 1", lambda _: None, 1),
    "sql prepared one parameter": adbc_roads("SELECT ? AS v", vector_parameter, 1),
    "sql prepared knn": adbc_roads(KNN, vector_parameter, K),
    "sql prepared order by": adbc_roads(ORDER_BY, vector_parameter, K),
    "sql text nothing": plain_nothing,
    "sql text knn": plain_search,
}
NOTHING = {
    "exchange search": "exchange nothing",
    "grpc search": "grpc nothing",
    "sql prepared knn": "sql prepared one parameter",
    "sql prepared order by": "sql prepared one parameter",
    "sql text knn": "sql text nothing",
}


def arrow(vectors):
    values = pa.array(np.asarray(vectors, np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(values, len(vectors[0]))


def filled(rows, count):
    """A road that finds too little is no road."""
    assert len(rows) == count, f"{len(rows)} rows where {count} were expected"


def each(call):
    i = yield
    while i is not None:
        call(i)
        i = yield


# Measuring


class Figures(NamedTuple):
    latencies: np.ndarray  # seconds, of all clients
    rate: float  # calls per second, of all together
    server_ms: float  # time of a processor that the server took for each call

    def percentiles_ms(self):
        return np.percentile(self.latencies, [50, 99]) * 1000


def measured(road, server, queries, clients, seconds):
    context = multiprocessing.get_context("spawn")  # gRPC does not survive a fork
    barrier, results = context.Barrier(clients), context.Queue()
    before = processor_seconds(server.pid)
    processes = [
        context.Process(target=client, args=(road, server.address, queries, seconds, barrier, results))
        for _ in range(clients)
    ]
    for process in processes:
        process.start()
    latencies = []
    for _ in processes:
        found = results.get(timeout=seconds + 120)
        if isinstance(found, str):
            raise SystemExit(f"{road}: {found}")
        latencies.append(found)
    for process in processes:
        process.join()
    calls = sum(len(found) + WARM_UP for found in latencies)
    server_ms = (processor_seconds(server.pid) - before) * 1000 / calls
    return Figures(np.concatenate(latencies), sum(len(found) / found.sum() for found in latencies), server_ms)


def processor_seconds(pid):
    """What a process has used so far, where Linux says so."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return float("nan")
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def client(road, address, queries, seconds, barrier, results):
    try:
        calls = ROADS[road](address, queries)
        next(calls)
        for i in range(WARM_UP):
            calls.send(i % len(queries))
        barrier.wait(60)
        latencies, end = [], time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            calls.send(len(latencies) % len(queries))
            latencies.append(time.perf_counter() - began)
        calls.close()
        results.put(np.array(latencies))
    except Exception as error:  # the parent says so and ends
        barrier.abort()
        results.put(repr(error))


def row(road, clients, figures):
    p50, p99 = figures.percentiles_ms()
    times = f"p50 {p50:7.3f} ms   p99 {p99:7.3f} ms   {figures.rate:6.0f} QPS"
    return f"{road:28} {clients} client(s)   {times}   server's processor {figures.server_ms:6.3f} ms"


def ratios(figures):
    print("\nmedians over that of the same road doing nothing, and beyond it:")
    median = {key: float(np.median(latencies)) * 1000 for key, (latencies, *_) in figures.items()}
    for (road, clients), p50 in median.items():
        nothing = NOTHING.get(road)
        if (nothing, clients) in median:
            base = median[nothing, clients]
            print(f"{road:28} {clients} client(s)   {p50 / base:5.2f} x {nothing}, {p50 - base:+.3f} ms")


def record(args, rows, dim, figures):
    is_new = not args.record.exists()
    with args.record.open("a", newline="") as file:
        out = csv.writer(file)
        if is_new:
            out.writerow(["date", "name", "rows", "dim", "road", "clients", "calls", "p50_ms", "p99_ms", "qps", "server_ms"])
        today = datetime.date.today().isoformat()
        for (road, clients), found in figures.items():
            shown = [f"{ms:.4f}" for ms in found.percentiles_ms()] + [f"{found.rate:.1f}", f"{found.server_ms:.4f}"]
            out.writerow([today, args.name, rows, dim, road, clients, len(found.latencies), *shown])


if __name__ == "__main__":
    main()
