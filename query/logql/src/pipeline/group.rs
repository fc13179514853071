//! Label sets as small numbers: the lines of a metric query are counted by the set that its grouping leaves of their labels.
//!
//! ```text
//! labels of a line ─[by, without, all]─► pairs, hashed in place ─► known set? its id : a copy of the pairs, the next id
//! ```
//!
//! # Invariants
//! - Equal sets have equal ids, across streams; only a set that is new is copied.
//! - A line with an error keeps all labels, whatever the grouping, so that the error is seen. Source: Loki `GroupedLabels`.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::ast::Grouping;
use crate::labels::{Category, Labels};

/// Which labels make a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupBy {
    /// All of them.
    All,
    /// These, if they are there.
    By(Vec<String>),
    /// All but these.
    Without(Vec<String>),
}

impl From<&Grouping> for GroupBy {
    fn from(grouping: &Grouping) -> Self {
        if grouping.without { GroupBy::Without(grouping.labels.clone()) } else { GroupBy::By(grouping.labels.clone()) }
    }
}

/// Number of a group, from 0 in the order in which they were met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub u32);

#[derive(Debug)]
struct Group {
    hash: u64,
    pairs: Vec<(Box<str>, Box<str>, Category)>,
}

/// The groups met so far.
#[derive(Debug)]
pub struct Groups {
    by: GroupBy,
    groups: Vec<Group>,
    ids: HashTable<u32>,
}

impl Groups {
    /// No group yet.
    pub fn new(mut by: GroupBy) -> Self {
        if let GroupBy::By(names) | GroupBy::Without(names) = &mut by {
            names.sort();
            names.dedup();
        }
        Groups { by, groups: Vec::new(), ids: HashTable::new() }
    }

    /// The group of a line. Labels of the same names and values are one group, wherever they come from.
    pub fn group(&mut self, labels: &Labels) -> GroupId {
        match &self.by {
            GroupBy::By(names) if labels.error().is_none() => {
                let pairs = || names.iter().filter_map(|name| Some((name.as_str(), labels.get(name)?)));
                let pairs = || pairs().map(|(name, value)| (name, value, Category::Parsed));
                find_or_add(&mut self.groups, &mut self.ids, pairs)
            }
            GroupBy::Without(names) if labels.error().is_none() => {
                let stays = |name: &str| names.binary_search_by(|n| n.as_str().cmp(name)).is_err();
                find_or_add(&mut self.groups, &mut self.ids, || labels.iter().filter(|(name, _, _)| stays(name)))
            }
            _ => find_or_add(&mut self.groups, &mut self.ids, || labels.iter()),
        }
    }

    /// The labels of a group, by name; the category is that of the line that was met first.
    pub fn labels(&self, id: GroupId) -> impl Iterator<Item = (&str, &str, Category)> {
        self.groups[id.0 as usize].pairs.iter().map(|(name, value, category)| (&**name, &**value, *category))
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether no line was met.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

fn find_or_add<'a, I>(groups: &mut Vec<Group>, ids: &mut HashTable<u32>, pairs: impl Fn() -> I) -> GroupId
where
    I: Iterator<Item = (&'a str, &'a str, Category)>,
{
    // a sum, since lines have their labels in different orders
    let (mut hash, mut count) = (0_u64, 0);
    for (name, value, _) in pairs() {
        hash = hash.wrapping_add(xxh3_64_with_seed(value.as_bytes(), xxh3_64_with_seed(name.as_bytes(), 0)));
        count += 1;
    }
    let equal = |group: &Group| {
        group.pairs.len() == count
            && pairs().all(|(name, value, _)| {
                let at = group.pairs.binary_search_by(|(n, _, _)| (**n).cmp(name));
                at.is_ok_and(|at| *group.pairs[at].1 == *value)
            })
    };
    if let Some(id) = ids.find(hash, |id| groups[*id as usize].hash == hash && equal(&groups[*id as usize])) {
        return GroupId(*id);
    }
    let mut pairs: Vec<(Box<str>, Box<str>, Category)> = pairs().map(|(n, v, c)| (n.into(), v.into(), c)).collect();
    pairs.sort();
    let id = groups.len() as u32;
    groups.push(Group { hash, pairs });
    ids.insert_unique(hash, id, |id| groups[*id as usize].hash);
    GroupId(id)
}
