//! `label_replace` and `label_join`: the same values under other labels. Steps ► steps, one series at a time; whoever calls this unites
//! the result ([`super::Unite::Merge`]), since labels may become equal.

use std::sync::Arc;

use regex::Regex;

use crate::eval::{EvalContext, EvalError, context};
use crate::labels::{Labels, NAME};
use crate::parse::compile_regex;
use crate::value::StepSeries;

/// The longest value that is made. A label that is joined with itself a hundred times over would fill any memory.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// Bytes of a value that are free; longer ones are taken from the budget.
const VALUE_BYTES_FREE: usize = 1 << 10;

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
    /// When a value gets too long; when time or the budget is used up.
    pub fn apply(&self, mut series: Vec<StepSeries>, cx: &mut EvalContext<'_>) -> Result<Vec<StepSeries>, EvalError> {
        for one in &mut series {
            cx.tick()?;
            if let Some(value) = self.value(&one.labels)? {
                cx.budget.take(context::weight_of_bytes(value.len().saturating_sub(VALUE_BYTES_FREE)))?;
                one.labels = one.labels.with(&self.target, &value);
                // A name that was set is meant.
                one.drop_name &= self.target != NAME;
            }
        }
        Ok(series)
    }

    /// The new value, `None` when the label stays as it is.
    fn value(&self, labels: &Labels) -> Result<Option<String>, EvalError> {
        match &self.value {
            NewValue::Replace { source, pattern, template } => {
                let source = labels.get(source);
                let Some(captures) = pattern.captures(source) else { return Ok(None) };
                let references = template.bytes().filter(|b| *b == b'$').count();
                self.check_length(references.saturating_mul(source.len()).saturating_add(template.len()))?;
                let mut value = String::new();
                captures.expand(template, &mut value);
                Ok(Some(value))
            }
            NewValue::Join { sources, separator } => {
                let values: Vec<&str> = sources.iter().map(|s| labels.get(s)).collect();
                let separators = separator.len().saturating_mul(values.len());
                self.check_length(values.iter().map(|v| v.len()).fold(separators, usize::saturating_add))?;
                Ok(Some(values.join(separator)))
            }
        }
    }

    /// `bytes` is the length of the new value, or somewhat more.
    fn check_length(&self, bytes: usize) -> Result<(), EvalError> {
        if bytes <= VALUE_BYTES_MAX {
            return Ok(());
        }
        Err(EvalError::failed(format!("value of label {:?} would be longer than {VALUE_BYTES_MAX} bytes", self.target)))
    }
}

/// Whether `name` can be the name of a label: any text of UTF-8 that is not empty.
pub(crate) fn is_label_name(name: &str) -> bool {
    !name.is_empty() && !crate::parse::holds_bytes(name)
}
