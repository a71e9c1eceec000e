//! Plans on their way from a FlightInfo to its ticket.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::session::Session;

/// How many plans wait for their tickets; the one that has waited longest goes first.
const PLANS_MAX: usize = 256;

/// Statements that were planned for a FlightInfo, by the name of the query. Nothing depends on them: a
/// ticket says everything, and one whose plan has gone is planned again.
#[derive(Default)]
pub(crate) struct PlannedTickets(Mutex<VecDeque<Waiting>>);

struct Waiting {
    query: String,
    session: Session,
    statement: drift_sql::Prepared,
}

impl PlannedTickets {
    /// Keeps the plan of `statement`, if it is one to keep.
    pub fn keep(&self, query: &str, session: Session, statement: drift_sql::Prepared) {
        if !statement.is_kept() {
            return;
        }
        let mut waiting = self.lock();
        waiting.retain(|w| {
            w.statement.tidy();
            w.statement.is_kept()
        });
        if waiting.len() == PLANS_MAX {
            waiting.pop_front();
        }
        waiting.push_back(Waiting { query: query.to_owned(), session, statement });
    }

    /// Takes out the plan of `query`, if it was made in this session.
    pub fn take(&self, query: &str, session: &Session) -> Option<drift_sql::Prepared> {
        let mut waiting = self.lock();
        // Tickets are fetched soon after they were made.
        let found = waiting.iter().rposition(|w| w.query == query && w.session.is(session))?;
        waiting.remove(found).map(|waiting| waiting.statement)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
