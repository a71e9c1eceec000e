"""Writers that a crash may hit at any moment, and the account of what must outlive it.

A writer owns a range of keys, cut into slots. Each of its operations writes one slot whole, as one
batch, or deletes it. Operations of a writer follow each other, so what a crash leaves is the state
after some number of them: all that were acknowledged, and maybe some of those still under way.
"""

import json
import random
import threading
import time

import pyarrow as pa
from pyarrow import flight

from drift_server import sql

TABLE = "storm"
SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        ("batch", pa.int64()),
        ("position", pa.int64()),
        ("text", pa.string()),
        pa.field("embedding", pa.list_(pa.float32(), 4)),
    ]
)
CREATE = f"""
    CREATE TABLE {TABLE} (id BIGINT PRIMARY KEY, batch BIGINT, position BIGINT, text TEXT, embedding FLOAT[4])
"""
GONE = (flight.FlightError, pa.ArrowException, OSError)
"""What a client may meet when its server is killed."""
SLOTS = 60
SLOT_ROWS_MAX = 500
SLOT_KEYS = 512
WRITER_KEYS = 1 << 20


def slot_rows(writer, slot):
    """How many rows a slot has whenever it has any: 1 to 500."""
    return 1 + (writer * 104_729 + slot * 7_919) % SLOT_ROWS_MAX


def key_range(writer, slot):
    first = writer * WRITER_KEYS + slot * SLOT_KEYS
    return range(first, first + slot_rows(writer, slot))


def row(key, batch):
    """The row that `batch` writes under `key`; its vector is no other row's."""
    writer, position = key // WRITER_KEYS, key % SLOT_KEYS
    vector = [float(writer), float(key % WRITER_KEYS // SLOT_KEYS), float(position), float(batch)]
    text = f"batch {batch} of writer {writer} put this under {key}"
    return {"id": key, "batch": batch, "position": position, "text": text, "embedding": vector}


class Client(threading.Thread):
    """Does its work on a connection of its own until the server is gone."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.ended_by = None
        self._address = address

    def run(self):
        try:
            with flight.connect(self._address) as client:
                self.work(client)
        except Exception as error:  # the test looks whether it is the one it caused
            self.ended_by = error


class Writer(Client):
    """Writes slots.

    `sure` maps slots to batches: the state after the last acknowledged operation. `pending` are the
    operations sent since: (slot, batch), or (slot, None) for a delete.
    """

    def __init__(self, number, seed, address, sure, next_batch):
        super().__init__(address)
        self.number = number
        self.sure = sure
        self.pending = []
        self.acknowledged = 0
        self.next_batch = next_batch
        self._random = random.Random(seed)
        self._seq = 0

    def work(self, client):
        # With a window of 0 each batch waits for its acknowledgement, else some are under way.
        window = self._random.choice([0, 1, 8])
        stream, acks = client.do_put(flight.FlightDescriptor.for_path(TABLE), SCHEMA)
        while True:
            slot = self._random.randrange(SLOTS)
            if self._random.random() < 0.1:
                self._drain(acks, 0)
                self._delete_slot(client, slot)
            else:
                self._put_slot(stream, slot)
                self._drain(acks, window)

    def _put_slot(self, stream, slot):
        batch, self.next_batch = self.next_batch, self.next_batch + 1
        rows = [row(key, batch) for key in key_range(self.number, slot)]
        self.pending.append((slot, batch))
        stream.write_batch(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))

    def _drain(self, acks, window):
        while len(self.pending) > window:
            metadata = acks.read()
            if metadata is None:
                raise flight.FlightError("the server ended the stream")
            self._check(json.loads(metadata.to_pybytes()))
            self._acknowledge()

    def _check(self, ack):
        slot, _ = self.pending[0]
        assert ack["rows"] == slot_rows(self.number, slot) and ack["durable"] is True, ack
        assert ack["seq"] > self._seq, (ack, self._seq)
        self._seq = ack["seq"]

    def _delete_slot(self, client, slot):
        keys = key_range(self.number, slot)
        self.pending.append((slot, None))
        statement = f"DELETE FROM {TABLE} WHERE id >= {keys.start} AND id < {keys.stop}"
        count = sql(client, statement)["count"][0].as_py()
        assert count == (len(keys) if slot in self.sure else 0), (slot, count)
        self._acknowledge()

    def _acknowledge(self):
        apply(self.sure, self.pending.pop(0))
        self.acknowledged += 1


class Flusher(Client):
    """Flushes at random moments."""

    def __init__(self, seed, address):
        super().__init__(address)
        self._random = random.Random(seed)

    def work(self, client):
        while True:
            time.sleep(self._random.uniform(0.01, 0.2))
            list(client.do_action(flight.Action("flush", TABLE.encode())))


def apply(state, operation):
    slot, batch = operation
    if batch is None:
        state.pop(slot, None)
    else:
        state[slot] = batch


def stored(client):
    """Slot to batch per writer, as the database has it; every row and every slot is verified."""
    table = sql(client, f"SELECT id, batch, position, text, embedding FROM {TABLE}")
    assert sql(client, f"SELECT count(*) AS n FROM {TABLE}")["n"][0].as_py() == table.num_rows
    slots = {}
    for found in table.to_pylist():
        key = found["id"]
        assert found == row(key, found["batch"]), f"a row that nobody sent: {found}"
        slots.setdefault((key // WRITER_KEYS, key % WRITER_KEYS // SLOT_KEYS), []).append(found)
    state = {}
    for (writer, slot), rows in slots.items():
        keys = sorted(r["id"] for r in rows)
        batches = {r["batch"] for r in rows}
        whole = list(key_range(writer, slot))
        assert keys == whole, (
            f"writer {writer}, slot {slot}: {len(keys)} keys of {len(whole)}, {len(set(keys))} distinct"
        )
        assert len(batches) == 1, f"writer {writer}, slot {slot}: a half of batches {batches}"
        state.setdefault(writer, {})[slot] = batches.pop()
    return state


def survivors(writer, found):
    """How many of the writer's pending operations took effect, given what was found.

    Fails when no number explains it: an acknowledged operation is lost then, or one that was not
    has taken effect before an earlier one.
    """
    state = dict(writer.sure)
    for count, operation in enumerate([None, *writer.pending]):
        if operation is not None:
            apply(state, operation)
        if state == found:
            return count
    wrong = {
        slot: (writer.sure.get(slot), found.get(slot))
        for slot in range(SLOTS)
        if writer.sure.get(slot) != found.get(slot)
    }
    raise AssertionError(
        f"writer {writer.number}: slots with (acknowledged, found) batches {wrong}; under way were {writer.pending}"
    )


def check_search(client, state, choose):
    """A row that is there is its own nearest neighbour, and only rows that are there are found."""
    places = [(writer, slot) for writer, slots in state.items() for slot in slots]
    if not places:
        return
    writer, slot = choose.choice(places)
    wanted = row(choose.choice(key_range(writer, slot)), state[writer][slot])
    near = sql(
        client,
        f"SELECT id, batch, _distance FROM knn('{TABLE}', {wanted['embedding']}, 10, exact => true) ORDER BY _distance",
    )
    near = near.to_pylist()
    assert near[0]["id"] == wanted["id"] and near[0]["_distance"] < 1e-3, (wanted, near[0])
    for hit in near:
        place = hit["id"] // WRITER_KEYS, hit["id"] % WRITER_KEYS // SLOT_KEYS
        assert state[place[0]].get(place[1]) == hit["batch"], hit
