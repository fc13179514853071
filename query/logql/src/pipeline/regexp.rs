//! `regexp`: the named groups of an expression as labels. A line that does not match stays as it is; a label that an earlier parser set is
//! set again. Source: Loki `pkg/logql/log/parser.go`, `RegexpParser`.

use regex::bytes::{CaptureLocations, Regex};

use super::StageFault;
use crate::labels::{Category, Labels, NameId, Names, sanitize_label};

#[derive(Debug)]
pub(super) struct Regexp {
    regex: Regex,
    /// Numbers of groups, and the labels they set.
    groups: Vec<(usize, NameId)>,
    /// Whose buffer in the scratch of a stream this stage uses.
    slot: usize,
}

impl Regexp {
    pub(super) fn new(pattern: &str, slot: usize, names: &mut Names) -> Result<Self, StageFault> {
        let regex = gosyntax::re2::compile_search(pattern).map_err(|reason| StageFault::Regex { reason })?;
        let groups = regex.capture_names().enumerate().filter_map(|(at, name)| Some((at, sanitize_label(name?))));
        let groups = groups.filter(|(_, name)| !name.is_empty()).map(|(at, name)| (at, names.intern(&name))).collect();
        Ok(Regexp { regex, groups, slot })
    }

    pub(super) fn run(&self, line: &str, labels: &mut Labels, captures: &mut [Option<CaptureLocations>]) {
        let locations = captures[self.slot].get_or_insert_with(|| self.regex.capture_locations());
        if self.regex.captures_read(locations, line.as_bytes()).is_none() {
            return;
        }
        for (group, name) in &self.groups {
            let name = labels.free_name(*name);
            if !labels.is_required(name) {
                continue;
            }
            // a group that took no part is empty
            let value = locations.get(*group).and_then(|(start, end)| line.get(start..end)).unwrap_or_default();
            labels.set(Category::Parsed, name, value);
            if labels.all_required_found() {
                return;
            }
        }
    }
}
