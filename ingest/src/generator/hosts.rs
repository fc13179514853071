//! Which hosts send spans: a gauge of 1 for each, by what their resources say of them.

use std::borrow::Cow;
use std::collections::HashSet;

use super::batch::SpanBatch;
use super::config::HostInfoConfig;
use super::entries::{Budget, Entries, Layout, Metric, Moment};
use super::resources::Resources;

/// The layout of the gauge.
pub(super) fn layout(config: &HostInfoConfig) -> Layout {
    let name = Cow::Owned(config.metric_name.clone());
    Layout { is_info: true, ..Layout::counting(vec![Metric { name, help: "Hosts that send spans." }]) }
}

/// Says that the hosts of the spans in `batch` are there.
pub(super) fn count(batch: &SpanBatch<'_>, table: &mut Entries, resources: &mut Resources, budget: &mut Budget, moment: Moment) {
    let mut met: HashSet<i64> = HashSet::new();
    let mut last = None;
    for &id in batch.resources.values() {
        if last.replace(id) == Some(id) || !met.insert(id) {
            continue;
        }
        if let Some(labels) = resources.get(id).as_ref().and_then(|known| known.host.as_ref()) {
            let slot = table.slot(labels, budget, moment);
            table.set_info(slot, moment.now_ms);
        }
    }
}
