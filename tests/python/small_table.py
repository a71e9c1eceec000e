"""A small table `t`, written and read whole: a dict of id to text."""

import json

import pyarrow as pa
from pyarrow import flight

from drift_server import sql

CREATE = "CREATE TABLE t (id BIGINT PRIMARY KEY, text TEXT, embedding FLOAT[4])"
VECTOR = pa.list_(pa.float32(), 4)
SCHEMA = pa.schema([pa.field("id", pa.int64(), nullable=False), ("text", pa.string()), ("embedding", VECTOR)])


def put(client, rows, table="t"):
    """Sends rows, id to text, as one batch and waits for its acknowledgement; the rows."""
    vectors = [[float(i % 100), float(i // 100), 1, 2] for i in rows]
    columns = [pa.array(rows.keys(), pa.int64()), pa.array(rows.values()), pa.array(vectors, VECTOR)]
    put_batch(client, pa.record_batch(columns, schema=SCHEMA), table)
    return rows


def put_batch(client, batch, table="t"):
    """Sends a batch and waits for its acknowledgement."""
    stream, acks = client.do_put(flight.FlightDescriptor.for_path(table), batch.schema)
    stream.write_batch(batch)
    stream.done_writing()
    ack = acks.read()
    stream.close()  # raises what the server had to say
    assert json.loads(ack.to_pybytes())["rows"] == batch.num_rows


def rows(ids, text="as inserted"):
    return {i: f"{text} {i}" for i in ids}


def flush(client, table="t"):
    """Flushes; the table's figures."""
    (result,) = client.do_action(flight.Action("flush", table.encode()))
    (figures,) = json.loads(result.body.to_pybytes())
    return figures


def content(client):
    """What table t holds, id to text; None when there is no table."""
    if not sql(client, "SELECT 1 FROM information_schema.tables WHERE table_name = 't'").num_rows:
        return None
    found = sql(client, "SELECT id, text FROM t")
    as_dict = dict(zip(found["id"].to_pylist(), found["text"].to_pylist()))
    assert len(as_dict) == found.num_rows, "a key twice"
    assert sql(client, "SELECT count(*) AS n FROM t")["n"][0].as_py() == found.num_rows
    return as_dict
