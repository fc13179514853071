//! Dictionary rows that a request carries and that count as stored once it is appended.

use std::collections::HashSet;
use std::sync::Arc;

use super::memory::FamilyRow;
use crate::convert::OnAppended;
use crate::registry::Series;
use crate::registry::reliance::Reliance;

/// A series, and the day (since the Unix epoch) whose dictionary row of it is meant.
pub(crate) type SeriesDay = (Arc<Series>, i32);

/// Rows of `series` and `metadata` that wait to be stored.
#[derive(Debug, Default)]
pub(crate) struct Introduced {
    /// Held until the append, with series or without: others were left out because their rows are stored.
    series: Option<(Vec<SeriesDay>, Reliance)>,
    families: Vec<(Arc<FamilyRow>, i32)>,
    /// By address: the [`Arc`]s in `families` keep it from meaning another one meanwhile.
    known: HashSet<(usize, i32)>,
}

impl Introduced {
    /// Whether there is nothing to wait for.
    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_none() && self.families.is_empty()
    }

    /// The request carries the rows of `series`; others it left out, relying on what they remember.
    pub(crate) fn series(&mut self, series: Vec<SeriesDay>, reliance: Reliance) {
        self.series = Some((series, reliance));
    }

    /// Whether the request must carry the row of `family` for that day: it is neither stored nor in this request.
    pub(crate) fn family(&mut self, family: &Arc<FamilyRow>, day: i32) -> bool {
        let new = !family.stored.contains(day) && self.known.insert((Arc::as_ptr(family) as usize, day));
        if new {
            self.families.push((Arc::clone(family), day));
        }
        new
    }

    /// The append that carried the rows succeeded.
    pub(crate) fn stored(&self) {
        if let Some((series, reliance)) = &self.series {
            for (series, day) in series {
                series.set_stored(*day, reliance);
            }
        }
        for (family, day) in &self.families {
            family.stored.insert(*day);
        }
    }
}

impl OnAppended for Introduced {
    fn appended(self: Box<Self>) {
        self.stored();
    }
}
