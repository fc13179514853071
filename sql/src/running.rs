//! The queries that run now, so that they can be cancelled by id.

use std::collections::HashMap;
use std::sync::Arc;

use catalog::TenantId;
use parking_lot::Mutex;
use query::StopFlag;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Running queries by id.
#[derive(Debug, Default)]
pub(crate) struct Running {
    queries: Mutex<HashMap<Uuid, Entry>>,
}

#[derive(Debug)]
struct Entry {
    tenant: TenantId,
    /// What it is part of.
    flight: Option<Uuid>,
    token: CancellationToken,
    /// Known once the query has a session.
    stop: Option<StopFlag>,
}

/// Takes a query off the list when it ends.
#[derive(Debug)]
pub(crate) struct Listed {
    id: Uuid,
    running: Arc<Running>,
}

impl Running {
    /// Puts a query on the list.
    pub(crate) fn list(self: &Arc<Self>, id: Uuid, tenant: &TenantId, flight: Option<Uuid>) -> (Listed, CancellationToken) {
        let token = CancellationToken::new();
        self.queries.lock().insert(id, Entry { tenant: tenant.clone(), flight, token: token.clone(), stop: None });
        (Listed { id, running: Arc::clone(self) }, token)
    }

    /// Cancels the query `id` of `tenant`; false if there is none. Another tenant's query is none.
    pub(crate) fn cancel(&self, tenant: &TenantId, id: Uuid) -> bool {
        match self.queries.lock().get(&id) {
            Some(entry) if entry.tenant == *tenant => {
                entry.cancel();
                true
            }
            _ => false,
        }
    }

    /// Cancels the queries of `tenant` that are part of `flight`; how many there were.
    pub(crate) fn cancel_flight(&self, tenant: &TenantId, flight: Uuid) -> usize {
        let queries = self.queries.lock();
        let parts = queries.values().filter(|entry| entry.tenant == *tenant && entry.flight == Some(flight));
        parts.inspect(|entry| entry.cancel()).count()
    }

    /// How many run.
    pub(crate) fn len(&self) -> usize {
        self.queries.lock().len()
    }
}

impl Entry {
    fn cancel(&self) {
        self.token.cancel();
        self.stop.iter().for_each(StopFlag::stop);
    }
}

impl Listed {
    /// The flag that a cancellation raises as well.
    pub(crate) fn attach(&self, stop: &StopFlag) {
        if let Some(entry) = self.running.queries.lock().get_mut(&self.id) {
            entry.stop = Some(stop.clone());
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.running.queries.lock().remove(&self.id);
    }
}
