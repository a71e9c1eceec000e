//! The same set through hnswlib.

use std::{collections::HashMap, ffi::OsString, fs::File, path::Path, sync::Arc};

use arrow_array::{Array, FixedSizeListArray, Int32Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use drift_benches::{
    peer,
    sweep::{Point, cost_at},
    table, truth,
};
use drift_engine::{Result, SearchRequest};
use parquet::arrow::ArrowWriter;

use crate::{report::Report, request, set::Set};

/// Neighbours asked for.
const K: usize = 10;
/// Recalls asked of Drift, to read off its cost at a measured one.
const ASKED: [f32; 6] = [0.7, 0.8, 0.9, 0.95, 0.99, 0.995];

/// Asks both and puts down, at equal recall, how many times hnswlib's queries per second Drift answers.
pub async fn hnswlib(set: &Set, python: &Path, threads: usize, report: &mut Report) -> Result<()> {
    let truth = set.truth(None, K);
    let mut curve = Vec::new();
    for recall in ASKED {
        let request = SearchRequest { recall: Some(recall), ..request(K) };
        let asked = set.fastest(&request, &truth).await?;
        curve.push(Point { recall: asked.recall(), cost: asked.latencies.mean_us() });
    }
    let peer = run(set, &truth.kth, python, threads);
    let rows = set.rows.len() as f64;
    let mut ratio = |figure: &str, asked: f32, ours: Option<f64>, theirs: Option<&f64>| {
        if let Some((ours, theirs)) = ours.zip(theirs) {
            println!("{figure} at {asked}: Drift {ours:.0}, hnswlib {theirs:.0}, ratio {:.2}", ours / theirs);
            report.put("rows", rows, asked, &format!("{figure} of hnswlib"), *theirs);
            report.put("rows", rows, asked, &format!("{figure} over hnswlib"), ours / theirs);
        }
    };
    ratio("load_rows_per_s", 0.95, Some(set.load_rows_per_s), peer.get("build_rows_per_s"));
    for (recall, name) in [(0.95, "qps_at_0.95"), (0.99, "qps_at_0.99")] {
        let mean_us = cost_at(recall, curve.iter().copied());
        ratio("qps at equal recall", recall as f32, mean_us.map(|us| 1e6 / us), peer.get(name));
    }
    Ok(())
}

/// What `peers_static.py` makes of the set.
fn run(set: &Set, kth: &[f32], python: &Path, threads: usize) -> HashMap<String, f64> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let files = ["base", "query", "truth"].map(|name| (name, dir.path().join(name)));
    write(&files[0].1, table::batches(&set.rows));
    write(&files[1].1, table::batches(&set.queries));
    write(&files[2].1, [neighbours(truth::within(set.rows.view(), set.queries.view(), kth))]);
    let mut args: Vec<OsString> = vec!["--queries".into(), set.queries.len().to_string().into()];
    args.extend(["--threads".into(), threads.to_string().into()]);
    args.extend(files.into_iter().flat_map(|(name, path)| [format!("--{name}").into(), path.into_os_string()]));
    peer::hnswlib(python, "peers_static.py", args)
}

/// A column `ids` of the K nearest.
fn neighbours(near: Vec<Vec<u32>>) -> RecordBatch {
    let ids: Vec<i32> = near.iter().flat_map(|near| near[..K].iter().map(|&row| row as i32)).collect();
    let value = Arc::new(Field::new("item", DataType::Int32, false));
    let lists = FixedSizeListArray::new(value, K as i32, Arc::new(Int32Array::from(ids)), None);
    let schema = Schema::new(vec![Field::new("ids", lists.data_type().clone(), false)]);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(lists)]).expect("one column")
}

fn write(path: &Path, batches: impl IntoIterator<Item = RecordBatch>) {
    let mut batches = batches.into_iter().peekable();
    let schema = batches.peek().expect("a batch").schema();
    let file = File::create(path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, schema, None).expect("a Parquet file");
    batches.for_each(|batch| writer.write(&batch).expect("a batch can be written"));
    writer.close().expect("a Parquet file can be written");
}
