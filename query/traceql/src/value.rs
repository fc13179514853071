//! Values of fields and literals.

use std::borrow::Cow;

/// A value. Text is borrowed from where spans are stored when it can be.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Nothing: `nil`, and what a span without the attribute has.
    Nil,
    /// A whole number.
    Int(i64),
    /// A float.
    Float(f64),
    /// Nanoseconds.
    Duration(i64),
    /// Text.
    Str(Cow<'a, str>),
    /// A bool.
    Bool(bool),
    /// `ok`, `error`, `unset`.
    Status(Status),
    /// `server`, `client` ...
    Kind(Kind),
    /// Values of one type; an attribute only, never a literal.
    List(Vec<Value<'a>>),
}

impl<'a> Value<'a> {
    /// Borrowed text.
    pub fn text(text: &'a str) -> Self {
        Value::Str(Cow::Borrowed(text))
    }

    /// The same, with text borrowed from this one; lists are copied.
    pub fn borrowed(&self) -> Value<'_> {
        match self {
            Value::Str(v) => Value::text(v),
            Value::List(v) => Value::List(v.iter().map(Value::borrowed).collect()),
            Value::Nil => Value::Nil,
            Value::Int(v) => Value::Int(*v),
            Value::Float(v) => Value::Float(*v),
            Value::Duration(v) => Value::Duration(*v),
            Value::Bool(v) => Value::Bool(*v),
            Value::Status(v) => Value::Status(*v),
            Value::Kind(v) => Value::Kind(*v),
        }
    }

    /// The same, owned.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Nil => Value::Nil,
            Value::Int(v) => Value::Int(v),
            Value::Float(v) => Value::Float(v),
            Value::Duration(v) => Value::Duration(v),
            Value::Str(v) => Value::Str(Cow::Owned(v.into_owned())),
            Value::Bool(v) => Value::Bool(v),
            Value::Status(v) => Value::Status(v),
            Value::Kind(v) => Value::Kind(v),
            Value::List(v) => Value::List(v.into_iter().map(Value::into_owned).collect()),
        }
    }
}

/// How a span ended. The number is OTLP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Status {
    /// `unset`
    #[default]
    Unset = 0,
    /// `ok`
    Ok = 1,
    /// `error`
    Error = 2,
}

/// What a span is. The number is OTLP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Kind {
    /// `unspecified`
    #[default]
    Unspecified = 0,
    /// `internal`
    Internal = 1,
    /// `server`
    Server = 2,
    /// `client`
    Client = 3,
    /// `producer`
    Producer = 4,
    /// `consumer`
    Consumer = 5,
}
