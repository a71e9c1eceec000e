"""What was acknowledged outlives a kill or a stop, and nothing else does by halves."""

import random
import shutil
import time

import pyarrow as pa
import pytest

import storm
from drift_server import DriftServer, sql
from small_table import CREATE, SCHEMA, VECTOR, content, flush, put, put_batch, rows

ROUNDS = 20
# Small limits, so that tables are flushed and batches are bulk-loaded while the storm blows.
SMALL = {"memtable_rows_max": 1_500, "bulk_rows_min": 400}
# Rows of a statement that the default settings write to segments directly.
BULK = 17_000


def test_a_kill_at_any_moment_loses_nothing_acknowledged(tmp_path, capsys):
    chance = random.Random(1)
    sure, batches = {1: {}, 2: {}}, {1: 1, 2: 1}
    survived = acknowledged = 0
    with DriftServer(tmp_path / "db", **SMALL) as server:
        with server.client() as client:
            sql(client, storm.CREATE)
        for _ in range(ROUNDS):
            writers = [storm.Writer(n, chance.random(), server.address, sure[n], batches[n]) for n in sure]
            blow([*writers, storm.Flusher(chance.random(), server.address)], server, chance)
            if chance.random() < 0.25:
                server.spawn()
                time.sleep(chance.uniform(0, 0.1))
                server.kill9()  # in the middle of recovery
            server.start()
            with server.client() as client:
                found = storm.stored(client)
                storm.check_search(client, found, chance)
            for writer in writers:
                left = found.get(writer.number, {})
                survived += storm.survivors(writer, left)
                acknowledged += writer.acknowledged
                sure[writer.number], batches[writer.number] = left, writer.next_batch
        check_no_file_is_left_over(server)
    assert acknowledged > 5 * ROUNDS, "the storm hardly wrote anything"
    with capsys.disabled():
        print(f"\n  {ROUNDS} kills: {acknowledged} operations acknowledged, {survived} others survived whole")


def blow(threads, server, chance):
    """Runs the threads for a moment, kills the server, and sees that this is what ended them."""
    for thread in threads:
        thread.start()
    time.sleep(chance.uniform(0.005, 0.4))
    early = [thread.ended_by for thread in threads if not thread.is_alive()]
    server.kill9()
    assert not early, f"ended before the kill: {early}"
    for thread in threads:
        thread.join(30)
        assert isinstance(thread.ended_by, storm.GONE), thread.ended_by


def check_no_file_is_left_over(server):
    with server.client() as client:
        flush(client, storm.TABLE)
    server.restart()
    with server.client() as client:
        segments = flush(client, storm.TABLE)["segments"]
    files = list(server.directory.glob("c/*/segment/*"))
    assert len(files) == segments, f"{segments} segments in {len(files)} files"


# One table, one statement, one kill. A script yields where a flush may come between; its result is
# what the table holds at last: id to text, or None when there is no table.


def insert(client):
    sql(client, CREATE)
    yield
    expected = put(client, rows(range(300)))
    yield
    return expected


def delete(client):
    yield from insert(client)
    assert sql(client, "DELETE FROM t WHERE id % 3 = 0")["count"][0].as_py() == 100
    yield
    return rows(i for i in range(300) if i % 3)


def delete_everything(client):
    yield from insert(client)
    assert sql(client, "DELETE FROM t")["count"][0].as_py() == 300
    yield
    return {}


def delete_and_insert_again(client):
    expected = yield from delete(client)
    expected |= put(client, rows(range(0, 90, 3), "again"))
    yield
    return expected


def upsert(client):
    expected = yield from insert(client)
    expected |= put(client, rows(range(200, 400), "replaced"))
    yield
    return expected


def upsert_and_delete(client):
    yield from upsert(client)
    assert sql(client, "DELETE FROM t WHERE text LIKE 'replaced%'")["count"][0].as_py() == 200
    yield
    return rows(range(200))


def bulk_put(client):
    expected = yield from insert(client)
    expected |= put(client, rows(range(250, 250 + BULK), "in bulk"))
    yield
    return expected


def bulk_put_then_changes(client):
    expected = yield from bulk_put(client)
    expected |= put(client, rows(range(240, 260), "after"))
    assert sql(client, "DELETE FROM t WHERE id >= 1000")["count"][0].as_py() == BULK - 750
    yield
    return {i: text for i, text in expected.items() if i < 1000}


def bulk_insert_select(client):
    expected = yield from bulk_put(client)
    count = sql(client, "INSERT INTO t SELECT id + 100000, 'copied', embedding FROM t WHERE id >= 0")["count"][
        0
    ].as_py()
    assert count == len(expected)
    yield
    return expected | {i + 100_000: "copied" for i in expected}


def dimension_settled_by_the_first_batch(client):
    sql(client, CREATE.replace("FLOAT[4]", "FLOAT[]"))
    yield
    expected = put(client, rows(range(300)))
    yield
    return expected


def insert_beside_a_table_that_is_flushed(client):
    sql(client, CREATE.replace("TABLE t", "TABLE other"))
    expected = yield from insert(client)
    put(client, rows(range(50)), table="other")
    sql(client, "DELETE FROM t WHERE id < 50")
    flush(client, "other")
    return {i: text for i, text in expected.items() if i >= 50}


def drop(client):
    yield from insert(client)
    sql(client, "DROP TABLE t")


def drop_and_create_again(client):
    yield from drop(client)
    return (yield from create(client))


def create(client):
    sql(client, CREATE)
    return {}
    yield


SCRIPTS = [
    insert, delete, delete_everything, delete_and_insert_again, upsert, upsert_and_delete, bulk_put,
    bulk_put_then_changes, bulk_insert_select, dimension_settled_by_the_first_batch,
    insert_beside_a_table_that_is_flushed, drop, drop_and_create_again, create,
]  # fmt: skip
FLUSHES = {
    "never": lambda step: False,
    "at_every_step": lambda step: True,
    "before_the_end": lambda step: step == 1,
}


@pytest.mark.parametrize("flushes", FLUSHES.values(), ids=FLUSHES.keys())
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_a_statement_acknowledged_outlives_a_kill(tmp_path, script, flushes):
    with DriftServer(tmp_path / "db") as server:
        with server.client() as client:
            expected = play(script(client), lambda step: flushes(step) and flush(client))
        # The second start reads what the first one, which replayed the log, left behind.
        for _ in range(2):
            server.restart()
            with server.client() as client:
                assert content(client) == expected


def play(script, at_step):
    step = 0
    while True:
        try:
            next(script)
        except StopIteration as end:
            return end.value
        at_step(step)
        step += 1


def test_generated_keys_are_never_given_twice(tmp_path):
    schema = SCHEMA.remove(0)
    chance, texts = random.Random(2), []
    with DriftServer(tmp_path / "db", **SMALL) as server:
        with server.client() as client:
            sql(client, "CREATE TABLE t (text TEXT, embedding FLOAT[4])")
        for _ in range(12):
            new = [f"text {len(texts) + i}" for i in range(chance.choice([1, 20, 300, 500]))]
            with server.client() as client:
                put_batch(client, pa.record_batch([new, pa.array([[1, 2, 3, 4]] * len(new), VECTOR)], schema=schema))
                texts += new
                if chance.random() < 0.3:
                    sql(client, "DELETE FROM t")
                    texts = []
                if chance.random() < 0.5:
                    flush(client)
            server.restart()
            with server.client() as client:
                assert sorted(sql(client, "SELECT text FROM t")["text"].to_pylist()) == sorted(texts)


def test_a_kill_while_tables_come_and_go_leaves_whole_tables(tmp_path):
    chance = random.Random(3)
    with DriftServer(tmp_path / "db") as server:
        for _ in range(10):
            thread = ComeAndGo(server.address)
            blow([thread], server, chance)
            server.start()
            with server.client() as client:
                assert content(client) in (None, {}, thread.rows)


class ComeAndGo(storm.Client):
    """Makes, fills and drops table t until the server is gone."""

    rows = rows(range(20))

    def work(self, client):
        sql(client, "DROP TABLE IF EXISTS t")
        while True:
            sql(client, CREATE)
            put(client, self.rows)
            flush(client)
            sql(client, "DROP TABLE t")


def test_what_a_kill_leaves_of_a_dropped_table_is_removed(tmp_path):
    with DriftServer(tmp_path / "db") as server:
        with server.client() as client:
            sql(client, CREATE)
            put(client, rows(range(300)))
            flush(client)
        server.kill9()
        (collection,) = server.directory.glob("c/*")
        shutil.copytree(collection, tmp_path / "copy")
        server.start()
        with server.client() as client:
            sql(client, "DROP TABLE t")
        server.kill9()
        # As if the kill had come between the new catalog and the removal of the files.
        shutil.copytree(tmp_path / "copy", collection, dirs_exist_ok=True)
        server.start()
        assert [path for path in server.directory.glob("c/**/*") if path.is_file()] == []
