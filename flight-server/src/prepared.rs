//! Prepared statements: what a handle stands for, kept until closed, or until newer ones need the room.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arrow_array::RecordBatch;
use tonic::Status;
use ulid::Ulid;

use crate::session::Session;

/// How many prepared statements the server keeps; the one unused for longest goes first.
const STATEMENTS_MAX: usize = 1024;

/// A statement that waits for its parameters.
pub(crate) struct Prepared {
    pub statement: drift_sql::Prepared,
    /// How many parameters it has.
    pub parameters: usize,
    /// The session it was prepared in, and runs in.
    pub session: Session,
    bound: Mutex<Vec<RecordBatch>>,
}

impl Prepared {
    /// A statement with nothing bound.
    pub fn new(statement: drift_sql::Prepared, parameters: usize, session: Session) -> Self {
        Self { statement, parameters, session, bound: Mutex::default() }
    }

    /// Sets the parameters of the runs to come: one row for each run.
    pub fn bind(&self, rows: Vec<RecordBatch>) {
        *self.bound.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }

    /// The parameters bound last.
    pub fn bound(&self) -> Vec<RecordBatch> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// All prepared statements by handle.
#[derive(Default)]
pub(crate) struct PreparedStatements(Mutex<Table>);

#[derive(Default)]
struct Table {
    /// Statements, each with the tick of its last use.
    statements: HashMap<String, (u64, Arc<Prepared>)>,
    tick: u64,
}

impl PreparedStatements {
    /// Keeps `statement`; its handle.
    pub fn add(&self, statement: Prepared) -> String {
        let handle = Ulid::new().to_string();
        let mut table = self.lock();
        table.statements.values().for_each(|(_, statement)| statement.statement.tidy());
        if table.statements.len() == STATEMENTS_MAX {
            let oldest = table.statements.iter().min_by_key(|(_, (tick, _))| *tick).map(|(handle, _)| handle.clone());
            oldest.and_then(|handle| table.statements.remove(&handle));
        }
        table.tick += 1;
        let tick = table.tick;
        table.statements.insert(handle.clone(), (tick, Arc::new(statement)));
        handle
    }

    /// The statement of `handle`.
    ///
    /// # Errors
    /// NOT_FOUND once it was closed or had to go.
    pub fn get(&self, handle: &[u8]) -> Result<Arc<Prepared>, Status> {
        let mut table = self.lock();
        table.tick += 1;
        let tick = table.tick;
        let found = std::str::from_utf8(handle).ok().and_then(|handle| table.statements.get_mut(handle));
        let (used, statement) = found.ok_or_else(|| {
            Status::not_found(format!(
                "unknown prepared statement: it was closed, or was the one unused for longest of more than {STATEMENTS_MAX}; prepare it again"
            ))
        })?;
        *used = tick;
        Ok(statement.clone())
    }

    /// Forgets a statement; one that is gone already is no error.
    pub fn close(&self, handle: &[u8]) {
        if let Ok(handle) = std::str::from_utf8(handle) {
            self.lock().statements.remove(handle);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_unused_for_longest_goes_first() {
        let statements = PreparedStatements::default();
        let add = |sql: String| statements.add(Prepared::new(drift_sql::Prepared::new(sql), 0, Session::default()));
        let handles: Vec<String> = (0..STATEMENTS_MAX).map(|i| add(i.to_string())).collect();
        statements.get(handles[0].as_bytes()).unwrap();
        add("one more".into());
        assert!(statements.get(handles[0].as_bytes()).is_ok());
        let gone = statements.get(handles[1].as_bytes()).err().unwrap();
        assert_eq!(gone.code(), tonic::Code::NotFound);
        statements.close(handles[0].as_bytes());
        assert!(statements.get(handles[0].as_bytes()).is_err());
    }
}
