//! Patterns of lines: what lines have in common when their variable parts are left out, and how many there were when.
//!
//! ```text
//! line ─[tokens]─► count ─► first tokens ─► clusters here ─► most alike? joins it, differing tokens become <_>
//!                    └── a tree, of bounded width ──┘           └ none alike enough: a cluster of its own
//! ```
//! The method is Drain (He et al., ICWS 2017), which Loki uses too; its limits are those of Loki's `pkg/pattern/drain`.
//!
//! # Invariants
//! - The same lines in the same order give the same patterns.
//! - Memory is bounded: [`MinerConfig::clusters_max`] clusters, the one that was not met for longest goes; [`LINE_BYTES_MAX`] per line,
//!   [`TOKENS_MAX`] tokens, [`MinerConfig::buckets_max`] buckets of time per cluster.

mod tokens;

use std::collections::BTreeMap;

use hashbrown::HashMap;
use tokens::{Token, tokens};

/// What stands for a variable part.
pub const PLACEHOLDER: &str = "<_>";
/// Longest line that is looked at.
pub const LINE_BYTES_MAX: usize = 3000;
/// Most tokens of a line that is looked at.
pub const TOKENS_MAX: usize = 512;
/// Fewest tokens of a line that is looked at: shorter ones have nothing in common but chance.
pub const TOKENS_MIN: usize = 4;
/// How many of the first tokens choose the place in the tree.
const DEPTH: usize = 4;
/// Most children of a node; further tokens share one.
const CHILDREN_MAX: usize = 15;
/// Most places of the tree per cluster, before those of clusters that are gone are forgotten.
const PLACES_PER_CLUSTER_MAX: usize = 32;
/// Share of tokens that are equal in lines of one cluster.
const SIMILARITY_MIN: f64 = 0.3;

/// How lines are mined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinerConfig {
    /// Length of a bucket of time, nanoseconds, positive.
    pub bucket_ns: i64,
    /// Most clusters at a time.
    pub clusters_max: usize,
    /// Most buckets of a cluster; lines beyond count in the newest one.
    pub buckets_max: usize,
}

impl Default for MinerConfig {
    fn default() -> Self {
        MinerConfig { bucket_ns: 10_000_000_000, clusters_max: 300, buckets_max: 10_000 }
    }
}

/// Lines with something in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// What they have in common, with [`PLACEHOLDER`] for the rest: as `|>` takes it.
    pub text: String,
    /// Start of a bucket, nanoseconds since the epoch, and how many lines it has; by time, without empty ones.
    pub samples: Vec<(i64, u64)>,
}

#[derive(Debug)]
struct Cluster {
    tokens: Vec<Token>,
    samples: BTreeMap<i64, u64>,
    last_met: u64,
    place: usize,
}

#[derive(Debug, Default)]
struct Place {
    children: HashMap<Box<str>, usize>,
    clusters: Vec<u64>,
}

/// Mines patterns from lines that come one by one.
#[derive(Debug)]
pub struct Miner {
    config: MinerConfig,
    /// The tree; the first place is the root.
    places: Vec<Place>,
    clusters: BTreeMap<u64, Cluster>,
    next_id: u64,
    lines: u64,
}

impl Miner {
    /// No line yet.
    pub fn new(config: MinerConfig) -> Self {
        Miner { config, places: vec![Place::default()], clusters: BTreeMap::new(), next_id: 0, lines: 0 }
    }

    /// Adds a line at a time in nanoseconds since the epoch. Lines that are too long, or have too few tokens or too many, are left out.
    pub fn add(&mut self, ts_ns: i64, line: &str) {
        if line.len() > LINE_BYTES_MAX {
            return;
        }
        let tokens = tokens(line);
        if !(TOKENS_MIN..=TOKENS_MAX).contains(&tokens.len()) {
            return;
        }
        self.lines += 1;
        let place = self.place(&tokens);
        let id = match self.most_alike(place, &tokens) {
            Some(id) => id,
            None => self.open(place, tokens.clone()),
        };
        let lines = self.lines;
        let bucket = ts_ns.div_euclid(self.config.bucket_ns.max(1)).saturating_mul(self.config.bucket_ns.max(1));
        let Some(cluster) = self.clusters.get_mut(&id) else { return };
        for (mine, theirs) in cluster.tokens.iter_mut().zip(&tokens) {
            mine.join(theirs);
        }
        cluster.last_met = lines;
        let full = cluster.samples.len() >= self.config.buckets_max && !cluster.samples.contains_key(&bucket);
        match cluster.samples.last_entry().filter(|_| full) {
            Some(mut newest) => *newest.get_mut() += 1,
            None => *cluster.samples.entry(bucket).or_default() += 1,
        }
    }

    /// The patterns, those with most lines first, then by text. Clusters that say the same are one.
    pub fn finish(self) -> Vec<Pattern> {
        let mut by_text: BTreeMap<String, BTreeMap<i64, u64>> = BTreeMap::new();
        for cluster in self.clusters.into_values() {
            let samples = by_text.entry(text(&cluster.tokens)).or_default();
            for (bucket, count) in cluster.samples {
                *samples.entry(bucket).or_default() += count;
            }
        }
        let pattern = |(text, samples): (String, BTreeMap<i64, u64>)| Pattern { text, samples: samples.into_iter().collect() };
        let mut patterns: Vec<Pattern> = by_text.into_iter().map(pattern).collect();
        let count = |pattern: &Pattern| pattern.samples.iter().map(|(_, count)| *count).sum::<u64>();
        patterns.sort_by_key(|pattern| std::cmp::Reverse(count(pattern)));
        patterns
    }

    /// Where lines of so many tokens that begin so have their clusters.
    fn place(&mut self, tokens: &[Token]) -> usize {
        let count = tokens.len().to_string();
        // what has a digit is a variable part, most likely
        let words = tokens.iter().take(DEPTH).map(|t| if t.has_digit() || t.is_placeholder() { PLACEHOLDER } else { t.text() });
        let mut at = 0;
        for word in std::iter::once(count.as_str()).chain(words) {
            let is_full = self.places[at].children.len() >= CHILDREN_MAX && at != 0;
            let word = if is_full && !self.places[at].children.contains_key(word) { PLACEHOLDER } else { word };
            at = match self.places[at].children.get(word) {
                Some(child) => *child,
                None => {
                    let child = self.places.len();
                    self.places.push(Place::default());
                    self.places[at].children.insert(word.into(), child);
                    child
                }
            };
        }
        at
    }

    fn most_alike(&self, place: usize, tokens: &[Token]) -> Option<u64> {
        let alike = |id: &u64| {
            let cluster = self.clusters.get(id)?;
            let equal = cluster.tokens.iter().zip(tokens).filter(|(mine, theirs)| mine == theirs).count();
            let open = cluster.tokens.iter().filter(|token| token.is_placeholder()).count();
            Some((equal, open, *id))
        };
        // of those that are equally alike the one with more variable parts, then the older one
        let best = self.places[place]
            .clusters
            .iter()
            .filter_map(alike)
            .max_by_key(|(equal, open, id)| (*equal, *open, std::cmp::Reverse(*id)))?;
        let fixed = tokens.len().saturating_sub(best.1).max(1);
        (best.0 as f64 / fixed as f64 >= SIMILARITY_MIN).then_some(best.2)
    }

    /// Forgets places that only clusters had which are gone.
    fn prune(&mut self) {
        self.places = vec![Place::default()];
        let mut clusters = std::mem::take(&mut self.clusters);
        for (id, cluster) in &mut clusters {
            cluster.place = self.place(&cluster.tokens);
            self.places[cluster.place].clusters.push(*id);
        }
        self.clusters = clusters;
    }

    fn open(&mut self, place: usize, tokens: Vec<Token>) -> u64 {
        if self.clusters.len() >= self.config.clusters_max.max(1) {
            let oldest = self.clusters.iter().min_by_key(|(_, cluster)| cluster.last_met).map(|(id, _)| *id);
            if let Some(cluster) = oldest.and_then(|id| self.clusters.remove(&id)) {
                self.places[cluster.place].clusters.retain(|id| self.clusters.contains_key(id));
            }
        }
        let place = if self.places.len() > PLACES_PER_CLUSTER_MAX * (self.config.clusters_max + 16) {
            self.prune();
            self.place(&tokens)
        } else {
            place
        };
        let id = self.next_id;
        self.next_id += 1;
        self.places[place].clusters.push(id);
        self.clusters.insert(id, Cluster { tokens, samples: BTreeMap::new(), last_met: 0, place });
        id
    }
}

/// The tokens as a line; neighbouring placeholders are one.
fn text(tokens: &[Token]) -> String {
    let mut out = String::new();
    for token in tokens {
        if token.is_placeholder() && !token.follows_space() && out.ends_with(PLACEHOLDER) {
            continue;
        }
        if token.follows_space() {
            out.push(' ');
        }
        out.push_str(token.text());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mine(lines: impl IntoIterator<Item = String>) -> Vec<Pattern> {
        let mut miner = Miner::new(MinerConfig::default());
        for (at, line) in lines.into_iter().enumerate() {
            miner.add(at as i64 * 1_000_000_000, &line);
        }
        miner.finish()
    }

    #[test]
    fn variable_parts_are_left_out() {
        let get = (0..30).map(|n| format!("GET /api/users took {}ms with status {}", n * 7, 200 + n % 3));
        let log = (0..10).map(|n| format!("level=info msg=\"cart updated\" user=u{n} items={}", n % 4));
        let patterns = mine(get.chain(log));
        let texts: Vec<_> = patterns.iter().map(|p| p.text.as_str()).collect();
        assert_eq!(texts, ["GET /api/users took <_> with status <_>", "level=info msg=\"cart updated\" user=<_> items=<_>"]);
        assert_eq!(patterns[0].samples, [(0, 10), (10_000_000_000, 10), (20_000_000_000, 10)]);
    }

    #[test]
    fn what_was_not_met_for_longest_goes() {
        let mut miner = Miner::new(MinerConfig { clusters_max: 3, ..MinerConfig::default() });
        for n in 0..1000 {
            let word: String = format!("{n:b}").replace('0', "a").replace('1', "b");
            miner.add(0, &format!("{word} {word}x {word}y {word}z"));
            assert!(miner.clusters.len() <= 3);
        }
        assert!(miner.places.len() < 1000, "{}", miner.places.len());
    }

    #[test]
    fn lines_without_shape_are_left_out() {
        assert_eq!(mine(["a b c".to_owned(), "x".repeat(LINE_BYTES_MAX + 1), String::new()]), []);
    }
}
