//! Real data: Debian's changelogs as sentence embeddings, and pictures of clothes.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch, cast::AsArray, types::Float32Type};
use arrow_cast::cast;
use arrow_schema::{DataType, Field};
use bytes::Bytes;
use datafusion_cli::print_options::MaxRows;
use drift_engine::{Collection, CollectionSpec, Database};
use drift_types::Metric;
use futures::StreamExt;

use super::{
    measure::{self, RECALL_ASKED},
    title,
};
use crate::{
    error::{Error, Result},
    import::{self, Source},
    shell::{self, Session},
};

/// 1,200 changelog entries of Debian packages, 384 values each (all-MiniLM-L6-v2).
const CHANGELOGS: &[u8] = include_bytes!("../../data/debian_changelogs_1200.parquet");
/// 2,000 pictures of Fashion-MNIST, 784 values each (Zalando SE, MIT licence).
const FASHION: &[u8] = include_bytes!("../../data/fashion_mnist_2000_u8.parquet");
/// Pictures held back to ask with: they are not in the index.
const HELD_BACK: usize = 100;

/// A question and what it shows.
struct Question {
    text: &'static str,
    sql: &'static str,
}

const QUESTIONS: [Question; 5] = [
    Question {
        text: "Which changelog entries say something like entry 1133 does?",
        sql: "SELECT id, repo, ts, round(_distance, 3) AS distance
FROM knn('changelogs', (SELECT vector FROM changelogs WHERE id = 1133), 6)
ORDER BY distance",
    },
    Question {
        text: "The same, from before 2015 only: a filter never costs results, six rows match and six come",
        sql: "SELECT id, repo, ts, round(_distance, 3) AS distance
FROM knn('changelogs', (SELECT vector FROM changelogs WHERE id = 1133), 6)
WHERE ts < '2015-01-01'
ORDER BY distance",
    },
    Question {
        text: "Results are rows: which packages have most entries among the 100 nearest, of how many?",
        sql: "SELECT near.repo, count(*) AS nearest, total.entries, round(min(near._distance), 3) AS closest
FROM knn('changelogs', (SELECT vector FROM changelogs WHERE id = 1133), 100) AS near
JOIN (SELECT repo, count(*) AS entries FROM changelogs GROUP BY repo) AS total ON near.repo = total.repo
GROUP BY near.repo, total.entries
ORDER BY nearest DESC, closest
LIMIT 6",
    },
    Question {
        text: "How is that done? The filter goes into the search",
        sql: "EXPLAIN SELECT id, repo FROM knn('changelogs', (SELECT vector FROM changelogs WHERE id = 1133), 6) WHERE ts < '2015-01-01'",
    },
    Question {
        text: "Which pictures look like picture 5, and what do they show?",
        sql: "SELECT near.id, kind.name, round(near._distance) AS distance
FROM knn('fashion', (SELECT vector FROM fashion WHERE id = 5), 8) AS near
JOIN (VALUES (0, 'T-shirt'), (1, 'trousers'), (2, 'pullover'), (3, 'dress'), (4, 'coat'), (5, 'sandal'),
             (6, 'shirt'), (7, 'sneaker'), (8, 'bag'), (9, 'ankle boot')) AS kind(label, name)
  ON near.label = kind.label
ORDER BY distance",
    },
];

/// Imports both and asks.
pub(crate) async fn show(db: &Database) -> Result<()> {
    title("Real data: changelog entries of Debian packages (cosine), pictures of Fashion-MNIST (L2)");
    let source = Source::new("changelogs", Bytes::from_static(CHANGELOGS))?;
    let spec = CollectionSpec::new(source.schema.clone()).with_metric(Metric::Cosine);
    let changelogs = db.create_collection("changelogs", spec).await?;
    let report = import::import(&changelogs, vec![source]).await?;
    println!("imported {report}");
    settle(&changelogs).await?;

    let source = Source::new("fashion", Bytes::from_static(FASHION))?;
    let fashion = db.create_collection("fashion", CollectionSpec::new(source.schema.clone())).await?;
    let (indexed, held_back) = hold_back(source)?;
    fashion.insert_stream(futures::stream::iter([Ok(indexed)]).boxed()).await?;
    settle(&fashion).await?;
    println!();

    let mut session = Session::over(db);
    for Question { text, sql } in &QUESTIONS {
        title(text);
        println!("{sql};");
        session.run(sql, &shell::rows_only(MaxRows::Unlimited)).await?;
        println!();
    }

    title("Is the index right? 100 pictures it has never seen, each asked twice: by the index and by brute force");
    let measured = measure::recall_at_10(&fashion, &held_back).await?;
    println!(
        "recall@10: asked for {RECALL_ASKED}, measured {:.3}; scanned {:.0} of {} rows, {:.1} of {} buckets per query\n",
        measured.recall,
        measured.rows_scanned,
        fashion.status().rows,
        measured.buckets_probed,
        fashion.status().buckets,
    );
    Ok(())
}

/// Moves what was imported into buckets, as the background work does sooner or later.
async fn settle(collection: &Collection) -> Result<()> {
    collection.flush().await?;
    println!("{}", import::figures(collection));
    Ok(())
}

/// The rows to index, and the vectors of the rest to ask with.
fn hold_back(source: Source) -> Result<(RecordBatch, Vec<Vec<f32>>)> {
    let rows = source.read()?;
    let indexed = rows.num_rows() - HELD_BACK;
    let vectors = rows.slice(indexed, HELD_BACK);
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    let column = vectors.column_by_name("vector").ok_or_else(|| Error::invalid("the sample has no column 'vector'"))?;
    let values = column.as_fixed_size_list();
    let floats =
        cast(column, &DataType::FixedSizeList(item, values.value_length())).map_err(drift_engine::Error::from)?;
    let floats = floats.as_fixed_size_list();
    let vector = |row| floats.value(row).as_primitive::<Float32Type>().values().to_vec();
    Ok((rows.slice(0, indexed), (0..floats.len()).map(vector).collect()))
}
