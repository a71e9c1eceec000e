package drift;

import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Arrays;
import org.apache.arrow.flight.Criteria;
import org.apache.arrow.flight.FlightClient;
import org.apache.arrow.flight.FlightDescriptor;
import org.apache.arrow.flight.FlightInfo;
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
import org.apache.arrow.vector.types.Types.MinorType;
import org.apache.arrow.vector.types.pojo.FieldType;

/** Vectors in and neighbours out, first by Arrow Flight, then by JDBC. */
public final class Quickstart {
  private static final String[] TITLES = {"a red apple", "a green apple", "a blue whale"};
  private static final float[][] EMBEDDINGS = {{1, 0, 0, 0}, {0.9f, 0.1f, 0, 0}, {0, 0, 1, 0}};

  public static void main(String[] args) throws Exception {
    String address = args.length == 0 ? "127.0.0.1:50051" : args[0];
    flight(address);
    jdbc(address);
  }

  /** Whole record batches: the quick way in for many rows. */
  static void flight(String address) throws Exception {
    try (BufferAllocator allocator = new RootAllocator();
        FlightClient client = FlightClient.builder(allocator, new Location("grpc://" + address)).build()) {
      query(client, "DROP TABLE IF EXISTS java_flight");
      query(client, "CREATE TABLE java_flight (id BIGINT PRIMARY KEY, title TEXT, embedding FLOAT[4])");
      FlightDescriptor path = FlightDescriptor.path("java_flight");

      try (VectorSchemaRoot batch = VectorSchemaRoot.create(client.getSchema(path).getSchema(), allocator);
          SyncPutListener acks = new SyncPutListener()) {
        BigIntVector id = (BigIntVector) batch.getVector("id");
        VarCharVector title = (VarCharVector) batch.getVector("title");
        FixedSizeListVector embedding = (FixedSizeListVector) batch.getVector("embedding");
        Float4Vector values = (Float4Vector) embedding.getDataVector();
        for (int row = 0; row < TITLES.length; row++) {
          id.setSafe(row, row);
          title.setSafe(row, TITLES[row].getBytes(StandardCharsets.UTF_8));
          embedding.setNotNull(row);
          for (int i = 0; i < 4; i++) {
            values.setSafe(4 * row + i, EMBEDDINGS[row][i]);
          }
        }
        batch.setRowCount(TITLES.length);

        FlightClient.ClientStreamListener put = client.startPut(path, batch, acks);
        put.putNext();
        try (PutResult ack = acks.read()) { // one for each batch, once it is on disk
          byte[] json = new byte[(int) ack.getApplicationMetadata().readableBytes()];
          ack.getApplicationMetadata().getBytes(0, json);
          System.out.println("acknowledged: " + new String(json, StandardCharsets.UTF_8));
        }
        put.completed();
        put.getResult();
      }

      for (FlightInfo info : client.listFlights(Criteria.ALL)) {
        System.out.println("collection " + info.getDescriptor().getPath() + ": " + info.getRecords() + " rows");
      }
      System.out.print(query(client, "SELECT title, _distance FROM knn('java_flight', [1, 0, 0, 0], 2)"));
      search(client, allocator, new float[] {0, 0, 1, 0});
    }
  }

  /** Neighbours without SQL: on an open stream each batch of query vectors is one round trip. */
  private static void search(FlightClient client, BufferAllocator allocator, float[] query) throws Exception {
    String options = "{\"collection\": \"java_flight\", \"k\": 1, \"columns\": [\"title\"]}";
    FlightDescriptor descriptor = FlightDescriptor.command(options.getBytes(StandardCharsets.UTF_8));
    FixedSizeListVector vectors = FixedSizeListVector.empty("vector", query.length, allocator);
    vectors.addOrGetVector(FieldType.nullable(MinorType.FLOAT4.getType()));
    try (VectorSchemaRoot batch = VectorSchemaRoot.of(vectors);
        FlightClient.ExchangeReaderWriter exchange = client.doExchange(descriptor)) {
      batch.allocateNew();
      vectors.setNotNull(0);
      Float4Vector values = (Float4Vector) vectors.getDataVector();
      for (int i = 0; i < query.length; i++) {
        values.setSafe(i, query[i]);
      }
      batch.setRowCount(1);

      exchange.getWriter().start(batch);
      exchange.getWriter().putNext(); // as often as you like, with other vectors in the batch
      FlightStream answer = exchange.getReader();
      do { // the last batch of an answer has metadata
        answer.next();
        System.out.print(answer.getRoot().contentToTSVString());
      } while (answer.getLatestMetadata() == null);
      exchange.getWriter().completed();
    }
  }

  /** Any SQL text is a ticket; its rows come as batches. */
  private static String query(FlightClient client, String sql) throws Exception {
    StringBuilder text = new StringBuilder();
    try (FlightStream rows = client.getStream(new Ticket(sql.getBytes(StandardCharsets.UTF_8)))) {
      while (rows.next()) {
        text.append(rows.getRoot().contentToTSVString());
      }
    }
    return text.toString();
  }

  /** SQL with parameters: the way every Java program knows. */
  static void jdbc(String address) throws SQLException {
    String url = "jdbc:arrow-flight-sql://" + address + "/?useEncryption=false";
    try (Connection connection = DriverManager.getConnection(url);
        Statement statement = connection.createStatement()) {
      statement.executeUpdate("DROP TABLE IF EXISTS java_jdbc");
      statement.executeUpdate(
          "CREATE TABLE java_jdbc (id BIGINT PRIMARY KEY, title TEXT, embedding FLOAT[4]) WITH (metric = 'cosine')");

      String insert = "INSERT INTO java_jdbc VALUES (?, ?, ?)";
      try (PreparedStatement rows = connection.prepareStatement(insert)) {
        for (int row = 0; row < TITLES.length; row++) {
          rows.setLong(1, row);
          rows.setString(2, TITLES[row]);
          rows.setArray(3, vector(connection, EMBEDDINGS[row]));
          rows.addBatch();
        }
        System.out.println("inserted: " + Arrays.stream(rows.executeBatch()).sum() + " rows");
      }

      String nearest = "SELECT title, _distance FROM knn('java_jdbc', ?, 2) WHERE title LIKE ? ORDER BY _distance";
      try (PreparedStatement search = connection.prepareStatement(nearest)) {
        search.setArray(1, vector(connection, new float[] {1, 0, 0, 0}));
        search.setString(2, "%apple%");
        try (ResultSet rows = search.executeQuery()) {
          while (rows.next()) {
            System.out.println(rows.getString("title") + " at " + rows.getFloat("_distance"));
          }
        }
      }
    }
  }

  private static java.sql.Array vector(Connection connection, float[] values) throws SQLException {
    Object[] boxed = new Object[values.length];
    for (int i = 0; i < values.length; i++) {
      boxed[i] = values[i];
    }
    return connection.createArrayOf("REAL", boxed);
  }

  private Quickstart() {}
}
