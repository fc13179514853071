//! `line_format`: a template writes the line. Source: Loki `pkg/logql/log/fmt.go`.

use super::StageFault;
use crate::labels::{ERROR_DETAILS_LABEL, ERROR_LABEL, Names};
use crate::template::{Data, RegexCache, Template};

#[derive(Debug)]
pub(super) struct LineFormat(Template);

impl LineFormat {
    pub(super) fn new(template: &str, names: &mut Names, wanted: &mut Vec<String>) -> Result<Self, StageFault> {
        let template = Template::parse("line", template).map_err(|reason| StageFault::LineTemplate { reason })?;
        template.label_names(wanted);
        for name in wanted.iter() {
            names.intern(name);
        }
        Ok(LineFormat(template))
    }

    /// Writes the new line into `out`. A template that is one label copies it; `__error__` and `__error_details__` are no labels then.
    pub(super) fn run(&self, data: &Data<'_>, out: &mut String, regexes: &mut RegexCache) -> Result<(), String> {
        out.clear();
        if let Some(name) = self.0.single_label() {
            let is_label = !matches!(name, ERROR_LABEL | ERROR_DETAILS_LABEL);
            out.push_str(data.labels.get(name).filter(|_| is_label).unwrap_or_default());
            return Ok(());
        }
        self.0.execute(data, out, regexes)
    }
}
