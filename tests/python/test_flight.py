"""Plain Flight with pyarrow."""

import json

import pyarrow as pa
import pyarrow.compute
import pyarrow.flight as fl
import pytest

from conftest import docs


def put(flight, name, *tables):
    """Sends the tables as one stream, each as one batch; the acknowledgements."""
    writer, reader = flight.do_put(fl.FlightDescriptor.for_path(name), tables[0].schema)
    acks = []
    with writer:
        for table in tables:
            for batch in table.combine_chunks().to_batches():
                writer.write_batch(batch)
                acks.append(json.loads(reader.read().to_pybytes()))
        writer.done_writing()
    return acks


def test_each_batch_is_acknowledged_and_seen_at_once(flight, collection):
    acks = put(flight, collection, docs([4]), docs([5, 6], start=7.0))
    assert [ack["rows"] for ack in acks] == [1, 2]
    assert all(ack["durable"] for ack in acks)
    assert acks[0]["seq"] < acks[1]["seq"]
    sql = f"SELECT id FROM knn('{collection}', [8.0, 0.0], 2) ORDER BY _distance"
    assert flight.do_get(fl.Ticket(sql)).read_all()["id"].to_pylist() == [6, 5]


def test_a_key_that_exists_is_replaced(flight, collection):
    put(flight, collection, docs([3], start=50.0))
    rows = flight.do_get(fl.Ticket(f"SELECT id, embedding FROM {collection} WHERE id = 3")).read_all()
    assert rows["embedding"].to_pylist() == [[50.0, 0.0]]


def test_lists_and_doubles_are_cast(flight, collection):
    vectors = pa.array([[1.5, 2.5]], pa.list_(pa.float64()))
    put(flight, collection, pa.table({"id": pa.array([9], pa.int32()), "embedding": vectors}))
    rows = flight.do_get(fl.Ticket(f"SELECT * FROM {collection} WHERE id = 9")).read_all()
    assert rows.to_pylist() == [{"id": 9, "title": None, "embedding": [1.5, 2.5]}]


def test_compressed_and_dictionary_encoded_batches_are_read(flight, collection):
    table = docs(list(range(10, 60)))
    table = table.set_column(1, "title", table["title"].dictionary_encode())
    options = fl.FlightCallOptions(write_options=pa.ipc.IpcWriteOptions(compression="zstd"))
    writer, reader = flight.do_put(fl.FlightDescriptor.for_path(collection), table.schema, options)
    with writer:
        writer.write_table(table)
        writer.done_writing()
        assert json.loads(reader.read().to_pybytes())["rows"] == 50
    rows = flight.do_get(fl.Ticket(f"SELECT title FROM {collection} WHERE id = 20")).read_all()
    assert rows["title"].to_pylist() == ["title 20"]


def test_a_collection_is_a_flight(flight, collection):
    path = fl.FlightDescriptor.for_path(collection)
    listed = [info for info in flight.list_flights() if info.descriptor.path == [collection.encode()]]
    info = flight.get_flight_info(path)
    assert listed[0].total_records == info.total_records == 3
    assert listed[0].schema == info.schema == flight.get_schema(path).schema
    assert info.schema.names == ["id", "title", "embedding"]
    assert flight.do_get(info.endpoints[0].ticket).read_all().num_rows == 3
    names = [info.descriptor.path[0].decode() for info in flight.list_flights(collection[:4].encode())]
    assert collection in names


def test_sql_text_is_a_command_and_a_ticket(flight, collection):
    sql = f"SELECT title, id FROM {collection} ORDER BY id"
    info = flight.get_flight_info(fl.FlightDescriptor.for_command(sql))
    rows = flight.do_get(info.endpoints[0].ticket).read_all()
    assert rows.schema == info.schema
    assert rows == flight.do_get(fl.Ticket(sql)).read_all()
    assert rows["id"].to_pylist() == [1, 2, 3]


def test_actions(flight, collection):
    assert {"flush", "stats", "CreatePreparedStatement"} <= {action.type for action in flight.list_actions()}
    [result] = flight.do_action(fl.Action("flush", collection.encode()))
    [figures] = json.loads(result.body.to_pybytes())
    assert (figures["collection"], figures["rows"], figures["dimension"]) == (collection, 3, 2)
    with pytest.raises(pa.ArrowNotImplementedError, match="ListActions"):
        list(flight.do_action("explode"))


@pytest.mark.parametrize(
    "rows, message",
    [
        (docs([4], dim=3), "3 values where the collection has 2"),
        (docs([4], start=float("nan")), "is NaN"),
        (docs([4], start=float("inf")), "is inf"),
        (docs([4, 4]), "stands twice"),
        (docs([4]).append_column("colour", [["red"]]), "unknown column 'colour'"),
        (docs([4]).drop_columns("embedding"), "'embedding' is missing"),
        (docs([4]).set_column(0, "id", [["four"]]), "column 'id'"),
        (docs([4]).append_column("x", pa.compute.run_end_encode(pa.array([1]))), "RunEndEncoded"),
    ],
    ids=["length", "nan", "infinite", "twice", "unknown", "missing", "mistyped", "exotic"],
)
def test_a_bad_batch_is_refused_whole(flight, connection, collection, rows, message):
    with pytest.raises(pa.ArrowInvalid, match=message):
        put(flight, collection, rows)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {collection}")
        assert cursor.fetchone() == (3,)


@pytest.mark.parametrize("name", ["nothing", "../../x", "", "a/b"])
def test_a_put_makes_no_collection(flight, name):
    with pytest.raises(KeyError, match="no collection"):  # how pyarrow names NOT_FOUND
        put(flight, name, docs([1]))


def test_large_results_come_in_small_frames(flight, connection):
    count, dim = 20_000, 128
    with connection.cursor() as cursor:
        cursor.adbc_ingest("large", docs(list(range(count)), dim), mode="create")
        reader = flight.do_get(fl.Ticket("SELECT * FROM large"))
        sizes = [chunk.data.nbytes for chunk in reader]
        assert sum(sizes) > count * dim * 4
        assert max(sizes) < 4 << 20
        cursor.execute("DROP TABLE large")
