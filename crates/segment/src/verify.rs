//! Reading a whole segment to see whether it is sound: before it is published, and on request.

use std::fmt;

use drift_storage::page::PAGE;
use futures::FutureExt;

use crate::{Encoded, Error, IdBlock, Result, file::File, footer::SectionKind, open::Opened, superblock::Superblock};

/// Reads a finished segment back and verifies all of it, so that nothing is published that could
/// not be read.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(encoded: &Encoded) -> Result<()> {
    let check = async {
        let opened = Opened::open(File::in_memory(encoded.bytes.clone()), Some(encoded.footer)).await?;
        opened.verify().await.into_iter().next().map_or(Ok(()), Err)
    };
    check.now_or_never().expect("reading from memory never waits")
}

/// What is wrong, as it is found.
#[derive(Default)]
struct Wrong(Vec<Error>);

impl Wrong {
    /// Notes an error; what was read in spite of it is gone.
    fn keep<T>(&mut self, read: Result<T>) -> Option<T> {
        read.map_err(|error| self.0.push(error)).ok()
    }
}

impl Opened {
    /// Reads every part, holding one at a time beside the keys, and compares what is there twice;
    /// returns what is wrong.
    pub(crate) async fn verify(&self) -> Vec<Error> {
        let mut wrong = Wrong::default();
        wrong.keep(self.verify_superblock().await);
        let ids = wrong.keep(self.read_ids().await);
        self.verify_runs(ids.as_deref(), &mut wrong).await;
        self.verify_key_index(ids.as_deref(), &mut wrong).await;
        self.verify_key_filter(ids.as_deref(), &mut wrong).await;
        wrong.0.extend(self.payload.verify().await);
        wrong.keep(self.verify_statistics().await);
        wrong.0
    }

    /// Who opens a segment by its manifest never reads the superblock.
    async fn verify_superblock(&self) -> Result<()> {
        let page = self.file.read(0..PAGE as u64).await?;
        let superblock = Superblock::parse(&page).map_err(|flaw| self.file.flawed(flaw, 0))?;
        if superblock.identity != self.footer.identity || superblock.footer != self.place {
            return Err(self.file.flawed("superblock and footer speak of two segments", 0));
        }
        let (length, expected) = (self.file.length().await?, self.place.file_length());
        if length != expected {
            return Err(self.file.flawed(format!("it has {length} bytes instead of {expected}"), length.min(expected)));
        }
        Ok(())
    }

    async fn verify_runs(&self, ids: Option<&IdBlock>, wrong: &mut Wrong) {
        for (number, run) in (0..).zip(&self.runs) {
            let hot = wrong.keep(self.read_hot(number).await);
            if let (Some(hot), Some(ids)) = (hot, ids)
                && run.ordinals().zip(0..).any(|(ordinal, row)| hot.id(row) != ids.id(ordinal))
            {
                wrong.0.push(self.contradiction("the keys of a run are not those of IDS", run.hot.offset));
            }
        }
        for number in 0..self.footer.identity.runs {
            wrong.keep(self.read_exact(number).await);
        }
    }

    /// Each row stands in the index once, under its key, and keys ascend.
    async fn verify_key_index(&self, ids: Option<&IdBlock>, wrong: &mut Wrong) {
        let (mut last, mut entries, mut whole) = (None, 0, true);
        for number in self.key_index.pages() {
            let Some(page) = wrong.keep(self.read_key_page(number).await) else {
                whole = false;
                continue;
            };
            let offset = self.key_index.place(number).offset;
            for entry in page.entries() {
                if last.is_some_and(|last| last >= entry) || ids.is_some_and(|ids| ids.id(entry.1) != entry.0) {
                    wrong.0.push(self.contradiction("a page of IDIX is not what IDS says, sorted", offset));
                    return;
                }
                (last, entries) = (Some(entry), entries + 1);
            }
        }
        if whole && entries != self.footer.identity.rows {
            let message = format!("IDIX has {entries} entries for {} rows", self.footer.identity.rows);
            wrong.0.push(self.contradiction(message, self.key_index.place(0).offset));
        }
    }

    async fn verify_key_filter(&self, ids: Option<&IdBlock>, wrong: &mut Wrong) {
        let filter = wrong.keep(self.read_key_filter().await);
        if let (Some(filter), Some(ids)) = (filter, ids)
            && ids.iter().any(|(key, _)| !filter.may_hold(key))
        {
            let at = self.footer.section(SectionKind::KeyFilter).map_or(0, |section| section.offset);
            wrong.0.push(self.contradiction("BLOM denies a key that is in the segment", at));
        }
    }

    async fn verify_statistics(&self) -> Result<()> {
        let statistics = self.read_statistics().await?;
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        let unsound = self.runs.iter().zip(&statistics).position(|(run, of)| {
            !finite(&of.centroid) || !finite(&of.sum) || !finite(&[run.mean_sq_radius, run.max_norm_sq])
        });
        let Some(run) = unsound else { return Ok(()) };
        let at = self.footer.section(SectionKind::Directory).map_or(self.place.offset, |section| section.offset);
        Err(self.contradiction(format!("DIRECTORY: a statistic of run {run} is no finite number"), at))
    }

    /// The bytes are what was written, so they were written wrongly.
    fn contradiction(&self, message: impl fmt::Display, offset: u64) -> Error {
        self.file.flawed(message.to_string(), offset)
    }
}
