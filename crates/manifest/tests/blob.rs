//! A reference recognises exactly the object it was made for.

use drift_manifest::{BlobRef, Error, tombstones};
use drift_storage::Store;

#[tokio::test]
async fn another_valid_object_in_its_place_is_noticed() {
    let store = Store::open("memory://").await.unwrap();
    let [older, newer] = [[1], [2]].map(|dead| tombstones::encode(&dead.into_iter().collect()));
    let blob = BlobRef::publish(&store, "t".into(), newer.clone()).await.unwrap();
    assert_eq!(blob.read(&store).await.unwrap(), newer);
    for other in [older, newer.slice(1..), Default::default()] {
        store.delete("t").await.unwrap();
        store.publish("t", other).await.unwrap();
        assert!(matches!(blob.read(&store).await, Err(Error::Corrupt { .. })));
    }
}
