//! `label_format`: renames labels, and writes them by templates. All templates of a stage see the labels as they were when the first one
//! was met. Source: Loki `pkg/logql/log/fmt.go`, `LabelsFormatter`.

use super::StageFault;
use crate::ast::{self, LabelFormatValue};
use crate::labels::{Category, ERROR_LABEL, Labels, NameId, Names, PipelineError};
use crate::template::{Data, RegexCache, Template};

#[derive(Debug)]
pub(super) struct LabelFormat(Vec<(NameId, Value)>);

#[derive(Debug)]
enum Value {
    Rename(NameId),
    Template(Template),
}

impl LabelFormat {
    pub(super) fn new(formats: &[ast::LabelFormat], names: &mut Names, wanted: &mut Vec<String>) -> Result<Self, StageFault> {
        let mut compiled: Vec<(NameId, Value)> = Vec::with_capacity(formats.len());
        for ast::LabelFormat { target, value } in formats {
            if target == ERROR_LABEL {
                return Err(StageFault::LabelFormat { reason: format!("{target} cannot be formatted") });
            }
            let id = names.intern(target);
            if compiled.iter().any(|(other, _)| *other == id) {
                let reason = format!("multiple label name '{target}' not allowed in a single format operation");
                return Err(StageFault::LabelFormat { reason });
            }
            let value = match value {
                LabelFormatValue::Rename(from) => {
                    wanted.push(from.clone());
                    Value::Rename(names.intern(from))
                }
                LabelFormatValue::Template(text) => {
                    let refused = |reason| StageFault::LabelTemplate { label: target.clone(), reason };
                    let template = Template::parse("label", text).map_err(refused)?;
                    template.label_names(wanted);
                    Value::Template(template)
                }
            };
            compiled.push((id, value));
        }
        Ok(LabelFormat(compiled))
    }

    pub(super) fn run(&self, labels: &mut Labels, line: &str, (ts_ns, now_ns): (i64, i64), regexes: &mut RegexCache) {
        let mut written: Option<std::vec::IntoIter<Result<String, String>>> = None;
        for (at, (target, value)) in self.0.iter().enumerate() {
            match value {
                Value::Rename(from) => {
                    if let Some(category) = labels.category(*from) {
                        labels.copy(category, *target, *from);
                        labels.delete(*from);
                    }
                }
                Value::Template(_) => {
                    let texts = written.get_or_insert_with(|| self.write(at, labels, line, (ts_ns, now_ns), regexes).into_iter());
                    match texts.next() {
                        Some(Ok(text)) => labels.set(Category::Parsed, *target, &text),
                        Some(Err(details)) => labels.set_error(PipelineError::TemplateFormat, &details),
                        None => {}
                    }
                }
            }
        }
    }

    /// What the templates from `first` on write.
    fn write(
        &self,
        first: usize,
        labels: &Labels,
        line: &str,
        (ts_ns, now_ns): (i64, i64),
        regexes: &mut RegexCache,
    ) -> Vec<Result<String, String>> {
        let data = Data { labels, line, ts_ns, now_ns };
        let templates = self.0[first..].iter().filter_map(|(_, value)| match value {
            Value::Template(template) => Some(template),
            Value::Rename(_) => None,
        });
        let write = |template: &Template| {
            let mut text = String::new();
            template.execute(&data, &mut text, regexes).map(|()| text)
        };
        templates.map(write).collect()
    }
}
