//! Which language reads the text of a delete predicate: that of its signal.

use catalog::Signal;
use catalog::manifest::DeletePredicate;
use lake::deletes::{Selection, SelectorLanguage};

use crate::{logql, promql};

/// Most delete predicates of one tenant: every query minds them all.
pub(crate) const PREDICATES_MAX: usize = 1_000;

/// Reads delete predicates for the lake: selectors of PromQL for metrics, log queries of LogQL for logs.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeleteSelectors;

impl SelectorLanguage for DeleteSelectors {
    fn read(&self, delete: &DeletePredicate) -> lake::Result<Selection> {
        let read = match delete.signal {
            Signal::Metrics => promql::read_delete(delete),
            Signal::Logs => logql::read_delete(delete),
            Signal::Traces => Err("it is one of traces".to_owned()),
        };
        read.map_err(|reason| lake::Error::Selector { delete: delete.id, reason })
    }
}
