//! What a database consists of: the five framed objects.
//!
//! ```text
//! input  u8 (bits 0 and 1: which object, unless bit 3: a history; bit 2: what follows is its body alone), bytes
//! ```

use std::fmt::Debug;

use drift_manifest::{BucketTable, Catalog, History, Manifest, Numbered, tombstones};

use crate::checksums;

pub const MANIFEST: u8 = 0;
pub const CATALOG: u8 = 1;
pub const BUCKETS: u8 = 2;
pub const TOMBSTONES: u8 = 3;
/// In the place of the others.
pub const HISTORY: u8 = 8;
/// The bytes are a body, to be framed.
pub const BODY: u8 = 4;

const PATH: &str = "an object";
const MAGICS: [&[u8; 8]; 4] = [b"DRIFTMAN", b"DRIFTCAT", b"DRIFTBKT", b"DRIFTTMB"];

pub fn run(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else { return };
    let is_history = kind & HISTORY != 0;
    let magic = if is_history { b"DRIFTHIS" } else { MAGICS[usize::from(kind & 3)] };
    let object = match kind & BODY {
        0 => bytes.to_vec(),
        _ => checksums::frame(magic, bytes),
    };
    match kind & 3 {
        _ if is_history => {
            let Ok(history) = History::decode(PATH, &object) else { return };
            let encoded = history.encode();
            assert_eq!(History::decode(PATH, &encoded).expect("encoded above").encode(), encoded);
        }
        MANIFEST => {
            if let Some(manifest) = version::<Manifest>(&object) {
                manifest.live_rows();
            }
        }
        CATALOG => drop(version::<Catalog>(&object)),
        BUCKETS => {
            let Ok(table) = BucketTable::decode(PATH, &object) else { return };
            // As bytes: a NaN is not equal to itself.
            let encoded = table.encode().expect("what was read can be written");
            let again = BucketTable::decode(PATH, &encoded).expect("encoded above");
            assert_eq!(again.encode().expect("as before"), encoded);
        }
        _ => {
            let Ok(dead) = tombstones::decode(PATH, &object) else { return };
            assert_eq!(tombstones::decode(PATH, &tombstones::encode(&dead)).expect("encoded above"), dead);
        }
    }
}

/// The version in `object`, if it is one that may be committed.
fn version<T: Numbered + PartialEq + Debug>(object: &[u8]) -> Option<T> {
    let version = T::decode(PATH, object).ok()?;
    assert_eq!(T::decode(PATH, &version.encode()).expect("encoded above"), version);
    version.check().ok()?;
    let _ = version.check_successor(&version);
    Some(version)
}
