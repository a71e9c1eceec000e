"""A database in an object store: nothing of it is local, one writer at a time, no answer is trusted to arrive.

Against one S3 server; with DRIFT_TEST_ALL=1 against another and those of two more protocols.
"""

import os
import subprocess
import uuid

import pytest
from pyarrow import flight

from cutting_proxy import losing_answers
from drift_server import ROOT, DriftServer, StartRefused, sql
from object_stores import AZURITE, FAKE_GCS_SERVER, GOFAKES3, MOTO
from small_table import CREATE, content, flush, put, rows

SERVICES = {"moto": MOTO}
if os.environ.get("DRIFT_TEST_ALL") == "1":
    SERVICES |= {"gofakes3": GOFAKES3, "azurite": AZURITE, "fake-gcs-server": FAKE_GCS_SERVER}
REFUSED = (flight.FlightError, StartRefused, OSError)


@pytest.fixture(scope="module", params=SERVICES.values(), ids=SERVICES.keys())
def service(request):
    """A kind of object store, and the port of one with an empty bucket."""
    with request.param.start() as port:
        request.param.make_bucket(port)
        yield request.param, port


@pytest.fixture
def prefix():
    """A place in the bucket that no other test uses."""
    return uuid.uuid4().hex


@pytest.fixture
def store(service, prefix):
    kind, port = service
    return kind.store_at(port).below(prefix)


def nearest(client, i):
    """The keys of the rows nearest to that of key `i`."""
    vector = [float(i % 100), float(i // 100), 1, 2]
    return sql(client, f"SELECT id FROM t ORDER BY l2_distance(embedding, {vector}) LIMIT 3")["id"].to_pylist()


def test_a_server_with_an_empty_disk_finds_everything(store, tmp_path):
    with DriftServer(tmp_path / "first", store=store) as server, server.client() as client:
        sql(client, CREATE)
        expected = put(client, rows(range(500)))
        flush(client)
        expected |= put(client, rows(range(400, 600), "replaced"))
        sql(client, "DELETE FROM t WHERE id < 50")
        expected = {i: text for i, text in expected.items() if i >= 50}
        found = {i: nearest(client, i) for i in range(100, 600, 50)}
        assert all(ids[0] == i for i, ids in found.items())
    # The process was killed; another host starts the next one.
    for again in range(2):
        with DriftServer(tmp_path / f"again{again}", store=store) as server, server.client() as client:
            assert content(client) == expected
            assert {i: nearest(client, i) for i in found} == found
            expected |= put(client, rows(range(1000 + again, 1010)))
            assert server.terminate() == 0


def test_a_second_server_takes_over_from_the_first(store, tmp_path):
    with DriftServer(tmp_path / "first", store=store) as first, first.client() as to_first:
        sql(to_first, CREATE)
        expected = put(to_first, rows(range(100)))
        flush(to_first)
        with DriftServer(tmp_path / "second", store=store) as second, second.client() as to_second:
            expected |= put(to_second, rows(range(50, 150), "from the second"))
            with pytest.raises(flight.FlightError, match="another writer|taken over"):
                put(to_first, rows(range(100, 200), "from the first"))
                flush(to_first)
            flush(to_second)
            assert content(to_second) == expected
            second.restart()
            with second.client() as client:
                assert content(client) == expected


def test_servers_that_start_at_once_leave_one_line_of_history(store, tmp_path):
    with DriftServer(tmp_path / "before", store=store) as server, server.client() as client:
        sql(client, CREATE)
        expected = put(client, rows(range(100)))
        flush(client)
    racers = [DriftServer(tmp_path / f"racer{i}", store=store) for i in range(3)]
    for racer in racers:
        racer.spawn()
    for i, racer in enumerate(racers):
        new = rows(range(1000 * i + 1000, 1000 * i + 1010), "raced")
        try:
            racer.wait_until_it_listens()
            with racer.client() as client:
                put(client, new)
                expected |= new  # acknowledged, whatever becomes of the flush
                flush(client)
        except REFUSED:
            pass  # another one won, and this one was told
    for racer in racers:
        racer.stop()
    assert len(expected) > 100, "nobody won"
    with DriftServer(tmp_path / "after", store=store) as server, server.client() as client:
        found = content(client)
    assert {i: found.get(i) for i in expected} == expected


def test_lost_answers_neither_lose_nor_repeat_a_row(service, prefix, tmp_path):
    kind, port = service
    acknowledged, attempted = {}, {}
    with losing_answers(port) as proxy:
        through = kind.store_at(proxy.server_port).below(prefix)
        server = DriftServer(tmp_path / "db", store=through)
        for i in range(12):
            batch = rows(range(100 * i, 100 * i + 100), f"batch {i}:")
            try:
                if not server.runs:
                    server.start()
                with server.client() as client:
                    if content(client) is None:
                        sql(client, CREATE)
                    attempted |= batch
                    acknowledged |= put(client, batch)
                    flush(client)
            except REFUSED:
                server.stop()  # a person would start it again
        server.stop()
        assert proxy.cut > 3
    assert acknowledged, "no write ever came through"
    with DriftServer(tmp_path / "after", store=kind.store_at(port).below(prefix)) as server:
        with server.client() as client:
            found = content(client)
    assert {i: found.get(i) for i in acknowledged} == acknowledged
    assert found.items() <= attempted.items()


def test_the_suite_of_all_stores(store):
    environment = os.environ | store.environment | {"DRIFT_TEST_STORES": store.uri}
    subprocess.run(["cargo", "test", "--workspace", "--test", "store"], cwd=ROOT, env=environment, check=True)
