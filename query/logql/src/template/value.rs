//! What a template computes with: the types of Go that labels, constants, functions and JSON can have.

use std::borrow::Cow;
use std::rc::Rc;

use super::time::Time;
use crate::labels::Labels;

/// A value. Text borrows from the line and the labels where it can.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    /// No value: `nil`, an absent field.
    Nil,
    Bool(bool),
    /// `int`
    Int(i64),
    /// `int64`
    Int64(i64),
    /// `float64`
    Float(f64),
    /// `string`
    Text(Cow<'a, [u8]>),
    /// `time.Time`
    Time(Time),
    /// `[]interface {}`
    List(Rc<Vec<Value<'a>>>),
    /// `map[string]interface {}`, by key
    Map(Rc<Vec<(String, Value<'a>)>>),
    /// `map[string]string`: the labels of the line
    Labels(&'a Labels),
}

impl<'a> Value<'a> {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Value::Text(Cow::Owned(text.into().into_bytes()))
    }

    pub(super) fn bytes(bytes: Vec<u8>) -> Self {
        Value::Text(Cow::Owned(bytes))
    }

    /// Go's name of the type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "<nil>",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Int64(_) => "int64",
            Value::Float(_) => "float64",
            Value::Text(_) => "string",
            Value::Time(_) => "time.Time",
            Value::List(_) => "[]interface {}",
            Value::Map(_) => "map[string]interface {}",
            Value::Labels(_) => "map[string]string",
        }
    }

    /// What `if` takes for true: anything but zero, nothing and the empty.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(b) => *b,
            Value::Int(n) | Value::Int64(n) => *n != 0,
            Value::Float(f) => *f != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::Time(_) => true,
            Value::List(list) => !list.is_empty(),
            Value::Map(map) => !map.is_empty(),
            Value::Labels(labels) => labels.iter().next().is_some(),
        }
    }

    /// The labels as pairs, by name.
    pub(super) fn pairs_of(labels: &'a Labels) -> Vec<(String, Value<'a>)> {
        let pairs = labels.iter().map(|(name, value, _)| (name.to_owned(), Value::Text(Cow::Borrowed(value.as_bytes()))));
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs
    }
}
