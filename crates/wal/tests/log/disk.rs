//! A disk in memory that keeps what was synced and, when it crashes, any part of the rest.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use drift_wal::LogSink;

/// Clones share one disk.
#[derive(Clone)]
pub struct Disk {
    state: Arc<Mutex<State>>,
    file_bytes: Option<u64>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<u64, File>,
    current: u64,
    /// Calls that still succeed.
    calls_left: Option<usize>,
}

#[derive(Default, Clone)]
struct File {
    live: Vec<u8>,
    durable: Vec<u8>,
}

/// Smaller than any disk's, to tear more.
const SECTOR: usize = 64;

impl Disk {
    pub fn new(file_bytes: u64) -> Self {
        Self { state: Arc::default(), file_bytes: Some(file_bytes) }
    }

    /// A disk on which files appear whole or not at all, as objects do.
    pub fn of_whole_files() -> Self {
        Self { state: Arc::default(), file_bytes: None }
    }

    /// Every call that changes something fails after `calls` more; `None`: never.
    pub fn fail_after(&self, calls: Option<usize>) {
        self.lock().calls_left = calls;
    }

    /// Pulls the plug: of each file's unsynced bytes any sectors may be kept, the others are zero.
    pub fn crash(&self, random: &mut fastrand::Rng) {
        let mut state = self.lock();
        state.calls_left = None;
        for file in state.files.values_mut() {
            let len = random.usize(file.durable.len()..=file.live.len());
            let mut after = file.durable.clone();
            after.resize(len, 0);
            for at in (file.durable.len()..len).step_by(SECTOR) {
                if random.bool() {
                    let end = (at + SECTOR).min(len);
                    after[at..end].copy_from_slice(&file.live[at..end]);
                }
            }
            *file = File { live: after.clone(), durable: after };
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while holding the disk")
    }

    /// The state, for one more change; half of a failing call may have happened, so it gets both.
    fn change(&self) -> (MutexGuard<'_, State>, io::Result<()>) {
        let mut state = self.lock();
        let result = match &mut state.calls_left {
            Some(0) => Err(io::Error::other("injected")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        };
        (state, result)
    }
}

impl LogSink for Disk {
    fn list(&self) -> io::Result<Vec<u64>> {
        Ok(self.lock().files.keys().copied().collect())
    }

    fn read(&self, number: u64) -> io::Result<Bytes> {
        self.lock().files.get(&number).map(|f| f.live.clone().into()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn create(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut state, result) = self.change();
        if state.files.contains_key(&number) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.current = number;
        let lands = result.is_ok() || self.file_bytes.is_none();
        let durable = if lands { bytes.to_vec() } else { Vec::new() };
        state.files.insert(number, File { live: bytes.to_vec(), durable });
        result
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (mut state, result) = self.change();
        let current = state.current;
        state.files.entry(current).or_default().live.extend_from_slice(bytes);
        result
    }

    fn sync(&mut self) -> io::Result<()> {
        let number = self.lock().current;
        self.settle(number)
    }

    fn settle(&mut self, number: u64) -> io::Result<()> {
        let (mut state, result) = self.change();
        let file = state.files.entry(number).or_default();
        if result.is_ok() {
            file.durable = file.live.clone();
        }
        result
    }

    fn delete(&mut self, numbers: &[u64]) -> io::Result<()> {
        for number in numbers {
            let (mut state, result) = self.change();
            result?;
            state.files.remove(number);
        }
        Ok(())
    }

    fn file_bytes(&self) -> Option<u64> {
        self.file_bytes
    }

    fn name(&self, number: u64) -> String {
        format!("memory/{number}")
    }
}
