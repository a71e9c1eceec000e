"""Fixtures: one server for the whole run, a fresh collection for each test."""

import re

import adbc_driver_flightsql.dbapi
import pyarrow as pa
import pyarrow.flight
import pytest

from drift_server import DriftServer


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    """`host:port` of a running server."""
    with DriftServer(tmp_path_factory.mktemp("drift") / "data") as server:
        yield server.address.removeprefix("grpc://")


@pytest.fixture
def flight(address):
    with pyarrow.flight.connect(f"grpc://{address}") as client:
        yield client


@pytest.fixture
def connection(address):
    with adbc_driver_flightsql.dbapi.connect(f"grpc://{address}", autocommit=True) as connection:
        yield connection


@pytest.fixture
def cursor(connection):
    with connection.cursor() as cursor:
        yield cursor


def docs(ids, dim=2, start=0.0):
    """Rows (id, title, embedding); the embedding of the i-th row is [start + i, 0, ...]."""
    vectors = [[start + i] + [0.0] * (dim - 1) for i in range(len(ids))]
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "title": [f"title {i}" for i in ids],
            "embedding": pa.array(vectors, pa.list_(pa.float32(), dim)),
        }
    )


@pytest.fixture
def collection(cursor, request):
    """The name of a collection with the rows 1, 2, 3 of `docs`, gone after the test."""
    name = re.sub(r"\W+", "_", request.node.name).lower()
    cursor.execute(f"CREATE TABLE {name} (id BIGINT PRIMARY KEY, title TEXT, embedding FLOAT[2])")
    cursor.adbc_ingest(name, docs([1, 2, 3]), mode="append")
    yield name
    cursor.execute(f"DROP TABLE {name}")
