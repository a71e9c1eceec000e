"""Flight SQL with ADBC: statements, parameters, bulk ingest, metadata."""

import adbc_driver_manager
import pyarrow as pa
import pyarrow.flight
import pytest

from conftest import docs


def rows(cursor, sql, parameters=None):
    cursor.execute(sql, parameters)
    return cursor.fetchall()


def test_statements(cursor, collection):
    assert rows(cursor, f"SELECT id, title FROM {collection} WHERE id > 1 ORDER BY id") == [(2, "title 2"), (3, "title 3")]
    # An INSERT is done when execute returns, whether or not its count is fetched.
    cursor.execute(f"INSERT INTO {collection} VALUES (4, 'four', [9, 9])")
    assert rows(cursor, f"SELECT count(*) FROM {collection}") == [(4,)]
    assert rows(cursor, f"DELETE FROM {collection} WHERE id < 3") == [(2,)]
    assert rows(cursor, f"SELECT id FROM {collection} ORDER BY id") == [(3,), (4,)]


def test_rows_have_the_announced_schema(cursor, collection):
    cursor.execute(f"SELECT *, title || '!' AS loud, NULL AS nothing FROM {collection}")
    table = cursor.fetch_arrow_table()
    assert table.schema.field("embedding").type == pa.list_(pa.field("item", pa.float32()), 2)
    assert not table.schema.field("id").nullable
    assert table.num_rows == 3


@pytest.mark.parametrize("value_type", [pa.float32(), pa.float64()])
@pytest.mark.parametrize("size", [-1, 2])
def test_a_bound_vector_is_a_query(cursor, collection, value_type, size):
    parameters = pa.record_batch(
        [pa.array([[1.9, 0.0]], pa.list_(value_type, size)), pa.array([2])], names=["vector", "k"]
    )
    cursor.execute(f"SELECT id, _distance FROM knn('{collection}', ?, ?) ORDER BY _distance", parameters)
    assert [i for i, _ in cursor.fetchall()] == [3, 2]


def test_a_list_of_numbers_is_a_query(cursor, collection):
    sql = f"SELECT id FROM knn('{collection}', $1, 1) WHERE title <> $2"
    assert rows(cursor, sql, ([2.0, 0.0], "title 3")) == [(2,)]


def test_executemany(cursor, collection):
    many = [(i, f"many {i}", [float(i), 1.0]) for i in range(100, 400)]
    cursor.executemany(f"INSERT INTO {collection} (id, title, embedding) VALUES (?, ?, ?)", many)
    assert cursor.rowcount == 300
    assert rows(cursor, f"SELECT count(*), max(title) FROM {collection} WHERE id >= 100") == [(300, "many 399")]
    cursor.executemany(f"DELETE FROM {collection} WHERE id = ?", [(100,), (101,), (7777,)])
    assert rows(cursor, f"SELECT count(*) FROM {collection} WHERE id >= 100") == [(298,)]


def test_a_prepared_statement_sees_later_rows(cursor, collection):
    sql = f"SELECT count(*) FROM {collection} WHERE id >= ?"
    assert rows(cursor, sql, (3,)) == [(1,)]
    cursor.execute(f"INSERT INTO {collection} VALUES (4, 'four', [9, 9])")
    assert rows(cursor, sql, (3,)) == [(2,)]


def test_ingest_modes(cursor):
    count = "SELECT count(*) FROM ingested"
    with pytest.raises(adbc_driver_manager.Error, match="no collection 'ingested'"):
        cursor.adbc_ingest("ingested", docs([1]), mode="append")
    assert cursor.adbc_ingest("ingested", docs([1, 2]), mode="create") == 2
    with pytest.raises(adbc_driver_manager.Error, match="exists already"):
        cursor.adbc_ingest("ingested", docs([1]), mode="create")
    assert cursor.adbc_ingest("ingested", docs([2, 3]), mode="append") == 2
    assert rows(cursor, count) == [(3,)]  # the row 2 was replaced
    assert cursor.adbc_ingest("ingested", docs([4]), mode="create_append") == 1
    assert rows(cursor, count) == [(4,)]
    assert cursor.adbc_ingest("ingested", docs([1], dim=5), mode="replace") == 1
    assert rows(cursor, "SELECT id FROM knn('ingested', [0, 0, 0, 0, 0], 10)") == [(1,)]
    cursor.execute("DROP TABLE ingested")


def test_ingest_is_one_statement(cursor, collection):
    batches = docs([10, 11]).to_batches() + docs([12], start=float("nan")).to_batches()
    reader = pa.RecordBatchReader.from_batches(batches[0].schema, batches)
    with pytest.raises(adbc_driver_manager.Error, match="is NaN"):
        cursor.adbc_ingest(collection, reader, mode="append")
    assert rows(cursor, f"SELECT count(*) FROM {collection}") == [(3,)]


def test_temporary_collections_are_refused(cursor):
    with pytest.raises(adbc_driver_manager.Error, match="no temporary collections"):
        cursor.adbc_ingest("brief", docs([1]), mode="create", temporary=True)


def test_metadata(connection, collection):
    objects = connection.adbc_get_objects(depth="all", table_name_filter=collection).read_all().to_pylist()
    [catalog] = [o for o in objects if o["catalog_name"] == "drift"]
    [schema] = [s for s in catalog["catalog_db_schemas"] if s["db_schema_name"] == "public"]
    [table] = schema["db_schema_tables"]
    assert (table["table_name"], table["table_type"]) == (collection, "TABLE")
    assert [column["column_name"] for column in table["table_columns"]] == ["id", "title", "embedding"]
    assert connection.adbc_get_table_schema(collection).field("id").type == pa.int64()
    assert "TABLE" in connection.adbc_get_table_types()
    info = connection.adbc_get_info()
    assert info["vendor_name"] == "Drift"


def test_the_schema_of_a_statement_without_running_it(cursor, collection):
    schema = cursor.adbc_execute_schema(f"SELECT id, _distance FROM knn('{collection}', [0, 0], 1)")
    assert schema == pa.schema([pa.field("id", pa.int64(), False), pa.field("_distance", pa.float32(), False)])
    cursor.adbc_prepare(f"DELETE FROM {collection}")
    assert rows(cursor, f"SELECT count(*) FROM {collection}") == [(3,)]


def test_settings_last_as_long_as_the_connection(cursor, connection):
    value = "SELECT value FROM information_schema.df_settings WHERE name = 'drift.target_recall'"
    assert rows(cursor, value) == [("0.95",)]
    cursor.execute("SET drift.target_recall = 0.8")
    assert rows(cursor, value) == [("0.8",)]
    option = "adbc.flight.sql.session.option.drift.target_recall"
    connection.adbc_connection.set_options(**{option: "0.7"})
    assert rows(cursor, value) == [("0.7",)]
    assert connection.adbc_connection.get_option(option) == "0.7"
    with pytest.raises(adbc_driver_manager.Error):
        connection.adbc_connection.set_options(**{option: "7"})


@pytest.mark.parametrize(
    "sql, message",
    [
        ("SELEC 1", "SELEC"),
        ("SELECT * FROM nothing", "nothing"),
        ("SELECT * FROM knn('nothing', [1], 1)", "no collection 'nothing'"),
        ("SELECT * FROM knn('{}', [1, 2, 3], 1)", "3 values"),
        ("SELECT * FROM knn('{}', [1, 2], 0)", "k"),
        ("SELECT colour FROM {}", "colour"),
        ("INSERT INTO {} VALUES (1, 'x', [1])", "value"),
        ("SET drift.target_recall = 2", "recall"),
        ("CREATE TABLE {} (id BIGINT, v FLOAT[2])", "exists"),
        ("CREATE TABLE flat (id BIGINT)", "FLOAT"),
    ],
)
def test_errors_say_what_is_wrong(cursor, collection, sql, message):
    with pytest.raises(adbc_driver_manager.Error, match=message):
        rows(cursor, sql.format(collection))


def test_a_statement_run_again_follows_rows_and_tables(cursor, flight, collection):
    sql = f"SELECT id FROM knn('{collection}', ?, 1)"
    nine = ([9.0, 0.0],)
    assert rows(cursor, sql, nine) == [(3,)]
    flight.do_get(pa.flight.Ticket(f"INSERT INTO {collection} VALUES (4, 'four', [9, 0])")).read_all()
    assert rows(cursor, sql, nine) == [(4,)]
    assert rows(cursor, sql, ([0.0, 0.0],)) == [(1,)]
    with pytest.raises(adbc_driver_manager.Error, match="has 1 values"):
        rows(cursor, sql, ([9.0],))
    flight.do_get(pa.flight.Ticket(f"DROP TABLE {collection}")).read_all()
    with pytest.raises(adbc_driver_manager.Error, match="no collection"):
        rows(cursor, sql, nine)
    create = f"CREATE TABLE {collection} (title TEXT, embedding FLOAT[3], id INT PRIMARY KEY)"
    flight.do_get(pa.flight.Ticket(create)).read_all()
    flight.do_get(pa.flight.Ticket(f"INSERT INTO {collection} VALUES ('x', [9, 0, 0], 77)")).read_all()
    assert rows(cursor, sql, ([9.0, 0.0, 0.0],)) == [(77,)]
