//! Which dictionary rows (series, streams, resources) were stored already, per tenant and day.
//!
//! ```text
//! request ─► is (tenant, table, id, day) seen? ── yes ─► no row
//!                      └─ no ─► row + [`Pending`] ─► append succeeded ─► confirm ─► seen
//! ```
//!
//! Rows of streams go with the last of their lines once these are deleted, so that what is remembered of them counts until the next delete of
//! their tenant: a request relies on it from its first look until it is acknowledged ([`reliance`](crate::registry::reliance)), and a mark
//! holds the epoch that it was made in.
//!
//! The memory is bounded by bytes and forgets what was not asked for in a long time. Forgetting only costs a row that
//! compaction drops again; remembering wrongly would lose a label set, so that keys are 128-bit hashes and only a
//! successful append adds one.

use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use catalog::{Table, TenantId};
use hashbrown::HashSet;
use parking_lot::Mutex;
use xxhash_rust::xxh3::Xxh3;

use crate::registry::reliance::{Reliance, Suspended, Trust};

/// Shards, so that requests do not queue for one lock. A power of two.
const SHARDS: usize = 16;
/// Tenants whose hashes agree modulo this share their epochs: a delete of one costs the others rows that compaction drops again.
const TRUSTS: usize = 256;
/// What one remembered key costs: 16 bytes and a control byte at a load of 7/16 to 7/8 (hashbrown doubles).
const KEY_BYTES: u64 = 39;

/// The key of one dictionary row: xxh3-128 over tenant, table, id, day and epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeenKey(u128);

impl SeenKey {
    /// The key of `id` in the dictionary `table` of `tenant` on `day` (days since 1970), marked in `epoch`.
    pub fn new(tenant: &TenantId, table: Table, id: i64, day: i32, epoch: u32) -> Self {
        let mut hasher = Xxh3::new();
        hasher.update(tenant.as_str().as_bytes());
        hasher.update(&[0xff, table.code()]);
        hasher.update(&id.to_le_bytes());
        hasher.update(&day.to_le_bytes());
        hasher.update(&epoch.to_le_bytes());
        Self(hasher.digest128())
    }
}

/// Keys are hashes already.
#[derive(Default)]
struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

type Keys = HashSet<SeenKey, BuildHasherDefault<Folded>>;

/// Two generations: when the young one is full it becomes the old one, and what nobody asks for is gone with the next turn.
#[derive(Default)]
struct Shard {
    young: Keys,
    old: Keys,
}

impl Shard {
    fn insert(&mut self, key: SeenKey, generation_keys_max: usize) {
        if self.young.len() >= generation_keys_max {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key);
    }
}

/// The dictionary ids that are stored, bounded by bytes.
pub struct SeenIds {
    shards: Box<[Mutex<Shard>]>,
    trusts: Box<[Arc<Trust>]>,
    generation_keys_max: usize,
}

impl SeenIds {
    /// An empty memory of at most about `bytes_max` bytes (39 a key; at least 32 keys are kept).
    pub fn new(bytes_max: u64) -> Arc<Self> {
        let per_generation = bytes_max / KEY_BYTES / (2 * SHARDS as u64);
        Arc::new(Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            trusts: (0..TRUSTS).map(|_| Arc::default()).collect(),
            generation_keys_max: usize::try_from(per_generation).unwrap_or(usize::MAX).max(1),
        })
    }

    /// Whether the row of `key` is stored, as far as this memory knows.
    pub fn contains(&self, key: SeenKey) -> bool {
        let mut shard = self.shard(key).lock();
        if shard.young.contains(&key) {
            return true;
        }
        if shard.old.remove(&key) {
            shard.insert(key, self.generation_keys_max);
            return true;
        }
        false
    }

    /// Remembers that the row of `key` is stored.
    pub fn insert(&self, key: SeenKey) {
        self.shard(key).lock().insert(key, self.generation_keys_max);
    }

    /// For a request of `tenant` that begins now and looks at marks of streams.
    pub(crate) fn rely(&self, tenant: &TenantId) -> Reliance {
        self.trust(tenant).rely()
    }

    /// What is remembered of streams of `tenant` is not relied on until the answer is dropped, and never again. Returns when no request is
    /// under way that does.
    pub(crate) async fn suspend(&self, tenant: &TenantId) -> Suspended {
        self.trust(tenant).suspend().await
    }

    fn trust(&self, tenant: &TenantId) -> &Arc<Trust> {
        &self.trusts[xxhash_rust::xxh3::xxh3_64(tenant.as_str().as_bytes()) as usize % TRUSTS]
    }

    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|s| s.lock()).map(|s| s.young.len() + s.old.len()).sum()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, key: SeenKey) -> &Mutex<Shard> {
        // The set looks at the low half of the key, the shard at the high one.
        &self.shards[(key.0 >> 124) as usize % SHARDS]
    }
}

impl fmt::Debug for SeenIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeenIds").field("generation_keys_max", &self.generation_keys_max).finish_non_exhaustive()
    }
}

/// What becomes true once an append succeeded. Dropped without the call, it must leave no trace, so that the sender's
/// next attempt finds everything as it was before.
pub trait OnAppended: fmt::Debug + Send {
    /// The append that carried the rows succeeded.
    fn appended(self: Box<Self>);
}

/// Ids whose rows are in a request that is not acknowledged yet. Dropped without [`Pending::confirm`] it leaves no trace, and the next
/// request carries the rows again.
#[derive(Debug)]
pub struct Pending(Box<dyn OnAppended>);

impl Pending {
    /// The ids `keys`, to be remembered in `seen`.
    pub fn new(seen: Arc<SeenIds>, keys: Vec<SeenKey>) -> Self {
        Self(Box::new(PendingIds { seen, keys, _reliance: None }))
    }

    /// The same of a request that looked at marks by `reliance`, which it holds until it is acknowledged.
    pub(crate) fn relying(seen: Arc<SeenIds>, keys: Vec<SeenKey>, reliance: Reliance) -> Self {
        Self(Box::new(PendingIds { seen, keys, _reliance: Some(reliance) }))
    }

    /// Anything else that waits for the append.
    pub fn other(waiting: impl OnAppended + 'static) -> Self {
        Self(Box::new(waiting))
    }

    /// The append that carried the rows succeeded: they need not be sent again.
    pub fn confirm(self) {
        self.0.appended();
    }
}

#[derive(Debug)]
struct PendingIds {
    seen: Arc<SeenIds>,
    keys: Vec<SeenKey>,
    _reliance: Option<Reliance>,
}

impl OnAppended for PendingIds {
    fn appended(self: Box<Self>) {
        for key in self.keys {
            self.seen.insert(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: i64) -> SeenKey {
        SeenKey::new(&TenantId::anonymous(), Table::Streams, id, 20_000, 0)
    }

    #[test]
    fn only_confirmed_ids_are_seen() {
        let seen = SeenIds::new(1 << 20);
        drop(Pending::new(Arc::clone(&seen), vec![key(1)]));
        assert!(!seen.contains(key(1)));
        Pending::new(Arc::clone(&seen), vec![key(1)]).confirm();
        assert!(seen.contains(key(1)));
        for other in [
            SeenKey::new(&TenantId::anonymous(), Table::Resources, 1, 20_000, 0),
            SeenKey::new(&TenantId::anonymous(), Table::Streams, 1, 20_001, 0),
            SeenKey::new(&TenantId::anonymous(), Table::Streams, 1, 20_000, 1),
            SeenKey::new(&TenantId::parse("b").expect("valid"), Table::Streams, 1, 20_000, 0),
        ] {
            assert!(!seen.contains(other));
        }
    }

    #[test]
    fn memory_is_bounded_and_keeps_what_is_asked_for() {
        let keys_max = 3_200;
        let seen = SeenIds::new(keys_max * KEY_BYTES);
        for id in 0..100_000 {
            seen.insert(key(id));
            assert!(id < 10 || id % 50 != 0 || seen.contains(key(7)), "{id}: a key in use was forgotten");
        }
        assert!(seen.len() as u64 <= keys_max + 2 * SHARDS as u64, "{}", seen.len());
        assert!(!seen.contains(key(11)));
    }
}
