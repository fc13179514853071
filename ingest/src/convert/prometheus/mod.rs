//! Remote write as rows: `prometheus.WriteRequest` (1.0) and `io.prometheus.write.v2.Request` (2.0) bytes become rows of samples,
//! series, histograms, exemplars and metadata.
//!
//! ```text
//! 1.0  TimeSeries ─ label bytes ──────────────hash─┐
//! 2.0  TimeSeries ─ labels_refs ─ symbol hashes ───┴─► known: push (metric, sid, ts, value, start)
//!                                                   └─ new: check labels, sort, register the series, remember
//! ```
//! Rules are Prometheus' ([`RemoteWriteConfig`] has the limits that it does not have). What differs, on purpose:
//! - A sample that breaks a rule is refused alone in 1.0 too, where Prometheus rolls the whole request back; the answer is 400 in both.
//! - Samples in any order are taken, and a sample of the same series and time replaces the one before it. Within one request a
//!   histogram at the time of a float, or the other way round, is refused: the first one is kept.
//! - Exemplars come with or without a sample of their series in 1.0, as Prometheus' own sender writes them.
//!
//! # Invariants
//! - A series seen before (the same label bytes in 1.0, the same text in 2.0) costs no allocation.
//! - A series' row is in every request that has samples of it, once a day, until one that carried it was appended.
//! - Any bytes convert or are a [`DecodeError`]; nothing panics. Memory is proportional to the body's size.

pub mod config;
mod exemplars;
mod histogram;
mod labels;
mod out;
mod refused;
mod replicas;
mod request;
mod times;
mod v1;
mod v2;

use std::collections::HashMap;
use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;

use catalog::{Env, TenantId};
use parking_lot::RwLock;

pub use config::{HaConfig, InvalidRemoteWriteConfig, RemoteWriteConfig};

use super::series::memory::Memory;
use super::{Converted, DecodeError};
use crate::registry::{RegistryError, SeriesRegistry};
use crate::wire::WireError;
use labels::RawLabels;
use out::Out;
use refused::{Refusal, Refused};
use replicas::{CLUSTERS_MAX, Replicas, TooManyClusters, Verdict};
use request::Request;
use v2::Symbols;

/// The message of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// `prometheus.WriteRequest`, remote write 1.0.
    V1,
    /// `io.prometheus.write.v2.Request`, remote write 2.0.
    V2,
}

impl Message {
    /// The full name of the message.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "prometheus.WriteRequest",
            Self::V2 => "io.prometheus.write.v2.Request",
        }
    }
}

/// How many of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Float samples.
    pub samples: u64,
    /// Native histogram samples.
    pub histograms: u64,
    /// Exemplars.
    pub exemplars: u64,
}

impl AddAssign for Written {
    fn add_assign(&mut self, other: Self) {
        self.samples += other.samples;
        self.histograms += other.histograms;
        self.exemplars += other.exemplars;
    }
}

/// What a request became.
#[derive(Debug, Default)]
pub struct Taken {
    /// Rows. [`Converted::reason`] is what was refused, and makes the answer 400; series that 1.0 leaves out in silence are not in it.
    pub converted: Converted,
    /// What is in the rows; of a request that was dropped as a replica's, what was in it.
    pub written: Written,
    /// The request is another replica's: nothing is stored, and the sender is told that all is well.
    pub deduplicated: bool,
}

/// Turns remote write requests into rows. One per process: it remembers the series of every tenant.
pub struct RemoteWriteConverter {
    config: RemoteWriteConfig,
    registry: Arc<SeriesRegistry>,
    env: Env,
    /// Of the hashes that stand for labels; random, so that nobody can aim at a collision.
    seed: u64,
    tenants: RwLock<HashMap<TenantId, Arc<Memory>>>,
    replicas: Replicas,
}

impl RemoteWriteConverter {
    /// A converter that has seen nothing. `config` is valid ([`RemoteWriteConfig::validate`]).
    pub fn new(config: RemoteWriteConfig, registry: Arc<SeriesRegistry>, env: Env) -> Arc<Self> {
        let seed = env.entropy.next_u64();
        Arc::new(Self { config, registry, env, seed, tenants: RwLock::default(), replicas: Replicas::default() })
    }

    /// The limits.
    pub fn config(&self) -> &RemoteWriteConfig {
        &self.config
    }

    /// Converts the whole `body` (decompressed) for `tenant`. CPU work only.
    ///
    /// # Errors
    /// [`DecodeError::Malformed`] for bytes that are not the message, [`DecodeError::TooMany`] for too large a symbols table. What
    /// is wrong with single series and samples is in [`Converted::reason`] instead.
    pub fn convert(&self, tenant: &TenantId, message: Message, body: &[u8]) -> Result<Taken, DecodeError> {
        let wire = |error| DecodeError::wire(message.name(), error);
        let now = self.env.now();
        let minute = u32::try_from(now.as_secs() / 60).unwrap_or(0);
        let memory = match self.memory(tenant) {
            Ok(memory) => memory,
            Err(refused) => return self.refuse_all(message, body, refused.into()).map_err(wire),
        };
        memory.sweep(minute);
        let symbols = match message {
            Message::V1 => Symbols::default(),
            Message::V2 => Symbols::read(body, self.seed)?,
        };
        let without = match self.replica(tenant, message, body, &symbols).map_err(wire)? {
            Replica::None => None,
            Replica::Elected => Some(self.config.ha.replica_label.as_str()),
            Replica::Other => return self.drop_all(message, body).map_err(wire),
            Replica::Refused => return self.refuse_all(message, body, Refusal::ClusterLimit(CLUSTERS_MAX)).map_err(wire),
        };
        // A sample of ten labels has about 190 bytes in 1.0, and 30 in 2.0.
        let samples = body.len() / if message == Message::V1 { 160 } else { 32 } + 16;
        let mut request = Request {
            memory: &memory,
            memo: memory.memo.read(),
            seed: self.seed,
            minute,
            now_ms: now.as_millis(),
            without,
            labels: RawLabels::default(),
            out: Out::new(&self.config, now.as_nanos(), minute, samples, memory.series.rely()),
        };
        match message {
            Message::V1 => request.read_v1(body),
            Message::V2 => request.read_v2(body, &symbols),
        }
        .map_err(wire)?;
        request.out.finish(message == Message::V1)
    }

    fn memory(&self, id: &TenantId) -> Result<Arc<Memory>, RegistryError> {
        if let Some(known) = self.tenants.read().get(id) {
            return Ok(Arc::clone(known));
        }
        let series = self.registry.tenant(id)?;
        let new = || Arc::new(Memory::new(series, self.registry.config().series_max));
        Ok(Arc::clone(self.tenants.write().entry(id.clone()).or_insert_with(new)))
    }

    /// Whose request it is, by the labels of its first series, as in Cortex and Mimir.
    fn replica(&self, tenant: &TenantId, message: Message, body: &[u8], symbols: &Symbols<'_>) -> Result<Replica, WireError> {
        let ha = &self.config.ha;
        if !ha.enabled {
            return Ok(Replica::None);
        }
        let mut labels = RawLabels::default();
        let mut first = None;
        let note = |message| {
            first.get_or_insert(message);
            Ok(())
        };
        match message {
            Message::V1 => v1::each_series(body, note)?,
            Message::V2 => v2::each_series(body, note)?,
        }
        let Some(first) = first else { return Ok(Replica::None) };
        match message {
            // Labels that are refused later are not told apart.
            Message::V1 => drop(v1::read_labels(first, &mut labels, &self.config)?),
            Message::V2 => {
                let mut references = Vec::new();
                v2::Shape::read(first, &mut references, self.config.labels_max)?;
                let _ = symbols.labels(&references, &mut labels, &self.config);
            }
        }
        let bounded = |value: &&str| !value.is_empty() && value.len() <= self.config.label_value_bytes_max;
        let (cluster, replica) = (labels.get(&ha.cluster_label).filter(bounded), labels.get(&ha.replica_label).filter(bounded));
        let Some(names) = cluster.zip(replica) else { return Ok(Replica::None) };
        Ok(match self.replicas.hear(tenant, names, self.env.now(), ha.failover_timeout) {
            Ok(Verdict::Store) => Replica::Elected,
            Ok(Verdict::Drop) => Replica::Other,
            Err(TooManyClusters) => Replica::Refused,
        })
    }

    /// Counts what is in `body`.
    fn count(&self, message: Message, body: &[u8]) -> Result<Written, WireError> {
        let (mut counts, mut references) = (Written::default(), Vec::new());
        match message {
            Message::V1 => v1::each_series(body, |series| {
                counts += v1::Shape::read(series)?.counts;
                Ok(())
            })?,
            Message::V2 => v2::each_series(body, |series| {
                counts += v2::Shape::read(series, &mut references, self.config.labels_max)?.counts;
                Ok(())
            })?,
        }
        Ok(counts)
    }

    /// The request of a replica that is not elected.
    fn drop_all(&self, message: Message, body: &[u8]) -> Result<Taken, WireError> {
        let written = self.count(message, body)?;
        metrics::counter!("telelake_remote_write_deduplicated_total").increment(written.samples + written.histograms);
        Ok(Taken { written, deduplicated: true, ..Taken::default() })
    }

    /// Refuses everything that is in `body`.
    fn refuse_all(&self, message: Message, body: &[u8], refusal: Refusal) -> Result<Taken, WireError> {
        let counts = self.count(message, body)?;
        let mut refused = Refused::default();
        refused.add(refusal, counts.samples + counts.histograms, String::new);
        let rejected = refused.total();
        let reason = refused.finish(&self.config, false);
        Ok(Taken { converted: Converted { rejected, reason, ..Converted::default() }, ..Taken::default() })
    }
}

/// Who sent a request.
enum Replica {
    /// Nobody who has a twin.
    None,
    Elected,
    Other,
    /// There are too many clusters.
    Refused,
}

impl fmt::Debug for RemoteWriteConverter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteWriteConverter").field("config", &self.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
