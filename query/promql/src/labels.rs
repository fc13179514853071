//! Label sets of series, the metric's name among them.

use std::fmt;
use std::sync::Arc;

/// The label that holds the metric's name.
pub const NAME: &str = "__name__";
/// The label that holds a metric's type, which goes wherever the name goes.
pub const TYPE: &str = "__type__";
/// The label that holds a metric's unit, which goes wherever the name goes.
pub const UNIT: &str = "__unit__";

/// A label set: ascending by name (byte order), names distinct, no empty values. Cheap to clone; ordered as Prometheus orders
/// series: by pairs of name and value in turn.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// Sorts `pairs`; of equal names the last one wins, empty values are dropped.
    pub fn new<N: Into<Arc<str>>, V: Into<Arc<str>>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut pairs: Vec<(Arc<str>, Arc<str>)> = pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.reverse();
        pairs.dedup_by(|a, b| a.0 == b.0);
        pairs.retain(|(_, v)| !v.is_empty());
        pairs.reverse();
        Self(pairs.into())
    }

    /// Pairs that are already ascending, distinct and not empty, as storage has them.
    pub fn from_sorted(pairs: Vec<(Arc<str>, Arc<str>)>) -> Self {
        debug_assert!(pairs.windows(2).all(|w| w[0].0 < w[1].0), "names must ascend");
        debug_assert!(pairs.iter().all(|(_, v)| !v.is_empty()), "an empty label is an absent one");
        Self(pairs.into())
    }

    /// The pairs, ascending by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Arc<str>)> + DoubleEndedIterator + '_ {
        self.0.iter().map(|(n, v)| (n, v))
    }

    /// The value of `name`; `""` when there is no such label.
    pub fn get(&self, name: &str) -> &str {
        self.0.binary_search_by(|(n, _)| n.as_ref().cmp(name)).map_or("", |at| self.0[at].1.as_ref())
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The metric's name, `""` without one.
    pub fn metric(&self) -> &str {
        // It comes first unless a name begins with a capital or a digit.
        match self.0.first() {
            Some((name, value)) if name.as_ref() == NAME => value,
            _ => self.get(NAME),
        }
    }

    /// These labels without those for which `drop` holds. Shares everything when none goes.
    pub fn without(&self, mut drop: impl FnMut(&str) -> bool) -> Self {
        if !self.0.iter().any(|(n, _)| drop(n)) {
            return self.clone();
        }
        Self(self.0.iter().filter(|(n, _)| !drop(n)).cloned().collect())
    }

    /// These labels without name, type and unit.
    pub fn without_metadata(&self) -> Self {
        self.without(|name| matches!(name, NAME | TYPE | UNIT))
    }

    /// A hash of the set: that of Prometheus (`labels.Labels.Hash`), which decides what `limit_ratio` takes.
    pub fn hash64(&self) -> u64 {
        let mut bytes = Vec::with_capacity(64);
        for text in self.0.iter().flat_map(|(n, v)| [n, v]) {
            match u8::try_from(text.len()) {
                Ok(length) if length < 255 => bytes.push(length),
                _ => bytes.extend_from_slice(&[255, text.len() as u8, (text.len() >> 8) as u8, (text.len() >> 16) as u8]),
            }
            bytes.extend_from_slice(text.as_bytes());
        }
        xxhash_rust::xxh64::xxh64(&bytes, 0)
    }

    /// These labels with `name` set to `value`; an empty value takes the label out.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let others = self.0.iter().filter(|(n, _)| n.as_ref() != name).cloned();
        Self::new(others.chain([(Arc::from(name), Arc::from(value))]))
    }
}

impl fmt::Display for Labels {
    /// As Prometheus prints a label set: `{a="1", b="2"}` with the name among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (name, value)) in self.iter().enumerate() {
            write!(f, "{}{name}={value:?}", if at > 0 { ", " } else { "" })?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
