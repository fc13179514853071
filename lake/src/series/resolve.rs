//! Matchers against label tables.
//!
//! Per table: matchers that name their values look them up; then the others go over the terms of their label, or over the rows
//! that are left when those are fewer. An absent label is the empty string, so a matcher that the empty string passes also takes
//! the rows without the label.

use std::collections::BTreeSet;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::matcher::Matcher;
use super::table::{LabelTable, Series};
use crate::error::{Error, Result};

/// The series of `tables` that pass, ascending by id; of equal ids the one in the first table.
pub(super) fn resolve(tables: &[Arc<LabelTable>], matchers: &[Matcher], limit: usize) -> Result<Vec<Series>> {
    let mut found: Vec<(i64, u32, u32)> = Vec::new();
    for (at, table) in tables.iter().enumerate() {
        found.extend(rows(table, matchers).iter().map(|row| (table.id(row), at as u32, row)));
    }
    found.sort_unstable();
    found.dedup_by_key(|(id, ..)| *id);
    if found.len() > limit {
        return Err(Error::TooLarge { what: "series selected", found: found.len() as u64, limit: limit as u64 });
    }
    Ok(found.into_iter().map(|(_, table, row)| Series::new(&tables[table as usize], row)).collect())
}

fn rows(table: &LabelTable, matchers: &[Matcher]) -> RoaringBitmap {
    let mut left = RoaringBitmap::new();
    left.insert_range(0..table.len() as u32);
    let mut ordered: Vec<&Matcher> = matchers.iter().collect();
    ordered.sort_by_key(|m| m.exact_values().is_none());
    for matcher in ordered {
        if left.is_empty() {
            break;
        }
        apply(table, matcher, &mut left);
    }
    left
}

/// Takes the rows out of `left` that do not pass.
fn apply(table: &LabelTable, matcher: &Matcher, left: &mut RoaringBitmap) {
    let postings = table.postings();
    let absent_passes = matcher.matches("");
    let Some(name) = postings.name_index(matcher.name()) else {
        if !absent_passes {
            left.clear();
        }
        return;
    };
    if let (Some(values), false) = (matcher.exact_values(), absent_passes) {
        let terms = values.into_iter().filter_map(|value| postings.find(name, value));
        *left &= terms.fold(RoaringBitmap::new(), |rows, term| rows | postings.rows(term));
        return;
    }
    if left.len() < postings.terms(name).len() as u64 {
        let fails = |row: &u32| !matcher.matches(table.label(*row, matcher.name()).unwrap_or_default());
        let out: RoaringBitmap = left.iter().filter(fails).collect();
        *left -= out;
        return;
    }
    // Unite whichever side leaves the absent rows as they should be.
    let chosen = postings.terms(name).filter(|term| matcher.matches(postings.value(*term)) != absent_passes);
    let chosen = chosen.fold(RoaringBitmap::new(), |rows, term| rows | postings.rows(term));
    if absent_passes {
        *left -= chosen;
    } else {
        *left &= chosen;
    }
}

pub(super) fn label_names(tables: &[Arc<LabelTable>]) -> Vec<String> {
    let names: BTreeSet<&str> = tables.iter().flat_map(|table| table.postings().names()).collect();
    names.into_iter().map(str::to_owned).collect()
}

pub(super) fn label_values(tables: &[Arc<LabelTable>], name: &str) -> Vec<String> {
    let mut values: BTreeSet<&str> = BTreeSet::new();
    for postings in tables.iter().map(|table| table.postings()) {
        if let Some(name) = postings.name_index(name) {
            values.extend(postings.terms(name).map(|term| postings.value(term)));
        }
    }
    values.into_iter().map(str::to_owned).collect()
}
