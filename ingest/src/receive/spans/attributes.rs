//! Attributes of a span, event, link or resource on their way to OTLP.

use std::borrow::Cow;

use hashbrown::HashSet;

/// How many attributes are compared one with another before a hash set takes over.
const PAIRWISE_MAX: usize = 16;

/// Text that is not validated yet: borrowed from the request, or put together.
pub(crate) type Text<'a> = Cow<'a, [u8]>;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    /// Text.
    Text(Text<'a>),
    /// Boolean.
    Bool(bool),
    /// Integer.
    Int(i64),
    /// Float.
    Double(f64),
    /// Bytes that are no text.
    Bytes(&'a [u8]),
    /// A list of texts.
    Texts(Vec<&'a [u8]>),
}

impl<'a> Value<'a> {
    /// Text that lives as long as the request or the program.
    pub(crate) fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text.as_bytes()))
    }
}

/// Keys and values, in the order in which they came. Of several with one key the last one counts, as in the maps that these protocols
/// mean. Holds at most as many as a record may have, and knows whether there were more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes<'a> {
    list: Vec<(Text<'a>, Value<'a>)>,
    count_max: usize,
    too_many: bool,
}

impl<'a> Attributes<'a> {
    /// None yet, and at most `count_max`.
    pub(crate) fn new(count_max: usize) -> Self {
        Self { list: Vec::new(), count_max, too_many: false }
    }

    /// Adds one.
    pub(crate) fn put(&mut self, key: impl Into<Text<'a>>, value: Value<'a>) {
        if self.list.len() < self.count_max {
            self.list.push((key.into(), value));
        } else {
            self.too_many = true;
        }
    }

    /// Adds one under a key of ours.
    pub(crate) fn put_str(&mut self, key: &'a str, value: Value<'a>) {
        self.put(key.as_bytes(), value);
    }

    /// Whether there were more than allowed; a record with them must be refused.
    pub(crate) fn are_too_many(&self) -> bool {
        self.too_many
    }

    /// How many a record may have.
    pub(crate) fn count_max(&self) -> usize {
        self.count_max
    }

    /// Notes that there were more than allowed.
    pub(crate) fn set_too_many(&mut self) {
        self.too_many = true;
    }

    /// The value of `key`.
    pub(crate) fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.list.iter().rev().find(|(known, _)| **known == *key.as_bytes()).map(|(_, value)| value)
    }

    /// The text of `key`.
    pub(crate) fn get_text(&self, key: &str) -> Option<&Text<'a>> {
        match self.get(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Removes `key`; gives back the value that counted.
    pub(crate) fn take(&mut self, key: &str) -> Option<Value<'a>> {
        let at = self.list.iter().rposition(|(known, _)| **known == *key.as_bytes())?;
        let (_, value) = self.list.remove(at);
        self.list.retain(|(known, _)| **known != *key.as_bytes());
        Some(value)
    }

    /// Removes `key` if its value is text; gives back the text.
    pub(crate) fn take_text(&mut self, key: &str) -> Option<Text<'a>> {
        self.get_text(key)?;
        match self.take(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Removes those whose key `wanted` says, and gives them back in order.
    pub(crate) fn extract(&mut self, mut wanted: impl FnMut(&[u8]) -> bool) -> Vec<(Text<'a>, Value<'a>)> {
        self.list.extract_if(.., |(key, _)| wanted(key)).collect()
    }

    /// Removes all but the last of those with equal keys. Those that are left keep their order.
    pub(crate) fn keep_last(&mut self) {
        let list = &mut self.list;
        if list.len() > PAIRWISE_MAX {
            let keep: Vec<bool> = {
                let mut seen = HashSet::with_capacity(list.len());
                list.iter().rev().map(|(key, _)| seen.insert(&**key)).collect()
            };
            let mut keep = keep.into_iter().rev();
            list.retain(|_| keep.next() == Some(true));
        } else {
            let mut at = 0;
            while at < list.len() {
                if list[at + 1..].iter().any(|(key, _)| *key == list[at].0) {
                    list.remove(at);
                } else {
                    at += 1;
                }
            }
        }
    }

    /// Keys and values in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &Value<'a>)> {
        self.list.iter().map(|(key, value)| (&**key, value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_last_value_of_a_key_counts(keys in prop::collection::vec(0..20u8, 0..40)) {
            let mut attributes = Attributes::new(64);
            for (at, key) in keys.iter().enumerate() {
                attributes.put(vec![b'a' + key], Value::Int(at as i64));
            }
            for key in 0..20u8 {
                let last = keys.iter().rposition(|k| *k == key).map(|at| Value::Int(at as i64));
                let name = String::from_utf8(vec![b'a' + key]).unwrap();
                prop_assert_eq!(attributes.get(&name), last.as_ref());
            }
            attributes.keep_last();
            let kept: Vec<i64> = attributes.iter().map(|(_, v)| if let Value::Int(at) = v { *at } else { -1 }).collect();
            let expected: Vec<i64> =
                (0..keys.len()).filter(|at| !keys[at + 1..].contains(&keys[*at])).map(|at| at as i64).collect();
            prop_assert_eq!(kept, expected);
        }
    }

    #[test]
    fn more_than_allowed_is_noted() {
        let mut attributes = Attributes::new(2);
        for key in ["a", "b", "c"] {
            assert!(!attributes.are_too_many());
            attributes.put_str(key, Value::Bool(true));
        }
        assert!(attributes.are_too_many());
        assert_eq!(attributes.iter().count(), 2);
    }
}
