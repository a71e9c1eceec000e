use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle};

use super::{
    Account, Searched,
    rerun::{Audit, rerun},
};
use crate::{Result, common::Common, compute::Class};

/// After an error it rests this long.
const REST: Duration = Duration::from_secs(5);

/// The task that audits a database's searches. It ends when it is dropped.
pub(crate) struct Auditor(JoinHandle<()>);

impl Auditor {
    pub fn start(common: Arc<Common>, mut offered: mpsc::Receiver<Searched>) -> Self {
        Self(tokio::spawn(async move {
            let mut account = Account::new(common.settings.audit_cpu_share, Instant::now());
            while let Some(searched) = offered.recv().await {
                let rest = match audit(searched).await {
                    Ok(taken) => account.spend(taken, Instant::now()),
                    Err(e) => {
                        tracing::warn!("a search could not be run again exactly: {e}");
                        Some(REST)
                    }
                };
                if let Some(rest) = rest {
                    common.audits.set_open(false);
                    while offered.try_recv().is_ok() {} // lets go of their snapshots
                    tokio::time::sleep(rest).await;
                    common.audits.set_open(true);
                }
            }
        }))
    }
}

impl Drop for Auditor {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Audits one search, and fits its collection's rule anew when that is due; returns the time it took.
async fn audit(searched: Searched) -> Result<Duration> {
    let shared = searched.shared.clone();
    let (handle, k) = (Handle::current(), searched.query.k);
    let work = move || handle.block_on(rerun(&searched));
    let (found, mut taken) = shared.common.compute.timed(Class::Background, work).await?;
    let Audit { sample, walk } = found?;
    shared.history().sample(sample);
    let due = shared.walks.lock().unwrap_or_else(PoisonError::into_inner).add(k, walk);
    if let Some(refit) = due {
        let served = shared.rules.load();
        let (rules, more) = shared.common.compute.timed(Class::Background, move || refit.run(&served)).await?;
        taken += more;
        tracing::debug!("{}: stop rule fitted anew for k = {k}: {:?}", shared.name, rules.of(k).weights);
        shared.history().weights = Some(rules.weights());
        shared.rules.store(Arc::new(rules));
    }
    shared.totals.audited(taken);
    Ok(taken)
}
