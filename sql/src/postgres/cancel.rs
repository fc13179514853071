//! Cancel requests: they come on a socket of their own, with the key that the session was given at its start.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use async_trait::async_trait;
use catalog::{Env, TenantId};
use parking_lot::Mutex;
use pgwire::api::cancel::CancelHandler;
use pgwire::messages::ProtocolVersion;
use pgwire::messages::cancel::CancelRequest;
use pgwire::messages::startup::SecretKey;
use uuid::Uuid;

use crate::engine::SqlEngine;

/// Keys of the sessions that there are.
#[derive(Debug)]
pub(super) struct CancelKeys {
    env: Env,
    next: AtomicI32,
    keys: Mutex<HashMap<i32, Entry>>,
}

#[derive(Debug)]
struct Entry {
    secret: SecretKey,
    tenant: TenantId,
    /// What the session's queries are part of.
    flight: Uuid,
}

/// A session's key; good until it is dropped.
#[derive(Debug)]
pub(super) struct CancelKey {
    /// The number of the session.
    pub(super) pid: i32,
    /// Its secret.
    pub(super) secret: SecretKey,
    keys: Arc<CancelKeys>,
}

impl CancelKeys {
    pub(super) fn new(env: Env) -> Self {
        Self { env, next: AtomicI32::new(1), keys: Mutex::default() }
    }

    /// A key for the queries of `tenant` that are part of `flight`, as long as the protocol's `version` allows.
    pub(super) fn new_key(self: &Arc<Self>, version: ProtocolVersion, tenant: TenantId, flight: Uuid) -> CancelKey {
        let pid = self.next.fetch_add(1, Ordering::Relaxed);
        let random = || self.env.entropy.next_u64().to_be_bytes();
        let secret = match version {
            ProtocolVersion::PROTOCOL3_0 => SecretKey::I32(self.env.entropy.next_u64() as i32),
            _ => SecretKey::Bytes([random(), random(), random(), random()].concat().into()),
        };
        self.keys.lock().insert(pid, Entry { secret: secret.clone(), tenant, flight });
        CancelKey { pid, secret, keys: Arc::clone(self) }
    }

    /// What a request with this key is about.
    fn find(&self, pid: i32, secret: &SecretKey) -> Option<(TenantId, Uuid)> {
        let keys = self.keys.lock();
        let entry = keys.get(&pid).filter(|entry| entry.secret.eq_value(secret))?;
        Some((entry.tenant.clone(), entry.flight))
    }
}

impl Drop for CancelKey {
    fn drop(&mut self) {
        self.keys.keys.lock().remove(&self.pid);
    }
}

/// Ends queries by key. A key that is none is passed over in silence, as Postgres does.
#[derive(Debug)]
pub(super) struct Canceller {
    pub(super) engine: Arc<SqlEngine>,
    pub(super) keys: Arc<CancelKeys>,
}

#[async_trait]
impl CancelHandler for Canceller {
    async fn on_cancel_request(&self, request: CancelRequest) {
        if let Some((tenant, flight)) = self.keys.find(request.pid, &request.secret_key) {
            self.engine.cancel_flight(&tenant, flight);
        }
    }
}
