"""Searches over an open Flight stream: a batch of query vectors is one round trip.

    with pyarrow.flight.connect("grpc://127.0.0.1:50051") as client:
        with Neighbours(client, "docs", k=10, columns=["id", "title"]) as neighbours:
            table = neighbours.of([[0.1, 0.2, 0.3]])

`docs/wire.md` describes what goes over the wire.
"""

import contextlib
import json

import pyarrow as pa
import pyarrow.flight


class Neighbours:
    """A stream of searches in one collection. The options are those of the descriptor: `k`, `recall`,
    `nprobe`, `exact`, `deadline_ms`, `columns`, `filter`."""

    def __init__(self, client, collection, **options):
        command = json.dumps({"collection": collection, **options})
        descriptor = pyarrow.flight.FlightDescriptor.for_command(command)
        self._writer, self._reader = client.do_exchange(descriptor)
        self._schema = None

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        if error in (None, GeneratorExit):
            self.close()
            return
        self._reader.cancel()
        with contextlib.suppress(Exception):  # what went wrong is on its way already
            self.close()

    def of(self, vectors):
        """The nearest rows to each vector, a sequence of them or an Arrow array of lists: a table of `query` (which
        of the vectors), the columns asked for, and `_distance`, nearest first."""
        return self.with_figures(vectors)[0]

    def with_figures(self, vectors):
        """What `of` returns, and how the search went: a dict with `predicted_recall`, `rows_scanned`, ..."""
        self._send(vectors)
        batches, figures = [], None
        while figures is None:
            chunk = self._reader.read_chunk()
            batches.append(chunk.data)
            figures = chunk.app_metadata and json.loads(chunk.app_metadata.to_pybytes())
        return pa.Table.from_batches(batches), figures

    def close(self):
        """Ends the stream."""
        self._writer.close()

    def _send(self, vectors):
        if not isinstance(vectors, pa.Array):
            size = len(vectors[0]) if len(vectors) else 0
            vectors = pa.array(vectors, pa.list_(pa.float32(), size) if size else pa.list_(pa.float32()))
        if self._schema is None:
            self._schema = pa.schema([("vector", vectors.type)])
            self._writer.begin(self._schema)
        self._writer.write_batch(pa.record_batch([vectors.cast(self._schema.field(0).type)], schema=self._schema))
