//! Damaged files are noticed: whatever byte changes and wherever the file ends, a reader either fails
//! with an error that says so or returns what was written.

mod fixture;

use std::sync::Arc;

use arrow_array::RecordBatch;
use drift_segment::{Encoded, Error, FooterRef, PartCache, SegmentReader, write};
use drift_storage::Store;
use drift_types::{Metric, VectorId};
use fastrand::Rng;
use fixture::{Shape, segment};

const PATH: &str = "c/s.drift";
const PAGE: usize = 4096;

/// All that a segment holds.
#[derive(Debug, PartialEq)]
struct Content {
    footer: String,
    parts: Vec<String>,
    rows_of_keys: Vec<(usize, u32)>,
    columns: RecordBatch,
}

async fn read_all(store: &Store, footer: Option<FooterRef>) -> Result<Content, Error> {
    let cache = Arc::new(PartCache::new(1 << 20));
    let reader = SegmentReader::open(store.clone(), PATH.into(), footer, cache).await?;
    let ids = reader.ids().await?;
    let mut parts = vec![format!("{ids:?} {:?}", reader.key_filter().await?)];
    for run in 0..reader.runs().len() as u32 {
        parts.push(format!("{:?} {:?}", reader.hot(run).await?, reader.exact(run).await?));
    }
    parts.push(single_rows(store, footer).await?);
    let keys: Vec<VectorId> = ids.iter().map(|(id, _)| id).chain((0..5).map(VectorId)).collect();
    let all: Vec<usize> = (0..reader.meta().schema.fields().len()).collect();
    Ok(Content {
        footer: format!("{:?} {:?} {:?} {}", reader.id(), reader.meta(), reader.runs(), reader.can_rewrite()),
        parts,
        rows_of_keys: reader.find(&keys).await?,
        columns: reader.columns(&all).await?,
    })
}

/// The vectors, each read without the others: nothing is kept in memory.
async fn single_rows(store: &Store, footer: Option<FooterRef>) -> Result<String, Error> {
    let reader = SegmentReader::open(store.clone(), PATH.into(), footer, Arc::new(PartCache::new(0))).await?;
    let mut rows = String::new();
    for (number, run) in (0..).zip(reader.runs()) {
        for row in 0..run.rows {
            rows += &format!("{:?}", reader.exact_rows(number, &[row]).await?.row(row));
        }
    }
    Ok(rows)
}

fn small(seed: u64) -> Encoded {
    let run_rows = vec![5, 1, 9];
    let metric = Metric::Cosine;
    let (input, _) = segment(&Shape { seed, run_rows, dim: 3, metric, vector_at: 1, columns: 3 });
    write(&input).unwrap()
}

/// A published segment that can be damaged.
struct Patient {
    store: Store,
    bytes: Vec<u8>,
    footer: FooterRef,
    content: Content,
}

impl Patient {
    async fn new() -> Self {
        let Encoded { bytes, footer } = small(1);
        let store = Store::open("memory://").await.unwrap();
        store.publish(PATH, bytes.clone()).await.unwrap();
        let content = read_all(&store, None).await.unwrap();
        assert_eq!(content.rows_of_keys.len(), 15);
        Self { store, bytes: bytes.to_vec(), footer, content }
    }

    /// Reads the file as `bytes`; whether the change was noticed. If not, it has changed nothing.
    async fn notices(&self, bytes: Vec<u8>, footer: Option<FooterRef>, what: &str) -> bool {
        self.store.delete(PATH).await.unwrap();
        self.store.publish(PATH, bytes).await.unwrap();
        match read_all(&self.store, footer).await {
            Ok(found) => assert_eq!(found, self.content, "{what}"),
            Err(error) => {
                says_what_to_do(&error);
                return true;
            }
        }
        false
    }
}

fn says_what_to_do(error: &Error) {
    let text = error.to_string();
    assert!(matches!(error, Error::Corrupt { path, .. } if path == PATH), "{text}");
    assert!(text.contains("corrupt at byte") && text.contains("restore"), "{text}");
}

/// Most zeros are gaps between parts, so not every one is tried every time: `./test --all` does.
#[tokio::test]
async fn no_changed_byte_changes_what_is_read() {
    let all = std::env::var("DRIFT_TEST_ALL").is_ok_and(|value| value == "1");
    let is_tried = |at: usize, byte: u8| all || byte != 0 || at.is_multiple_of(17);
    let patient = Patient::new().await;
    let mut rng = Rng::with_seed(2);
    let (mut noticed, start) = (0, patient.footer.offset as usize);
    for at in (0..patient.bytes.len()).filter(|at| is_tried(*at, patient.bytes[*at])) {
        let mut damaged = patient.bytes.clone();
        damaged[at] ^= rng.u8(1..);
        let what = format!("byte {at}");
        if at >= start {
            assert!(patient.notices(damaged.clone(), Some(patient.footer), &what).await, "{what} of footer or trailer");
        }
        noticed += usize::from(patient.notices(damaged, None, &what).await);
    }
    let meant = patient.bytes.iter().filter(|byte| **byte != 0).count();
    assert!(noticed >= meant, "{noticed} noticed, {meant} are not zero");
}

#[tokio::test]
async fn no_cut_goes_unnoticed() {
    let patient = Patient::new().await;
    for length in 0..patient.bytes.len() {
        let cut = patient.bytes[..length].to_vec();
        let what = format!("the first {length} bytes");
        assert!(patient.notices(cut.clone(), Some(patient.footer), &what).await, "{what}");
        assert!(patient.notices(cut, None, &what).await, "{what}");
    }
}

#[tokio::test]
async fn no_zeroed_and_no_swapped_page_changes_what_is_read() {
    let patient = Patient::new().await;
    let pages: Vec<_> =
        (0..patient.bytes.len()).step_by(PAGE).map(|at| at..(at + PAGE).min(patient.bytes.len())).collect();
    for (i, page) in pages.iter().enumerate() {
        let mut zeroed = patient.bytes.clone();
        zeroed[page.clone()].fill(0);
        assert!(patient.notices(zeroed, None, &format!("page {i} zeroed")).await);
        for (j, other) in pages.iter().enumerate().skip(i + 1).filter(|(_, other)| other.len() == PAGE) {
            let mut swapped = patient.bytes.clone();
            swapped[page.clone()].copy_from_slice(&patient.bytes[other.clone()]);
            swapped[other.clone()].copy_from_slice(&patient.bytes[page.clone()]);
            let what = format!("pages {i} and {j} swapped");
            assert!(patient.notices(swapped, None, &what).await, "{what}");
        }
    }
}

/// Both files are sound: only who knows the footer can tell that this is another one.
#[tokio::test]
async fn another_segment_under_this_name_is_refused() {
    let patient = Patient::new().await;
    let other = small(2);
    assert!(patient.notices(other.bytes.to_vec(), Some(patient.footer), "another segment").await);
}

#[tokio::test]
async fn a_footer_that_is_nowhere_is_refused() {
    let patient = Patient::new().await;
    let footer = patient.footer;
    for wrong in [
        FooterRef { offset: 0, ..footer },
        FooterRef { offset: footer.offset + 1, ..footer },
        FooterRef { offset: u64::MAX - 4095, ..footer },
        FooterRef { length: 0, ..footer },
        FooterRef { length: u64::MAX, ..footer },
        FooterRef { length: footer.length - 64, ..footer },
        FooterRef { crc: !footer.crc, ..footer },
    ] {
        assert!(patient.notices(patient.bytes.clone(), Some(wrong), &format!("{wrong:?}")).await);
    }
}

#[tokio::test]
async fn verify_misses_nothing_that_a_reader_would_meet() {
    let patient = Patient::new().await;
    let verified =
        |bytes: &[u8]| drift_segment::verify(&Encoded { bytes: bytes.to_vec().into(), footer: patient.footer }).is_ok();
    assert!(verified(&patient.bytes));
    for at in (0..patient.bytes.len()).step_by(41) {
        let mut damaged = patient.bytes.clone();
        damaged[at] ^= 0x40;
        if verified(&damaged) {
            for footer in [None, Some(patient.footer)] {
                assert!(!patient.notices(damaged.clone(), footer, &format!("byte {at}")).await, "byte {at}");
            }
        }
    }
}

#[tokio::test]
async fn all_that_is_wrong_is_said_not_only_the_first() {
    let patient = Patient::new().await;
    let cache = Arc::new(PartCache::new(0));
    let reader = SegmentReader::open(patient.store.clone(), PATH.into(), Some(patient.footer), cache).await.unwrap();
    assert!(reader.verify().await.is_empty());

    let mut damaged = patient.bytes.clone();
    let parts = [9, reader.runs()[1].hot.offset as usize, reader.runs()[2].cold.offset as usize];
    parts.iter().for_each(|&at| damaged[at] ^= 1);
    damaged.truncate(damaged.len() - 1);
    patient.store.delete(PATH).await.unwrap();
    patient.store.publish(PATH, damaged).await.unwrap();
    let wrong = reader.verify().await;
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    wrong.iter().for_each(says_what_to_do);
}

/// Bits that only forbid to rewrite do not forbid to read.
#[tokio::test]
async fn a_file_that_may_only_be_read_says_so() {
    let patient = Patient::new().await;
    let mut bytes = patient.bytes.clone();
    let trailer = bytes.len() - 64;
    bytes[trailer + 40] = 4;
    let crc = crc32c::crc32c(&bytes[trailer..trailer + 52]);
    bytes[trailer + 52..trailer + 56].copy_from_slice(&crc.to_le_bytes());
    patient.store.delete(PATH).await.unwrap();
    patient.store.publish(PATH, bytes).await.unwrap();
    let found = read_all(&patient.store, Some(patient.footer)).await.unwrap();
    let reader =
        SegmentReader::open(patient.store.clone(), PATH.into(), None, Arc::new(PartCache::new(0))).await.unwrap();
    assert!(!reader.can_rewrite());
    assert_eq!((found.parts, found.columns), (patient.content.parts, patient.content.columns));
}
