//! Damaged files are noticed: whatever byte flips and wherever the file ends, a reader either fails
//! with an error that says so or returns what was written.

mod fixture;

use std::sync::Arc;

use arrow_array::RecordBatch;
use drift_segment::{Encoded, Error, FooterRef, IdBlock, PartCache, SegmentReader, write};
use drift_storage::Store;
use drift_types::Metric;
use fixture::{Shape, segment};

const PATH: &str = "c/s.drift";

/// All that a segment holds.
#[derive(Debug, PartialEq)]
struct Content {
    entries: String,
    ids: Arc<IdBlock>,
    runs: Vec<String>,
    columns: RecordBatch,
}

async fn read_all(store: &Store, footer: Option<FooterRef>) -> Result<Content, Error> {
    let cache = Arc::new(PartCache::new(1 << 20));
    let reader = SegmentReader::open(store.clone(), PATH.into(), footer, cache).await?;
    let mut runs = Vec::new();
    for run in 0..reader.runs().len() as u32 {
        runs.push(format!("{:?} {:?}", reader.hot(run).await?, reader.exact(run).await?));
    }
    let all: Vec<usize> = (0..reader.meta().schema.fields().len()).collect();
    Ok(Content {
        entries: format!("{} {:?} {:?}", reader.id(), reader.meta(), reader.runs()),
        ids: reader.ids().await?,
        runs,
        columns: reader.columns(&all).await?,
    })
}

fn small() -> Encoded {
    let run_rows = vec![5, 1, 9];
    let metric = Metric::Cosine;
    let (input, _) = segment(&Shape { seed: 1, run_rows, dim: 3, metric, vector_at: 2, columns: 8 });
    write(&input).unwrap()
}

async fn replace(store: &Store, bytes: Vec<u8>) {
    store.delete(PATH).await.unwrap();
    store.publish(PATH, bytes).await.unwrap();
}

fn says_what_to_do(error: &Error) {
    let text = error.to_string();
    assert!(text.contains(PATH), "{text}");
    assert!(text.contains("corrupt") || text.contains("upgrade"), "{text}");
}

#[tokio::test]
async fn no_flipped_byte_changes_what_is_read() {
    let Encoded { bytes, footer } = small();
    let store = Store::open("memory://").await.unwrap();
    store.publish(PATH, bytes.clone()).await.unwrap();
    let content = read_all(&store, None).await.unwrap();

    let last = bytes.len();
    let critical = |at: usize| at < 160 || at >= footer.offset as usize;
    let mut noticed = 0;
    // Zeros are mostly padding: fewer of them are tried.
    let tried = (0..last).filter(|&at| critical(at) || at % if bytes[at] == 0 { 97 } else { 7 } == 0);
    for at in tried {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 1 << (at % 8);
        replace(&store, damaged).await;
        for footer in [None, Some(footer)] {
            match read_all(&store, footer).await {
                Ok(found) => assert_eq!(found, content, "byte {at}"),
                Err(error) => {
                    says_what_to_do(&error);
                    noticed += 1;
                }
            }
        }
        if at >= footer.offset as usize {
            assert!(read_all(&store, Some(footer)).await.is_err(), "byte {at} of footer or trailer");
        }
    }
    assert!(noticed > 1000, "only {noticed} noticed");
}

#[tokio::test]
async fn no_cut_goes_unnoticed() {
    let Encoded { bytes, footer } = small();
    let store = Store::open("memory://").await.unwrap();
    let near_end = bytes.len() - 80..bytes.len();
    for length in (0..bytes.len()).step_by(613).chain(near_end) {
        replace(&store, bytes[..length].to_vec()).await;
        for footer in [None, Some(footer)] {
            says_what_to_do(&read_all(&store, footer).await.unwrap_err());
        }
    }
}

#[tokio::test]
async fn a_footer_that_is_nowhere_is_refused() {
    let Encoded { bytes, footer } = small();
    let store = Store::open("memory://").await.unwrap();
    store.publish(PATH, bytes).await.unwrap();
    for wrong in [
        FooterRef { offset: 0, ..footer },
        FooterRef { offset: footer.offset + 1, ..footer },
        FooterRef { offset: u64::MAX - 4095, ..footer },
        FooterRef { length: 0, ..footer },
        FooterRef { length: u64::MAX, ..footer },
        FooterRef { length: footer.length - 64, ..footer },
        FooterRef { crc: !footer.crc, ..footer },
    ] {
        says_what_to_do(&read_all(&store, Some(wrong)).await.unwrap_err());
    }
}

#[tokio::test]
async fn verify_misses_nothing_that_a_reader_would_meet() {
    let Encoded { bytes, footer } = small();
    let whole = Encoded { bytes: bytes.clone(), footer };
    drift_segment::verify(&whole).unwrap();
    let store = Store::open("memory://").await.unwrap();
    store.publish(PATH, bytes.clone()).await.unwrap();
    let content = read_all(&store, None).await.unwrap();

    for at in (0..bytes.len()).step_by(41) {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 0x40;
        let found = drift_segment::verify(&Encoded { bytes: damaged.clone().into(), footer });
        if found.is_err() {
            continue;
        }
        replace(&store, damaged).await;
        for footer in [None, Some(footer)] {
            assert_eq!(read_all(&store, footer).await.unwrap(), content, "byte {at}");
        }
    }
}

#[tokio::test]
async fn all_that_is_wrong_is_said_not_only_the_first() {
    let Encoded { bytes, footer } = small();
    let store = Store::open("memory://").await.unwrap();
    store.publish(PATH, bytes.clone()).await.unwrap();
    let reader =
        SegmentReader::open(store.clone(), PATH.into(), Some(footer), Arc::new(PartCache::new(0))).await.unwrap();
    assert!(reader.verify().await.is_empty());

    let mut damaged = bytes.to_vec();
    let parts = [9, reader.runs()[1].hot.offset as usize, reader.runs()[2].cold.offset as usize];
    parts.iter().for_each(|&at| damaged[at] ^= 1);
    damaged.truncate(damaged.len() - 1);
    replace(&store, damaged).await;
    let wrong = reader.verify().await;
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    wrong.iter().for_each(says_what_to_do);
}
