//! Memory of queries: one pool per query below one pool of the node.
//!
//! ```text
//! operator ──try_grow──► QueryPool (query.limits.memory_bytes_max) ──► NodePool (query.node_memory_bytes_max)
//! ```
//! A refusal is remembered, so that the error names the limit that was hit. A part of the node's memory is kept for queries that need little: those that need much
//! refuse each other before they leave nothing to the rest.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use datafusion::common::DataFusionError;
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation};

use crate::error::Error;

/// The part of the node's memory that is kept for queries that need little, one in so many.
const KEPT_PART: usize = 8;
/// What little is: one in so many of the node's memory, so that what is kept is enough for sixteen of them.
const LITTLE_PART: usize = 128;

/// Bytes held by all queries of the node.
#[derive(Debug)]
pub(crate) struct NodePool {
    limit: usize,
    used: AtomicUsize,
}

impl NodePool {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit: usize::try_from(limit).unwrap_or(usize::MAX), used: AtomicUsize::new(0) })
    }

    /// Bytes held now.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that all queries may hold when one takes more that will hold `held` then.
    fn limit_for(&self, held: usize) -> usize {
        if held <= self.limit / LITTLE_PART { self.limit } else { self.limit - self.limit / KEPT_PART }
    }
}

/// Bytes held by one query.
#[derive(Debug)]
pub(crate) struct QueryPool {
    limit: usize,
    used: AtomicUsize,
    peak: AtomicUsize,
    node: Arc<NodePool>,
    refused: AtomicBool,
    node_refused: AtomicBool,
}

impl QueryPool {
    pub(crate) fn new(limit: u64, node: Arc<NodePool>) -> Arc<Self> {
        Arc::new(Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            used: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            node,
            refused: AtomicBool::new(false),
            node_refused: AtomicBool::new(false),
        })
    }

    /// Most bytes held at once.
    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// Names the limit behind an error that says no more than "resources exhausted".
    pub(crate) fn explain(&self, error: Error) -> Error {
        match error {
            Error::Memory { limit: 0 } if self.node_refused.load(Ordering::Relaxed) && !self.refused.load(Ordering::Relaxed) => {
                Error::NodeMemory { limit: self.node.limit as u64 }
            }
            Error::Memory { limit: 0 } => Error::Memory { limit: self.limit as u64 },
            other => other,
        }
    }

    fn added(&self, used: usize) {
        self.peak.fetch_max(used, Ordering::Relaxed);
    }
}

impl MemoryPool for QueryPool {
    fn name(&self) -> &str {
        "query"
    }

    fn grow(&self, _reservation: &MemoryReservation, additional: usize) {
        self.node.used.fetch_add(additional, Ordering::Relaxed);
        self.added(self.used.fetch_add(additional, Ordering::Relaxed) + additional);
    }

    fn shrink(&self, _reservation: &MemoryReservation, shrink: usize) {
        self.used.fetch_sub(shrink, Ordering::Relaxed);
        self.node.used.fetch_sub(shrink, Ordering::Relaxed);
    }

    fn try_grow(&self, _reservation: &MemoryReservation, additional: usize) -> datafusion::common::Result<()> {
        let take = |counter: &AtomicUsize, limit: usize| {
            counter
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| used.checked_add(additional).filter(|n| *n <= limit))
        };
        let Ok(before) = take(&self.used, self.limit) else {
            self.refused.store(true, Ordering::Relaxed);
            return Err(DataFusionError::ResourcesExhausted("query.limits.memory_bytes_max".to_owned()));
        };
        if take(&self.node.used, self.node.limit_for(before + additional)).is_err() {
            self.used.fetch_sub(additional, Ordering::Relaxed);
            self.node_refused.store(true, Ordering::Relaxed);
            return Err(DataFusionError::ResourcesExhausted("query.node_memory_bytes_max".to_owned()));
        }
        self.added(before + additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}

impl fmt::Display for QueryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "query pool ({} of {} bytes)", self.reserved(), self.limit)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::MemoryConsumer;

    use super::*;

    #[test]
    fn the_limit_that_was_hit_is_named() {
        let node = NodePool::new(100);
        let first = QueryPool::new(80, Arc::clone(&node));
        let second = QueryPool::new(80, Arc::clone(&node));
        let held = MemoryConsumer::new("a").register(&(Arc::clone(&first) as Arc<dyn MemoryPool>));
        let wants = MemoryConsumer::new("b").register(&(Arc::clone(&second) as Arc<dyn MemoryPool>));
        held.try_grow(70).expect("below both limits");
        let error = Error::from(wants.try_grow(40).expect_err("the node is full"));
        assert_eq!(second.explain(error).kind(), catalog::ErrorKind::Overloaded);
        let error = Error::from(held.try_grow(40).expect_err("the query is full"));
        assert_eq!(first.explain(error).to_string(), "query needs more than 80 B of memory, limit query.limits.memory_bytes_max");
        drop(held);
        assert_eq!((first.reserved(), first.peak(), node.used()), (0, 70, 0));
    }

    #[test]
    fn what_needs_much_leaves_some_to_what_needs_little() {
        let node = NodePool::new(1 << 20);
        let hungry = |_| {
            let pool: Arc<dyn MemoryPool> = QueryPool::new(1 << 19, Arc::clone(&node));
            MemoryConsumer::new("hungry").register(&pool)
        };
        let hogs: Vec<_> = (0..4).map(hungry).collect();
        // In turns, until none of them gets any more.
        while hogs.iter().filter(|hog| hog.try_grow(4 << 10).is_ok()).count() > 0 {}
        assert_eq!(node.used(), 7 << 17);
        let modest: Vec<_> = (0..16).map(hungry).collect();
        modest.iter().for_each(|query| query.try_grow(8 << 10).expect("it is kept for them"));
        assert_eq!(node.used(), 1 << 20);
        modest[0].try_grow(1).expect_err("all is taken");
    }
}
