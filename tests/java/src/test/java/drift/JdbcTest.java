package drift;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** SQL through the Arrow Flight SQL JDBC driver. */
@ExtendWith(DriftServer.class)
class JdbcTest {
  private final String table = DriftServer.freshTable();
  private Connection connection;

  @BeforeEach
  void createTable() throws SQLException {
    connection =
        DriverManager.getConnection("jdbc:arrow-flight-sql://" + DriftServer.address() + "/?useEncryption=false");
    update("CREATE TABLE " + table + " (id BIGINT PRIMARY KEY, title TEXT, score DOUBLE, embedding FLOAT[3])");
    int inserted =
        update(
            "INSERT INTO " + table + " VALUES (1, 'near', 0.5, [1, 0, 0]), (2, 'middle', NULL, [1, 1, 0]),"
                + " (3, 'far', 2.5, [0, 0, 3])");
    assertEquals(3, inserted);
  }

  @AfterEach
  void dropTable() throws SQLException {
    update("DROP TABLE IF EXISTS " + table);
    connection.close();
  }

  @Test
  void rowsComeBackInTheirTypes() throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery("SELECT * FROM " + table + " ORDER BY id")) {
      assertTrue(rows.next());
      assertEquals(1L, rows.getLong("id"));
      assertEquals("near", rows.getString("title"));
      assertEquals(0.5, rows.getDouble("score"));
      assertArrayEquals(new Object[] {1f, 0f, 0f}, (Object[]) rows.getArray("embedding").getArray());
      assertTrue(rows.next());
      rows.getDouble("score");
      assertTrue(rows.wasNull());
    }
  }

  @Test
  void knnWithAnArrayLiteral() throws SQLException {
    assertEquals(
        List.of("near|0.0", "middle|1.0"),
        query("SELECT title, _distance FROM knn('" + table + "', [1, 0, 0], 2) ORDER BY _distance"));
    assertEquals(
        List.of("far"), query("SELECT title FROM knn('" + table + "', [1, 0, 0], 1) WHERE score > 1"));
  }

  @Test
  void knnWithABoundVector() throws SQLException {
    String sql = "SELECT title FROM knn('" + table + "', ?, 3) WHERE id <= ? ORDER BY _distance";
    try (PreparedStatement search = connection.prepareStatement(sql)) {
      assertEquals(2, search.getParameterMetaData().getParameterCount());
      search.setArray(1, vector(0, 0, 3));
      search.setLong(2, 3);
      assertEquals("far", query(search).get(0));
      // The same statement again, with other values.
      search.setArray(1, vector(1, 0, 0));
      search.setLong(2, 2);
      assertEquals(List.of("near", "middle"), query(search));
    }
  }

  @Test
  void preparedSelectByKey() throws SQLException {
    try (PreparedStatement select =
        connection.prepareStatement("SELECT title FROM " + table + " WHERE id = ? AND title LIKE ?")) {
      select.setLong(1, 2);
      select.setString(2, "mid%");
      assertEquals(List.of("middle"), query(select));
      select.setLong(1, 3);
      assertEquals(List.of(), query(select));
    }
  }

  @Test
  void preparedInsertCountsItsRows() throws SQLException {
    try (PreparedStatement insert = connection.prepareStatement("INSERT INTO " + table + " VALUES (?, ?, ?, ?)")) {
      bind(insert, 4, "four", 4.0, vector(4, 0, 0));
      assertEquals(1, insert.executeUpdate());
      bind(insert, 4, "four again", null, vector(4, 4, 0));
      assertEquals(1, insert.executeUpdate());
    }
    assertEquals(
        List.of("four again|null|25.0"),
        query("SELECT title, score, _distance FROM knn('" + table + "', [1, 0, 0], 10) WHERE id = 4"));
  }

  @Test
  void preparedBatchInsertsEveryRow() throws SQLException {
    try (PreparedStatement insert = connection.prepareStatement("INSERT INTO " + table + " VALUES (?, ?, ?, ?)")) {
      for (int id = 10; id < 30; id++) {
        bind(insert, id, "row " + id, 1.0 * id, vector(id, id, id));
        insert.addBatch();
      }
      assertEquals(20, Arrays.stream(insert.executeBatch()).sum());
    }
    assertEquals(List.of("20|10|29"), query("SELECT count(*), min(id), max(id) FROM " + table + " WHERE id >= 10"));
  }

  @Test
  void updatesReportHowManyRowsTheyTouched() throws SQLException {
    assertEquals(2, update("DELETE FROM " + table + " WHERE id < 3"));
    assertEquals(0, update("DELETE FROM " + table + " WHERE id < 3"));
    assertEquals(1, update("INSERT INTO " + table + " VALUES (3, 'replaced', 1.0, [0, 1, 0])"));
    assertEquals(List.of("3|replaced"), query("SELECT id, title FROM " + table));
  }

  @Test
  void aRefusedInsertLeavesNothingBehind() throws SQLException {
    assertRefused("INSERT INTO " + table + " VALUES (8, 'good', 0, [1, 1, 1]), (9, 'bad', 0, [1, 1])", "3");
    assertRefused("INSERT INTO " + table + " VALUES (8, 'once', 0, [1, 1, 1]), (8, 'twice', 0, [1, 1, 1])", "8");
    assertEquals(List.of("3"), query("SELECT count(*) FROM " + table));
  }

  @Test
  void errorsSayWhatIsWrong() {
    assertRefused("SELECT * FROM no_such_table", "no_such_table");
    assertRefused("SELECT * FROM knn('no_such_table', [1, 0, 0], 1)", "no_such_table");
    assertRefused("SELECT * FROM knn('" + table + "', [1, 0], 1)", "2", "3");
    assertRefused("SELECT nonsense FROM " + table, "nonsense");
    assertRefused("SET drift.target_recall = 7", "target_recall");
  }

  @Test
  void aConnectionKeepsWhatItSets() throws SQLException {
    update("SET drift.target_recall = 0.9");
    assertEquals(
        List.of("0.9"),
        query("SELECT value FROM information_schema.df_settings WHERE name = 'drift.target_recall'"));
  }

  @Test
  void metadataNamesTheServerAndItsTables() throws SQLException {
    DatabaseMetaData metadata = connection.getMetaData();
    assertTrue(metadata.getDatabaseProductName().toLowerCase().contains("drift"), metadata::toString);
    assertFalse(metadata.isReadOnly());
    assertTrue(column(metadata.getCatalogs(), "TABLE_CAT").contains("drift"));
    assertTrue(column(metadata.getSchemas(), "TABLE_SCHEM").contains("public"));
    assertTrue(column(metadata.getTableTypes(), "TABLE_TYPE").contains("TABLE"));
    assertEquals(List.of(table), column(metadata.getTables("drift", "public", table, null), "TABLE_NAME"));
    assertEquals(List.of(), column(metadata.getTables(null, null, "no_such_table", null), "TABLE_NAME"));
  }

  @Test
  void metadataNamesColumnsAndKey() throws SQLException {
    DatabaseMetaData metadata = connection.getMetaData();
    assertEquals(
        List.of("id", "title", "score", "embedding"),
        column(metadata.getColumns("drift", "public", table, null), "COLUMN_NAME"));
    assertEquals(
        List.of(Types.BIGINT, Types.VARCHAR, Types.DOUBLE, Types.ARRAY).toString(),
        column(metadata.getColumns("drift", "public", table, null), "DATA_TYPE").toString());
    assertEquals(List.of("id"), column(metadata.getPrimaryKeys("drift", "public", table), "COLUMN_NAME"));
    assertEquals(List.of(), column(metadata.getImportedKeys("drift", "public", table), "FKCOLUMN_NAME"));
  }

  @Test
  void systemTablesAreReadAsAnyOther() throws SQLException {
    assertEquals(
        List.of("3|3|l2|3|id"),
        query("SELECT rows, l0_rows, metric, dim, key_column FROM drift.collections WHERE collection = '" + table + "'"));
    assertEquals(
        List.of("true"),
        query("SELECT created_at <= now() FROM drift.manifests WHERE manifest = 1 AND collection = '" + table + "'"));
    assertEquals(List.of(), query("SELECT * FROM drift.buckets WHERE collection = '" + table + "' ORDER BY drift DESC"));
    String[] kind = {"SYSTEM TABLE"};
    assertTrue(column(connection.getMetaData().getTables(null, null, "%", kind), "TABLE_NAME").contains("buckets"));
    assertRefused("DELETE FROM drift.buckets", "can only be read");
  }

  @Test
  void aDroppedTableIsGone() throws SQLException {
    update("DROP TABLE " + table);
    assertRefused("SELECT * FROM " + table, table);
    assertEquals(
        List.of(), column(connection.getMetaData().getTables("drift", "public", table, null), "TABLE_NAME"));
  }

  private int update(String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      return statement.executeUpdate(sql);
    }
  }

  private List<String> query(String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      return rows(statement.executeQuery(sql));
    }
  }

  private static List<String> query(PreparedStatement statement) throws SQLException {
    return rows(statement.executeQuery());
  }

  /** Each row as its values between bars. */
  private static List<String> rows(ResultSet results) throws SQLException {
    List<String> rows = new ArrayList<>();
    try (results) {
      while (results.next()) {
        List<String> values = new ArrayList<>();
        for (int i = 1; i <= results.getMetaData().getColumnCount(); i++) {
          values.add(String.valueOf(results.getObject(i)));
        }
        rows.add(String.join("|", values));
      }
    }
    return rows;
  }

  private static List<String> column(ResultSet results, String name) throws SQLException {
    List<String> values = new ArrayList<>();
    try (results) {
      while (results.next()) {
        values.add(results.getString(name));
      }
    }
    return values;
  }

  private void assertRefused(String sql, String... words) {
    SQLException refused = assertThrows(SQLException.class, () -> runs(sql));
    for (String word : words) {
      assertTrue(refused.getMessage().contains(word), () -> "no '" + word + "' in: " + refused.getMessage());
    }
  }

  /** Runs a statement of any kind to its end. */
  private void runs(String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      if (statement.execute(sql)) {
        rows(statement.getResultSet());
      }
    }
  }

  private java.sql.Array vector(float... values) throws SQLException {
    Object[] boxed = new Object[values.length];
    for (int i = 0; i < values.length; i++) {
      boxed[i] = values[i];
    }
    return connection.createArrayOf("REAL", boxed);
  }

  private static void bind(PreparedStatement insert, long id, String title, Double score, java.sql.Array embedding)
      throws SQLException {
    insert.setLong(1, id);
    insert.setString(2, title);
    insert.setObject(3, score);
    insert.setArray(4, embedding);
  }
}
