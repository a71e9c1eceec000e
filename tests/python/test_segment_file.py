"""A segment is read without Drift: struct finds the sections, pyarrow reads them."""

import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest

from drift_server import ROOT, DriftServer, sql
from small_table import CREATE, flush, put, rows

GOLDEN = ROOT / "crates/segment/tests/golden/v0.4.drift"
MAGIC = b"\x89DRFT\r\n\x1a"
NAMES = "HOT COLD IDS PAYL SCHEMA DIRECTORY PAYLOAD_SUMS IDIX BLOM".split()
SECTIONS = dict(enumerate(NAMES, start=1)) | {10: "ORIGIN", 11: "KEY_FENCES"}


class Segment:
    """The bytes of each section, by its name, as docs/format/segment.md draws the file."""

    def __init__(self, path):
        file = Path(path).read_bytes()
        magic, major, minor = struct.unpack_from("<8sHH", file)
        assert (magic, major, minor) == (MAGIC, 0, 4)
        self.rows, self.dim, self.runs = struct.unpack_from("<QII", file, 48 + 32)
        offset, length, _crc, _zero, file_length = struct.unpack_from("<QQIIQ", file, 96)
        assert file_length == len(file) == offset + length + 64 and file.endswith(MAGIC)
        footer = file[offset : offset + length]
        assert footer[:48] == file[48:96], "superblock and footer state the same identity"
        (count,) = struct.unpack_from("<I", footer, 48)
        self.sections = {}
        for at in range(64, 64 + 64 * count, 64):
            kind, _flags, start, size, _codec, _crc = struct.unpack_from("<IIQQII", footer, at)
            self.sections[SECTIONS[kind]] = file[start : start + size]

    def schema(self):
        with pa.ipc.open_stream(self.sections["SCHEMA"]) as stream:
            return stream.schema

    def directory(self):
        with pa.ipc.open_stream(self.sections["DIRECTORY"]) as stream:
            return stream.read_all()

    def payload(self):
        return pa.parquet.read_table(pa.BufferReader(self.sections["PAYL"]))


def check(segment):
    """What holds for every segment; its payload."""
    assert segment.sections.keys() == set(SECTIONS.values())
    directory, payload = segment.directory(), segment.payload()
    assert directory.num_rows == segment.runs
    assert sum(directory["rows"].to_pylist()) == payload.num_rows == segment.rows
    assert directory["centroid"].type.list_size == directory["sum"].type.list_size == segment.dim
    for run in directory.to_pylist():
        assert run["hot_offset"] % 64 == run["cold_offset"] % 64 == 0
    return payload


def test_the_golden_file():
    segment = Segment(GOLDEN)
    payload = check(segment)
    schema = segment.schema()
    assert schema.names == ["id", "v", "text"]
    assert schema.metadata[b"drift.segment.metric"] == b"l2"
    keys = [(row * 7 % 20) * 100 - 500 for row in range(20)]
    assert payload["id"].to_pylist() == keys
    assert payload["text"].to_pylist() == [f"text {key}" if key % 300 else None for key in keys]
    directory = segment.directory()
    assert directory["bucket"].to_pylist() == [10, 11, 12]
    assert directory["first_row"].to_pylist() == [0, 7, 8]
    assert directory["centroid"].to_pylist() == [[0.0] * 5, [7.0] * 5, [8.0] * 5]


def test_a_flushed_file(tmp_path):
    with DriftServer(tmp_path / "db") as server, server.client() as client:
        sql(client, CREATE)
        expected = put(client, rows(range(500)))
        flush(client)
    (path,) = (tmp_path / "db").glob("c/*/segment/*.drift")
    segment = Segment(path)
    payload = check(segment)
    assert segment.schema().metadata[b"drift.segment.key_column"] == b"id"
    assert dict(zip(payload["id"].to_pylist(), payload["text"].to_pylist())) == expected
    for run in segment.directory().to_pylist():
        means = [value / run["rows"] for value in run["sum"]]
        assert means == pytest.approx(run["centroid"], rel=1e-5)
