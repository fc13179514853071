//! Values as keys of groups.

use std::cmp::Ordering;

use crate::value::{Kind, Status, Value};

/// A value that can be hashed and ordered. Values of different types are different keys, also 1 and 1.0: they are printed so.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    Nil,
    Bool(bool),
    Int(i64),
    /// By bits; see [`float_bits`].
    Float(u64),
    Duration(i64),
    Str(Box<str>),
    Status(Status),
    Kind(Kind),
    List(Box<[Key]>),
}

/// Bits of a float that are ordered as floats are, with one zero and one NaN.
fn float_bits(float: f64) -> u64 {
    let float = if float.is_nan() { f64::NAN } else { float + 0.0 };
    let bits = float.to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

fn float_of(bits: u64) -> f64 {
    f64::from_bits(if bits >> 63 == 1 { bits & !(1 << 63) } else { !bits })
}

impl From<&Value<'_>> for Key {
    fn from(value: &Value<'_>) -> Self {
        match value {
            Value::Nil => Self::Nil,
            Value::Int(v) => Self::Int(*v),
            Value::Float(v) => Self::Float(float_bits(*v)),
            Value::Duration(v) => Self::Duration(*v),
            Value::Str(v) => Self::Str(v.as_ref().into()),
            Value::Bool(v) => Self::Bool(*v),
            Value::Status(v) => Self::Status(*v),
            Value::Kind(v) => Self::Kind(*v),
            Value::List(elements) => Self::List(elements.iter().map(Self::from).collect()),
        }
    }
}

impl From<&Key> for Value<'static> {
    fn from(key: &Key) -> Self {
        match key {
            Key::Nil => Value::Nil,
            Key::Bool(v) => Value::Bool(*v),
            Key::Int(v) => Value::Int(*v),
            Key::Float(bits) => Value::Float(float_of(*bits)),
            Key::Duration(v) => Value::Duration(*v),
            Key::Str(v) => Value::Str(v.to_string().into()),
            Key::Status(v) => Value::Status(*v),
            Key::Kind(v) => Value::Kind(*v),
            Key::List(elements) => Value::List(elements.iter().map(Value::from).collect()),
        }
    }
}

impl Key {
    /// Whether `value` has this key; allocates nothing.
    pub(super) fn is(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Self::Str(key), Value::Str(value)) => **key == **value,
            (Self::List(keys), Value::List(values)) => {
                keys.len() == values.len() && keys.iter().zip(values).all(|(key, value)| key.is(value))
            }
            (Self::Str(_) | Self::List(_), _) | (_, Value::Str(_) | Value::List(_)) => false,
            (key, value) => *key == Self::from(value),
        }
    }

    /// Bytes that it occupies beyond its own size.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Str(text) => text.len(),
            Self::List(elements) => elements.iter().map(|e| size_of::<Self>() + e.heap_bytes()).sum(),
            _ => 0,
        }
    }
}

/// Hashes `value` as its key is told apart; allocates nothing.
pub(super) fn hash_value(value: &Value<'_>, state: &mut impl std::hash::Hasher) {
    use std::hash::Hash;
    match value {
        Value::Str(text) => text.hash(state),
        Value::List(elements) => elements.iter().for_each(|e| hash_value(e, state)),
        other => Key::from(other).hash(state),
    }
}

/// The order of labels' values in answers.
pub(super) fn order(left: &Value<'_>, right: &Value<'_>) -> Ordering {
    match (left, right) {
        (Value::Str(l), Value::Str(r)) => l.cmp(r),
        (l, r) => Key::from(l).cmp(&Key::from(r)),
    }
}

#[cfg(test)]
mod tests {
    use super::Key;
    use crate::value::Value;

    #[test]
    fn keys_are_values_again_and_keep_their_order() {
        let floats = [f64::NEG_INFINITY, -2.5, -1e-300, 0.0, 1e-300, 2.5, f64::INFINITY];
        let keys: Vec<Key> = floats.iter().map(|f| Key::from(&Value::Float(*f))).collect();
        assert!(keys.is_sorted());
        for (key, float) in keys.iter().zip(floats) {
            assert_eq!(Value::from(key), Value::Float(float));
            assert!(key.is(&Value::Float(float)));
        }
        assert_eq!(Key::from(&Value::Float(-0.0)), Key::from(&Value::Float(0.0)));
        assert_ne!(Key::from(&Value::Float(1.0)), Key::from(&Value::Int(1)));
        let list = Value::List(vec![Value::text("a"), Value::text("b")]);
        assert!(Key::from(&list).is(&list) && !Key::from(&list).is(&Value::text("a")));
    }
}
