//! The labels of a series: data point attributes, promoted resource attributes, scope, job and instance.
//!
//! ```text
//! attributes ─ by key, escaped, equal names joined with ";" ─┐
//! promoted resource attributes ─ where the name is free ─────┼─► labels ─ no empty values, limits ─► ascending
//! otel_scope_* , then job, instance, then le / quantile ─────┘   (these replace what is there)
//! ```

use std::collections::BTreeMap;

use super::config::OtlpMetricsConfig;
use super::naming::label_name;
use super::reject::{PointError, Reject};
use super::text::{label_value, utf8};
use crate::wire::{KeyValue, Reader};

/// Names and values.
pub(crate) type Pairs = Vec<(String, String)>;

const NAMESPACE: &str = "service.namespace";
const NAME: &str = "service.name";
const INSTANCE: &str = "service.instance.id";

/// The `KeyValue` fields `number` of `message`, ascending by key; equal keys in the order they came.
///
/// # Errors
/// [`Reject::TooManyLabels`] beyond `max`, so that a hostile message costs no more than its bytes.
pub(crate) fn read_attributes(message: &[u8], number: u32, max: usize) -> Result<Pairs, PointError> {
    let mut pairs = Vec::new();
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next()? {
        if field.number != number {
            continue;
        }
        if pairs.len() >= max {
            return Err(Reject::TooManyLabels.into());
        }
        let attribute = KeyValue::read(field.bytes()?)?;
        pairs.push((utf8(attribute.key)?.to_owned(), label_value(attribute.value)?));
    }
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(pairs)
}

/// How many attributes a resource or a scope may have; more make its data points unreadable.
const RESOURCE_ATTRIBUTES_MAX: usize = 4_096;

/// What a resource gives to its series.
#[derive(Debug, Default)]
pub(crate) struct ResourceLabels {
    job: String,
    instance: String,
    /// Ascending by attribute key; names escaped.
    promoted: Pairs,
    /// The labels of `target_info`, when there is one.
    pub(crate) target_info: Option<Pairs>,
}

impl ResourceLabels {
    /// Reads a `Resource` message.
    pub(crate) fn read(resource: &[u8], config: &OtlpMetricsConfig) -> Result<Self, PointError> {
        let attributes = read_attributes(resource, 1, RESOURCE_ATTRIBUTES_MAX)?;
        let get = |key: &str| attributes.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
        let job = match (get(NAMESPACE), get(NAME)) {
            (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
            (None, Some(name)) => name.to_owned(),
            (_, None) => String::new(),
        };
        let mut this = Self { job, instance: get(INSTANCE).unwrap_or_default().to_owned(), ..Self::default() };
        for (key, value) in &attributes {
            let listed = |list: &[String]| list.iter().any(|k| k == key);
            let promoted = if config.promote_all_resource_attributes {
                !listed(&config.ignore_resource_attributes)
            } else {
                listed(&config.promote_resource_attributes)
            };
            if promoted {
                this.promoted.push((label_name(config, key)?, value.clone()));
            }
        }
        // An attribute that cannot be a label costs target_info, not the data points.
        this.target_info = this.info_labels(attributes, config).ok().flatten();
        Ok(this)
    }

    fn info_labels(&self, attributes: Pairs, config: &OtlpMetricsConfig) -> Result<Option<Pairs>, Reject> {
        let identifying = |key: &str| [NAMESPACE, NAME, INSTANCE].contains(&key);
        let nothing_to_say = attributes.iter().all(|(key, _)| identifying(key));
        if nothing_to_say || (self.job.is_empty() && self.instance.is_empty()) {
            return Ok(None);
        }
        let kept = attributes.into_iter().filter(|(key, _)| config.keep_identifying_resource_attributes || !identifying(key));
        let bare = Self { job: self.job.clone(), instance: self.instance.clone(), ..Self::default() };
        Labels::new(kept.collect(), &bare, &[], config)?.finish(config).map(Some)
    }
}

/// The `otel_scope_*` labels of a scope; none unless promoted and named.
pub(crate) fn scope_labels(scope: &[u8], schema_url: &[u8], config: &OtlpMetricsConfig) -> Result<Pairs, PointError> {
    if !config.promote_scope_metadata {
        return Ok(Vec::new());
    }
    let (mut name, mut version) = (&[][..], &[][..]);
    let mut reader = Reader::new(scope);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => name = field.bytes()?,
            2 => version = field.bytes()?,
            _ => {}
        }
    }
    if name.is_empty() {
        return Ok(Vec::new());
    }
    let mut labels = vec![
        ("otel_scope_name".to_owned(), utf8(name)?.to_owned()),
        ("otel_scope_version".to_owned(), utf8(version)?.to_owned()),
        ("otel_scope_schema_url".to_owned(), utf8(schema_url)?.to_owned()),
    ];
    for (key, value) in read_attributes(scope, 3, RESOURCE_ATTRIBUTES_MAX)? {
        labels.push((label_name(config, &format!("otel_scope_{key}"))?, value));
    }
    Ok(labels)
}

/// Labels in the making.
#[derive(Debug, Clone)]
pub(crate) struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Of a data point's `attributes` (ascending by key) and what surrounds it.
    pub(crate) fn new(
        attributes: Pairs,
        resource: &ResourceLabels,
        scope: &[(String, String)],
        config: &OtlpMetricsConfig,
    ) -> Result<Self, Reject> {
        let mut labels: BTreeMap<String, String> = BTreeMap::new();
        for (key, value) in attributes {
            let joined = labels.entry(label_name(config, &key)?).or_default();
            if !joined.is_empty() {
                joined.push(';');
            }
            joined.push_str(&value);
        }
        for (name, value) in &resource.promoted {
            let free = labels.entry(name.clone()).or_default();
            if free.is_empty() {
                free.clone_from(value);
            }
        }
        let mut labels = Self(labels);
        for (name, value) in scope {
            labels.set(name, value);
        }
        for (name, value) in [("job", &resource.job), ("instance", &resource.instance)] {
            if !value.is_empty() {
                labels.set(name, value);
            }
        }
        Ok(labels)
    }

    /// With `name` set to `value`, whatever it was.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut labels = self.clone();
        labels.set(name, value);
        labels
    }

    fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// In canonical form: ascending, without empty values, without `__name__`.
    ///
    /// # Errors
    /// The limit that is exceeded.
    pub(crate) fn finish(self, config: &OtlpMetricsConfig) -> Result<Pairs, Reject> {
        let pairs: Pairs = self.0.into_iter().filter(|(name, value)| !value.is_empty() && name != "__name__").collect();
        if pairs.len() > config.labels_max {
            return Err(Reject::TooManyLabels);
        }
        if pairs.iter().any(|(name, _)| name.len() > config.name_bytes_max) {
            return Err(Reject::NameTooLong);
        }
        if pairs.iter().any(|(_, value)| value.len() > config.label_value_bytes_max) {
            return Err(Reject::ValueTooLong);
        }
        Ok(pairs)
    }
}
