//! Spans that wait for their counterparts: found by edge, given up in the order in which they came.
//!
//! ```text
//! table: hash ─► slot      slots: [ half │ half │ free │ half ... ]      oldest ◄─► ... ◄─► newest, a list through the slots
//! ```
//! A half that is taken leaves the list at once, so that memory follows what waits, not what passes.

use catalog::Timestamp;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Trace id and the id of the client's span.
pub(super) type EdgeKey = [u8; 24];

/// The key of an edge.
pub(super) fn edge_key(trace_id: [u8; 16], client_span: [u8; 8]) -> EdgeKey {
    let mut key = [0; 24];
    key[..16].copy_from_slice(&trace_id);
    key[16..].copy_from_slice(&client_span);
    key
}

const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Slot<H> {
    key: EdgeKey,
    came: Timestamp,
    older: u32,
    newer: u32,
    half: Option<H>,
}

/// Halves by edge, at most `max`.
#[derive(Debug)]
pub(super) struct Waiting<H> {
    max: usize,
    /// Random: span ids are the sender's choice.
    seed: u64,
    table: HashTable<u32>,
    slots: Vec<Slot<H>>,
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
}

impl<H> Waiting<H> {
    pub(super) fn new(max: usize, seed: u64) -> Self {
        Self { max, seed, table: HashTable::new(), slots: Vec::new(), free: Vec::new(), oldest: NONE, newest: NONE }
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The half of that edge.
    pub(super) fn get(&self, key: &EdgeKey) -> Option<&H> {
        let slot = self.table.find(self.hash(key), |at| self.slots[*at as usize].key == *key)?;
        self.slots[*slot as usize].half.as_ref()
    }

    /// Takes the half of that edge out.
    pub(super) fn take(&mut self, key: &EdgeKey) -> Option<H> {
        let hash = self.hash(key);
        let Self { table, slots, .. } = self;
        let (at, _) = table.find_entry(hash, |at| slots[*at as usize].key == *key).ok()?.remove();
        self.unlink(at);
        self.free.push(at);
        self.slots[at as usize].half.take()
    }

    /// Adds a half to an edge that has none.
    ///
    /// # Errors
    /// Gives it back when there is no room.
    pub(super) fn insert(&mut self, key: EdgeKey, came: Timestamp, half: H) -> Result<(), H> {
        if self.table.len() >= self.max {
            return Err(half);
        }
        let slot = Slot { key, came, older: self.newest, newer: NONE, half: Some(half) };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).expect("edges_max is below 2^24")
            }
        };
        match self.newest {
            NONE => self.oldest = at,
            newest => self.slots[newest as usize].newer = at,
        }
        self.newest = at;
        let hash = self.hash(&key);
        let Self { table, slots, seed, .. } = self;
        table.insert_unique(hash, at, |at| xxh3_64_with_seed(&slots[*at as usize].key, *seed));
        Ok(())
    }

    /// Takes the oldest half out if it came at `until` or before.
    pub(super) fn expired(&mut self, until: Timestamp) -> Option<H> {
        let oldest = self.slots.get(self.oldest as usize)?;
        if oldest.came > until {
            return None;
        }
        let key = oldest.key;
        self.take(&key)
    }

    fn unlink(&mut self, at: u32) {
        let Slot { older, newer, .. } = self.slots[at as usize];
        match older {
            NONE => self.oldest = newer,
            older => self.slots[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.slots[newer as usize].older = older,
        }
    }

    fn hash(&self, key: &EdgeKey) -> u64 {
        xxh3_64_with_seed(key, self.seed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn key(id: u8) -> EdgeKey {
        edge_key([id; 16], [id; 8])
    }

    #[test]
    fn the_oldest_goes_first_and_there_is_a_limit() {
        let mut waiting = Waiting::new(3, 1);
        for id in 0..3 {
            waiting.insert(key(id), Timestamp::from_secs(i64::from(id)), id).unwrap();
        }
        assert_eq!(waiting.insert(key(3), Timestamp::from_secs(3), 3), Err(3));
        assert_eq!(waiting.take(&key(1)), Some(1));
        assert_eq!(waiting.take(&key(1)), None);
        assert_eq!(waiting.expired(Timestamp::from_secs(2)), Some(0));
        assert_eq!(waiting.expired(Timestamp::from_secs(1)), None);
        assert_eq!(waiting.expired(Timestamp::from_secs(2)), Some(2));
        assert_eq!(waiting.expired(Timestamp::from_secs(9)), None);
        assert_eq!(waiting.len(), 0);
    }

    proptest! {
        #[test]
        fn it_is_a_map_in_order_of_arrival(steps in prop::collection::vec((0..3_u8, 0..12_u8), 0..200)) {
            let (mut waiting, mut model, mut now) = (Waiting::new(8, 7), BTreeMap::new(), 0);
            for (step, id) in steps {
                now += 1;
                match step {
                    0 if waiting.get(&key(id)).is_none() => {
                        let room = model.len() < 8;
                        prop_assert_eq!(waiting.insert(key(id), Timestamp::from_secs(now), id).is_ok(), room);
                        if room {
                            model.insert(id, now);
                        }
                    }
                    1 => prop_assert_eq!(waiting.take(&key(id)).is_some(), model.remove(&id).is_some()),
                    _ => {
                        let oldest = model.iter().min_by_key(|(_, came)| **came).map(|(id, came)| (*id, *came));
                        let expected = oldest.filter(|(_, came)| *came <= now - 4).map(|(id, _)| id);
                        if let Some(id) = expected {
                            model.remove(&id);
                        }
                        prop_assert_eq!(waiting.expired(Timestamp::from_secs(now - 4)), expected);
                    }
                }
                prop_assert_eq!(waiting.len(), model.len());
            }
        }
    }
}
