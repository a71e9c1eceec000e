"""What the engine tells of itself, read through ADBC: the tables of the schema drift."""

import datetime
import json

import adbc_driver_manager
import numpy
import pyarrow as pa
import pytest
from pyarrow import flight as plain

ROWS = 20_000
DIM = 8
TABLES = ["buckets", "collections", "events", "manifests", "recall_samples", "segments"]


def table(cursor, sql):
    cursor.execute(sql)
    return cursor.fetch_arrow_table()


@pytest.fixture(scope="module")
def vectors():
    return numpy.random.default_rng(4).normal(size=(ROWS, DIM)).astype(numpy.float32)


@pytest.fixture
def loaded(cursor, vectors):
    """The name of a collection whose rows went to segments at once."""
    embeddings = pa.FixedSizeListArray.from_arrays(vectors.ravel(), DIM)
    rows = pa.table({"id": pa.array(range(ROWS), pa.int64()), "embedding": embeddings})
    cursor.adbc_ingest("loaded", rows, mode="create")
    yield "loaded"
    cursor.execute("DROP TABLE loaded")


@pytest.mark.parametrize("name", TABLES)
def test_each_has_the_announced_schema(cursor, loaded, name):
    announced = cursor.adbc_execute_schema(f"SELECT * FROM drift.{name}")
    read = table(cursor, f"SELECT * FROM drift.{name}")
    assert read.schema == announced
    assert announced.field("collection") == pa.field("collection", pa.string(), False)


def test_buckets_hold_all_rows_with_their_statistics(cursor, loaded, vectors):
    buckets = table(cursor, f"SELECT * FROM drift.buckets WHERE collection = '{loaded}'")
    assert sum(buckets["rows"].to_pylist()) == ROWS and buckets.num_rows > ROWS / 512
    centroids = numpy.array(buckets["centroid"].to_pylist())
    assert centroids.shape == (buckets.num_rows, DIM)
    # Centroids of fresh buckets are means of rows: weighted by rows they add up to the mean of all.
    mean = numpy.average(centroids, axis=0, weights=buckets["rows"].to_numpy())
    drifted = numpy.max(buckets["drift"].to_numpy() * buckets["radius"].to_numpy())
    assert numpy.linalg.norm(mean - vectors.mean(axis=0)) <= drifted + 1e-3


def test_segments_and_manifests_agree(cursor, flight, loaded):
    [flushed] = json.loads(next(flight.do_action(plain.Action("flush", loaded.encode()))).body.to_pybytes())
    assert flushed["l0_rows"] == 0
    [newest] = table(
        cursor,
        f"""SELECT m.rows, s.rows AS live FROM drift.manifests m
        JOIN (SELECT collection, sum(rows - dead) AS rows FROM drift.segments GROUP BY collection) s
          ON m.collection = s.collection
        WHERE m.collection = '{loaded}' ORDER BY manifest DESC LIMIT 1""",
    ).to_pylist()
    assert newest == {"rows": ROWS, "live": ROWS}


def test_times_are_in_utc(cursor, loaded):
    created = table(cursor, f"SELECT created_at FROM drift.manifests WHERE collection = '{loaded}'")["created_at"]
    assert created.type == pa.timestamp("ms", "UTC")
    now = datetime.datetime.now(datetime.timezone.utc)
    assert all(now - datetime.timedelta(hours=1) < at < now for at in created.to_pylist())


def test_a_collection_says_what_it_is(cursor, collection):
    [row] = table(cursor, f"SELECT * FROM drift.collections WHERE collection = '{collection}'").to_pylist()
    figures = {"rows": 3, "l0_rows": 3, "dead_rows": 0, "buckets": 0, "segments": 0, "bytes": 0}
    columns = {"metric": "l2", "dim": 2, "key_column": "id", "vector_column": "embedding"}
    assert row | figures | columns == row


def test_they_are_metadata_too(connection, cursor):
    assert "SYSTEM TABLE" in connection.adbc_get_table_types()
    objects = connection.adbc_get_objects(depth="tables", db_schema_filter="drift").read_all().to_pylist()
    [catalog] = [o for o in objects if o["catalog_name"] == "drift"]
    [schema] = catalog["catalog_db_schemas"]
    tables = {t["table_name"]: t["table_type"] for t in schema["db_schema_tables"]}
    assert tables == dict.fromkeys(TABLES, "SYSTEM TABLE")


def test_nobody_writes_to_them(cursor):
    for sql in ["DELETE FROM drift.events", "DROP TABLE drift.events", "CREATE TABLE drift.mine (id BIGINT, v FLOAT[2])"]:
        with pytest.raises(adbc_driver_manager.Error, match="can only be read"):
            cursor.execute(sql)
            cursor.fetchall()
    with pytest.raises(adbc_driver_manager.Error, match="collections live in drift.public"):
        cursor.adbc_ingest("mine", pa.table({"id": [1]}), mode="create", db_schema_name="drift")
