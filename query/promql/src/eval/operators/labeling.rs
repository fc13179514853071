//! `label_replace` and `label_join`: the same values under other labels. Steps ► steps, one series at a time; whoever calls this unites
//! the result ([`super::Unite::Merge`]), since labels may become equal.

use std::sync::Arc;

use regex::Regex;

use crate::eval::{EvalContext, EvalError};
use crate::labels::{Labels, NAME};
use crate::parse::compile_regex;
use crate::value::StepSeries;

/// See the module.
#[derive(Debug, Clone)]
pub struct Labeling {
    /// The label that is set.
    target: String,
    value: NewValue,
}

#[derive(Debug, Clone)]
enum NewValue {
    /// What a pattern captures of another label.
    Replace { source: String, pattern: Arc<Regex>, template: String },
    /// Other labels put together.
    Join { sources: Vec<String>, separator: String },
}

impl PartialEq for Labeling {
    /// Patterns are equal when their texts are.
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

impl Labeling {
    /// `label_replace(v, target, template, source, pattern)`, without the vector.
    ///
    /// # Errors
    /// When the pattern is none or the target is no label name.
    pub fn replace(texts: &[&str]) -> Result<Self, EvalError> {
        let [target, template, source, pattern] = texts else {
            return Err(EvalError::Invalid("label_replace takes four strings".into()));
        };
        let compiled = compile_regex(pattern)
            .map_err(|_| EvalError::failed(format!("invalid regular expression in label_replace(): {pattern}")))?;
        if !is_label_name(target) {
            return Err(EvalError::failed(format!("invalid destination label name in label_replace(): {target}")));
        }
        let (source, template) = ((*source).to_owned(), (*template).to_owned());
        Ok(Self { target: (*target).to_owned(), value: NewValue::Replace { source, pattern: Arc::new(compiled), template } })
    }

    /// `label_join(v, target, separator, source...)`, without the vector.
    ///
    /// # Errors
    /// When target or a source are no label names.
    pub fn join(texts: &[&str]) -> Result<Self, EvalError> {
        let [target, separator, sources @ ..] = texts else {
            return Err(EvalError::Invalid("label_join takes at least two strings".into()));
        };
        for source in sources {
            if !is_label_name(source) {
                return Err(EvalError::failed(format!("invalid source label name in label_join(): {source}")));
            }
        }
        if !is_label_name(target) {
            return Err(EvalError::failed(format!("invalid destination label name in label_join(): {target}")));
        }
        let sources = sources.iter().map(|s| (*s).to_owned()).collect();
        Ok(Self { target: (*target).to_owned(), value: NewValue::Join { sources, separator: (*separator).to_owned() } })
    }

    /// The same values under other labels.
    ///
    /// # Errors
    /// When time is up.
    pub fn apply(&self, mut series: Vec<StepSeries>, cx: &mut EvalContext<'_>) -> Result<Vec<StepSeries>, EvalError> {
        for one in &mut series {
            cx.tick()?;
            if let Some(value) = self.value(&one.labels) {
                one.labels = one.labels.with(&self.target, &value);
                // A name that was set is meant.
                one.drop_name &= self.target != NAME;
            }
        }
        Ok(series)
    }

    /// The new value, `None` when the label stays as it is.
    fn value(&self, labels: &Labels) -> Option<String> {
        match &self.value {
            NewValue::Replace { source, pattern, template } => {
                let captures = pattern.captures(labels.get(source))?;
                let mut value = String::new();
                captures.expand(template, &mut value);
                Some(value)
            }
            NewValue::Join { sources, separator } => {
                let values: Vec<&str> = sources.iter().map(|s| labels.get(s)).collect();
                Some(values.join(separator))
            }
        }
    }
}

/// Whether `name` can be the name of a label: any text of UTF-8 that is not empty.
pub(crate) fn is_label_name(name: &str) -> bool {
    !name.is_empty() && !crate::parse::holds_bytes(name)
}
