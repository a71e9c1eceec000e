use drift_types::{CollectionId, SeqNo};

use super::{Command, WriterHandle};
use crate::{Collection, CollectionSchema, Result};

/// The SeqNo of a part of a bulk load: later writes to the same keys, which may come before its rows do, win. The
/// log stays from here on until the number is dropped, wherever that is: with its load, or on the way to it.
pub(crate) struct BulkNumber {
    collection: CollectionId,
    writer: WriterHandle,
    /// None before the writer has given one out.
    seq: Option<SeqNo>,
}

impl BulkNumber {
    /// Takes a number for rows of this schema.
    ///
    /// # Errors
    /// `Invalid` if the collection's vectors are of another dimension by now.
    pub async fn take(collection: &Collection, schema: &CollectionSchema) -> Result<Self> {
        let number = Self { collection: collection.shared.id, writer: collection.writer.clone(), seq: None };
        let schema = Box::new(schema.clone());
        collection.writer.ask(|reply| Command::BeginBulk { number, schema, reply }).await
    }

    pub fn collection(&self) -> CollectionId {
        self.collection
    }

    /// With the number that the writer has counted.
    pub fn given(self, seq: SeqNo) -> Self {
        let mut given = self;
        given.seq = Some(seq);
        given
    }

    /// The number.
    pub fn seq(&self) -> SeqNo {
        self.seq.expect("a load has it from the writer")
    }
}

impl Drop for BulkNumber {
    fn drop(&mut self) {
        if self.seq.is_some() {
            self.writer.tell_soon(Command::EndBulk { collection: self.collection });
        }
    }
}
