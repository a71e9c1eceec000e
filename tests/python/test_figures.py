"""Figures that are printed, never asserted: machines and builds differ."""

import time

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import flight

from drift_server import DriftServer, sql
from small_table import flush

ROWS = 50_000
BATCH_ROWS = 5_000
DIM = 64
VECTOR = pa.list_(pa.float32(), DIM)


@pytest.fixture
def timed(capsys):
    """Runs some work once, prints how long it took, and gives its result back."""

    def run(what, work, per=None):
        began = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - began
        rate = f", {per / seconds:,.0f} rows/s" if per else ""
        with capsys.disabled():
            print(f"\n  {what}: {seconds * 1000:,.1f} ms{rate}", end="")
        return result

    return run


def batch(first):
    numbers = pc.random(BATCH_ROWS * DIM, initializer=first).cast(pa.float32())
    ids = pa.array(range(first, first + BATCH_ROWS), pa.int64())
    text = pa.array([f"the text of row {i}, of no great length" for i in range(first, first + BATCH_ROWS)])
    return pa.record_batch(
        [ids, text, pa.FixedSizeListArray.from_arrays(numbers, DIM)], names=["id", "text", "embedding"]
    )


def fill(client):
    sql(client, f"CREATE TABLE big (id BIGINT PRIMARY KEY, text TEXT, embedding FLOAT[{DIM}])")
    batches = [batch(first) for first in range(0, ROWS, BATCH_ROWS)]
    stream, acks = client.do_put(flight.FlightDescriptor.for_path("big"), batches[0].schema)
    for rows in batches:
        stream.write_batch(rows)
    stream.done_writing()
    for _ in batches:
        assert acks.read() is not None
    stream.close()


def knn(client, k, columns="id, _distance"):
    query = pc.random(DIM, initializer=7).to_pylist()
    return sql(client, f"SELECT {columns} FROM knn('big', {query}, {k}) ORDER BY _distance")


def first_answer(server):
    server.restart()
    with server.client() as client:
        return knn(client, 10)


def test_figures_of_50_000_rows(tmp_path, timed):
    # All rows stay in the log until the flush.
    with DriftServer(tmp_path / "db", memtable_rows_max=2 * ROWS) as server:
        with server.client() as client:
            timed(f"DoPut of {ROWS:,} rows x {DIM}", lambda: fill(client), per=ROWS)
        answer = timed("kill, restart and first answer, rows in the log", lambda: first_answer(server))
        assert answer.num_rows == 10
        with server.client() as client:
            timed("flush", lambda: flush(client, "big"))
        answer = timed("kill, restart and first answer, rows in segments", lambda: first_answer(server))
        assert answer.num_rows == 10
        with server.client() as client:
            assert timed("knn with k = 100", lambda: knn(client, 100)).num_rows == 100
            assert timed("the same again", lambda: knn(client, 100)).num_rows == 100
            winners = timed("SELECT * of 10 winners", lambda: knn(client, 10, "*"))
            assert all(text.startswith("the text of row") for text in winners["text"].to_pylist())
            deleted = timed(
                "DELETE of every fifth row", lambda: sql(client, "DELETE FROM big WHERE id % 5 = 0"), per=ROWS // 5
            )
            assert deleted["count"][0].as_py() == ROWS // 5
            assert (
                timed("count(*)", lambda: sql(client, "SELECT count(*) AS n FROM big"))["n"][0].as_py() == ROWS * 4 // 5
            )
