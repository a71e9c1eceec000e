package drift;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** The example under clients/java does what it says. */
@ExtendWith(DriftServer.class)
class QuickstartTest {
  @Test
  void runsAndFindsTheNearest() throws Exception {
    ByteArrayOutputStream printed = new ByteArrayOutputStream();
    PrintStream console = System.out;
    System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
    try {
      Quickstart.main(new String[] {DriftServer.address()});
    } finally {
      System.setOut(console);
    }
    String output = printed.toString(StandardCharsets.UTF_8);
    for (String expected :
        new String[] {
          "\"rows\":3",
          "collection [java_flight]: 3 rows",
          "a red apple\t0.0",
          "0\ta blue whale\t0.0",
          "inserted: 3 rows",
          "a red apple at 0.0"
        }) {
      assertTrue(output.contains(expected), () -> "no '" + expected + "' in:\n" + output);
    }
  }
}
