package drift;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import org.apache.arrow.flight.Criteria;
import org.apache.arrow.flight.FlightClient;
import org.apache.arrow.flight.FlightDescriptor;
import org.apache.arrow.flight.FlightInfo;
import org.apache.arrow.flight.FlightRuntimeException;
import org.apache.arrow.flight.FlightStatusCode;
import org.apache.arrow.flight.FlightStream;
import org.apache.arrow.flight.Location;
import org.apache.arrow.flight.PutResult;
import org.apache.arrow.flight.SyncPutListener;
import org.apache.arrow.flight.Ticket;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.Float4Vector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.complex.FixedSizeListVector;
import org.apache.arrow.vector.types.FloatingPointPrecision;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.FieldType;
import org.apache.arrow.vector.types.pojo.Schema;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Plain Arrow Flight: record batches in by path, SQL text out. */
@ExtendWith(DriftServer.class)
class FlightClientTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final String table = DriftServer.freshTable();
  private final FlightDescriptor path = FlightDescriptor.path(table);
  private final BufferAllocator allocator = new RootAllocator();
  private FlightClient client;

  /** One row of the test table: id, title, and an embedding of any length. */
  private record Row(long id, String title, float... embedding) {}

  @BeforeEach
  void createTable() throws Exception {
    client = FlightClient.builder(allocator, new Location("grpc://" + DriftServer.address())).build();
    query("CREATE TABLE " + table + " (id BIGINT PRIMARY KEY, title TEXT, embedding FLOAT[3])");
  }

  /** Closing the allocator fails when a buffer was leaked. */
  @AfterEach
  void dropTable() throws Exception {
    query("DROP TABLE " + table);
    client.close();
    allocator.close();
  }

  @Test
  void putByPathAcknowledgesEachBatch() throws Exception {
    List<JsonNode> acks =
        put(
            List.of(new Row(1, "one", 1, 0, 0), new Row(2, "two", 0, 1, 0)),
            List.of(new Row(3, null, 0, 0, 1)));

    assertEquals(List.of(2, 1), acks.stream().map(ack -> ack.get("rows").asInt()).toList());
    assertTrue(acks.stream().allMatch(ack -> ack.get("durable").asBoolean()));
    assertTrue(acks.get(0).get("seq").asLong() < acks.get(1).get("seq").asLong());
    assertEquals(
        List.of("1|one", "2|two", "3|null"), query("SELECT id, title FROM " + table + " ORDER BY id"));
  }

  @Test
  void putOfAKnownKeyReplacesTheRow() throws Exception {
    put(List.of(new Row(1, "old", 1, 0, 0), new Row(2, "kept", 0, 1, 0)));
    put(List.of(new Row(1, "new", 0, 0, 1)));

    assertEquals(
        List.of("new|0.0", "kept|2.0"),
        query("SELECT title, _distance FROM knn('" + table + "', [0, 0, 1], 10)"));
  }

  @Test
  void ticketOfSqlTextStreamsTheNearestFirst() throws Exception {
    put(List.of(new Row(1, "far", 0, 0, 3), new Row(2, "near", 1, 0, 0), new Row(3, "middle", 1, 1, 0)));

    assertEquals(
        List.of("near|0.0", "middle|1.0"),
        query("SELECT title, _distance FROM knn('" + table + "', [1, 0, 0], 2)"));
    assertEquals(
        List.of("far|10.0"),
        query("SELECT title, _distance FROM knn('" + table + "', [1, 0, 0], 1) WHERE id = 1"));
  }

  @Test
  void collectionsAreListedWithTheirRows() throws Exception {
    put(List.of(new Row(1, "one", 1, 0, 0), new Row(2, "two", 0, 1, 0)));

    List<FlightInfo> listed = new ArrayList<>();
    client.listFlights(new Criteria(table.getBytes(StandardCharsets.UTF_8))).forEach(listed::add);
    assertEquals(List.of(path), listed.stream().map(FlightInfo::getDescriptor).toList());
    assertEquals(2, listed.get(0).getRecords());

    List<FlightDescriptor> all = new ArrayList<>();
    client.listFlights(Criteria.ALL).forEach(info -> all.add(info.getDescriptor()));
    assertTrue(all.contains(path));
  }

  @Test
  void schemaIsKnownBeforeAnyRow() {
    Schema schema = client.getSchema(path).getSchema();

    assertEquals(List.of("id", "title", "embedding"), schema.getFields().stream().map(Field::getName).toList());
    assertEquals(new ArrowType.Int(64, true), schema.findField("id").getType());
    assertFalse(schema.findField("id").isNullable());
    Field embedding = schema.findField("embedding");
    assertEquals(new ArrowType.FixedSizeList(3), embedding.getType());
    assertEquals(
        new ArrowType.FloatingPoint(FloatingPointPrecision.SINGLE), embedding.getChildren().get(0).getType());
  }

  @Test
  void schemaOfAQueryIsTheSchemaOfItsStream() throws Exception {
    put(List.of(new Row(1, "one", 1, 0, 0)));
    String sql = "SELECT * FROM knn('" + table + "', [1, 0, 0], 1)";

    FlightInfo info = client.getInfo(FlightDescriptor.command(sql.getBytes(StandardCharsets.UTF_8)));
    try (FlightStream stream = client.getStream(info.getEndpoints().get(0).getTicket())) {
      assertEquals(info.getSchemaOptional().orElseThrow(), stream.getSchema());
      assertFalse(stream.getSchema().findField("_distance").isNullable());
      assertTrue(stream.next());
      assertEquals(1, stream.getRoot().getRowCount());
    }
  }

  @Test
  void unknownCollectionNamesThoseThereAre() {
    FlightRuntimeException refused =
        assertThrows(
            FlightRuntimeException.class,
            () -> put(FlightDescriptor.path("no_such_table"), List.of(new Row(1, "one", 1, 0, 0))));
    assertRefused(refused, FlightStatusCode.NOT_FOUND, "no_such_table", table);
  }

  @Test
  void wrongLengthNamesTheColumnAndBothLengths() throws Exception {
    FlightRuntimeException refused =
        assertThrows(FlightRuntimeException.class, () -> put(List.of(new Row(1, "short", 1, 0))));
    assertRefused(refused, FlightStatusCode.INVALID_ARGUMENT, "embedding", "2", "3");
    assertEquals(List.of(), query("SELECT id FROM " + table));
  }

  @Test
  void notANumberIsRefusedWithItsWholeBatch() throws Exception {
    FlightRuntimeException refused =
        assertThrows(
            FlightRuntimeException.class,
            () ->
                put(
                    List.of(new Row(1, "acknowledged", 1, 0, 0)),
                    List.of(new Row(2, "good", 0, 1, 0), new Row(3, "bad", 0, Float.NaN, 0))));
    assertRefused(refused, FlightStatusCode.INVALID_ARGUMENT, "embedding", "row 1", "NaN");
    assertEquals(List.of("1"), query("SELECT id FROM " + table));
  }

  @Test
  void oneKeyTwiceInABatchIsRefused() throws Exception {
    FlightRuntimeException refused =
        assertThrows(
            FlightRuntimeException.class,
            () -> put(List.of(new Row(7, "first", 1, 0, 0), new Row(7, "second", 0, 1, 0))));
    assertRefused(refused, FlightStatusCode.INVALID_ARGUMENT, "id", "7");
    assertEquals(List.of(), query("SELECT id FROM " + table));
  }

  @Test
  void wrongSqlIsTheClientsError() {
    FlightRuntimeException syntax = assertThrows(FlightRuntimeException.class, () -> query("SELEKT 1"));
    assertRefused(syntax, FlightStatusCode.INVALID_ARGUMENT, "SELEKT");
    FlightRuntimeException column =
        assertThrows(FlightRuntimeException.class, () -> query("SELECT nonsense FROM " + table));
    assertRefused(column, FlightStatusCode.INVALID_ARGUMENT, "nonsense");
    FlightRuntimeException length =
        assertThrows(FlightRuntimeException.class, () -> query("SELECT * FROM knn('" + table + "', [1, 0], 1)"));
    assertRefused(length, FlightStatusCode.INVALID_ARGUMENT, "2", "3");
  }

  private static void assertRefused(FlightRuntimeException refused, FlightStatusCode code, String... words) {
    assertEquals(code, refused.status().code(), refused::getMessage);
    for (String word : words) {
      assertTrue(refused.getMessage().contains(word), () -> "no '" + word + "' in: " + refused.getMessage());
    }
  }

  @SafeVarargs
  private List<JsonNode> put(List<Row>... batches) throws Exception {
    return put(path, batches);
  }

  /** Sends the batches one by one, each after the acknowledgement of the one before. */
  @SafeVarargs
  private List<JsonNode> put(FlightDescriptor to, List<Row>... batches) throws Exception {
    List<JsonNode> acks = new ArrayList<>();
    try (VectorSchemaRoot root = VectorSchemaRoot.create(schema(batches[0].get(0).embedding.length), allocator);
        SyncPutListener results = new SyncPutListener()) {
      FlightClient.ClientStreamListener stream = client.startPut(to, root, results);
      for (List<Row> batch : batches) {
        fill(root, batch);
        stream.putNext();
        acks.add(acknowledgement(results));
      }
      stream.completed();
      assertNull(results.read(), "more acknowledgements than batches");
      stream.getResult();
    }
    return acks;
  }

  private static JsonNode acknowledgement(SyncPutListener results) throws Exception {
    try (PutResult result = results.read()) {
      byte[] json = new byte[(int) result.getApplicationMetadata().readableBytes()];
      result.getApplicationMetadata().getBytes(0, json);
      return JSON.readTree(json);
    } catch (ExecutionException e) {
      throw (Exception) e.getCause();
    }
  }

  private static Schema schema(int dimension) {
    Field item = Field.nullable("item", new ArrowType.FloatingPoint(FloatingPointPrecision.SINGLE));
    return new Schema(
        List.of(
            Field.notNullable("id", new ArrowType.Int(64, true)),
            Field.nullable("title", ArrowType.Utf8.INSTANCE),
            new Field("embedding", FieldType.notNullable(new ArrowType.FixedSizeList(dimension)), List.of(item))));
  }

  private static void fill(VectorSchemaRoot root, List<Row> rows) {
    root.clear();
    BigIntVector id = (BigIntVector) root.getVector("id");
    VarCharVector title = (VarCharVector) root.getVector("title");
    FixedSizeListVector embedding = (FixedSizeListVector) root.getVector("embedding");
    Float4Vector values = (Float4Vector) embedding.getDataVector();
    for (int i = 0; i < rows.size(); i++) {
      Row row = rows.get(i);
      id.setSafe(i, row.id);
      if (row.title != null) {
        title.setSafe(i, row.title.getBytes(StandardCharsets.UTF_8));
      }
      embedding.setNotNull(i);
      for (int j = 0; j < row.embedding.length; j++) {
        values.setSafe(row.embedding.length * i + j, row.embedding[j]);
      }
    }
    root.setRowCount(rows.size());
  }

  /** Runs SQL text; each row as its values between bars. */
  private List<String> query(String sql) throws Exception {
    List<String> rows = new ArrayList<>();
    try (FlightStream stream = client.getStream(new Ticket(sql.getBytes(StandardCharsets.UTF_8)))) {
      while (stream.next()) {
        VectorSchemaRoot root = stream.getRoot();
        for (int i = 0; i < root.getRowCount(); i++) {
          int row = i;
          List<String> values =
              root.getFieldVectors().stream().map(vector -> String.valueOf(vector.getObject(row))).toList();
          rows.add(String.join("|", values));
        }
      }
    }
    return rows;
  }
}
