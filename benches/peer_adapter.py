"""Drift, over the wire, in a harness that runs vector engines on the same work.

    VENV/bin/python benches/peer_adapter.py HARNESS bench_static.py drift fashion [--threads 1] [...]
    VENV/bin/python benches/peer_adapter.py HARNESS bench_stream.py drift drift128 [...]

HARNESS is the directory of a harness whose `adapters.py` has one class for each engine, a subclass of `Peer`, and
the table `PEERS`; the rest of the line is a script of it with its arguments. Drift is a `drift serve`
(`DRIFT_BIN`, else target/release/drift) with its default settings: rows come by ADBC and by DoPut, each batch
durable and searchable when it returns, deletes go by gRPC, and searches over open streams of DoExchange, one query at
a time. What is swept is the recall asked for.
"""

import os
import runpy
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from served import COLLECTION, HERE, arrow, fill, served


class Searches:
    """Open streams of searches, one for each way to ask. For one thread."""

    def __init__(self, address):
        import pyarrow.flight as fl

        self._client, self._streams = fl.connect(address), {}

    def search(self, query, k, recall, below=None):
        from neighbours import Neighbours

        asked = (k, recall, below)
        if asked not in self._streams:
            options = {} if below is None else {"filter": f"attr < {below}"}
            self._streams[asked] = Neighbours(self._client, COLLECTION, k=k, recall=recall, **options)
        return self._streams[asked].of(arrow(query[None]))["id"].to_numpy()

    def close(self):
        for stream in self._streams.values():
            stream.close()
        self._client.close()


class Inserts:
    """An open DoPut: a batch is durable and searchable once it is acknowledged."""

    def __init__(self, address, schema):
        import pyarrow.flight as fl

        self._client, self._schema = fl.connect(address), schema
        descriptor = fl.FlightDescriptor.for_path(COLLECTION)
        self._writer, self._acknowledged = self._client.do_put(descriptor, schema)

    def insert(self, table):
        for batch in table.combine_chunks().to_batches():
            self._writer.write_batch(batch.cast(self._schema))
            self._acknowledged.read()

    def close(self):
        self._writer.close()
        self._client.close()


def drift(peer):
    """The engine's class, for the harness's base class."""

    class Drift(peer):
        name, mode = "drift", "server"
        sweep = [0.8, 0.9, 0.93, 0.95, 0.97, 0.99, 0.995]
        fsweep = [0.95, 0.99]
        server = None

        def build(self, ids, vecs, attr):
            import grpc
            from test_grpc import Drift as Methods

            binary = Path(os.environ.get("DRIFT_BIN", HERE.parent / "target/release/drift"))
            self.server = served(binary, Path(self.path) / "db").start()
            table = rows(ids, vecs, attr)
            fill(self.server, table)
            self.channel = grpc.insecure_channel(self.server.address.removeprefix("grpc://"))
            self.methods = Methods(self.channel)
            self.inserts = Inserts(self.server.address, table.schema)
            self.clients = [Searches(self.server.address)]

        def insert(self, ids, vecs, attr):
            self.inserts.insert(rows(ids, vecs, attr))

        def delete(self, ids):
            self.methods.delete(collection=COLLECTION, ids=ids.tolist())

        def search(self, q, k, param, flt=None):
            return self.clients[0].search(q, k, param, flt)

        def client(self):
            self.clients.append(Searches(self.server.address))
            return self.clients[-1]

        def pids(self):
            return [self.server.pid] if self.server and self.server.runs else []

        def close(self):
            for one in (*self.clients, self.inserts, self.channel):
                one.close()
            self.server.stop()

    return Drift


def rows(ids, vectors, attribute):
    columns = {"id": pa.array(ids.astype(np.int64)), "attr": pa.array(attribute.astype(np.int32))}
    return pa.table({**columns, "embedding": arrow(vectors)})


def main():
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    harness, script = sys.argv[1:3]
    sys.path.insert(0, harness)
    import adapters

    adapters.PEERS["drift"] = drift(adapters.Peer)
    sys.argv = sys.argv[2:]
    runpy.run_path(str(Path(harness) / script), run_name="__main__")


if __name__ == "__main__":
    main()
