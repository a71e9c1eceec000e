//! The binary `drift`, run as a user runs it.
//!
//! It belongs to another package, so Cargo does not build it for this test: build the workspace
//! first (`cargo build --workspace`), or name the binary in `DRIFT_BIN`.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
};

use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field};
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};
use tempfile::TempDir;

/// `DRIFT_BIN`, or `drift` in the directory above the one this test stands in (target/*/deps).
fn binary() -> PathBuf {
    env::var_os("DRIFT_BIN").map(PathBuf::from).unwrap_or_else(|| {
        let test = env::current_exe().unwrap();
        let binary = test.parent().and_then(Path::parent).unwrap().join("drift");
        assert!(binary.exists(), "{} is missing: run 'cargo build --workspace' first", binary.display());
        binary
    })
}

/// A directory to work in, with its database in `db`.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(self.0.path()).env("HOME", self.0.path()).env("DRIFT_DB", "db");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// What it prints, which must be a success.
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "drift {arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Its one line of error.
    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "drift {arguments:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.starts_with("error: ") && error.lines().count() == 1, "drift {arguments:?}: {error}");
        error
    }

    /// Rows as CSV, without the header.
    fn query(&self, sql: &str) -> String {
        let csv = self.ok(&["sql", "db", "-q", "--format", "csv", "-c", sql]);
        csv.split_once('\n').map(|(_, rows)| rows.to_owned()).unwrap_or_default()
    }

    /// Points (0, 0), (1, 0), (2, 0) ... with a word each.
    fn parquet(&self, name: &str, ids: std::ops::Range<i64>) -> String {
        let item = Arc::new(Field::new("item", DataType::Float32, true));
        let values = Float32Array::from_iter_values(ids.clone().flat_map(|id| [id as f32, 0.0]));
        let columns: [(&str, ArrayRef); 3] = [
            ("id", Arc::new(Int64Array::from_iter_values(ids.clone()))),
            ("word", Arc::new(StringArray::from_iter_values(ids.map(|id| format!("word {id}"))))),
            ("v", Arc::new(FixedSizeListArray::new(item, 2, Arc::new(values), None))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer =
            ArrowWriter::try_new(fs::File::create(self.path(name)).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        name.to_owned()
    }
}

#[test]
fn what_is_imported_can_be_asked_listed_exported_and_dropped() {
    let desk = Desk::new();
    let (a, b) = (desk.parquet("a.parquet", 0..600), desk.parquet("b.parquet", 600..1_000));
    let said = desk.ok(&["import", &a, &b, "--table", "points"]);
    assert!(said.contains("imported 1,000 rows") && said.contains("1,000 rows x 2 (l2)"), "{said}");

    let near = "SELECT id, word, _distance FROM knn('points', [700.25, 0.0], 2)";
    assert_eq!(desk.query(near), "700,word 700,0.0625\n701,word 701,0.5625\n");
    assert_eq!(desk.query("SELECT count(*) FROM points"), "1000\n");

    // Again: rows with the same keys are replaced.
    desk.ok(&["import", &a, "--table", "points"]);
    assert_eq!(desk.query("SELECT count(*) FROM points"), "1000\n");

    let listed = desk.ok(&["list"]);
    assert!(listed.contains("points") && listed.contains("1,000"), "{listed}");
    let flushed = desk.ok(&["flush", "points"]);
    assert!(flushed.lines().nth(1).is_some_and(|line| line.starts_with("points")), "{flushed}");

    let stored = || files(&desk.path("db"), "drift").iter().map(|f| fs::metadata(f).unwrap().len()).sum::<u64>();
    desk.ok(&["import", &a, "--table", "points"]);
    desk.ok(&["flush"]);
    let before = stored();
    desk.ok(&["compact", "points"]);
    assert!(stored() < before, "the rows that were replaced take no more room");

    let segments = files(&desk.path("db"), "drift");
    let described = desk.ok(&["inspect", segments[0].to_str().unwrap()]);
    assert!(described.contains("'v', 2 dimensions, l2"), "{described}");

    desk.ok(&["export", "points", "out.parquet"]);
    let out = fs::File::open(desk.path("out.parquet")).unwrap();
    let rows = ParquetRecordBatchReaderBuilder::try_new(out).unwrap().metadata().file_metadata().num_rows();
    assert_eq!(rows, 1_000);
    assert!(desk.fails(&["export", "points", "out.parquet"]).contains("exists already"));

    // As in `drift inspect .. | head -n 0`: who reads no further is no fault.
    let mut unread = desk.command(&["inspect", segments[0].to_str().unwrap()]);
    let mut unread = unread.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(unread.stdout.take());
    assert_eq!(String::from_utf8_lossy(&unread.wait_with_output().unwrap().stderr), "");

    let seen = desk.ok(&["inspect", "db"]);
    assert!(seen.contains("points") && seen.contains("1,000") && seen.contains(".drift"), "{seen}");
    let sound = desk.ok(&["verify", "db"]);
    assert!(sound.lines().count() == 3 && sound.lines().all(|line| line.starts_with("sound")), "{sound}");

    let damaged = &segments[0];
    let mut bytes = fs::read(damaged).unwrap();
    bytes[4_100] ^= 1;
    fs::write(damaged, &bytes).unwrap();
    assert!(desk.fails(&["verify", "db"]).contains("1 thing is wrong with db"));
    let output = desk.run(&["verify", "db", "--json"]);
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(report.contains(damaged.file_name().unwrap().to_str().unwrap()) && report.contains("restore"), "{report}");
    bytes[4_100] ^= 1;
    fs::write(damaged, &bytes).unwrap();

    desk.ok(&["drop", "points"]);
    assert!(desk.ok(&["list"]).contains("no collections yet"));
}

/// The files below `dir` with this extension.
fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let found = entries.flat_map(|path| if path.is_dir() { files(&path, extension) } else { vec![path] });
    found.filter(|path| path.extension().is_some_and(|e| e == extension)).collect()
}

#[test]
fn a_collection_is_created_with_its_metric() {
    let desk = Desk::new();
    desk.ok(&["create", "docs", "id BIGINT PRIMARY KEY, title TEXT, v FLOAT[2]", "--metric", "cosine"]);
    assert!(desk.ok(&["list"]).lines().any(|line| line.starts_with("docs") && line.contains("cosine")));
    desk.ok(&["sql", "db", "-c", "INSERT INTO docs VALUES (1, 'a;b', [1.0, 0.0]), (2, 'c', [0.0, 3.0])"]);
    assert_eq!(desk.query("SELECT title FROM knn('docs', [5.0, 0.1], 1)"), "a;b\n");
}

#[test]
fn sql_takes_files_pipes_and_many_statements() {
    let desk = Desk::new();
    fs::write(desk.path("make.sql"), "-- a; remark\nCREATE TABLE t (id BIGINT PRIMARY KEY, v FLOAT[1])\n  WITH (metric = 'l2');\nINSERT INTO t VALUES (1, [1.0]);").unwrap();
    desk.ok(&["sql", "db", "-f", "make.sql", "-c", "INSERT INTO t VALUES (2, [2.0]); INSERT INTO t VALUES (3, [3.0])"]);
    assert_eq!(desk.query("SELECT count(*) FROM t"), "3\n");

    let mut child = desk
        .command(&["sql", "db", "-q", "--format", "csv"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"SELECT max(id)\nFROM t;\n\\q\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).ends_with("3\n"));

    // In memory nothing is left behind.
    assert_eq!(desk.ok(&["sql", "-q", "--format", "csv", "-c", "SELECT 1 AS one"]), "one\n1\n");
}

#[test]
fn what_cannot_be_done_says_how_to_mend_it() {
    let desk = Desk::new();
    let file = desk.parquet("a.parquet", 0..10);
    desk.ok(&["import", &file, "--table", "t"]);
    fs::write(desk.path("text.parquet"), "no parquet at all").unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["import", "none.parquet", "--table", "t"], "cannot open none.parquet"),
        (&["import", "text.parquet", "--table", "t"], "is it a Parquet file?"),
        (&["import", &file, "--table", "t", "--metric", "cosine"], "exists already with metric l2"),
        (&["import", &file, "--table", "new", "--key", "nokey"], "no column 'nokey'"),
        (&["import", &file, "--table", "new", "--vector", "word"], "no vector"),
        (&["drop", "nothing"], "nothing"),
        (&["flush", "nothing"], "there are t"),
        (&["sql", "db", "-c", "SELECT * FROM knn('nothing', [1.0, 2.0], 3)"], "there are t"),
        (&["sql", "db", "-c", "SELECT * FROM knn('t', [1.0], 3)"], "2"),
        (&["sql", "db", "-f", "none.sql"], "cannot read none.sql"),
        (&["sql", "--host", "grpc://127.0.0.1:1", "-c", "SELECT 1"], "no server answers"),
        (&["serve", "db", "--listen", "0.0.0.0:0"], "--insecure"),
        (&["inspect", "none.drift"], "cannot open none.drift"),
        (&["inspect", "text.parquet"], "text.parquet"),
        (&["verify", "nowhere"], "there is no database at nowhere"),
        (&["list", "--db", "nowhere"], "there is no database at nowhere"),
    ];
    for (arguments, expected) in cases {
        let error = desk.fails(arguments);
        assert!(error.contains(expected), "drift {arguments:?}: {error}");
    }
    assert_eq!(desk.ok(&["list"]).lines().count(), 2, "an import that failed leaves no collection");
}

/// A running server, stopped by SIGTERM or at the end. Its pipe is closed once the address is known:
/// the rest of the greeting once failed to be written then, and the server ended.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(desk: &Desk) -> Self {
        let mut child =
            desk.command(&["serve", "db", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").expect(&line).to_owned();
        Self { child, url }
    }

    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already where the test got to its end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_same_commands_work_on_a_server() {
    let desk = Desk::new();
    let server = Server::start(&desk);
    let host = server.url.clone();
    let said = desk.ok(&["create", "docs", "id BIGINT PRIMARY KEY, v FLOAT[2]", "--host", &host]);
    assert!(said.starts_with("created 'docs'") && said.lines().count() == 1, "{said}");
    desk.ok(&["sql", "--host", &host, "-c", "INSERT INTO docs VALUES (1, [1.0, 0.0]), (2, [0.0, 3.0])"]);
    let near = "SELECT id, _distance FROM knn('docs', [1.0, 0.0], 2)";
    assert_eq!(
        desk.ok(&["sql", "--host", &host, "-q", "--format", "csv", "-c", near]),
        "id,_distance\n1,0.0\n2,10.0\n"
    );
    assert!(desk.ok(&["list", "--host", &host]).contains("docs"));
    assert!(desk.ok(&["flush", "--host", &host]).contains("docs"));
    let error = desk.fails(&["sql", "--host", &host, "-c", "SELECT * FROM nothing"]);
    assert!(error.contains("nothing"), "{error}");
    server.stop();

    // The server has let go of the directory, and the rows are in it.
    assert_eq!(desk.query("SELECT count(*) FROM docs"), "2\n");
}
