"""Roads to a search, for wire.py: each a generator that yields once it is ready, then does one call for each query
it is sent the number of, and yields what that found: the ids, or nothing.
"""

import numpy as np
import pyarrow as pa

from served import COLLECTION, K, arrow

RECALL = 0.95


def exchange_nothing(address, queries):
    """An empty batch there, an empty batch back."""
    import pyarrow.flight as fl
    from neighbours import Neighbours

    none = pa.array([], pa.list_(pa.float32(), queries.shape[1]))
    with fl.connect(address) as client, Neighbours(client, COLLECTION, k=K) as neighbours:
        yield from each(lambda _: nothing(neighbours.with_figures(none)))


def exchange_road(**options):
    def road(address, queries):
        import pyarrow.flight as fl
        from neighbours import Neighbours

        vectors = [arrow(query[None]) for query in queries]
        with fl.connect(address) as client:
            with Neighbours(client, COLLECTION, k=K, recall=RECALL, **options) as neighbours:
                yield from each(lambda i: filled(neighbours.of(vectors[i]), K)["id"])

    return road


def exchange_search_64(address, queries):
    """64 queries in a batch."""
    import pyarrow.flight as fl
    from neighbours import Neighbours

    vectors = [arrow(np.roll(queries, i, axis=0)[:64]) for i in range(len(queries))]
    with fl.connect(address) as client, Neighbours(client, COLLECTION, k=K, recall=RECALL) as neighbours:
        yield from each(lambda i: nothing(filled(neighbours.of(vectors[i]), 64 * K)))


def grpc_nothing(address, queries):
    """A health check."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(address.removeprefix("grpc://")) as channel:
        health, request = health_pb2_grpc.HealthStub(channel), health_pb2.HealthCheckRequest()
        yield from each(lambda _: nothing(health.Check(request)))


def grpc_search(address, queries):
    import grpc
    from test_grpc import Drift

    with grpc.insecure_channel(address.removeprefix("grpc://")) as channel:
        drift, vectors = Drift(channel), [query.tolist() for query in queries]
        search = lambda i: drift.search(collection=COLLECTION, query=vectors[i], k=K, recall=RECALL)
        yield from each(lambda i: filled(search(i).hits, K))


def adbc_road(sql, parameters, rows):
    def road(address, queries):
        import adbc_driver_flightsql.dbapi as adbc

        bound = [parameters(query) for query in queries]
        with adbc.connect(address, autocommit=True) as connection, connection.cursor() as cursor:

            def call(i):
                cursor.execute(sql, bound[i])
                table = filled(cursor.fetch_arrow_table(), rows)
                return table["id"] if "id" in table.schema.names else None

            yield from each(call)

    return road


def prepared_road(sql, rows):
    """A prepared statement as Flight SQL defines it, without a driver: DoPut of the vector, GetFlightInfo, DoGet."""

    def road(address, queries):
        import pyarrow.flight as fl

        with fl.connect(address) as client:
            request = fl.Action("CreatePreparedStatement", in_any("ActionCreatePreparedStatementRequest", sql.encode()))
            handle = field_1(out_of_any(next(iter(client.do_action(request))).body.to_pybytes()))
            bound = [vector_parameter(query) for query in queries]

            def call(i):
                writer, answers = client.do_put(statement(handle), bound[i].schema)
                writer.write_batch(bound[i])
                writer.done_writing()
                answer = answers.read()
                writer.close()
                # A server may bind parameters by giving the statement another name.
                named = answer and field_1(answer.to_pybytes())
                info = client.get_flight_info(statement(named or handle))
                table = filled(client.do_get(info.endpoints[0].ticket).read_all(), rows)
                return table["id"] if "id" in table.schema.names else None

            yield from each(call)

    return road


def statement(handle):
    import pyarrow.flight as fl

    return fl.FlightDescriptor.for_command(in_any("CommandPreparedStatementQuery", handle))


def in_any(name, value):
    """A message of Flight SQL whose field 1 has this value."""
    from google.protobuf.any_pb2 import Any
    from google.protobuf.wrappers_pb2 import BytesValue

    url = f"type.googleapis.com/arrow.flight.protocol.sql.{name}"
    return Any(type_url=url, value=BytesValue(value=value).SerializeToString()).SerializeToString()


def out_of_any(message):
    from google.protobuf.any_pb2 import Any

    return Any.FromString(message).value


def field_1(message):
    from google.protobuf.wrappers_pb2 import BytesValue

    return BytesValue.FromString(message).value


def vector_parameter(query):
    return pa.record_batch([arrow(query[None])], names=["1"])


def plain_nothing(address, queries):
    """GetFlightInfo and DoGet of SELECT 1."""
    yield from by_pyarrow(address, ["SELECT 1"] * len(queries), 1)


def plain_search(address, queries):
    """GetFlightInfo and DoGet of a text that holds the vector."""
    knn = f"SELECT id, _distance FROM knn('{COLLECTION}', {{}}, {K}, recall => {RECALL})"
    yield from by_pyarrow(address, [knn.format(query.tolist()) for query in queries], K)


def by_pyarrow(address, texts, rows):
    import pyarrow.flight as fl

    with fl.connect(address) as client:

        def call(i):
            info = client.get_flight_info(fl.FlightDescriptor.for_command(texts[i]))
            table = filled(client.do_get(info.endpoints[0].ticket).read_all(), rows)
            return table["id"] if "id" in table.schema.names else None

        yield from each(call)


KNN = f"SELECT id, _distance FROM knn('{COLLECTION}', ?, {K}, recall => {RECALL})"
ORDER_BY = f"SELECT id FROM {COLLECTION} ORDER BY l2_distance(embedding, ?) LIMIT {K}"
ROADS = {
    "exchange nothing": exchange_nothing,
    "exchange search": exchange_road(),
    "exchange search x64": exchange_search_64,
    "grpc nothing": grpc_nothing,
    "grpc search": grpc_search,
    "sql prepared nothing": adbc_road("SELECT 1", lambda _: None, 1),
    "sql prepared one parameter": adbc_road("SELECT ? AS v", vector_parameter, 1),
    "sql prepared knn": adbc_road(KNN, vector_parameter, K),
    "sql prepared order by": adbc_road(ORDER_BY, vector_parameter, K),
    "sql bare prepared one parameter": prepared_road("SELECT ? AS v", 1),
    "sql bare prepared knn": prepared_road(KNN, K),
    "sql text nothing": plain_nothing,
    "sql text knn": plain_search,
}
NOTHING = {
    "exchange search": "exchange nothing",
    "grpc search": "grpc nothing",
    "sql prepared knn": "sql prepared one parameter",
    "sql prepared order by": "sql prepared one parameter",
    "sql bare prepared knn": "sql bare prepared one parameter",
    "sql text knn": "sql text nothing",
}


def filtered_roads(below):
    """Roads that take a condition, among the rows whose `attr` is below a number."""
    condition = f"attr < {below}"
    return {
        "exchange search": exchange_road(filter=condition),
        "sql prepared knn": adbc_road(f"{KNN} WHERE {condition}", vector_parameter, K),
        "sql bare prepared knn": prepared_road(f"{KNN} WHERE {condition}", K),
    }


def filled(rows, count):
    """A road that finds too little is no road."""
    assert len(rows) == count, f"{len(rows)} rows where {count} were expected"
    return rows


def nothing(_):
    return None


def each(call):
    i = yield
    while i is not None:
        i = yield call(i)
