"""DoExchange with pyarrow, by the client of clients/python."""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as fl
import pytest

from conftest import docs

sys.path.append(str(Path(__file__).resolve().parents[2] / "clients/python"))
from neighbours import Neighbours  # noqa: E402


def test_each_batch_is_one_round_trip(flight, collection):
    with Neighbours(flight, collection, k=2) as neighbours:
        assert neighbours.of([[1.9, 0.0]])["id"].to_pylist() == [3, 2]
        table, figures = neighbours.with_figures([[0.0, 0.0], [1.0, 0.0], [1.9, 0.0]])
        assert table.schema.names == ["query", "id", "_distance"]
        assert table["query"].to_pylist() == [0, 0, 1, 1, 2, 2]
        assert table["id"].to_pylist()[::2] == [1, 2, 3]
        assert figures["queries"] == 3 and figures["rows"] == 6 and figures["predicted_recall"] > 0.9


def test_no_queries_are_an_empty_answer(flight, collection):
    with Neighbours(flight, collection) as neighbours:
        none = pa.array([], pa.list_(pa.float32(), 2))
        for _ in range(3):
            table, figures = neighbours.with_figures(none)
            assert (table.num_rows, figures["queries"], figures["predicted_recall"]) == (0, 0, None)
        assert neighbours.of(pa.array([[0.0, 0.0]], none.type)).num_rows == 3


@pytest.mark.parametrize("value_type", [pa.float16(), pa.float32(), pa.float64()])
@pytest.mark.parametrize("size", [-1, 2])
def test_vectors_of_any_float_and_list_type(flight, collection, value_type, size):
    with Neighbours(flight, collection, k=1, columns=["title"]) as neighbours:
        vectors = pa.array([[9.0, 9.0], [2.0, 0.0], [1.0, 0.0]], pa.list_(value_type, size))[1:]
        assert neighbours.of(vectors)["title"].to_pylist() == ["title 3", "title 2"]


def test_the_filter_is_a_condition_in_sql(flight, collection):
    with Neighbours(flight, collection, k=5, filter="title <> 'title 2' AND id IN (1, 2)") as neighbours:
        assert neighbours.of([[2.0, 0.0]])["id"].to_pylist() == [1]


def test_rows_are_seen_once_acknowledged(flight, cursor, collection):
    with Neighbours(flight, collection, k=1) as neighbours:
        assert neighbours.of([[50.0, 0.0]])["id"].to_pylist() == [3]
        cursor.adbc_ingest(collection, docs([4], start=50.0), mode="append")
        assert neighbours.of([[50.0, 0.0]])["id"].to_pylist() == [4]


def test_the_settings_of_the_connection_hold(flight, collection):
    list(flight.do_get(fl.Ticket("SET drift.target_recall = 0.5")))
    list(flight.do_get(fl.Ticket("SET drift.deadline_ms = 60000")))
    with Neighbours(flight, collection) as neighbours:
        assert neighbours.of([[0.0, 0.0]]).num_rows == 3


@pytest.mark.parametrize(
    "options, vectors, error, message",
    [
        ({"collection": "nothing"}, [[0.0, 0.0]], KeyError, "no collection 'nothing'"),
        ({"recal": 0.9}, [[0.0, 0.0]], pa.ArrowInvalid, "unknown field `recal`"),
        ({"k": 0}, [[0.0, 0.0]], pa.ArrowInvalid, "k is 0"),
        ({"columns": ["colour"]}, [[0.0, 0.0]], pa.ArrowInvalid, "unknown column 'colour'"),
        ({"filter": "1 = 1"}, [[0.0, 0.0]], pa.ArrowInvalid, "no condition on stored columns"),
        ({}, [[0.0, 0.0, 0.0]], pa.ArrowInvalid, "query 0: the query has 3 values where 'embedding' has 2"),
        ({}, [[0.0, 0.0], [0.0, float("nan")]], pa.ArrowInvalid, "query 1: value 1"),
        ({}, [[0.0, 0.0], [0.0, None]], pa.ArrowInvalid, "query 1 is NULL"),
        ({}, pa.array(["text"]), pa.ArrowInvalid, "send lists of floats"),
    ],
    ids=["collection", "option", "k", "column", "filter", "length", "nan", "null", "text"],
)
def test_what_cannot_be_searched_is_refused_with_a_reason(flight, collection, options, vectors, error, message):
    neighbours = Neighbours(flight, **{"collection": collection, **options})
    with pytest.raises(error, match=message):
        neighbours.of(vectors)


def test_a_stream_without_data_is_refused(flight, collection):
    writer, reader = flight.do_exchange(fl.FlightDescriptor.for_path(collection))
    writer.done_writing()
    with pytest.raises((pa.ArrowInvalid, StopIteration)):
        reader.read_chunk()
