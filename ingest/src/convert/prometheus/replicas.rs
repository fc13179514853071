//! Pairs of servers that send the same series: the samples of one replica per cluster are stored.
//!
//! ```text
//! request {cluster="a", __replica__="1"} ── 1 is elected ──► store, without __replica__
//!         {cluster="a", __replica__="2"} ── 1 was heard within the timeout ──► drop, say success
//!                                        └─ 1 is silent for longer ──► elect 2, store
//! ```
//! As the trackers of Cortex and Mimir, with two differences: an election is this node's own (both replicas must reach the same
//! node), and it lasts as long as the process (after a start the first to come is elected).

use std::collections::HashMap;
use std::time::Duration;

use catalog::{TenantId, Timestamp};
use parking_lot::Mutex;

/// Clusters of one tenant that are tracked. A request of a further one is refused.
pub(crate) const CLUSTERS_MAX: usize = 10_000;
/// A cluster that was not heard of for so long makes room for others.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(86_400);

/// What is to become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its replica is the elected one.
    Store,
    /// Another one is.
    Drop,
}

/// The tenant has too many clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyClusters;

#[derive(Debug)]
struct Elected {
    replica: Box<str>,
    heard: Timestamp,
}

/// The elected replicas of every tenant's clusters.
#[derive(Debug, Default)]
pub(crate) struct Replicas {
    tenants: Mutex<HashMap<TenantId, HashMap<Box<str>, Elected>>>,
}

impl Replicas {
    /// Whether `replica` of `cluster` may store at `now`; elects it if nobody is, or the elected one was silent for more than `timeout`.
    ///
    /// # Errors
    /// [`TooManyClusters`] for a new one.
    pub(crate) fn hear(
        &self,
        tenant: &TenantId,
        (cluster, replica): (&str, &str),
        now: Timestamp,
        timeout: Duration,
    ) -> Result<Verdict, TooManyClusters> {
        let mut tenants = self.tenants.lock();
        let clusters = tenants.entry(tenant.clone()).or_default();
        if let Some(elected) = clusters.get_mut(cluster) {
            if *elected.replica == *replica {
                // A clock that jumps back must not make the elected one look silent.
                elected.heard = elected.heard.max(now);
                return Ok(Verdict::Store);
            }
            if now.since(elected.heard) <= timeout {
                return Ok(Verdict::Drop);
            }
        } else if clusters.len() >= CLUSTERS_MAX {
            clusters.retain(|_, elected| now.since(elected.heard) < FORGOTTEN_AFTER);
            if clusters.len() >= CLUSTERS_MAX {
                return Err(TooManyClusters);
            }
        }
        metrics::counter!("telelake_remote_write_elections_total").increment(1);
        tracing::info!(%tenant, cluster, replica, "replica elected");
        clusters.insert(cluster.into(), Elected { replica: replica.into(), heard: now });
        Ok(Verdict::Store)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_elected_replica_stays_until_it_is_silent() {
        let replicas = Replicas::default();
        let tenant = TenantId::anonymous();
        let check = |cluster: &str, replica: &str, at_s: i64, expected: Verdict| {
            let now = Timestamp::from_secs(1_700_000_000 + at_s);
            let verdict = replicas.hear(&tenant, (cluster, replica), now, Duration::from_secs(30)).unwrap();
            assert_eq!(verdict, expected, "{cluster} {replica} at {at_s}");
        };
        check("a", "1", 0, Verdict::Store); // the first to come
        check("a", "2", 1, Verdict::Drop);
        check("b", "2", 1, Verdict::Store); // of another cluster
        check("a", "2", 30, Verdict::Drop);
        check("a", "1", 31, Verdict::Store);
        check("a", "2", 61, Verdict::Drop);
        check("a", "2", 62, Verdict::Store); // silent for 31 s
        check("a", "1", 63, Verdict::Drop);
        check("a", "2", 20, Verdict::Store); // the clock jumped back
        check("a", "1", 92, Verdict::Drop);
        check("a", "1", 93, Verdict::Store);
    }

    #[test]
    fn clusters_are_bounded_and_the_forgotten_make_room() {
        let replicas = Replicas::default();
        let tenant = TenantId::anonymous();
        let start = Timestamp::from_secs(1_700_000_000);
        let hear = |cluster: usize, now| replicas.hear(&tenant, (&cluster.to_string(), "1"), now, Duration::from_secs(30));
        (0..CLUSTERS_MAX).for_each(|cluster| assert_eq!(hear(cluster, start), Ok(Verdict::Store)));
        assert_eq!(hear(CLUSTERS_MAX, start), Err(TooManyClusters));
        let later = Timestamp::from_secs(1_700_000_000 + 86_400);
        assert_eq!(hear(0, later), Ok(Verdict::Store));
        assert_eq!(hear(CLUSTERS_MAX, later), Ok(Verdict::Store));
        assert_eq!(replicas.hear(&TenantId::parse("b").unwrap(), ("a", "2"), start, Duration::ZERO), Ok(Verdict::Store));
    }
}
