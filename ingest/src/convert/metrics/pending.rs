//! What a request changed that only counts once it is appended.

use std::sync::Arc;

use super::delta::Undo;
use super::rows::SeriesDay;
use super::tenant::FamilyRow;
use crate::convert::OnAppended;

/// Dictionary rows that wait to be stored, and running totals that wait to be kept.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) series: Vec<SeriesDay>,
    pub(crate) families: Vec<(Arc<FamilyRow>, i32)>,
    /// In the order of the changes.
    pub(crate) totals: Vec<Undo>,
}

impl Waiting {
    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty() && self.families.is_empty() && self.totals.is_empty()
    }
}

impl OnAppended for Waiting {
    fn appended(mut self: Box<Self>) {
        for (series, day) in &self.series {
            series.set_stored(*day);
        }
        for (family, day) in &self.families {
            family.stored.insert(*day);
        }
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
