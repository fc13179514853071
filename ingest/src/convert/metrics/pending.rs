//! What a request changed that only counts once it is appended.

use super::delta::Undo;
use crate::convert::OnAppended;
use crate::convert::series::introduced::Introduced;

/// Dictionary rows that wait to be stored, and running totals that wait to be kept.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) introduced: Introduced,
    /// In the order of the changes.
    pub(crate) totals: Vec<Undo>,
}

impl Waiting {
    pub(crate) fn is_empty(&self) -> bool {
        self.introduced.is_empty() && self.totals.is_empty()
    }
}

impl OnAppended for Waiting {
    fn appended(mut self: Box<Self>) {
        self.introduced.stored();
        self.totals.clear();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        for undo in self.totals.drain(..).rev() {
            undo.undo();
        }
    }
}
