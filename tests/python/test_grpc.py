"""drift.v1.Drift by gRPC, with stubs made by reflection: the server describes itself."""

import grpc
import pyarrow as pa
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from conftest import docs


class Drift:
    """The methods of drift.v1.Drift, each taking its request's fields by name."""

    def __init__(self, channel):
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        for method in pool.FindServiceByName("drift.v1.Drift").methods:
            request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
            call = channel.unary_unary(
                f"/drift.v1.Drift/{method.name}", request.SerializeToString, response.FromString
            )
            setattr(self, method.name.lower(), lambda call=call, request=request, **fields: call(request(**fields)))


@pytest.fixture
def channel(address):
    with grpc.insecure_channel(address) as channel:
        yield channel


@pytest.fixture
def drift(channel):
    return Drift(channel)


def test_insert_search_delete(drift, collection):
    inserted = drift.insert(collection=collection, ids=[10, -11], vectors=[5.0, 5.0, 6.0, 6.0])
    assert inserted.rows == 2
    found = drift.search(collection=collection, query=[6.0, 6.0], k=2)
    assert [(hit.id, hit.distance) for hit in found.hits] == [(-11, 0.0), (10, 2.0)]
    assert found.predicted_recall > 0.9 and not found.arrow_ipc
    deleted = drift.delete(collection=collection, ids=[10, -11, 999])
    assert deleted.rows == 2 and deleted.seq > inserted.seq
    assert [hit.id for hit in drift.search(collection=collection, query=[6.0, 6.0], k=9, exact=True).hits] == [3, 2, 1]


def test_rows_with_columns(drift, collection):
    table = docs([20, 21], start=90.0)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    assert drift.insert(collection=collection, arrow_ipc=sink.getvalue().to_pybytes()).rows == 2
    found = drift.search(collection=collection, query=[91.0, 0.0], k=2, recall=0.99, columns=["title", "id"])
    assert pa.ipc.open_stream(found.arrow_ipc).read_all().to_pydict() == {
        "title": ["title 21", "title 20"],
        "id": [21, 20],
    }


def test_there_are_no_more_neighbours_than_rows(drift, collection):
    assert len(drift.search(collection=collection, query=[0.0, 0.0], k=1000).hits) == 3


def test_train_keeps_every_row(drift, collection):
    assert drift.train(collection=collection).rows == 3
    found = drift.search(collection=collection, query=[0.0, 0.0], k=3)
    assert [hit.id for hit in found.hits] == [1, 2, 3]


@pytest.mark.parametrize("key, keys", [("BIGINT UNSIGNED", [0, 2**63 - 1, -1]), ("SMALLINT", [-7, 0, 7])])
def test_keys_of_other_types_come_back_as_sent(drift, cursor, key, keys):
    cursor.execute(f"CREATE TABLE typed (id {key} PRIMARY KEY, v FLOAT[1])")
    try:
        drift.insert(collection="typed", ids=keys, vectors=[0.0, 1.0, 2.0])
        found = drift.search(collection="typed", query=[0.0], k=3)
        assert [hit.id for hit in found.hits] == keys
        assert drift.delete(collection="typed", ids=keys[2:]).rows == 1
    finally:
        cursor.execute("DROP TABLE typed")


def test_generated_keys_are_hidden(drift, cursor):
    cursor.execute("CREATE TABLE keyless (v FLOAT[1])")
    try:
        assert drift.insert(collection="keyless", vectors=[1.0, 2.0]).rows == 2
        [hit] = drift.search(collection="keyless", query=[2.2], k=1).hits
        assert not hit.HasField("id") and hit.distance == pytest.approx(0.04)
    finally:
        cursor.execute("DROP TABLE keyless")


def test_vectors_alone_do_not_settle_a_dimension(drift, cursor):
    cursor.execute("CREATE TABLE keyless (v FLOAT[])")
    try:
        with pytest.raises(grpc.RpcError, match="nothing tells how long the vectors of 'v' are"):
            drift.insert(collection="keyless", vectors=[1.0, 2.0, 3.0, 4.0])
        cursor.execute("INSERT INTO keyless VALUES ([1.0, 2.0])")
        assert drift.insert(collection="keyless", vectors=[3.0, 4.0, 5.0, 6.0]).rows == 2
    finally:
        cursor.execute("DROP TABLE keyless")


@pytest.mark.parametrize(
    "method, fields, code, message",
    [
        ("search", {"collection": "nothing", "k": 1}, grpc.StatusCode.NOT_FOUND, "no collection 'nothing'"),
        ("search", {"query": [1.0], "k": 1}, grpc.StatusCode.INVALID_ARGUMENT, "1 values"),
        ("search", {"query": [1.0, 2.0], "k": 0}, grpc.StatusCode.INVALID_ARGUMENT, "k is 0"),
        ("search", {"query": [1.0, 2.0], "k": 2**32 - 1}, grpc.StatusCode.INVALID_ARGUMENT, "too large"),
        ("search", {"query": [1.0, 2.0], "k": 1, "recall": 2.0}, grpc.StatusCode.INVALID_ARGUMENT, "recall"),
        ("search", {"query": [1.0, 2.0], "k": 1, "columns": ["x"]}, grpc.StatusCode.INVALID_ARGUMENT, "'x'"),
        ("insert", {"ids": [1, 2], "vectors": [1.0, 2.0]}, grpc.StatusCode.INVALID_ARGUMENT, "2 values for each id"),
        ("insert", {}, grpc.StatusCode.INVALID_ARGUMENT, "either"),
        ("insert", {"arrow_ipc": b"\xff\xff\xff\xff\x10\x00\x00\x00junk"}, grpc.StatusCode.INVALID_ARGUMENT, "IPC"),
    ],
)
def test_errors_have_a_code_and_say_what_is_wrong(drift, collection, method, fields, code, message):
    with pytest.raises(grpc.RpcError) as error:
        getattr(drift, method)(**{"collection": collection, **fields})
    assert error.value.code() == code
    assert message in error.value.details()


def test_health(channel):
    health = health_pb2_grpc.HealthStub(channel)
    for service in ["", "drift.v1.Drift", "arrow.flight.protocol.FlightService"]:
        status = health.Check(health_pb2.HealthCheckRequest(service=service)).status
        assert status == health_pb2.HealthCheckResponse.SERVING
