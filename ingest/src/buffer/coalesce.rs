//! Turns many small batches into few larger ones, beside the path of a request.
//!
//! A capture shares batches one by one, so its cost is their number. Each row is copied a few times over its life here at
//! most: batches only merge with others of their tier, and a merged one soon belongs to the next.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use catalog::{Table, TenantId};

use super::Buffer;

/// So many batches of a tier are merged.
pub(super) const SMALL_BATCHES_MAX: usize = 64;

/// How large a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tier {
    Small,
    Medium,
    Large,
}

impl Tier {
    pub(super) fn of(rows: usize) -> Self {
        match rows {
            0..8_192 => Self::Small,
            8_192..131_072 => Self::Medium,
            _ => Self::Large,
        }
    }
}

/// A place with many small batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Crowded {
    /// First record of the generation.
    pub(super) generation: u64,
    pub(super) tenant: TenantId,
    pub(super) table: Table,
}

impl Buffer {
    /// Merges small batches at `place`, if its generation is still active. CPU work; one call runs, others wait.
    pub(crate) fn coalesce(&self, place: &Crowded) {
        let _one = self.merging.lock();
        for tier in [Tier::Small, Tier::Medium] {
            let Some((chosen, parts)) = self.small_batches(place, tier) else { continue };
            let Some(schema) = parts.first().map(RecordBatch::schema) else { continue };
            match concat_batches(&schema, &parts) {
                Ok(merged) => self.replace(place, &chosen, merged),
                // They stay apart; a capture is slower and no less right.
                Err(error) => tracing::warn!(table = %place.table, %error, "buffered batches could not be merged"),
            }
        }
    }

    /// Indexes and batches of `tier` at `place`, when they are many.
    fn small_batches(&self, place: &Crowded, tier: Tier) -> Option<(Vec<usize>, Vec<RecordBatch>)> {
        let state = self.state.lock();
        let active = state.active.as_ref().filter(|active| active.first == place.generation)?;
        let batches = active.tenants.get(&place.tenant)?.get(&place.table)?;
        let of_tier = batches.iter().enumerate().filter(|(_, batch)| Tier::of(batch.num_rows()) == tier);
        let (chosen, parts): (Vec<_>, Vec<_>) = of_tier.map(|(at, batch)| (at, batch.clone())).unzip();
        (chosen.len() >= SMALL_BATCHES_MAX / 2).then_some((chosen, parts))
    }

    /// Puts `merged` in the place of the batches at `chosen`. Batches are only ever added behind them meanwhile.
    fn replace(&self, place: &Crowded, chosen: &[usize], merged: RecordBatch) {
        let mut state = self.state.lock();
        let active = state.active.as_mut().filter(|active| active.first == place.generation);
        let tables = active.and_then(|active| active.tenants.get_mut(&place.tenant));
        let Some(batches) = tables.and_then(|tables| tables.get_mut(&place.table)) else { return };
        let mut gone = chosen.iter().copied().peekable();
        let mut at = 0;
        batches.retain(|_| {
            let keep = gone.next_if_eq(&at).is_none();
            at += 1;
            keep
        });
        batches.push(merged);
    }
}
