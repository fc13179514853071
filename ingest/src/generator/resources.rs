//! What is remembered of resources: of spans only the id of theirs is stored.
//!
//! A resource's row comes with the first spans of a day that point to it, and again until it is stored; so whoever listens from the start
//! of the process knows all of them. Two generations bound the memory: what no span points to in a long time is forgotten, and its
//! spans lack the labels of their resource until its next row.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};

use super::attributes::{Attributes, Typed};
use super::batch::column;
use super::labels::{LabelSet, TARGET_INTRINSICS, bounded, sanitized};
use super::policy::ResourceCondition;
use super::weight::of_ratio;

/// Resources of one generation of one tenant.
const RESOURCES_MAX: usize = 20_000;

/// What labels are made of.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Known {
    /// The values of [`Wanted::attributes`], empty for those that it lacks.
    pub(super) values: Box<[Box<str>]>,
    /// `service.namespace/service.name`, or the name alone.
    pub(super) job: Box<str>,
    /// `service.instance.id`.
    pub(super) instance: Box<str>,
    /// The labels of `traces_target_info`, if there are any but `job` and `instance`, and one of these.
    pub(super) target: Option<LabelSet>,
    /// Which of [`Wanted::conditions`] it meets.
    pub(super) met: Box<[bool]>,
    /// For how many spans each of its own stands, by [`Wanted::ratios`].
    pub(super) weights: Box<[Option<f64>]>,
    /// The labels of its host, if it names one.
    pub(super) host: Option<LabelSet>,
}

/// Which attributes of resources are of use.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// By name; labels refer to their place.
    pub(super) attributes: Vec<String>,
    /// Whether there is `traces_target_info`, and the attributes that it leaves out.
    pub(super) target_info: Option<Vec<String>>,
    /// What policies ask of resources.
    pub(super) conditions: Vec<ResourceCondition>,
    /// Attributes that say which share of spans was sampled.
    pub(super) ratios: Vec<String>,
    /// Attributes that identify a host; the first counts. None: hosts are not looked for.
    pub(super) hosts: Vec<String>,
}

/// The resources of one tenant.
#[derive(Debug, Default)]
pub(super) struct Resources {
    young: HashMap<i64, Arc<Known>>,
    old: HashMap<i64, Arc<Known>>,
}

impl Wanted {
    pub(super) fn is_empty(&self) -> bool {
        let Self { attributes, target_info, conditions, ratios, hosts } = self;
        attributes.is_empty() && target_info.is_none() && conditions.is_empty() && ratios.is_empty() && hosts.is_empty()
    }

    fn read(&self, attributes: &Attributes<'_>, row: usize) -> Known {
        let value = |name: &str| attributes.find(row, name).unwrap_or_default();
        let values = self.attributes.iter().map(|name| bounded(&value(name)).into()).collect();
        let (name, namespace) = (value("service.name"), value("service.namespace"));
        let job = if namespace.is_empty() || name.is_empty() { name.into_owned() } else { format!("{namespace}/{name}") };
        let instance = value("service.instance.id").into_owned();
        let target = self.target_info.as_ref().and_then(|excluded| target(attributes, row, excluded, &job, &instance));
        Known {
            values,
            job: job.into(),
            instance: instance.into(),
            target,
            met: self.conditions.iter().map(|condition| condition.is_met(attributes, row)).collect(),
            weights: self.ratios.iter().map(|ratio| of_ratio(attributes.typed(row, ratio))).collect(),
            host: self.hosts.iter().find_map(|name| host(attributes, row, name)),
        }
    }
}

/// The labels of a host that the attribute `name` identifies.
fn host(attributes: &Attributes<'_>, row: usize, name: &str) -> Option<LabelSet> {
    let Some(Typed::Text(id)) = attributes.typed(row, name).filter(|value| *value != Typed::Text("")) else { return None };
    let mut labels = LabelSet::default();
    labels.push("grafana_host_id", id);
    labels.push("host_source", name);
    Some(labels)
}

/// The labels of `traces_target_info`.
fn target(attributes: &Attributes<'_>, row: usize, excluded: &[String], job: &str, instance: &str) -> Option<LabelSet> {
    let mut labels = LabelSet::default();
    attributes.each(row, |name, value| {
        let own = ["service.name", "service.namespace", "service.instance.id"].contains(&name);
        if !own && !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && !excluded.iter().any(|e| e == name) {
            labels.push(&sanitized(name, &TARGET_INTRINSICS), value);
        }
    });
    if labels.as_bytes().is_empty() || (job.is_empty() && instance.is_empty()) {
        return None;
    }
    labels.push("job", job);
    labels.push("instance", instance);
    Some(labels)
}

impl Resources {
    /// Reads a batch of `resources`. What is known already is the same: the id is made of the content.
    pub(super) fn learn(&mut self, batch: &RecordBatch, wanted: &Wanted) {
        let (Some(ids), Some(attributes)) = (column::<Int64Array>(batch, "resource_id"), Attributes::new(batch)) else { return };
        for (row, id) in ids.values().iter().enumerate() {
            if self.get(*id).is_none() {
                self.insert(*id, Arc::new(wanted.read(&attributes, row)));
            }
        }
    }

    /// The resource with that id.
    pub(super) fn get(&mut self, id: i64) -> Option<Arc<Known>> {
        if let Some(known) = self.young.get(&id) {
            return Some(Arc::clone(known));
        }
        let known = self.old.remove(&id)?;
        self.insert(id, Arc::clone(&known));
        Some(known)
    }

    fn insert(&mut self, id: i64, known: Arc<Known>) {
        if self.young.len() >= RESOURCES_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id, known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_outlives_what_is_not() {
        let mut resources = Resources::default();
        for id in 0..3 * RESOURCES_MAX as i64 {
            resources.insert(id, Arc::default());
            assert!(resources.get(7).is_some() || id < 7, "{id}");
        }
        assert!(resources.get(8).is_none());
        assert!(resources.young.len() <= RESOURCES_MAX && resources.old.len() <= RESOURCES_MAX);
    }
}
