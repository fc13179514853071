//! What a value looks like: the type that `detected_fields` tells. Source: Loki `pkg/querier/queryrange/detected_fields.go`.

use crate::units::{parse_bytes, parse_go_duration};

/// Type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FieldType {
    /// A whole number of 64 bits.
    Int,
    /// Any other number.
    Float,
    /// A word for true or false.
    Boolean,
    /// As Go writes durations.
    Duration,
    /// A number with a unit of bytes.
    Bytes,
    /// Anything else.
    String,
}

impl FieldType {
    /// The API's word.
    pub fn name(self) -> &'static str {
        match self {
            FieldType::Int => "int",
            FieldType::Float => "float",
            FieldType::Boolean => "boolean",
            FieldType::Duration => "duration",
            FieldType::Bytes => "bytes",
            FieldType::String => "string",
        }
    }

    /// The type of a value: the first that takes it, in the order of the variants.
    pub fn of(value: &str) -> Self {
        if value.parse::<i64>().is_ok() {
            FieldType::Int
        } else if crate::units::parse_float(value).is_ok() {
            FieldType::Float
        } else if matches!(value, "t" | "T" | "TRUE" | "true" | "True" | "f" | "F" | "FALSE" | "false" | "False") {
            FieldType::Boolean
        } else if parse_go_duration(value).is_ok() {
            FieldType::Duration
        } else if parse_bytes(value).is_ok() {
            FieldType::Bytes
        } else {
            FieldType::String
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types() {
        #[track_caller]
        fn check(value: &str, expected: FieldType) {
            assert_eq!(FieldType::of(value), expected, "{value}");
        }
        check("17", FieldType::Int);
        check("-1", FieldType::Int);
        check("1.5", FieldType::Float);
        check("99999999999999999999", FieldType::Float);
        check("true", FieldType::Boolean);
        check("1", FieldType::Int);
        check("15ms", FieldType::Duration);
        check("15MiB", FieldType::Bytes);
        check("abc", FieldType::String);
        check("", FieldType::String);
    }
}
