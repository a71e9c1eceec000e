"""What the wire costs: searches by each road, beside a call of the same road that does nothing, and beside others.

    VENV/bin/python benches/wire.py --binary target/release/drift [--rows BASE.parquet --query QUERY.parquet]
        [--peers DIR] [--clients 1 2] [--record FILE.csv --name NAME]

Starts `drift serve` on a temporary directory, loads the rows and measures, with one client and with two:
DoExchange on an open stream, gRPC's Search, and Flight SQL by ADBC and by pyarrow; all rows, and those that a
condition on an integer leaves over. With `--peers` LanceDB and Qdrant's edge engine, which wire_peers.py built in DIR
from the same rows, answer the same queries in the client's own process, with the settings chosen there for a
recall of .95. Clients are processes of their own, so that Python's lock is not what is measured. Each asks
all queries once, for the recall, and then for the time that counts. Machines differ and share their
cores: compare ratios of one run.
"""

import argparse
import multiprocessing
import os
import re
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

import wire_peers
from served import append, fill, load, served, set_arguments
from wire_roads import NOTHING, ROADS, filtered_roads


class Road(NamedTuple):
    name: str
    below: int | None = None  # only rows whose attribute is below it
    peer: str | None = None  # asked instead of the server
    parameter: object = None

    def calls(self, address, queries, directory):
        if self.peer:
            return wire_peers.road(self.peer, directory, self.below, self.parameter)(address, queries)
        roads = ROADS if self.below is None else filtered_roads(self.below)
        return roads[self.name](address, queries)

    def __str__(self):
        return self.name + wire_peers.SHARES[self.below]


def main():
    args = arguments()
    data = load(args)
    attribute = pa.array(wire_peers.attribute(len(data.vectors)))
    sets = {below: wire_peers.restricted(data, below) for below in wire_peers.SHARES}
    with tempfile.TemporaryDirectory() as directory, served(args.binary, Path(directory) / "db") as server:
        fill(server, data.table.append_column("attr", attribute))
        figures = {}
        for clients in args.clients:
            for road in filter(lambda road: args.roads.search(str(road)), roads(args.peers)):
                if road.peer == "qdrant" and clients > 1:
                    continue  # a shard is open in one process
                found = figures[road, clients] = measured(road, server, sets[road.below], clients, args)
                print(row(road, clients, found), flush=True)
                if args.record:
                    record(args, data, road, clients, found)
    ratios(figures)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    set_arguments(parser)
    parser.add_argument("--peers", type=Path, help="where wire_peers.py built other engines")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 2], help="how many ask at a time")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each road is measured")
    parser.add_argument("--roads", type=re.compile, default="", help="only those whose names match this expression")
    return parser.parse_args()


def roads(peers):
    """All of them, those to be compared side by side: machines change while they are measured."""
    settings = wire_peers.settings(peers) if peers else {}
    for below in wire_peers.SHARES:
        yield from (Road(name, below) for name in (ROADS if below is None else filtered_roads(below)))
        yield from (Road(peer, below, peer, chosen[below]) for peer, chosen in settings.items())


# Measuring


class Figures(NamedTuple):
    latencies: np.ndarray  # seconds, of all clients
    rate: float  # calls per second, of all together
    server_ms: float  # time of a processor that the server took for each call
    recall: float  # mean of all queries; not a number where nothing is found

    def percentiles_ms(self):
        return np.percentile(self.latencies, [50, 99]) * 1000


def measured(road, server, restricted, clients, args):
    data, matches = restricted
    context = multiprocessing.get_context("spawn")  # gRPC does not survive a fork
    barrier, results = context.Barrier(clients), context.Queue()
    before = processor_seconds(server.pid)
    arguments = (road, server.address, data.queries, args.peers, args.seconds, barrier, results)
    processes = [context.Process(target=client, args=arguments) for _ in range(clients)]
    for process in processes:
        process.start()
    answers = []
    for _ in processes:
        answers.append(results.get(timeout=args.seconds + 120))
        if isinstance(answers[-1], str):
            raise SystemExit(f"{road}: {answers[-1]}")
    for process in processes:
        process.join()
    calls = sum(len(latencies) + len(found) for latencies, found in answers)
    server_ms = (processor_seconds(server.pid) - before) * 1000 / calls
    latencies = [latencies for latencies, _ in answers]
    rate = sum(len(found) / found.sum() for found in latencies)
    return Figures(np.concatenate(latencies), rate, server_ms, recall(road, data, matches, answers[0][1]))


def recall(road, data, matches, found):
    if found[0] is None:
        return float("nan")
    assert all(matches[ids].all() for ids in found), f"{road}: a row that does not match the condition"
    return float(np.mean([data.recall(i, ids) for i, ids in enumerate(found)]))


def processor_seconds(pid):
    """What a process has used so far, where Linux says so."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return float("nan")
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def client(road, address, queries, peers, seconds, barrier, results):
    try:
        calls = road.calls(address, queries, peers)
        next(calls)
        found = [as_ids(calls.send(i)) for i in range(len(queries))]
        barrier.wait(60)
        latencies, end = [], time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            calls.send(len(latencies) % len(queries))
            latencies.append(time.perf_counter() - began)
        calls.close()
        results.put((np.array(latencies), found))
    except Exception as error:  # the parent says so and ends
        barrier.abort()
        results.put(repr(error))


def as_ids(found):
    """Ids as numbers: from a column, a list or gRPC's hits."""
    if found is None:
        return None
    if isinstance(found, pa.ChunkedArray):
        return found.to_numpy()
    return np.array([getattr(hit, "id", hit) for hit in found], np.int64)


# Telling


def row(road, clients, figures):
    p50, p99 = figures.percentiles_ms()
    times = f"p50 {p50:7.3f} ms   p99 {p99:7.3f} ms   {figures.rate:6.0f} QPS   recall {figures.recall:.3f}"
    return f"{road!s:28} {clients} client(s)   {times}   server's processor {figures.server_ms:6.3f} ms"


def ratios(figures):
    print("\nmedians over that of the same road doing nothing, and beyond it; QPS over those of others:")
    median = {key: float(np.median(found.latencies)) * 1000 for key, found in figures.items()}
    for (road, clients), p50 in median.items():
        if road.peer or road.name not in NOTHING:
            continue
        said = []
        nothing = NOTHING[road.name]
        base = median.get((Road(nothing), clients))
        if base:
            said.append(f"{p50 / base:5.2f} x {nothing}, {p50 - base:+.3f} ms")
        for (other, count), found in figures.items():
            if other.peer and (other.below, count) == (road.below, clients):
                said.append(f"{figures[road, clients].rate / found.rate:.1f} x {other.peer}")
        print(f"{road!s:28} {clients} client(s)   {', '.join(said)}")


def record(args, data, road, clients, found):
    header = ["name", "rows", "dim", "road", "setting", "clients", "calls"]
    header += ["recall", "p50_ms", "p99_ms", "qps", "server_ms"]
    of_set = [args.name, *data.vectors.shape, road, road.parameter or "", clients, len(found.latencies)]
    number = lambda value: "" if np.isnan(value) else f"{value:.4f}"
    measures = [found.recall, *found.percentiles_ms(), found.rate, found.server_ms]
    append(args.record, header, [[*of_set, *map(number, measures)]])


if __name__ == "__main__":
    main()
