"""Stopping and starting: clean stops, one server per directory, damaged and cut logs."""

import random
import shutil
import struct
import time

import pytest

import storm
from drift_server import DriftServer, StartRefused, sql
from small_table import CREATE, content, flush, put, rows

HEADER_BYTES = 4096
ALIGN = 64


@pytest.fixture
def server(tmp_path):
    with DriftServer(tmp_path / "db") as server:
        yield server


def filled(server, batches=10):
    """Creates table t and inserts `batches` batches; their rows."""
    with server.client() as client:
        sql(client, CREATE)
        return [put(client, rows(range(100 * i, 100 * i + 100))) for i in range(batches)]


def merged(batches):
    return {i: text for batch in batches for i, text in batch.items()}


def check_content(server, expected):
    with server.client() as client:
        assert content(client) == expected


@pytest.mark.parametrize("flushed", [False, True])
def test_sigterm_stops_cleanly(server, flushed):
    expected = merged(filled(server))
    with server.client() as client:
        if flushed:
            flush(client)
        sql(client, "DELETE FROM t WHERE id < 10")
    assert server.terminate() == 0
    server.start()
    check_content(server, {i: text for i, text in expected.items() if i >= 10})


def test_sigterm_while_clients_write_keeps_what_was_acknowledged(server):
    with server.client() as client:
        sql(client, storm.CREATE)
    writers = [storm.Writer(n, n, server.address, {}, 1) for n in (1, 2)]
    for writer in writers:
        writer.start()
    time.sleep(0.5)
    assert server.terminate() == 0
    server.start()
    with server.client() as client:
        found = storm.stored(client)
    for writer in writers:
        writer.join(30)
        assert isinstance(writer.ended_by, storm.GONE), writer.ended_by
        assert writer.acknowledged > 0
        storm.survivors(writer, found.get(writer.number, {}))


def test_a_directory_has_one_server(server):
    expected = merged(filled(server))
    with pytest.raises(StartRefused, match=rf"\b{server.pid}\b"):
        DriftServer(server.directory).start()
    check_content(server, expected)
    server.restart()
    check_content(server, expected)


def test_a_kill_in_the_first_start_of_all_does_no_harm(server):
    chance = random.Random(4)
    for _ in range(10):
        server.kill9()
        shutil.rmtree(server.directory)
        server.spawn()
        time.sleep(chance.uniform(0, 0.05))
        server.restart()
    filled(server, batches=1)


def records(path):
    """Start and end of each record of a log file, in bytes (docs/format/wal.md)."""
    log = path.read_bytes()
    at, found = HEADER_BYTES, []
    while log[at : at + 4] == b"DREC":
        (payload,) = struct.unpack_from("<I", log, at + 4)
        end = at + ALIGN + -(-payload // ALIGN) * ALIGN
        found.append((at, end))
        at = end
    return found


def log_with_records(server):
    """The newest log file that holds changes."""
    logs = sorted(server.directory.glob("wal/*.wal"))
    return next(path for path in reversed(logs) if len(records(path)) > 1)


PLACES = {
    "in_a_header": lambda start, end: start + 5,
    "in_a_payload": lambda start, end: (start + ALIGN + end) // 2,
    "in_a_checksum": lambda start, end: start + 40,
}


@pytest.mark.parametrize("record", [0, 4, -2], ids=["first", "middle", "last"])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_a_damaged_log_is_refused_until_it_is_restored(server, place, record):
    expected = merged(filled(server))
    assert server.terminate() == 0
    log = log_with_records(server)
    start, end = records(log)[record]  # the one behind the last change is the checkpoint
    sound = log.read_bytes()
    damaged = bytearray(sound)
    damaged[place(start, end)] ^= 0x10
    log.write_bytes(damaged)
    for _ in range(2):
        with pytest.raises(StartRefused) as refused:
            server.start()
        message = str(refused.value)
        assert log.name in message and f"byte {start}" in message, message
        assert log.read_bytes() == damaged, "a refused start changed the log"
    log.write_bytes(sound)
    server.start()
    check_content(server, expected)


def test_a_damaged_log_header_is_refused(server):
    filled(server)
    assert server.terminate() == 0
    log = log_with_records(server)
    damaged = bytearray(log.read_bytes())
    damaged[40] ^= 0x10
    log.write_bytes(damaged)
    with pytest.raises(StartRefused, match=log.name):
        server.start()


@pytest.mark.parametrize("seed", range(3))
def test_a_cut_log_keeps_the_records_before_the_cut(server, seed):
    batches = filled(server)
    server.kill9()
    log = log_with_records(server)
    start, end = records(log)[-1]
    with log.open("r+b") as file:
        file.truncate(random.Random(seed).randrange(start + 1, end))
    server.start()
    expected = merged(batches[:-1])
    check_content(server, expected)
    # The cut file is not the last one now; the log goes on behind it.
    with server.client() as client:
        expected |= put(client, rows(range(950, 1050), "after the cut"))
    server.restart()
    check_content(server, expected)
    assert server.terminate() == 0
    server.start()
    check_content(server, expected)
