//! `drop` and `keep`: labels that go, labels that stay. `__error__` and `__error_details__` go by name only; `keep` never takes them.
//! Source: Loki `pkg/logql/log/{drop_labels.go, keep_labels.go}`.

use super::StageFault;
use super::label_filter::TextMatcher;
use crate::ast::LabelChoice;
use crate::labels::{Labels, NameId, Names};

#[derive(Debug)]
pub(super) struct Choices(Vec<(NameId, Option<TextMatcher>)>);

impl Choices {
    pub(super) fn new(choices: &[LabelChoice], names: &mut Names) -> Result<Self, StageFault> {
        let compile = |choice: &LabelChoice| {
            Ok(match choice {
                LabelChoice::Name(name) => (names.intern(name), None),
                LabelChoice::Matcher(matcher) => (names.intern(&matcher.name), Some(TextMatcher::new(matcher)?)),
            })
        };
        choices.iter().map(compile).collect::<Result<_, _>>().map(Choices)
    }

    pub(super) fn drop_from(&self, labels: &mut Labels) {
        for (id, matcher) in &self.0 {
            if matcher.as_ref().is_some_and(|m| !m.matches(labels.value(*id).unwrap_or_default())) {
                continue;
            }
            match *id {
                NameId::ERROR => labels.reset_error(),
                NameId::ERROR_DETAILS => labels.reset_error_details(),
                id => labels.delete(id),
            }
        }
    }

    pub(super) fn keep_of(&self, labels: &mut Labels, ids: &mut Vec<NameId>) {
        labels.ids(ids);
        for id in ids.iter() {
            let value = labels.value(*id).unwrap_or_default();
            let stays = |(chosen, matcher): &(NameId, Option<TextMatcher>)| {
                chosen == id && matcher.as_ref().is_none_or(|m| m.matches(value))
            };
            if !self.0.iter().any(stays) {
                labels.delete(*id);
            }
        }
    }
}
