package drift;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ExtensionContext.Namespace;

/** One {@code drift serve} for the whole run, started before the first test and stopped after the last. */
final class DriftServer implements BeforeAllCallback, AutoCloseable {
  private static final String LISTENING = "listening on grpc://";
  private static final AtomicInteger TABLES = new AtomicInteger();
  private static String address;

  private Process process;
  private Path directory;

  /** Where the server listens: {@code host:port}. */
  static String address() {
    return address;
  }

  /** A table name that no other test uses, also on a server that outlives this run. */
  static String freshTable() {
    return "java_" + ProcessHandle.current().pid() + "_" + TABLES.incrementAndGet();
  }

  @Override
  public void beforeAll(ExtensionContext context) throws Exception {
    if (address != null) {
      return;
    }
    address = System.getProperty("DRIFT_ADDRESS", System.getenv("DRIFT_ADDRESS"));
    if (address == null) {
      // The store of the whole run closes what it holds when the last test is done.
      context.getRoot().getStore(Namespace.GLOBAL).put(DriftServer.class, this);
      address = start();
    }
  }

  private String start() throws IOException {
    directory = Files.createTempDirectory("drift-java-tests");
    File log = directory.resolve("server.log").toFile();
    List<String> command =
        List.of(binary().toString(), "serve", directory.resolve("db").toString(), "--listen", "127.0.0.1:0");
    process = new ProcessBuilder(command).redirectError(log).start();
    BufferedReader out = process.inputReader();
    for (String line = out.readLine(); line != null; line = out.readLine()) {
      if (line.startsWith(LISTENING)) {
        drain(out);
        return line.substring(LISTENING.length()).strip();
      }
    }
    throw new IllegalStateException(command + " did not come up:\n" + Files.readString(log.toPath()));
  }

  private static Path binary() {
    String given = System.getenv("DRIFT_BIN");
    Path binary = given != null ? Path.of(given) : Path.of(System.getProperty("basedir"), "../../target/debug/drift");
    if (!Files.isExecutable(binary)) {
      throw new IllegalStateException("no binary at " + binary + ": run `cargo build`, or set DRIFT_BIN");
    }
    return binary.toAbsolutePath().normalize();
  }

  /** A pipe that nobody reads would stop the server once it is full. */
  private static void drain(BufferedReader out) {
    Thread reader = new Thread(() -> out.lines().forEach(line -> {}));
    reader.setDaemon(true);
    reader.start();
  }

  @Override
  public void close() throws Exception {
    process.destroy(); // SIGTERM: a graceful shutdown
    boolean ended = process.waitFor(30, TimeUnit.SECONDS);
    process.destroyForcibly();
    if (!ended || process.exitValue() != 0) {
      throw new IllegalStateException(
          "the server did not shut down gracefully; its log is in " + directory.resolve("server.log"));
    }
    try (Stream<Path> files = Files.walk(directory)) {
      files.sorted(Comparator.reverseOrder()).map(Path::toFile).forEach(File::delete);
    }
  }
}
