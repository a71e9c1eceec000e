//! Cold reads of ranges of a local file: past the page cache against through it.
//!
//! ```sh
//! cargo run --release -p drift-storage --example cold_reads [GiB] [DIRECTORY]
//! ```
//!
//! For each size of range and number of concurrent readers, both ways take turns on the same ranges;
//! the page cache lets go of the file before each turn. CPU time is that of the process and of the
//! kernel on its behalf.

use std::{
    env,
    error::Error,
    fs::File,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use drift_storage::Store;
use rustix::fs::{Advice, fadvise};
use tokio::task::JoinSet;

const CHUNK: usize = 64 << 20;
const TURNS: usize = 3;
/// Reads of one turn are of this many bytes together, or this many reads if that is fewer.
const TURN_BYTES: u64 = 192 << 20;
const TURN_READS: usize = 4_000;

#[derive(Default)]
struct Figures {
    bytes: u64,
    wall: Duration,
    cpu: Duration,
    latencies: Vec<Duration>,
}

impl Figures {
    fn mb_per_s(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.wall.as_secs_f64()
    }

    fn p50_us(&mut self) -> f64 {
        self.latencies.sort_unstable();
        self.latencies[self.latencies.len() / 2].as_secs_f64() * 1e6
    }

    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.latencies.len() as f64
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let gib: f64 = arguments.next().map_or(Ok(1.0), |text| text.parse())?;
    let dir = arguments.next().map_or_else(env::temp_dir, PathBuf::from);
    let dir = tempfile::tempdir_in(dir)?;
    let parts = ((gib * (1u64 << 30) as f64) as usize).div_ceil(CHUNK);
    let uri = dir.path().to_str().ok_or("the directory's name is not UTF-8")?;
    let direct = Store::open(uri).await?;
    let buffered = Store::open(uri).await?.with_direct_io(false);
    for part in 0..parts {
        let bytes: Vec<u8> = (0..CHUNK / 8).flat_map(|i| ((i * 31 + part) as u64).to_le_bytes()).collect();
        direct.publish(&name(part), bytes).await?;
    }
    println!(
        "bytes,readers,direct MB/s,buffered MB/s,ratio,direct p50 us,buffered p50 us,direct CPU us,buffered CPU us,CPU ratio"
    );
    for bytes in [4 << 10, 64 << 10, 256 << 10] {
        for readers in [1, 4, 16] {
            let [mut past, mut through] = [Figures::default(), Figures::default()];
            for turn in 0..TURNS {
                let reads = plan(parts, bytes, turn);
                for (store, figures) in [(&direct, &mut past), (&buffered, &mut through)] {
                    drop_cached(dir.path(), parts)?;
                    measure(store, &reads, bytes, readers, figures).await?;
                }
            }
            println!(
                "{bytes},{readers},{:.0},{:.0},{:.2},{:.0},{:.0},{:.1},{:.1},{:.2}",
                past.mb_per_s(),
                through.mb_per_s(),
                past.mb_per_s() / through.mb_per_s(),
                past.p50_us(),
                through.p50_us(),
                past.cpu_us(),
                through.cpu_us(),
                past.cpu_us() / through.cpu_us(),
            );
        }
    }
    if !direct.direct_io() {
        println!("the file system refuses direct reads: both were buffered");
    }
    Ok(())
}

fn name(part: usize) -> String {
    format!("f/{part}")
}

/// Which part each read is of, and where in it.
fn plan(parts: usize, bytes: usize, turn: usize) -> Vec<(usize, u64)> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64 ^ turn as u64;
    let mut random = move |below: usize| {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % below as u64) as usize
    };
    let reads = TURN_READS.min((TURN_BYTES / bytes as u64) as usize);
    (0..reads).map(|_| (random(parts), (random(CHUNK / bytes) * bytes) as u64)).collect()
}

/// Makes the page cache let go of all parts.
fn drop_cached(root: &Path, parts: usize) -> Result<(), Box<dyn Error>> {
    for part in 0..parts {
        fadvise(File::open(root.join(name(part)))?, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}

/// Lets `readers` tasks share the reads.
async fn measure(
    store: &Store,
    reads: &[(usize, u64)],
    bytes: usize,
    readers: usize,
    figures: &mut Figures,
) -> Result<(), Box<dyn Error>> {
    let (began, cpu) = (Instant::now(), cpu_time()?);
    let mut tasks = JoinSet::new();
    for share in reads.chunks(reads.len().div_ceil(readers)) {
        let (store, share) = (store.clone(), share.to_vec());
        tasks.spawn(async move {
            let mut latencies = Vec::with_capacity(share.len());
            for (part, offset) in share {
                let began = Instant::now();
                let read = store.read_range(&name(part), offset..offset + bytes as u64).await?;
                assert_eq!(read.len(), bytes);
                latencies.push(began.elapsed());
            }
            Ok::<_, drift_storage::Error>(latencies)
        });
    }
    while let Some(latencies) = tasks.join_next().await {
        figures.latencies.extend(latencies??);
    }
    figures.wall += began.elapsed();
    figures.cpu += cpu_time()? - cpu;
    figures.bytes += (reads.len() * bytes) as u64;
    Ok(())
}

/// User and system time of the process so far.
fn cpu_time() -> Result<Duration, Box<dyn Error>> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Ok(Duration::new(now.tv_sec.try_into()?, now.tv_nsec.try_into()?))
}
