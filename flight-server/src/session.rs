//! A session: what one connection has set.

use std::sync::{Arc, Mutex, PoisonError};

use datafusion::prelude::SessionContext;
use drift_engine::Database;
use tonic::Request;

/// The SQL session of one connection, made on first use and gone with the connection.
///
/// Flight has no session of its own, and most clients keep no cookies; every client keeps its
/// connection, though, so `SET` lasts as long as that.
#[derive(Clone, Default)]
pub(crate) struct Session(Arc<Mutex<Option<SessionContext>>>);

impl Session {
    /// The session of the connection that `request` came by.
    pub fn of<T>(request: &Request<T>) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_default()
    }

    /// Its context; clones share their settings.
    pub fn context(&self, db: &Database) -> SessionContext {
        self.slot().get_or_insert_with(|| drift_sql::session(db)).clone()
    }

    /// Whether both are the session of one connection.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Forgets what was set.
    pub fn close(&self) {
        self.slot().take();
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<SessionContext>> {
        // A context is only ever put or taken whole, so a panic cannot leave half of one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
