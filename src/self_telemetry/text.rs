//! Fields of `tracing` as OTLP attributes.

use std::fmt;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use tracing::field::{Field, Visit};

/// The fields of an event or a span.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) message: String,
    pub(super) attributes: Vec<KeyValue>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.attributes.push(text(field.name(), value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.attributes.push(attribute(field.name(), Value::IntValue(value)));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.attributes.push(attribute(field.name(), Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX))));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.attributes.push(attribute(field.name(), Value::DoubleValue(value)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.attributes.push(attribute(field.name(), Value::BoolValue(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => self.attributes.push(text(name, &format!("{value:?}"))),
        }
    }
}

impl Fields {
    /// Takes the text of the field `name` out.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.attributes.iter().position(|one| one.key == name)?;
        match self.attributes.swap_remove(at).value?.value? {
            Value::StringValue(text) => Some(text),
            _ => None,
        }
    }

    /// The number in the field `name`.
    pub(super) fn int(&self, name: &str) -> Option<i64> {
        match self.attributes.iter().find(|one| one.key == name)?.value.as_ref()?.value {
            Some(Value::IntValue(int)) => Some(int),
            _ => None,
        }
    }
}

pub(super) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}
