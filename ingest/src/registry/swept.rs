//! A hash map whose idle entries are removed a few at a time.

use hashbrown::HashTable;

/// A key that is (or holds) a good hash already.
pub(crate) trait HashedKey: Eq {
    /// 64 well mixed bits.
    fn hash64(&self) -> u64;
}

/// Entries in a dense list with an index of 32-bit positions over it: about 12 bytes a key more than key and value, and a
/// sweep can stop anywhere and go on later.
#[derive(Debug)]
pub(crate) struct SweptMap<K, V> {
    index: HashTable<u32>,
    slots: Vec<(K, V)>,
    hand: usize,
}

impl<K: HashedKey, V> SweptMap<K, V> {
    /// No entries.
    pub(crate) fn new() -> Self {
        Self { index: HashTable::new(), slots: Vec::new(), hand: 0 }
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The value under `key`.
    #[inline]
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let at = *self.index.find(key.hash64(), |at| self.slots[*at as usize].0 == *key)?;
        Some(&self.slots[at as usize].1)
    }

    /// Puts `value` under `key`; a value that was there is replaced. The caller bounds the number of entries (below 2^32).
    pub(crate) fn insert(&mut self, key: K, value: V) {
        let hash = key.hash64();
        if let Some(at) = self.index.find(hash, |at| self.slots[*at as usize].0 == key) {
            self.slots[*at as usize].1 = value;
            return;
        }
        let at = u32::try_from(self.slots.len()).expect("callers bound the map far below 2^32 entries");
        self.slots.push((key, value));
        let slots = &self.slots;
        self.index.insert_unique(hash, at, |at| slots[*at as usize].0.hash64());
    }

    /// Looks at the next `count` entries (at most each once) and removes those that `keep` does not want.
    pub(crate) fn sweep(&mut self, count: usize, mut keep: impl FnMut(&K, &V) -> bool) {
        for _ in 0..count.min(self.slots.len()) {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            let (key, value) = &self.slots[self.hand];
            if keep(key, value) {
                self.hand += 1;
            } else {
                self.remove_at(self.hand);
            }
        }
    }

    /// Removes the entry at `at`; the last one takes its place.
    fn remove_at(&mut self, at: usize) {
        let last = self.slots.len() - 1;
        let (at_u32, last_u32) = (at as u32, last as u32);
        let gone = self.slots[at].0.hash64();
        if let Ok(entry) = self.index.find_entry(gone, |position| *position == at_u32) {
            entry.remove();
        }
        let moved = self.slots[last].0.hash64();
        if let Some(position) = self.index.find_mut(moved, |position| *position == last_u32) {
            *position = at_u32;
        }
        self.slots.swap_remove(at);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    impl HashedKey for u64 {
        fn hash64(&self) -> u64 {
            self % 7 // many collisions
        }
    }

    proptest! {
        #[test]
        fn behaves_as_a_map(steps in prop::collection::vec((0u64..40, any::<u8>(), 0usize..5), 0..200)) {
            let mut swept = SweptMap::new();
            let mut model = HashMap::new();
            for (key, value, sweep) in steps {
                swept.insert(key, value);
                model.insert(key, value);
                let odd = value % 2 == 1;
                swept.sweep(sweep, |k, v| {
                    let keep = !odd || v % 3 != 0;
                    if !keep {
                        assert_eq!(model.remove(k), Some(*v));
                    }
                    keep
                });
                prop_assert_eq!(swept.len(), model.len());
                for key in 0..40 {
                    prop_assert_eq!(swept.get(&key), model.get(&key));
                }
            }
        }
    }
}
