//! The labels of a series of samples.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use crate::ast::Grouping;
use crate::labels::labels_text;

/// Names and values, sorted by name, no name twice. A value may be empty, which is another set of labels than one without it. A clone is a
/// reference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[(String, String)]>);

impl Default for Labels {
    fn default() -> Self {
        Labels(Arc::from([]))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Labels {
    /// Sorts; of a name that is there twice the last one counts.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(labels: I) -> Self {
        let labels: std::collections::BTreeMap<String, String> =
            labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Labels(labels.into_iter().collect())
    }
}

impl Labels {
    /// The value of a label; an absent one is `None`.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(n, _)| n.as_str().cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    /// Names and values by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those labels that fulfil `keeps`.
    pub fn only(&self, keeps: impl Fn(&str) -> bool) -> Labels {
        if self.0.iter().all(|(name, _)| keeps(name)) {
            return self.clone();
        }
        Labels(self.0.iter().filter(|(name, _)| keeps(name)).cloned().collect())
    }

    /// With one label set, or removed if `value` is empty.
    pub fn with(&self, name: &str, value: &str) -> Labels {
        let others = self.iter().filter(|(n, _)| *n != name);
        others.chain(Some((name, value)).filter(|(_, value)| !value.is_empty())).collect()
    }

    /// What a grouping leaves of them.
    pub fn grouped(&self, grouping: &Grouping) -> Labels {
        let listed: BTreeSet<&str> = grouping.labels.iter().map(String::as_str).collect();
        self.only(|name| listed.contains(name) != grouping.without)
    }
}

impl Display for Labels {
    /// `{a="b", c="d"}`
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&labels_text(self.iter()))
    }
}
