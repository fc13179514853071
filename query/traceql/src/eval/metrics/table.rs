//! Series by the values of their labels.

use std::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::eval::error::{Error, Result};
use crate::eval::key::{Key, hash_value};
use crate::value::Value;

/// Values of labels, each combination once, numbered as they come.
#[derive(Debug, Clone)]
pub(super) struct Table {
    limit: usize,
    keys: Vec<Box<[Key]>>,
    known: HashTable<(u64, u32)>,
    hasher: DefaultHashBuilder,
    bytes: usize,
}

impl Table {
    /// None yet, and at most `limit`.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, keys: Vec::new(), known: HashTable::new(), hasher: DefaultHashBuilder::default(), bytes: 0 }
    }

    /// The number of a combination of values.
    ///
    /// # Errors
    /// [`Error::TooManySeries`].
    pub(super) fn series(&mut self, values: &[Value<'_>]) -> Result<u32> {
        let mut state = self.hasher.build_hasher();
        values.iter().for_each(|value| hash_value(value, &mut state));
        let hash = state.finish();
        let same = |at: u32| self.keys[at as usize].iter().zip(values).all(|(key, value)| key.is(value));
        if let Some((_, at)) = self.known.find(hash, |(h, at)| *h == hash && same(*at)) {
            return Ok(*at);
        }
        if self.keys.len() == self.limit {
            return Err(Error::TooManySeries { limit: self.limit });
        }
        let at = self.keys.len() as u32;
        let key: Box<[Key]> = values.iter().map(Key::from).collect();
        self.bytes += key.iter().map(|k| size_of::<Key>() + k.heap_bytes()).sum::<usize>();
        self.keys.push(key);
        self.known.insert_unique(hash, (hash, at), |(h, _)| *h);
        Ok(at)
    }

    /// Takes in the series of `other`: their numbers here.
    pub(super) fn merge(&mut self, other: &Self) -> Result<Vec<u32>> {
        let number = |key: &[Key]| self.series(&key.iter().map(Value::from).collect::<Vec<_>>());
        other.keys.iter().map(Box::as_ref).map(number).collect()
    }

    pub(super) fn keys(&self) -> &[Box<[Key]>] {
        &self.keys
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.keys.capacity() * size_of::<Box<[Key]>>() + self.known.capacity() * (size_of::<(u64, u32)>() + 1)
    }
}
