//! When maintenance has nothing left to do.

use std::time::{Duration, Instant};

use drift_engine::Collection;

/// It counts as done when it has written nothing for so long: longer than it waits for more rows before
/// it tidies up.
const STILL: Duration = Duration::from_secs(8);
/// Waits end after so long.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Waits until maintenance has written nothing for a while. Returns how long it went on writing.
pub async fn rest(collection: &Collection) -> Duration {
    let start = Instant::now();
    let (mut written, mut last) = (collection.maintenance_totals().bytes_written, start);
    while start.elapsed() < PATIENCE && last.elapsed() < STILL {
        let now = collection.maintenance_totals().bytes_written;
        if now != written {
            (written, last) = (now, Instant::now());
        }
        tokio::time::sleep(POLL).await;
    }
    last - start
}
