use std::sync::Arc;

use crate::{Collection, Database, Error, ErrorKind, Result};

impl Database {
    /// Undoes the making of `made`, which its maker could not fill. By now somebody else may have
    /// dropped it and made another of its name: that one stays. What others write between the look at
    /// its rows and the drop goes with it.
    ///
    /// # Errors
    /// `AlreadyExists` if it stays since others have put rows into it; those of
    /// [`Database::drop_collection`].
    pub async fn take_back(&self, made: &Collection) -> Result<()> {
        let name = made.name();
        if !self.collection(name).is_ok_and(|there| Arc::ptr_eq(&there.shared, &made.shared)) {
            return Ok(());
        }
        if made.status().rows > 0 {
            let stays = format!("'{name}', made for it, stays with the rows that others have put into it");
            return Err(Error::new(ErrorKind::AlreadyExists, stays));
        }
        match self.drop_collection(name).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            dropped => dropped,
        }
    }
}
