"""Drift from Python: rows in by Arrow Flight, neighbours out by SQL.

    pip install pyarrow adbc-driver-flightsql adbc-driver-manager
    drift serve my-data                      # prints: listening on grpc://127.0.0.1:50051
    python quickstart.py 127.0.0.1:50051
"""

import json
import sys

import adbc_driver_flightsql.dbapi
import pyarrow as pa
import pyarrow.flight

from neighbours import Neighbours


def books(first, vectors):
    """A table of books; `vectors` would come from your embedding model."""
    ids = range(first, first + len(vectors))
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "title": [f"book {i}" for i in ids],
            "embedding": pa.array(vectors, pa.list_(pa.float32(), 4)),
        }
    )


def with_adbc(uri):
    """Flight SQL through Python's DB-API."""
    with adbc_driver_flightsql.dbapi.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
        # A whole table at once makes the collection: the key is `id`, the vector the one list of numbers.
        rows = cursor.adbc_ingest("books", books(1, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]), mode="replace")
        print(f"ADBC: ingested {rows} rows")

        # Row by row, as one statement; a key that exists is replaced.
        insert = "INSERT INTO books (id, title, embedding) VALUES (?, ?, ?)"
        cursor.executemany(insert, [(4, "Dune", [0.9, 0.1, 0.0, 0.0]), (3, "Emma", [0.0, 0.0, 0.9, 0.1])])

        # The three nearest to a vector that is bound as a parameter. A filter goes into the search.
        search = "SELECT id, title, _distance FROM knn('books', ?, 3) WHERE id <> ? ORDER BY _distance"
        cursor.execute(search, ([1.0, 0.0, 0.0, 0.0], 2))
        for key, title, distance in cursor.fetchall():
            print(f"ADBC: {key} {title:8} {distance:.3f}")


def with_pyarrow(uri):
    """Plain Flight, without SQL where none is needed."""
    with pyarrow.flight.connect(uri) as client:
        # A stream of batches into a collection that exists; each is acknowledged by itself.
        table = books(10, [[0, 0, 0, 1], [0.5, 0, 0, 0.5]])
        writer, acknowledgements = client.do_put(pyarrow.flight.FlightDescriptor.for_path("books"), table.schema)
        with writer:
            writer.write_table(table)
            print("pyarrow:", json.loads(acknowledgements.read().to_pybytes()))

        for flight in client.list_flights():
            print("pyarrow:", flight.descriptor.path[0].decode(), "has", flight.total_records, "rows")

        # An open stream of searches: vectors in, neighbours out, one round trip for each batch.
        with Neighbours(client, "books", k=1, columns=["title"]) as neighbours:
            print("pyarrow:", neighbours.of([[0, 0, 0, 1], [0, 1, 0, 0]])["title"].to_pylist())

        # SQL text is a ticket. Rows come as Arrow, ready for pandas, Polars or DuckDB.
        sql = "SELECT title, _distance FROM knn('books', [0.0, 0.0, 0.0, 1.0], 2) ORDER BY _distance"
        print("pyarrow:", client.do_get(pyarrow.flight.Ticket(sql)).read_all().to_pylist())


if __name__ == "__main__":
    address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051"
    with_adbc(f"grpc://{address}")
    with_pyarrow(f"grpc://{address}")
