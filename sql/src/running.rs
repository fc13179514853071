//! The queries that run now, so that they can be cancelled by id.

use std::collections::HashMap;
use std::sync::Arc;

use catalog::TenantId;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Running queries by id.
#[derive(Debug, Default)]
pub(crate) struct Running {
    queries: Mutex<HashMap<Uuid, (TenantId, CancellationToken)>>,
}

/// Takes a query off the list when it ends.
#[derive(Debug)]
pub(crate) struct Listed {
    id: Uuid,
    running: Arc<Running>,
}

impl Running {
    /// Puts a query on the list.
    pub(crate) fn list(self: &Arc<Self>, id: Uuid, tenant: &TenantId) -> (Listed, CancellationToken) {
        let token = CancellationToken::new();
        self.queries.lock().insert(id, (tenant.clone(), token.clone()));
        (Listed { id, running: Arc::clone(self) }, token)
    }

    /// Cancels the query `id` of `tenant`; false if there is none. Another tenant's query is none.
    pub(crate) fn cancel(&self, tenant: &TenantId, id: Uuid) -> bool {
        match self.queries.lock().get(&id) {
            Some((owner, token)) if owner == tenant => {
                token.cancel();
                true
            }
            _ => false,
        }
    }

    /// How many run.
    pub(crate) fn len(&self) -> usize {
        self.queries.lock().len()
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.running.queries.lock().remove(&self.id);
    }
}
